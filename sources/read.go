package sources

import (
	"context"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"pulseboard/job"
)

func init() {
	register.Function1x1(encodeBatch)
	register.Function1x2(decodeBatch)
	beam.RegisterCoder(reflect.TypeFor[*Batch](), encodeBatch, decodeBatch)
	beam.RegisterDoFn(&seedFn{})
	beam.RegisterDoFn(&HoldFn{})
	beam.RegisterDoFn(&ReadFn{})
	register.Emitter1[*Batch]()
	register.Emitter2[int64, []byte]()
}

// Read reads a topic: PCollection<*Batch>. The step that consumes it must emit what a shuffle
// takes: Prism spins a whole core while a bundle of a stage without outputs runs.
func Read(s beam.Scope, o Options) beam.PCollection {
	s = s.Scope("ReadKafka")
	impulse := beam.Impulse(s)
	if o.Hold {
		// Without it Flink would chain the impulse, but at parallelism 1 only, and give the state of the stage another name.
		impulse = beam.Reshuffle(s, impulse)
	}
	// PCollection<KV<key, position>>
	keyed := beam.ParDo(s, &seedFn{Shards: o.Shards, Keys: o.Keys}, impulse)
	if o.Hold {
		keyed = beam.ParDo(s.Scope("Hold"), &HoldFn{Never: timers.InProcessingTime("never")}, keyed)
	}
	// PCollection<*Batch>
	return beam.ParDo(s, &ReadFn{Options: o, Wake: timers.InProcessingTime("wake"), Position: state.MakeValueState[[]byte]("position")}, keyed)
}

// seedFn makes the shards, which have read nothing.
type seedFn struct {
	Shards int
	Keys   []int64
}

// ProcessElement is called by the SDK.
func (f *seedFn) ProcessElement(_ []byte, emit func(int64, []byte)) {
	for i := range f.Shards {
		key := int64(i)
		if f.Keys != nil {
			key = f.Keys[i]
		}
		emit(key, encodePosition(Position{Shard: Shard{i, f.Shards}}))
	}
}

// HoldFn passes a shard on, and holds the watermark a second before the end of the
// global window for ever, by a timer that is set for the year 2200. Behind an Impulse
// alone the watermark is at the end of time at once; the global window is late then, and
// Flink's runner drops the timers of a late window without an error. A bounded read must not
// have it: it would not end.
type HoldFn struct{ Never timers.ProcessingTime }

// ProcessElement is called by the SDK.
func (f *HoldFn) ProcessElement(tp timers.Provider, key int64, position []byte, emit func(int64, []byte)) {
	f.Never.Set(tp, time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), timers.WithOutputTimestamp(mtime.EndOfGlobalWindowTime.Subtract(time.Second).ToTime()))
	emit(key, position)
}

// OnTimer makes it a timer's DoFn. The timer does not fire.
func (*HoldFn) OnTimer(beam.EventTime, timers.Provider, int64, timers.Context, func(int64, []byte)) {}

// ReadFn reads the partitions of a shard, whose position is state. It is called by a timer of processing
// time that it sets again each time, whose output timestamp is the watermark of the shard.
type ReadFn struct {
	Options  Options
	Wake     timers.ProcessingTime
	Position state.Value[[]byte]
}

// ProcessElement sets the first timer, which holds the watermark at its minimum.
func (f *ReadFn) ProcessElement(sp state.Provider, tp timers.Provider, _ int64, position []byte, _ func(*Batch)) error {
	f.Wake.Set(tp, time.Now(), timers.WithOutputTimestamp(mtime.MinTimestamp.ToTime()))
	return f.Position.Write(sp, position)
}

// OnTimer emits what has been fetched; watermark is the output timestamp of the timer. It fails when the
// position cannot be read or written, or ctx ends.
func (f *ReadFn) OnTimer(ctx context.Context, watermark beam.EventTime, sp state.Provider, tp timers.Provider, _ int64, _ timers.Context, emit func(*Batch)) error {
	text, _, err := f.Position.Read(sp)
	if err != nil {
		return err
	}
	pos, err := decodePosition(text)
	if err != nil {
		return err
	}
	readers, err := job.Of[*Readers](f.Options.Run)
	if err != nil {
		return err
	}
	r := readers.get(f.Options, pos)
	if r == nil {
		// The run is closed, and its runner goes on: the shard stands still.
		f.Wake.Set(tp, time.Now().Add(time.Hour), timers.WithOutputTimestamp(watermark.ToTime()))
		return nil
	}
	c := call{readLoop: r.loop, emit: emit, watermark: int64(watermark)}
	done, err := c.run(ctx, time.Now())
	if err != nil {
		return err
	}
	if !c.standsAt(pos) {
		if err := f.Position.Write(sp, encodePosition(c.position)); err != nil {
			return err
		}
	}
	if !done {
		f.Wake.Set(tp, c.next(time.Now()), timers.WithOutputTimestamp(mtime.Time(c.watermark).ToTime()))
	}
	r.busy = false
	return nil
}
