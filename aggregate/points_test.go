package aggregate_test

import (
	"fmt"
	"testing"

	"pulseboard/aggregate"
)

// What an event of a series costs in its slice, and how many bytes it takes there when it is packed: one that is a value and nothing
// else, and points at whole milliseconds and at finer times.
func BenchmarkPoints(b *testing.B) {
	for _, kind := range []string{"value", "point", "finer"} {
		for _, n := range []int{1, 10, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				var a aggregate.Acc
				b.ReportAllocs()
				for b.Loop() {
					a.Reset()
					for i := range n {
						at := 1_763_892_000_000 + int64(i)*1000/int64(n)
						s := aggregate.Sample{Time: at, Value: float64(i % 10), Flags: aggregate.Point}
						switch kind {
						case "value":
							a.AddFor(0, s.Value, at)
							continue
						case "finer":
							s.Nanos = int32(1 + i*7919%999_999)
						}
						a.AddSample(s)
					}
				}
				packed := len(aggregate.AppendAcc(nil, &a))
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
				b.ReportMetric(float64(packed), "B/slice")
			})
		}
	}
}
