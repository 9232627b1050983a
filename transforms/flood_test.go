package transforms

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"pulseboard/metric"
	"pulseboard/sources"
)

// flood sends events through pre-aggregation, the wire form of partials, and key groups.
type flood struct {
	f      PreAggregateFn
	groups *Groups
	ks     []*keyGroup
	end    int64
}

const floodGroups = 4

func newFlood(t *testing.T, o SlideOptions, demands ...Demand) *flood {
	t.Helper()
	o.SliceMs, o.KeyGroups, o.RetainMs, o.AheadMs = 1000, floodGroups, 3_600_000, 3000
	fl := &flood{groups: openGroups(t, t.Name()), end: 1_763_892_000_000}
	fl.f = PreAggregateFn{Run: t.Name(), SliceMs: 1000, KeyGroups: floodGroups, Limits: metric.DefaultLimits()}
	qs, bad := Compile(demands, 1000, floodGroups)
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	fl.groups.queries.Store(qs)
	for i := range floodGroups {
		fl.ks = append(fl.ks, fl.groups.of(int64(i), o))
	}
	return fl
}

// slice passes a slice of pipeline time with these events.
func (fl *flood) slice(t *testing.T, events []metric.Event) {
	t.Helper()
	fl.end += 1000
	if err := fl.f.StartBundle(nil, nil); err != nil {
		t.Fatal(err)
	}
	var held any
	b := &sources.Batch{Records: []sources.Record{{Time: fl.end - 500, Newest: fl.end - 500, Latest: fl.end - 500, PipelineTime: fl.end - 500, Events: events}}, Held: &held}
	fl.f.ProcessElement(b, nil, nil)
	fl.f.ProcessElement(&sources.Batch{Kind: sources.Passed, PipelineTime: fl.end, Held: &held}, func(_ beam.EventTime, g int64, p Partial) {
		b, err := encodePartial(p)
		if err != nil {
			t.Fatal(err)
		}
		q, err := decodePartial(b)
		if err != nil {
			t.Fatal(err)
		}
		fl.ks[g].add(fl.end, q)
	}, nil)
	for _, k := range fl.ks {
		if k.end != 0 {
			k.mu.Lock()
			k.advance(fl.end)
			k.mu.Unlock()
		}
	}
	fl.groups.builders.Wait()
}

func (fl *flood) counted() (n int64) {
	for _, k := range fl.ks {
		n += k.store.Bytes()
	}
	return n
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Whatever is sent, what is counted is what the heap holds, to a quarter.
func TestCountedIsHeld(t *testing.T) {
	random := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[rand.IntN(36)]
		}
		return string(b)
	}
	one := func(m string, v float64, tags ...string) metric.Event {
		var ts metric.Tags
		for i := 0; i < len(tags); i += 2 {
			ts = append(ts, metric.Tag{Key: tags[i], Value: tags[i+1]})
		}
		return metric.Event{Metric: m, Value: v, Tags: ts}
	}
	long := func(m string) metric.Event {
		var ts metric.Tags
		for k := range 16 {
			ts = append(ts, metric.Tag{Key: fmt.Sprintf("tag%02d", k), Value: random(256)})
		}
		return metric.Event{Metric: m, Value: 1, Tags: ts}
	}
	grouped := Demand{metric.Query{Metric: "q", Aggregation: "avg", WindowSeconds: 60, GroupBy: []string{"host"}}, []int64{1000}}
	pct := Demand{metric.Query{Metric: "q", Aggregation: "p95", WindowSeconds: 60}, []int64{1000}}
	for _, k := range []struct {
		name    string
		slices  int
		each    int
		event   func(slice, i int) metric.Event
		demands []Demand
	}{
		{"series of one metric", 20, 2500, func(s, i int) metric.Event { return one("m", 1, "req", fmt.Sprintf("r-%d-%d", s, i)) }, nil},
		{"series of many metrics", 20, 4000, func(s, i int) metric.Event {
			return one(fmt.Sprintf("m%d", (s*4000+i)/20), 1, "req", fmt.Sprintf("r-%d-%d", s, i))
		}, nil},
		{"names", 20, 2500, func(s, i int) metric.Event { return one(fmt.Sprintf("name.%d.%d", s, i), 1) }, nil},
		{"long tags", 10, 400, func(_, _ int) metric.Event { return long("m") }, nil},
		{"long tags of many metrics", 10, 500, func(_, i int) metric.Event { return long(fmt.Sprintf("m%d", i%24)) }, nil},
		{"hot", 600, 100, func(_, i int) metric.Event { return one("m", float64(i), "h", "a") }, nil},
		{"wide values", 300, 1000, func(_, i int) metric.Event { return one("m", rand.NormFloat64()*1e6, "h", fmt.Sprint(i)) }, nil},
		{"a few tags again and again", 200, 1000, func(_, i int) metric.Event {
			return one("m", float64(i), "host", fmt.Sprint(i%100), "region", fmt.Sprint(i%10), "zone", fmt.Sprint(i/100))
		}, nil},
		{"grouped", 100, 2000, func(_, i int) metric.Event { return one("q", float64(i), "host", fmt.Sprint(i)) }, []Demand{grouped}},
		{"percentiles", 100, 2000, func(_, i int) metric.Event { return one("q", rand.ExpFloat64()*100, "host", fmt.Sprint(i%50)) }, []Demand{grouped, pct}},
	} {
		t.Run(strings.ReplaceAll(k.name, " ", "_"), func(t *testing.T) {
			before := liveHeap()
			fl := newFlood(t, SlideOptions{SeriesPerMetric: 20_000, StateBytes: 8 << 30}, k.demands...)
			for s := range k.slices {
				es := make([]metric.Event, k.each)
				for i := range es {
					es[i] = k.event(s, i)
				}
				fl.slice(t, es)
			}
			held, counted := liveHeap()-before, fl.counted()
			if d := math.Abs(float64(held - counted)); d > float64(held)/4+256<<10 {
				t.Errorf("%d bytes are held, %d are counted", held, counted)
			}
			runtime.KeepAlive(fl)
		})
	}
}
