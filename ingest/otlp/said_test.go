package otlp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"pulseboard/ingest/otlp"
	"pulseboard/wire"
)

// Unit and description are of all metrics that a metric becomes; of how many values a histogram has there is no unit.
func TestUnitAndDescription(t *testing.T) {
	h := histogram("h", metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE,
		&metrics.HistogramDataPoint{TimeUnixNano: now * milli, Count: 1, Sum: new(1.0), Min: new(1.0), BucketCounts: []uint64{1, 0}, ExplicitBounds: []float64{1}},
		&metrics.HistogramDataPoint{TimeUnixNano: (now + 1000) * milli, Count: 1, Sum: new(1.0), BucketCounts: []uint64{1, 0}, ExplicitBounds: []float64{1}})
	h.Unit, h.Description = "By", "How much."
	g := gauge("g", &metrics.NumberDataPoint{TimeUnixNano: now * milli, Value: &metrics.NumberDataPoint_AsDouble{AsDouble: 1}})
	g.Description = "What."
	plain := gauge("x_count", &metrics.NumberDataPoint{TimeUnixNano: now * milli, Value: &metrics.NumberDataPoint_AsDouble{AsDouble: 1}})
	nothing := gauge("n")
	nothing.Unit = "s"
	r := &collector.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: []*metrics.Metric{h, g, plain, nothing}}}}}}
	json, err := protojson.MarshalOptions{UseEnumNumbers: true}.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	d := otlp.NewDecoder(wire.NewRoom(1 << 20))
	for range 2 {
		for _, read := range []func() (*otlp.Request, error){
			func() (*otlp.Request, error) { return d.Protobuf(marshal(t, r), limit) },
			func() (*otlp.Request, error) { return d.JSON(json, limit, 1<<20) },
		} {
			got, err := read()
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			for _, s := range got.Said {
				said = append(said, fmt.Sprintf("%s %s %s", s.Metric, s.Unit, s.Help))
			}
			want := []string{"h_bucket By How much.", "h_count 1 How much.", "h_sum By How much.", "h_min By How much.", "g  What."}
			if !slices.Equal(said, want) {
				t.Errorf("said %s, want %s", strings.Join(said, "; "), strings.Join(want, "; "))
			}
		}
	}
}
