package metric_test

import (
	"strings"
	"testing"

	"pulseboard/metric"
)

func TestPercentileNames(t *testing.T) {
	for name, want := range map[metric.Aggregation][2]uint64{
		"p0": {0, 100}, "p5": {5, 100}, "p50": {50, 100}, "p100": {100, 100}, "p99.9": {999, 1000}, "p0.000001": {1, 100_000_000},
	} {
		of, outOf, ok := name.Percentile()
		if !ok || of != want[0] || outOf != want[1] || name.Validate() != nil {
			t.Errorf("%s is %d of %d, %v, %v; want %v", name, of, outOf, ok, name.Validate(), want)
		}
		q := metric.Query{Metric: "m", Aggregation: name, WindowSeconds: 60}
		if got, err := metric.ParseKey(q.Key()); err != nil || got.Key() != q.Key() {
			t.Errorf("%s reads as %+v, %v", q.Key(), got, err)
		}
	}
	// One text for each number, else equal queries had different keys.
	for _, name := range []metric.Aggregation{"p", "p101", "p100.1", "p05", "p5.0", "p5.", "p.5", "p-1", "p1e1", "p+5", "p99.9999999", "P50", "p 5", "p00"} {
		if _, _, ok := name.Percentile(); ok || name.Validate() == nil {
			t.Errorf("%q counts as a percentile", name)
		}
	}
	if err := metric.Aggregation("p99.90").Validate(); err == nil || !strings.Contains(err.Error(), "needless zeros") {
		t.Errorf("the error of p99.90 is %v", err)
	}
	if err := metric.Aggregation("median").Validate(); err == nil || !strings.Contains(err.Error(), "p95") {
		t.Errorf("the error of median is %v", err)
	}
}
