package textbook_test

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct" //nolint:staticcheck // The textbook form must run there too.

	"pulseboard/aggregate"
	"pulseboard/textbook"
)

// reading is a value and the second at which it was taken.
type reading struct {
	Second int64
	Value  float64
}

// at gives readings their event time.
func at(r reading, emit func(beam.EventTime, string, float64)) {
	emit(beam.EventTime(r.Second*1000), "temperature", r.Value)
}

// printWindow prints what a window amounts to.
func printWindow(w beam.Window, key string, sum float64, emit func(string)) {
	iw := w.(window.IntervalWindow)
	emit(fmt.Sprintf("%s [%d s, %d s): %v", key, iw.Start.Milliseconds()/1000, iw.End.Milliseconds()/1000, sum))
}

// printLine is a sink.
func printLine(line string) { fmt.Println(line) }

// sampleAt gives readings their event time, as what AccumulateFn takes.
func sampleAt(r reading, emit func(beam.EventTime, string, textbook.Sample)) {
	emit(beam.EventTime(r.Second*1000), "temperature", textbook.Sample{Value: r.Value, Time: r.Second * 1000})
}

// printAccumulator prints the aggregations of a window.
func printAccumulator(w beam.Window, _ string, a textbook.Accumulator, emit func(string)) {
	line := fmt.Sprintf("%d s:", w.MaxTimestamp().Milliseconds()/1000)
	for _, name := range []string{"count", "avg", "max"} {
		aggregation, _ := aggregate.Named(name)
		value, _ := aggregation.Extract(&a.Acc)
		line += fmt.Sprintf(" %s %v", name, value)
	}
	emit(line)
}

func init() {
	register.Function2x0(sampleAt)
	register.Emitter3[beam.EventTime, string, textbook.Sample]()
	register.Function4x0(printAccumulator)
	register.Function2x0(at)
	register.Emitter3[beam.EventTime, string, float64]()
	register.Function4x0(printWindow)
	register.Emitter1[string]()
	register.Function1x0(printLine)
}

// The sum over ten seconds, every five seconds.
func ExampleSlidingSum() {
	beam.Init()
	p, s := beam.NewPipelineWithRoot()
	readings := beam.CreateList(s, []reading{{1, 10}, {4, 20}, {7, 5}, {12, 1}})
	// PCollection<KV<string, float64>>
	values := beam.ParDo(s, at, readings)
	sums := textbook.SlidingSum(s, values, 10*time.Second, 5*time.Second)
	lines := beam.ParDo(s, printWindow, sums)
	beam.ParDo0(s, printLine, beam.WindowInto(s, window.NewGlobalWindows(), lines))
	if _, err := direct.Execute(context.Background(), p); err != nil {
		fmt.Println(err)
	}
	// Unordered output:
	// temperature [-5 s, 5 s): 30
	// temperature [0 s, 10 s): 35
	// temperature [5 s, 15 s): 6
	// temperature [10 s, 20 s): 1
}

// All aggregations of ten seconds at once, with the window function that is the easiest to think about.
func ExampleAccumulateFn() {
	beam.Init()
	p, s := beam.NewPipelineWithRoot()
	// PCollection<KV<string, Sample>>
	samples := beam.ParDo(s, sampleAt, beam.CreateList(s, []reading{{1, 10}, {4, 20}, {12, 1}}))
	windowed := beam.WindowInto(s, window.NewFixedWindows(10*time.Second), samples)
	// PCollection<KV<string, Accumulator>>
	accumulators := beam.CombinePerKey(s, &textbook.AccumulateFn{}, windowed)
	lines := beam.ParDo(s, printAccumulator, accumulators)
	beam.ParDo0(s, printLine, beam.WindowInto(s, window.NewGlobalWindows(), lines))
	if _, err := direct.Execute(context.Background(), p); err != nil {
		fmt.Println(err)
	}
	// Unordered output:
	// 9 s: count 2 avg 15 max 20
	// 19 s: count 1 avg 1 max 1
}
