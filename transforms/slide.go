package transforms

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"pulseboard/job"
	"pulseboard/results"
)

// SlideOptions are serialised into the pipeline.
type SlideOptions struct {
	Run       string
	SliceMs   int64
	KeyGroups int
	Keys      Keys
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
	ReadBytes       int64 // What the source may hold, to be told here,
	IDBytes         int64 // and the ids of duplicates.
	PartialBytes    int64 // What partials may take that are under way, see sources.Options; 0 = no limit, and nothing is counted.
	LeadMs          int64 // How far the source is ahead of the slowest key group at most.
	// Durable: the runner keeps state over the loss of a process, so it is used.
	// Prism does not: state there would only cost (docs/adr/0001).
	Durable bool
	// CompactEvery is how many slices lie between two histories in state; 0 = 64.
	CompactEvery int64
	UntilMs      int64 // No timer is set beyond this: the end of a bounded run. 0 = none.
}

// JumpSlices is how many slices one timer passes at most when it catches up:
// one timer cycle per slice would make catching up last as long as the outage.
const JumpSlices = 30

// Evaluation is the results of one key group, of one timer.
type Evaluation struct {
	Publications []results.Publication
}

// SlideFn keeps the slices of a key group and evaluates its queries slice by
// slice, driven by a looping event-time timer.
type SlideFn struct {
	Options SlideOptions
	Timer   timers.EventTime

	// Of a runner that keeps state, see durable.go.
	Head                                           state.Value[[]byte]
	Recent                                         state.Bag[[]byte]
	Log0, Log1, Log2, Log3, Log4, Log5, Log6, Log7 state.Bag[[]byte]
}

func init() {
	register.Function1x2(encodeEvaluation)
	register.Function1x2(decodeEvaluation)
	beam.RegisterCoder(reflect.TypeFor[Evaluation](), encodeEvaluation, decodeEvaluation)
	beam.RegisterDoFn(&SlideFn{})
	register.Emitter1[Evaluation]()
}

func encodeEvaluation(e Evaluation) ([]byte, error) { return json.Marshal(e) }

func decodeEvaluation(b []byte) (e Evaluation, err error) {
	if err = json.Unmarshal(b, &e); err == nil && e.Publications == nil {
		err = errors.New("no results are there")
	}
	return e, err
}

// Slide returns PCollection<Evaluation>.
func Slide(s beam.Scope, o SlideOptions, partials beam.PCollection) beam.PCollection {
	return beam.ParDo(s.Scope("Slide"), newSlideFn(o), partials)
}

var errClosed = errors.New("the run is closed in this process")

// group returns the working form of a key group and its state, nil when the runner keeps none. Of a run that is closed it
// returns no key group; where the runner keeps state it fails, since what was left out would be missing there.
func (f *SlideFn) group(sp state.Provider, id int64) (k *keyGroup, log *stateLog, err error) {
	groups, err := job.Of[*Groups](f.Options.Run)
	switch {
	case err != nil:
		return nil, nil, err
	case groups.isClosed() && f.Options.Durable:
		return nil, nil, errClosed
	case groups.isClosed():
		return nil, nil, nil
	case !f.Options.Durable:
		return groups.of(id, f.Options), nil, nil
	}
	log = f.log(sp, id)
	if k, err = groups.load(log, id, f.Options); err != nil {
		return nil, nil, err
	}
	return k, log, nil
}

// ProcessElement takes over the partial of one slice; ts is the slice's last millisecond.
func (f *SlideFn) ProcessElement(ts beam.EventTime, sp state.Provider, tp timers.Provider, key int64, p Partial, _ func(Evaluation)) error {
	group := f.Options.Keys.group(key)
	end := int64(ts) + 1
	k, log, err := f.group(sp, group)
	if k == nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.end
	if log == nil {
		k.add(end, p)
	} else if err := k.keep(log, end, p); err != nil {
		return err
	}
	if before == 0 || k.end < before {
		// The first partial of a key group, by pipeline time, sets the timer that loops from then on.
		f.arm(tp, k, k.end, end)
	} else if k.armed > end && f.crowded(k) {
		// The timer is some slices ahead, and too much lies before it.
		f.arm(tp, k, k.end, end)
	}
	return nil
}

// crowded reports whether so much is under way that no timer should pass several slices.
func (f *SlideFn) crowded(k *keyGroup) bool {
	return f.Options.PartialBytes > 0 && k.groups.progress.UnderWay() > f.Options.PartialBytes/4
}

// arm sets the timer for next, and tells the source that everything up to done has been evaluated.
func (f *SlideFn) arm(tp timers.Provider, k *keyGroup, done, next int64) {
	k.armed = next
	if f.Options.UntilMs > 0 && next > f.Options.UntilMs {
		done, next = math.MaxInt64/2, math.MaxInt64/2 // Its timer is not set any more: it must not hold the source back.
	} else {
		f.Timer.Set(tp, time.UnixMilli(next-f.Options.TimerEarlyMs))
	}
	k.groups.progress.Report(k.id, done, next)
}

// OnTimer evaluates what is due up to the slice that the timer was set for, and sets the next timer.
func (f *SlideFn) OnTimer(_ context.Context, ts beam.EventTime, sp state.Provider, tp timers.Provider, key int64, _ timers.Context, emit func(Evaluation)) error {
	group := f.Options.Keys.group(key)
	end := int64(ts) + f.Options.TimerEarlyMs
	k, log, err := f.group(sp, group)
	if k == nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if e := k.advance(end); len(e.Publications) > 0 {
		emit(e)
	}
	if log != nil && k.end-k.head.end >= staleSlices*f.Options.SliceMs {
		if err := k.save(log); err != nil {
			return err
		}
	}
	label := strconv.FormatInt(group, 10)
	seriesHeld.WithLabelValues(label).Set(float64(k.store.Series()))
	stateBytes.WithLabelValues("series", label).Set(float64(k.store.Bytes()))
	sliceDelay.Observe(time.Since(time.UnixMilli(end)).Seconds())
	f.arm(tp, k, end, end+f.step(k, end))
	return nil
}

// step returns how far the next timer is from end: a slice, or more when behind.
func (f *SlideFn) step(k *keyGroup, end int64) int64 {
	slice := f.Options.SliceMs
	behind := (time.Now().UnixMilli() - f.Options.BoundMs - end) / slice
	if f.Options.CatchUp == 0 || behind <= f.Options.CatchUp || f.crowded(k) {
		return slice
	}
	return slice * min(behind, JumpSlices)
}
