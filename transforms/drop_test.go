package transforms

import (
	"fmt"
	"runtime"
	"testing"

	"pulseboard/aggregate"
	"pulseboard/metric"
)

// An editor's dashboard of many selectors is cut, or deleted, while its metric has many series: timers wait
// meanwhile, so each series is looked at once, and not once for each selector that goes. Told by allocations:
// a series whose selectors change gets one new list of them.
func TestManySelectorsGoAtOnce(t *testing.T) {
	const series, selectors = 200, 64
	demands := make([]Demand, selectors)
	for i := range demands {
		term := metric.Term{Tag: "host", Op: metric.NotEqual, Values: []string{fmt.Sprint("none", i)}}
		filter, err := metric.NewFilter(term)
		if err != nil {
			t.Fatal(err)
		}
		demands[i] = Demand{metric.Query{Metric: "m", Aggregation: "avg", WindowSeconds: 10, Filter: filter, GroupBy: []string{"host"}}, []int64{1000}}
	}
	h := newHost(t, demands...)
	p := Partial{Table: aggregate.Table{}}
	for i := range series {
		key := aggregate.NewName("m", string(metric.NewTags(map[string]string{"host": fmt.Sprint("h", i)}).AppendKey(nil)))
		p.Table.Add(101, key, 1, 101_500)
	}
	h.at = 102_000
	h.k.add(h.at, p)
	h.advance()
	if n := len(h.pubs); n != selectors {
		t.Fatalf("%d results of %d queries", n, selectors)
	}
	h.demand(demands[:2]...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	h.k.follow()
	runtime.ReadMemStats(&after)
	if n := after.Mallocs - before.Mallocs; n > 2*series {
		t.Errorf("%d selectors that go allocate %d times for %d series", selectors-2, n, series)
	}
	h.advance()
	h.slice("103=5 h1")
	if n := len(h.pubs); n != 2 {
		t.Errorf("%d results afterwards, want those of the 2 that stay", n)
	}
}
