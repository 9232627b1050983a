package textbook

import (
	"encoding/binary"
	"errors"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"pulseboard/aggregate"
)

// SlidingSum returns, per key and window, the sum of the values: of
// PCollection<KV<string, float64>> with event-time timestamps another one, each
// element in its window. Windows have the given length and begin at multiples
// of period since the epoch.
func SlidingSum(s beam.Scope, values beam.PCollection, length, period time.Duration) beam.PCollection {
	return sliding(s.Scope("SlidingSum"), "sum", values, length, period)
}

// SlidingAvg is SlidingSum for the average.
func SlidingAvg(s beam.Scope, values beam.PCollection, length, period time.Duration) beam.PCollection {
	return sliding(s.Scope("SlidingAvg"), "avg", values, length, period)
}

// SlidingMax is SlidingSum for the greatest value.
func SlidingMax(s beam.Scope, values beam.PCollection, length, period time.Duration) beam.PCollection {
	return sliding(s.Scope("SlidingMax"), "max", values, length, period)
}

// SlidingMin is SlidingSum for the smallest value.
func SlidingMin(s beam.Scope, values beam.PCollection, length, period time.Duration) beam.PCollection {
	return sliding(s.Scope("SlidingMin"), "min", values, length, period)
}

// SlidingCount is SlidingSum for the number of values.
func SlidingCount(s beam.Scope, values beam.PCollection, length, period time.Duration) beam.PCollection {
	return sliding(s.Scope("SlidingCount"), "count", values, length, period)
}

func sliding(s beam.Scope, aggregation string, values beam.PCollection, length, period time.Duration) beam.PCollection {
	// PCollection<KV<string, Sample>>
	samples := beam.ParDo(s, &sampleFn{}, values)
	// PCollection<KV<string, Accumulator>>
	accs := SlidingAccumulators(s, samples, length, period)
	// PCollection<KV<string, float64>>
	return beam.ParDo(s, &extractFn{Aggregation: aggregation}, accs)
}

// SlidingAccumulators returns PCollection<KV<string, Accumulator>>, one per key
// and window, of PCollection<KV<string, Sample>>.
func SlidingAccumulators(s beam.Scope, samples beam.PCollection, length, period time.Duration) beam.PCollection {
	windowed := beam.WindowInto(s, window.NewSlidingWindows(period, length), samples)
	return beam.CombinePerKey(s, &AccumulateFn{}, windowed)
}

// Sample is a value and its event time, epoch ms.
type Sample struct {
	Value  float64
	Time   int64
	Needs  aggregate.Needs // Of the aggregation that it is for.
	Window int             // Seconds; of the windows that it is for, where there are several lengths.

	// Of events that say more of themselves than a value.
	Series    string // The key of its tags.
	Nanos     int32
	Start     int64
	Flags     aggregate.Flags
	Stale     bool
	Histogram []byte // As aggregate.AppendHistogram writes it; nil = there is a value.
}

// isKept reports whether the sample is kept as it is until the window is over.
func (v *Sample) isKept() bool {
	return v.Stale || v.Flags&aggregate.Point != 0 || v.Needs&(aggregate.NeedGrowth|aggregate.NeedLast) != 0 || v.reachesOn()
}

// reachesOn reports whether windows that begin after the sample hang on it too.
func (v *Sample) reachesOn() bool {
	return v.Flags&aggregate.Cumulative != 0 && (v.Needs&aggregate.NeedGrowth != 0 || v.Histogram != nil)
}

// Accumulator is what a window of a key amounts to.
type Accumulator struct {
	Acc  aggregate.Acc
	Kept []Sample // What amounts to something only when all is there, see counters.go.
}

// AccumulateFn is the CombineFn of all aggregations.
type AccumulateFn struct{}

func init() {
	beam.RegisterType(reflect.TypeFor[Sample]())
	register.Function1x1(encodeAccumulator)
	register.Function1x2(decodeAccumulator)
	beam.RegisterCoder(reflect.TypeFor[Accumulator](), encodeAccumulator, decodeAccumulator)
	register.Combiner2[Accumulator, Sample](&AccumulateFn{})
}

func encodeAccumulator(a Accumulator) []byte {
	acc := aggregate.AppendAcc(nil, &a.Acc)
	b := append(binary.AppendUvarint(nil, uint64(len(acc))), acc...)
	for i := range a.Kept {
		b = a.Kept[i].append(b)
	}
	return b
}

func decodeAccumulator(b []byte) (a Accumulator, err error) {
	r := aggregate.Reader{Rest: b}
	if a.Acc, err = aggregate.DecodeAcc([]byte(r.Text())); err != nil {
		return a, err
	}
	for len(r.Rest) > 0 && !r.Bad {
		a.Kept = append(a.Kept, readSample(&r))
	}
	if r.Bad {
		err = errors.New("cannot read an accumulator: truncated")
	}
	return a, err
}

// CreateAccumulator is called by the SDK, like the methods below.
func (*AccumulateFn) CreateAccumulator() Accumulator { return Accumulator{} }

// AddInput counts one value.
func (*AccumulateFn) AddInput(a Accumulator, v Sample) Accumulator {
	if v.isKept() {
		a.Kept = append(a.Kept, v)
	} else {
		v.addTo(&a.Acc, v.Needs)
	}
	return a
}

// MergeAccumulators merges two.
func (*AccumulateFn) MergeAccumulators(a, b Accumulator) Accumulator {
	a.Acc.Merge(&b.Acc)
	a.Kept = append(a.Kept, b.Kept...)
	return a
}

// sampleFn turns values into samples.
type sampleFn struct{}

func init() {
	beam.RegisterDoFn(&sampleFn{})
	register.Emitter2[string, Sample]()
}

// ProcessElement is called by the SDK.
func (*sampleFn) ProcessElement(ts beam.EventTime, key string, value float64, emit func(string, Sample)) {
	emit(key, Sample{Value: value, Time: int64(ts)})
}

// extractFn computes one aggregation.
type extractFn struct{ Aggregation string }

func init() {
	beam.RegisterDoFn(&extractFn{})
	register.Emitter2[string, float64]()
}

// ProcessElement is called by the SDK.
func (f *extractFn) ProcessElement(key string, a Accumulator, emit func(string, float64)) {
	named, ok := aggregate.Named(f.Aggregation)
	if !ok {
		return
	}
	if v, ok := named.Extract(&a.Acc); ok {
		emit(key, v)
	}
}
