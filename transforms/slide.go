package transforms

import (
	"context"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"pulseboard/results"
	"pulseboard/sources"
)

// SlideOptions are serialised into the pipeline.
type SlideOptions struct {
	Run       string
	SliceMs   int64
	KeyGroups int
	RetainMs  int64 // How long slices are kept: the longest window and its lateness.
	AheadMs   int64 // How far event time may be ahead of pipeline time.
	BoundMs   int64 // How far pipeline time is behind the clock at best.
	// TimerEarlyMs is a property of the runner: how long before the end of a
	// slice its timer is set. 0 on Prism, which fires at a watermark >= t and at
	// end−1 overtakes the panes of the slice, whose timestamp is end−1. 1 on
	// Flink, which fires only at a watermark >= t+1 and would wait a slice more.
	TimerEarlyMs    int64
	CatchUp         int64 // When this many slices behind, the next timer passes up to JumpSlices at once. 0 = never.
	SeriesPerMetric int   // More go to a series of their own; 0 = no limit.
	StateBytes      int64 // Beyond this no series is added, in the process; 0 = no limit.
	UntilMs         int64 // No timer is set beyond this: the end of a bounded run. 0 = none.
}

// JumpSlices is how many slices one timer passes at most when it catches up:
// one timer cycle per slice would make catching up last as long as the outage.
const JumpSlices = 30

// Evaluation is the results of one key group, of one timer.
type Evaluation struct {
	Publications []results.Publication
	Refill       uint64 // How many refills (see Refill) it knows of.
}

// SlideFn keeps the slices of a key group and evaluates its queries slice by
// slice, driven by a looping event-time timer.
type SlideFn struct {
	Options SlideOptions
	Timer   timers.EventTime
}

func init() {
	register.Function1x2(encodeEvaluation)
	register.Function1x2(decodeEvaluation)
	beam.RegisterCoder(reflect.TypeFor[Evaluation](), encodeEvaluation, decodeEvaluation)
	register.DoFn5x0[beam.EventTime, timers.Provider, int64, Packet, func(Evaluation)](&SlideFn{})
	register.Emitter1[Evaluation]()
}

func encodeEvaluation(e Evaluation) ([]byte, error) { return json.Marshal(e) }

func decodeEvaluation(b []byte) (e Evaluation, err error) {
	err = json.Unmarshal(b, &e)
	return e, err
}

// Slide returns PCollection<Evaluation>.
func Slide(s beam.Scope, o SlideOptions, packets beam.PCollection) beam.PCollection {
	return beam.ParDo(s.Scope("Slide"), &SlideFn{Options: o, Timer: timers.InEventTime("slice")}, packets)
}

// ProcessElement takes over the packet of one slice; ts is the slice's last millisecond.
func (f *SlideFn) ProcessElement(ts beam.EventTime, tp timers.Provider, group int64, p Packet, _ func(Evaluation)) {
	end := int64(ts) + 1
	k := sharedGroup(group, f.Options)
	k.mu.Lock()
	defer k.mu.Unlock()
	begun := k.end != 0
	k.add(end, p)
	if begun {
		return
	}
	// The first packet of a key group in this process sets the timer that loops from then on.
	f.arm(tp, group, k.end, end)
}

// arm sets the timer for next, and tells the source that everything up to done has been evaluated.
func (f *SlideFn) arm(tp timers.Provider, group, done, next int64) {
	if f.Options.UntilMs > 0 && next > f.Options.UntilMs {
		done = math.MaxInt64 / 2 // This group will not ask for more: it must not hold the source.
	} else {
		f.Timer.Set(tp, time.UnixMilli(next-f.Options.TimerEarlyMs))
	}
	sources.ProgressOf(f.Options.Run).Report(int(group), done)
}

// OnTimer evaluates what is due up to the slice that the timer was set for, and sets the next timer.
func (f *SlideFn) OnTimer(_ context.Context, ts beam.EventTime, tp timers.Provider, group int64, _ timers.Context, emit func(Evaluation)) {
	end := int64(ts) + f.Options.TimerEarlyMs
	k := sharedGroup(group, f.Options)
	k.mu.Lock()
	defer k.mu.Unlock()
	if e := k.advance(end); len(e.Publications) > 0 {
		emit(e)
	}
	seriesHeld.WithLabelValues(strconv.FormatInt(group, 10)).Set(float64(k.store.Series()))
	stateBytes.WithLabelValues(strconv.FormatInt(group, 10)).Set(float64(k.store.Bytes()))
	sliceDelay.Observe(time.Since(time.UnixMilli(end)).Seconds())
	f.arm(tp, group, end, end+f.step(end))
}

// step returns how far the next timer is from end: a slice, or more when behind.
func (f *SlideFn) step(end int64) int64 {
	slice := f.Options.SliceMs
	behind := (time.Now().UnixMilli() - f.Options.BoundMs - end) / slice
	if f.Options.CatchUp == 0 || behind <= f.Options.CatchUp {
		return slice
	}
	return slice * min(behind, JumpSlices)
}
