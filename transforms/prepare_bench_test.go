package transforms

import (
	"context"
	"fmt"
	"testing"

	"pulseboard/aggregate"
	"pulseboard/metric"
)

// BenchmarkNewQuery is what a new widget of an hour costs, with its history: 10,000 series with an event each 30 s, each a
// group or all in one. What a build rests is not in it.
func BenchmarkNewQuery(b *testing.B) {
	for _, group := range []bool{false, true} {
		b.Run(fmt.Sprintf("grouped=%v", group), func(b *testing.B) {
			l := newGroups()
			k := l.of(0, SlideOptions{SliceMs: 1000, KeyGroups: 1, RetainMs: 4_500_000, AheadMs: 3000})
			q := metric.Query{Metric: "m", Aggregation: "count", WindowSeconds: 3600}
			if group {
				q.GroupBy = []string{"host"}
			}
			qs, _ := Compile([]Demand{{q, []int64{1000}}}, 1000, 1)
			const first = int64(1_763_892_000)
			names := make([]*aggregate.Name, 10_000)
			for i := range names {
				names[i] = aggregate.NewName("m", string(metric.NewTags(map[string]string{"host": fmt.Sprint(i)}).AppendKey(nil)))
			}
			for slice := first; slice < first+4200; slice += 30 {
				t := aggregate.Table{}
				for i, n := range names {
					t.Add(slice+int64(i%30), n, float64(i), (slice+int64(i%30))*1000)
				}
				k.store.Merge(t)
			}
			k.end, k.queries = (first+4200)*1000, qs
			ended, cancel := context.WithCancel(context.Background())
			cancel()
			query := qs.byGroup[0][0]
			b.ReportAllocs()
			for b.Loop() {
				p := k.past(query, nil)
				build := k.build(query)
				runBuild(ended, build, []past{p})
				k.store.Adopt(build)
				k.store.Drop("m", query.selector)
			}
		})
	}
}
