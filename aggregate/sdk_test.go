package aggregate_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"pulseboard/aggregate"
)

// sender is a histogram of a real SDK.
type sender interface {
	Record(v float64)
	// Sample is what it sends: everything since its start, or of a delta what came since the last sample.
	Sample() aggregate.Histogram
}

// openTelemetry is an exponential histogram of OpenTelemetry's SDK.
type openTelemetry struct {
	t      *testing.T
	reader *sdkmetric.ManualReader
	metric metric.Float64Histogram
}

func newOpenTelemetry(t *testing.T, temporality metricdata.Temporality, size, scale int32) *openTelemetry {
	t.Helper()
	reader := sdkmetric.NewManualReader(sdkmetric.WithTemporalitySelector(
		func(sdkmetric.InstrumentKind) metricdata.Temporality { return temporality }))
	view := sdkmetric.NewView(sdkmetric.Instrument{Name: "*"},
		sdkmetric.Stream{Aggregation: sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: size, MaxScale: scale}})
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithView(view))
	m, err := provider.Meter("test").Float64Histogram("values")
	if err != nil {
		t.Fatal(err)
	}
	return &openTelemetry{t, reader, m}
}

func (o *openTelemetry) Record(v float64) { o.metric.Record(o.t.Context(), v) }

func (o *openTelemetry) Sample() aggregate.Histogram {
	o.t.Helper()
	var all metricdata.ResourceMetrics
	if err := o.reader.Collect(o.t.Context(), &all); err != nil {
		o.t.Fatal(err)
	}
	if len(all.ScopeMetrics) == 0 {
		return aggregate.Histogram{} // A delta of nothing.
	}
	p := all.ScopeMetrics[0].Metrics[0].Data.(metricdata.ExponentialHistogram[float64]).DataPoints[0]
	h := aggregate.Histogram{
		Scale:    int8(p.Scale),
		Positive: aggregate.Bins{Offset: p.PositiveBucket.Offset, Counts: slices.Clone(p.PositiveBucket.Counts)},
		Negative: aggregate.Bins{Offset: p.NegativeBucket.Offset, Counts: slices.Clone(p.NegativeBucket.Counts)},
		Zero:     p.ZeroCount, ZeroThreshold: p.ZeroThreshold, Sum: p.Sum, Count: p.Count,
	}
	var low, high bool
	h.Min, low = p.Min.Value()
	h.Max, high = p.Max.Value()
	h.HasExtremes = low && high
	return h
}

// native is a native histogram of Prometheus' client library.
type native struct {
	t      *testing.T
	metric prometheus.Histogram
}

func newNative(t *testing.T, schema int, zeroThreshold float64) *native {
	t.Helper()
	// The library takes the lowest schema whose bins grow by no more than this.
	factor := math.Exp2(math.Exp2(-float64(schema))) * (1 + 1e-12)
	return &native{t, prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "values", NativeHistogramBucketFactor: factor, NativeHistogramZeroThreshold: zeroThreshold,
	})}
}

func (n *native) Record(v float64) { n.metric.Observe(v) }

func (n *native) Sample() aggregate.Histogram {
	n.t.Helper()
	var m dto.Metric
	if err := n.metric.Write(&m); err != nil {
		n.t.Fatal(err)
	}
	p := m.GetHistogram()
	return aggregate.Histogram{
		Scale:    int8(p.GetSchema()),
		Positive: nativeBins(p.GetPositiveSpan(), p.GetPositiveDelta()),
		Negative: nativeBins(p.GetNegativeSpan(), p.GetNegativeDelta()),
		Zero:     p.GetZeroCount(), ZeroThreshold: p.GetZeroThreshold(), Sum: p.GetSampleSum(), Count: p.GetSampleCount(),
	}
}

func nativeBins(spans []*dto.BucketSpan, deltas []int64) (b aggregate.Bins) {
	at, n := int32(0), int64(0)
	for _, span := range spans {
		at += span.GetOffset()
		for range span.GetLength() {
			n += deltas[0]
			deltas = deltas[1:]
			if len(b.Counts) == 0 {
				b.Offset = at - 1 // Prometheus numbers bins by their upper border.
			}
			b.Counts = append(b.Counts, make([]uint64, int(at-1-b.Offset)+1-len(b.Counts))...)
			b.Counts[at-1-b.Offset] = uint64(n)
			at++
		}
	}
	return b
}

// counted is the histogram of values by logarithms: bins of any scale, of a threshold that may lie in one.
func counted(scale int, threshold float64, values []float64) aggregate.Histogram {
	h := aggregate.Histogram{Scale: int8(scale), ZeroThreshold: threshold, Count: uint64(len(values)), HasExtremes: len(values) > 0}
	indices := map[bool][]int{}
	for i, v := range values {
		h.Sum += v
		if i == 0 {
			h.Min, h.Max = v, v
		}
		h.Min, h.Max = min(h.Min, v), max(h.Max, v)
		if math.Abs(v) <= threshold {
			h.Zero++
			continue
		}
		indices[v > 0] = append(indices[v > 0], int(math.Ceil(math.Log2(math.Abs(v))*math.Exp2(float64(scale))))-1)
	}
	for positive, of := range indices {
		b := aggregate.Bins{Offset: int32(slices.Min(of))}
		b.Counts = make([]uint64, slices.Max(of)-slices.Min(of)+1)
		for _, i := range of {
			b.Counts[i-int(b.Offset)]++
		}
		if positive {
			h.Positive = b
		} else {
			h.Negative = b
		}
	}
	return h
}

// text is what a histogram has but for sum and extremes; equal ones have equal texts.
func text(h aggregate.Histogram) string {
	h.Downscale(h.Scale)
	return fmt.Sprintf("scale %d, %d values, %d up to %v, +%v, -%v", h.Scale, h.Count, h.Zero, h.ZeroThreshold, h.Positive, h.Negative)
}

func downscaled(h aggregate.Histogram, scale int8) aggregate.Histogram {
	h.Downscale(scale)
	return h
}

// sentValues are those of instruments: latencies, sizes, temperatures, and some zeros.
func sentValues(r *rand.Rand, n int) []float64 {
	values := make([]float64, n)
	kind := r.IntN(3)
	for i := range values {
		switch kind {
		case 0:
			values[i] = math.Exp(r.NormFloat64()) * 0.02
		case 1:
			values[i] = math.Floor(math.Exp(r.NormFloat64()*4) * 1000)
		default:
			values[i] = r.NormFloat64() * 20
		}
		if r.IntN(20) == 0 {
			values[i] = 0
		}
	}
	return values
}

// everySender calls f with senders of each scale from −4 to 20: OpenTelemetry's make all, Prometheus' up to 8.
func everySender(t *testing.T, f func(t *testing.T, scale int, threshold float64, start func() sender)) {
	t.Helper()
	for scale := aggregate.MinScale; scale <= aggregate.MaxScale; scale++ {
		t.Run(fmt.Sprintf("OpenTelemetry %d", scale), func(t *testing.T) {
			f(t, scale, 0, func() sender {
				return newOpenTelemetry(t, metricdata.CumulativeTemporality, 1<<30, int32(scale))
			})
		})
		for _, threshold := range []float64{0x1p-128, 0.011, 0x1p-5} {
			if scale > 8 {
				break
			}
			t.Run(fmt.Sprintf("Prometheus %d up to %v", scale, threshold), func(t *testing.T) {
				f(t, scale, threshold, func() sender { return newNative(t, scale, threshold) })
			})
		}
	}
}
