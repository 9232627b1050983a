package transforms

import (
	"fmt"
	"testing"

	"pulseboard/aggregate"
	"pulseboard/metric"
)

// What a slice costs a key group, evaluation included, as one of window, series
// and widgets grows: the window must matter like its logarithm, widgets on the
// same selector by their own evaluation only.
func BenchmarkCost(b *testing.B) {
	type size struct {
		window, series, widgets int
		group                   bool
	}
	for _, s := range []size{
		{10, 1000, 1, false},
		{600, 1000, 1, false},
		{3600, 1000, 1, false},
		{60, 10_000, 1, false},
		{60, 50_000, 1, false},
		{60, 1000, 10, false},
		{60, 1000, 100, false},
		{60, 1000, 1000, false},
		{60, 1000, 1, true},
		{3600, 1000, 1, true},
	} {
		name := fmt.Sprintf("window=%ds/series=%d/widgets=%d", s.window, s.series, s.widgets)
		if s.group {
			name += "/grouped"
		}
		b.Run(name, func(b *testing.B) {
			l := newGroups()
			k := l.of(0, SlideOptions{SliceMs: 1000, KeyGroups: 1, RetainMs: 3_600_000, AheadMs: 3000})
			var demands []Demand
			for i := range s.widgets {
				q := metric.Query{Metric: "m", Aggregation: metric.Aggregations()[i%5], WindowSeconds: s.window + i/5}
				if s.group {
					q.GroupBy = []string{"host"}
				}
				demands = append(demands, Demand{q, []int64{1000}})
			}
			qs, _ := Compile(demands, 1000, 1)
			l.queries.Store(qs)
			keys := make([]*aggregate.Name, s.series)
			for i := range keys {
				keys[i] = aggregate.NewName("m", string(metric.NewTags(map[string]string{"host": fmt.Sprint(i)}).AppendKey(nil)))
			}
			const first = int64(1_763_892_000_000)
			end := first
			step := func(n int) {
				p := Partial{Table: aggregate.Table{}}
				for _, key := range keys[:n] {
					p.Table.Add(end/1000, key, 1.5, end)
				}
				end += 1000
				k.mu.Lock()
				k.add(end, p)
				k.advance(end)
				k.mu.Unlock()
			}
			for end < first+3_600_000 {
				step(min(100, s.series)) // An hour of some of the series.
			}
			b.ReportAllocs()
			for b.Loop() {
				step(s.series)
			}
		})
	}
}
