package limits_test

import (
	"math"
	"testing"

	"pulseboard/limits"
	"pulseboard/metric"
	"pulseboard/wire"
)

// What a history is said to take is what its results are long, within a third, of numbers and of distributions.
func TestHistoriesAreAsLongAsTheirResults(t *testing.T) {
	number := 12.53125
	bins := make([]wire.Bin, wire.MaxBins)
	for i := range bins {
		bins[i] = wire.Bin{Lower: math.Exp2(float64(i) / 4), Upper: math.Exp2(float64(i+1) / 4), Count: int64(1 + i*i)}
	}
	for aggregation, v := range map[metric.Aggregation]wire.SeriesValue{"p95": {Value: &number, Count: 210}, metric.Histogram: {Bins: bins, Count: 85_000}} {
		q := metric.Query{Metric: "http.request.duration", Aggregation: aggregation, WindowSeconds: 60}
		newest := int64(1763892059871)
		r := wire.Result{
			Key: q.Key(), WindowStart: 1763892000000, WindowEnd: 1763892060000, PrevEnd: 1763892059000, Due: []int64{1000}, NewestEvent: &newest,
			Complete: true, Matched: 1, SeriesVersion: "8f3a5b1c", Series: []wire.SeriesValue{v},
		}
		cost := limits.NewQuery(q, []int64{1000}, nil, limits.Size{Groups: 1}, 1000)
		said, is := cost.Cost()[limits.Histories]/650, float64(len(r.Encode()))
		if said < is*2/3 || said > is*4/3 {
			t.Errorf("%s: a result has %v bytes, and is said to have %v", aggregation, is, said)
		}
	}
}
