package textbook_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct" //nolint:staticcheck // The textbook form must run there too.

	"pulseboard/internal/prism"
	"pulseboard/textbook"
)

// windowed is one result, as a test keeps it.
type windowed struct {
	Test, Key string
	Start     int64
	Value     float64
}

func toWindowed(w beam.Window, key string, value float64, emit func(windowed)) {
	emit(windowed{Key: key, Start: w.(window.IntervalWindow).Start.Milliseconds(), Value: value})
}

// keepFn keeps the results of a test in this process.
type keepFn struct{ Test string }

func (f *keepFn) ProcessElement(_ context.Context, w windowed) {
	keptMu.Lock()
	defer keptMu.Unlock()
	kept[f.Test] = append(kept[f.Test], w)
}

var (
	keptMu sync.Mutex
	kept   = map[string][]windowed{}
)

// keyed is an event for the tests below.
type keyed struct {
	Key   string
	Time  int64
	Value float64
}

func timedValue(e keyed, emit func(beam.EventTime, string, float64)) {
	emit(beam.EventTime(e.Time), e.Key, e.Value)
}

func init() {
	register.Function4x0(toWindowed)
	register.Emitter1[windowed]()
	beam.RegisterDoFn(&keepFn{})
	register.Function2x0(timedValue)
}

type slidingForm struct {
	name string
	of   func(beam.Scope, beam.PCollection, time.Duration, time.Duration) beam.PCollection
	add  func(before, v float64, n int) float64
	end  func(x float64, n int) float64
}

func same(x float64, _ int) float64 { return x }

var slidingForms = []slidingForm{
	{"sum", textbook.SlidingSum, func(x, v float64, _ int) float64 { return x + v }, same},
	{"avg", textbook.SlidingAvg, func(x, v float64, _ int) float64 { return x + v }, func(x float64, n int) float64 { return x / float64(n) }},
	{"count", textbook.SlidingCount, func(x, _ float64, _ int) float64 { return x + 1 }, same},
	{"max", textbook.SlidingMax, func(x, v float64, n int) float64 {
		if n == 0 {
			return v
		}
		return math.Max(x, v)
	}, same},
	{"min", textbook.SlidingMin, func(x, v float64, n int) float64 {
		if n == 0 {
			return v
		}
		return math.Min(x, v)
	}, same},
}

// On either runner every window of every key equals its definition.
func TestSlidingForms(t *testing.T) {
	beam.Init()
	const seed, length, period = 17, int64(7000), int64(2000)
	r := rand.New(rand.NewPCG(seed, 0))
	events := make([]keyed, 0, 800)
	for range cap(events) {
		events = append(events, keyed{string(rune('a' + r.IntN(3))), 1_763_892_000_000 + r.Int64N(60_000), r.NormFloat64() * 100})
	}
	runners := map[string]func(context.Context, *beam.Pipeline) (beam.PipelineResult, error){"direct": direct.Execute, "prism": prism.Execute}
	for name, execute := range runners {
		t.Run(name, func(t *testing.T) {
			p, s := beam.NewPipelineWithRoot()
			values := beam.ParDo(s, timedValue, beam.CreateList(s, events))
			for _, f := range slidingForms {
				out := f.of(s, values, time.Duration(length)*time.Millisecond, time.Duration(period)*time.Millisecond)
				all := beam.WindowInto(s, window.NewGlobalWindows(), beam.ParDo(s, toWindowed, out))
				beam.ParDo0(s, &keepFn{Test: name + f.name}, all)
			}
			if _, err := execute(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			for _, f := range slidingForms {
				keptMu.Lock()
				got := kept[name+f.name]
				keptMu.Unlock()
				seen := map[string]bool{}
				for _, w := range got {
					want, n := 0.0, 0
					for _, e := range events {
						if e.Key == w.Key && e.Time >= w.Start && e.Time < w.Start+length {
							want = f.add(want, e.Value, n)
							n++
						}
					}
					if want = f.end(want, n); n == 0 || math.Abs(w.Value-want) > 1e-9*math.Abs(want)+1e-9 || w.Start%period != 0 {
						t.Fatalf("seed %d, %s of %s from %d: %v of %d events, want %v", seed, f.name, w.Key, w.Start, w.Value, n, want)
					}
					seen[fmt.Sprint(w.Key, w.Start)] = true
				}
				if len(seen) != len(got) || len(got) < 90 {
					t.Errorf("%s: %d results of %d windows", f.name, len(got), len(seen))
				}
			}
		})
	}
}
