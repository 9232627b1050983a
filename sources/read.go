package sources

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"pulseboard/metric"
	"pulseboard/wire"
)

// Options say what to read and how. All of it is serialised into the pipeline.
type Options struct {
	Run     string // Names this run of a job, so that tests and restarts in one process do not meet; see Connect.
	Topic   string
	Shards  int     // Reader shards, each a key of its own.
	Keys    []int64 // Those keys, where numbers would not be spread evenly.
	Hold    bool    // The runner drops timers where the watermark is at the end of time, see HoldFn.
	StartMs int64   // Records with this timestamp or a later one are read, epoch ms. 0 = all there are.
	ToEnd   bool    // Stop at the offsets that were the ends at the start: a bounded read.

	SliceMs      int64 // Length of a slice of pipeline time, to which the watermark is rounded down.
	OutOfOrderMs int64 // Pipeline time is the newest record timestamp of a partition less this.
	MaxDriftMs   int64 // Partitions are read at most this far apart in pipeline time.
	MaxLeadMs    int64 // The source stays at most this far ahead of the slowest key group of this process. 0 = the runner holds it back.
	MaxFutureMs  int64 // How far ahead of its record's timestamp an event may be.
	LatenessMs   int64 // How far behind the newest timestamp of its partition an event may be.
	ClockMs      int64 // How far the clock of this machine was behind that of Redis at the start; 0 when it was not.

	PacketBytes int64 // With more than this on its way to key groups, the source goes no further than their timers need. 0 = no limit.
	ReadBytes   int64 // With more than this fetched and not emitted, only partitions without anything fetch. 0 = no limit.
	MaxIDs      int   // Most ids remembered of a partition; 0 = no limit.

	DedupeMs int64 // A record whose id was there in this much record time before is a duplicate; 0 = none is.
}

// Shard is one of Of readers: it owns the partitions p with p mod Of = Index. A
// job that is restored keeps its shards, whatever the options say then.
type Shard struct{ Index, Of int }

// Batch is what the source emits: decoded records in the order of their partition,
// or word of where a shard is. It never leaves the fused stage, where it is turned into
// tables. These leave that stage as whole slices: a position is always at the end of one.
type Batch struct {
	Kind         Kind
	CoveredSince int64 // See Position.Since.
	PipelineTime int64 // Where the shard is, epoch ms; not set with records.
	Records      []Record
	// Held is what the next stage has made of records and not emitted yet. Who has to
	// read them again has another one.
	Held *any
}

// Kind of a batch.
type Kind int

// Kinds of batches.
const (
	Records Kind = iota
	Started      // The shard begins.
	Passed       // No record comes any more of slices that end by its pipeline time.
)

// Record is one record of the topic, decoded.
type Record struct {
	Partition int32
	Offset    int64
	Time      int64 // Record timestamp, epoch ms: the event time of events that state none.
	Newest    int64 // The newest timestamp in the partition up to here: how late an event is counts from there.
	// Latest is the newest timestamp up to here of those that were read, or when the clock was right again of a
	// broker that took the record while it was not: how far ahead an event is counts from there.
	Latest       int64
	PipelineTime int64 // Epoch ms; never goes back within a partition.
	Key          []byte
	Value        []byte // Kept only where a fault needs it.
	Events       []metric.Event
	Faults       []wire.IndexedFault
	Unreadable   metric.Fault // Why the whole value could not be read; no Code when it could.

	id     recordID
	hasID  bool
	marker int64 // Offset of the marker that committed it, where it counts; 0 = it is of no transaction.
}

// place is the offset at which a record counts.
func (r *Record) place() int64 { return max(r.Offset, r.marker) }

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

// Verdict returns the event time of one of the record's events, epoch ms, and the code
// of the fault that keeps it from counting, "" = it counts.
func (r *Record) Verdict(e *metric.Event, l metric.Limits) (eventTime int64, code string) {
	eventTime = e.Time
	if eventTime == 0 {
		eventTime = r.Time
	}
	if len(r.Key) > 0 && string(r.Key) != e.Metric {
		return eventTime, metric.CodeKeyMismatch
	}
	return eventTime, l.Check(eventTime, r.Newest, r.Latest)
}

// A batch has no wire form: the runner fuses its consumer with the source. The SDK still encodes a few
// elements, to show them, hence the coder. It does not decode: a runner that does not fuse would lose every event.
func encodeBatch(b *Batch) []byte { return fmt.Appendf(nil, "%d records", len(b.Records)) }

var errBatch = errors.New("a batch of records has no wire form: the runner must fuse the step after ReadKafka with it")

func decodeBatch([]byte) (*Batch, error) { return nil, errBatch }

// Read reads a topic. The result must be consumed by a stage that shuffles:
// Prism spins a whole core while a bundle of a stage without outputs runs.
func Read(s beam.Scope, o Options) beam.PCollection {
	s = s.Scope("ReadKafka")
	impulse := beam.Impulse(s)
	if o.Hold {
		// Else Flink would chain the impulse at parallelism 1, and at no other, and know its state by another name.
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
// global window for ever, by a timer that fires in nobody's lifetime. Behind an Impulse
// alone the watermark is at the end of time at once; the global window is late then, and
// Flink's runner drops the timers of a late window without a word. A bounded read must not
// have it: it would not end.
type HoldFn struct{ Never timers.ProcessingTime }

// ProcessElement is called by the SDK.
func (f *HoldFn) ProcessElement(tp timers.Provider, key int64, position []byte, emit func(int64, []byte)) {
	f.Never.Set(tp, time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), timers.WithOutputTimestamp(mtime.EndOfGlobalWindowTime.Subtract(time.Second).ToTime()))
	emit(key, position)
}

// OnTimer is called by nobody.
func (*HoldFn) OnTimer(beam.EventTime, timers.Provider, int64, timers.Context, func(int64, []byte)) {}

// ReadFn reads the partitions of a shard, whose position is state. A timer of processing time wakes
// it again and again, and its output timestamp is the watermark of the shard.
type ReadFn struct {
	Options  Options
	Wake     timers.ProcessingTime
	Position state.Value[[]byte]
}

// ProcessElement sets the first timer; nothing passes the watermark before it.
func (f *ReadFn) ProcessElement(sp state.Provider, tp timers.Provider, _ int64, position []byte, _ func(*Batch)) error {
	f.Wake.Set(tp, time.Now(), timers.WithOutputTimestamp(mtime.MinTimestamp.ToTime()))
	return f.Position.Write(sp, position)
}

// OnTimer moves on what has been fetched; watermark is the one that the timer held.
func (f *ReadFn) OnTimer(ctx context.Context, watermark beam.EventTime, sp state.Provider, tp timers.Provider, _ int64, _ timers.Context, emit func(*Batch)) error {
	text, _, err := f.Position.Read(sp)
	if err != nil {
		return err
	}
	pos, err := decodePosition(text)
	if err != nil {
		return err
	}
	r := readers.get(f.Options, pos)
	d := drain{reader: r, emit: emit, watermark: int64(watermark)}
	done, err := d.run(ctx, time.Now())
	if err != nil {
		return err
	}
	if !r.standsAt(pos) {
		if err := f.Position.Write(sp, encodePosition(r.position)); err != nil {
			return err
		}
	}
	if !done {
		f.Wake.Set(tp, d.next(time.Now()), timers.WithOutputTimestamp(mtime.Time(d.watermark).ToTime()))
	}
	r.busy = false
	return nil
}
