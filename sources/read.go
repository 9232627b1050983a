package sources

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"pulseboard/metric"
)

// Options say what to read and how. All of it is serialised into the pipeline.
type Options struct {
	Run     string // Names this run of a job, so that tests and restarts in one process do not meet; see Connect.
	Topic   string
	Shards  int   // Reader shards; 1 on Prism (see Position).
	Spread  bool  // Send the shards to different workers; needs a runner with several.
	StartMs int64 // Records with this timestamp or a later one are read, epoch ms. 0 = all there are.
	ToEnd   bool  // Stop at the offsets that were the ends at the start: a bounded read.

	SliceMs int64 // Length of a slice of pipeline time, to which the watermark is rounded down.
	BoundMs int64 // Pipeline time is the newest record timestamp of a partition less this.
	AlignMs int64 // Partitions are read at most this far apart in pipeline time.
	LeadMs  int64 // The source stays at most this far ahead of the slowest key group of this process. 0 = the runner holds it back.
	SkewMs  int64 // How far ahead of its record's timestamp an event may be.
	LateMs  int64 // How far behind the newest timestamp of its partition an event may be.
	ClockMs int64 // How far the clock of this machine was behind that of Redis at the start; 0 when it was not.

	PacketBytes int64 // With more than this on its way to key groups, the source goes no further than their timers need. 0 = no limit.
	ReadBytes   int64 // With more than this fetched and not emitted, only partitions without anything fetch. 0 = no limit.
	MaxIDs      int   // Most ids remembered of a partition; 0 = no limit.

	DedupeMs int64 // A record whose id was there in this much record time before is a duplicate; 0 = none is.
}

// Shard is the element of the source: reader shard Index owns the partitions p
// with p mod Of = Index. A job that is restored keeps its shards, whatever the options say then.
type Shard struct{ Index, Of int }

// Batch is what the source emits: decoded records in the order of their
// partition. It never leaves the fused stage, where it is turned into tables.
type Batch struct {
	CoveredSince int64 // See Position.Since.
	PipelineTime int64 // Where the shard is, epoch ms; set in an empty batch that starts the key groups.
	Records      []Record
}

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
	Faults       []metric.IndexedFault
	Unreadable   metric.Fault // Why the whole value could not be read; no Code when it could.

	id     recordID
	hasID  bool
	marker int64 // Offset of the marker that committed it, where it counts; 0 = it is of no transaction.
}

// place is the offset at which a record counts.
func (r *Record) place() int64 { return max(r.Offset, r.marker) }

func init() {
	register.Function1x1(encodeBatch)
	register.Function1x1(decodeBatch)
	beam.RegisterCoder(reflect.TypeFor[*Batch](), encodeBatch, decodeBatch)
	beam.RegisterType(reflect.TypeFor[Shard]())
	beam.RegisterType(reflect.TypeFor[*tracker]())
	beam.RegisterType(reflect.TypeFor[*watermark]())
	beam.RegisterDoFn(&ReadFn{})
	register.Emitter1[*Batch]()
}

// A batch has no wire form: the consumer is fused with the source. The SDK
// still encodes a few elements as samples for people, hence the cheap coder.
func encodeBatch(b *Batch) []byte { return fmt.Appendf(nil, "%d records", len(b.Records)) }

func decodeBatch([]byte) *Batch { return &Batch{} }

// Read reads a topic. The result must be consumed by a stage that shuffles:
// Prism spins a whole core while a bundle of a stage without outputs runs.
func Read(s beam.Scope, o Options) beam.PCollection {
	s = s.Scope("ReadKafka")
	shards := make([]Shard, 0, o.Shards)
	for i := range o.Shards {
		shards = append(shards, Shard{i, o.Shards})
	}
	// PCollection<Shard>
	seeds := beam.CreateList(s, shards)
	if o.Spread {
		seeds = beam.Reshuffle(s, seeds) // Else all are where they were created.
	}
	// PCollection<*Batch>
	return beam.ParDo(s, &ReadFn{Options: o}, seeds)
}

// ReadFn is the splittable DoFn. See the package comment.
type ReadFn struct{ Options Options }

// CreateInitialRestriction is called by the SDK, like the methods below.
func (*ReadFn) CreateInitialRestriction(Shard) Position { return Position{} }

// SplitRestriction keeps a shard whole (see Position).
func (*ReadFn) SplitRestriction(_ Shard, p Position) []Position { return []Position{p} }

// RestrictionSize is constant: it is asked for often, and must not ask a broker.
func (*ReadFn) RestrictionSize(Shard, Position) float64 { return 1 }

// CreateTracker returns the tracker of p.
func (*ReadFn) CreateTracker(p Position) *tracker { return &tracker{pos: p} } //nolint:revive // The SDK calls it by this name.

// TruncateRestriction ends the read when a runner drains.
func (*ReadFn) TruncateRestriction(*tracker, Shard) Position { return Position{Done: true} }

// InitialWatermarkEstimatorState begins before all time, not in the year 1 as a zero time.Time would.
func (*ReadFn) InitialWatermarkEstimatorState(beam.EventTime, Position, Shard) int64 {
	return int64(mtime.MinTimestamp)
}

// CreateWatermarkEstimator resumes from the state.
func (*ReadFn) CreateWatermarkEstimator(ms int64) *watermark { return newWatermark(ms) } //nolint:revive // The SDK calls it by this name.

// WatermarkEstimatorState is the watermark itself.
func (*ReadFn) WatermarkEstimatorState(w *watermark) int64 { return w.ms.Load() }

// How long one call drains before it checkpoints itself. Emitted elements leave
// a bundle only when it ends, so this bounds the delay, also under load.
const budget = 120 * time.Millisecond

// ProcessElement drains what the reader has fetched, for a short time, and asks to be resumed at once.
func (f *ReadFn) ProcessElement(ctx context.Context, w *watermark, t *tracker, s Shard, emit func(*Batch)) (sdf.ProcessContinuation, error) {
	pos := t.GetRestriction().(Position)
	if pos.Done {
		return sdf.StopProcessing(), nil
	}
	r := readers.get(f.Options, s, pos)
	d := drain{reader: r, emit: emit, watermark: w, tracker: t, started: pos.Started, until: time.Now().Add(budget)}
	switch done, err := d.run(ctx); {
	case err != nil:
		return nil, err
	case done:
		return sdf.StopProcessing(), nil
	}
	// Delay 0: Flink cuts delays below 1 s to 0, and waiting is drain's.
	return sdf.ResumeProcessingIn(0), nil
}
