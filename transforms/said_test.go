package transforms

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pulseboard/aggregate"
	"pulseboard/metric"
)

// What is said travels with the partials, however they are merged, and is bounded.
func TestSaidTravels(t *testing.T) {
	a := said(nil).add("m", metric.About{Unit: "s"}).add("m", metric.About{}).add("m", metric.About{Unit: "s"}).add("n", metric.About{Help: "h\x00"})
	if len(a) != 2 || len(a["m"]) != 1 {
		t.Errorf("said %v", a)
	}
	p := Partial{CoveredSince: 5, Said: a, Table: aggregate.Table{}}
	p.Table.Add(3, aggregate.NewName("m", ""), 1, 3000)
	b, err := encodePartial(p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodePartial(b)
	if err != nil || !reflect.DeepEqual(got.Said, a) || got.CoveredSince != 5 || len(got.Table) != 1 {
		t.Errorf("it reads as %+v, %v", got, err)
	}
	for n := range b {
		if _, err := decodePartial(b[:n]); err == nil {
			t.Errorf("%d of %d bytes read as a partial", n, len(b))
		}
	}
	if _, err := decodePartial([]byte{0, 10, 10}); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), "version") {
		t.Errorf("a partial of another version: %v", err)
	}
	merged := (*MergeFn)(nil).MergeAccumulators(got, Partial{Said: said{"m": {{Unit: "ms"}}}, Table: aggregate.Table{}})
	if want := (said{"m": {{Unit: "s"}, {Unit: "ms"}}, "n": {{Help: "h\x00"}}}); !reflect.DeepEqual(merged.Said, want) {
		t.Errorf("merged they say %v, want %v", merged.Said, want)
	}
	for i := range 100 {
		a = a.add("m", metric.About{Unit: fmt.Sprint(i)})
	}
	if len(a["m"]) != mostSaid {
		t.Errorf("%d texts", len(a["m"]))
	}
}

// The catalog has what is said with the events of its slice, not before.
func TestSaidIsSurveyed(t *testing.T) {
	h := newHost(t)
	h.slice("0=3 a")
	h.surveyed("m 1 {host=a +0} 500 3 0")
	partial := Partial{Table: aggregate.Table{}, Said: said{"m": {{Unit: "s", Help: "h"}}, "unknown": {{Unit: "s"}}}}
	h.k.add(h.k.end+1000, partial)
	h.surveyed("m 1 {host=a +0} 500 3 0")
	h.slice()
	h.surveyed("m 1 {host=a +0} [s] [h] 500 3 0")
	h.k.add(h.k.end, Partial{Table: aggregate.Table{}, Said: said{"m": {{Unit: "ms"}}}}) // Late.
	h.surveyed("m 1 {host=a +0} [ms s] [h] 500 3 0")
	if len(h.k.said) != 0 {
		t.Errorf("%v is kept", h.k.said)
	}
}
