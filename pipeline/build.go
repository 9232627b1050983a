package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"pulseboard/aggregate"
	"pulseboard/catalog"
	"pulseboard/job"
	"pulseboard/metric"
	"pulseboard/results"
	"pulseboard/sinks"
	"pulseboard/sources"
	"pulseboard/transforms"
	"pulseboard/wire"
)

// Traits is what the graph must know of the runner that executes it.
type Traits struct {
	// Name of the runner, for logs.
	Name string
	// Shards of the source. At most as many as there are partitions: a shard without one would hold the watermark.
	Shards int
	// Keys returns n keys that the runner spreads evenly over its workers; nil = all keys are in one process.
	Keys func(n int) []int64
	// Hold says that the runner drops timers of the source once the watermark of the stage before it is at the end
	// of time, see sources.HoldFn.
	Hold bool
	// Durable says that the runner keeps state over the loss of a process.
	Durable bool
	// Late is how long after the end of a slice its elements are still taken, should the watermark have overtaken
	// them. Each key group has a timer for each slice that long.
	Late time.Duration
	// TimerEarly is how long before the end of a slice its timer is set: such that it fires after the panes of that
	// slice and before those of the next.
	TimerEarly time.Duration
}

// share makes what the DoFns of a run share in one process, and what flows between them beside the PCollections of Build,
// within that process:
//
//	sources ◀─ how far key groups are, how much is on its way ─ transforms    backpressure: job.Progress
//	transforms ─ history of a query that is new ─▶ sinks                      direct publishing: transforms.Sink
//	transforms ◀─ histories that Redis has lost, or not taken ─ sinks         backfill: sinks.Histories
//	transforms ─ which metrics there are ─▶ catalog                           survey: catalog.Surveyed
//
// The queries, which the governor sets, come from the registry. With several worker processes each has its own.
//
// setBack is called when a broker's clock was set back; nil = never.
func share(ctx context.Context, c *Config, run string, resume transforms.Resume, lease results.Lease, setBack func(why error, since time.Time)) (*job.Job, *transforms.Groups, error) {
	progress := job.NewProgress()
	readers := sources.NewReaders(c.Kafka, progress, setBack)
	groups := transforms.NewGroups(progress, resume)
	publisher, err := sinks.OpenPublisher(ctx, c.Redis, lease, groups, c.Log)
	if err != nil {
		return nil, nil, err
	}
	groups.PublishTo(publisher)
	metrics, err := catalog.OpenPublisher(ctx, c.Redis, groups, c.Hidden, c.Log)
	if err != nil {
		return nil, nil, errors.Join(err, publisher.Close())
	}
	return job.Open(run, readers, groups, publisher, metrics, sinks.NewLetters(c.Kafka)), groups, nil
}

// Build adds the whole job to s. run names it within the process; records are read from start on.
func Build(s beam.Scope, c Config, t Traits, run string, start time.Time) {
	slice := c.Slice.Milliseconds()
	// A runner with several workers has backpressure of its own, and here the source knows only the key groups of its process.
	var groupKeys, shardKeys []int64
	leadMs, partialBytes := c.lead().Milliseconds(), c.StateBytes/shareOfPartials
	if t.Keys != nil {
		groupKeys, shardKeys = t.Keys(c.KeyGroups), t.Keys(t.Shards)
		leadMs, partialBytes = 0, 0
	}

	// PCollection<*sources.Batch>: decoded records with their pipeline time.
	batches := sources.Read(s, sources.Options{
		Run: run, Topic: c.Topic, Shards: t.Shards, Keys: shardKeys, Hold: t.Hold && !c.ToEnd,
		StartMs: max(0, start.UnixMilli()), ToEnd: c.ToEnd,
		SliceMs: slice, OutOfOrderMs: c.Bound.Milliseconds(), MaxFutureMs: c.Skew.Milliseconds(), LatenessMs: c.Lateness.Milliseconds(), ClockMs: c.clockMs, MaxDriftMs: c.Align.Milliseconds(),
		MaxLeadMs: leadMs, DedupeMs: c.Dedupe.Milliseconds(), ReplicaTag: c.ReplicaTag,
		PartialBytes: partialBytes - partialBytes/shareOfNames, ReadBytes: c.StateBytes / shareOfReading, MaxIDs: c.maxIDs(),
	})

	// PCollection<KV<KeyGroup, Partial>>, PCollection<DeadLetter>: fused with the source.
	partials, letters := transforms.PreAggregate(s, transforms.PreAggregateFn{
		Run: run, SliceMs: slice, KeyGroups: c.KeyGroups, Keys: groupKeys, Limits: metric.Limits{Late: c.Lateness, Ahead: c.Skew},
		Counted: partialBytes > 0, NameBytes: partialBytes / shareOfNames,
	}, batches)

	// PCollection<KV<KeyGroup, Partial>>: one per key group and slice of pipeline time.
	merged := transforms.MergeSlices(s, c.Slice, t.Late, partials)

	// PCollection<Evaluation>: the results of the windows that are due.
	options := c.slideOptions(t, run)
	options.Keys, options.PartialBytes = groupKeys, partialBytes
	evaluations := transforms.Slide(s, options, merged)

	sinks.PublishRedis(s, run, evaluations)
	sinks.WriteDeadLetters(s, sinks.DeadLettersFn{Run: run, Topic: c.DeadLetters}, letters)
}

// The parts of --state-bytes that are not for series.
const (
	shareOfReading  = 8
	shareOfPartials = 8
	shareOfNames    = 4 // Of that of partials.
	shareOfIDs      = 16
)

// maxIDs of a partition, a constant, so that what a duplicate is remains a function
// of the log: 250 a second for two minutes at least.
func (c *Config) maxIDs() int {
	return int(max(30_000, c.StateBytes/shareOfIDs/sources.IDBytes/wire.Partitions))
}

// lead is twice what one timer passes when it catches up: with less than that the
// source would wait for the timer that waits for it.
func (c *Config) lead() time.Duration {
	if c.Lead > 0 {
		return c.Lead
	}
	return max(2*transforms.JumpSlices*c.Slice, 2*c.Align)
}

func (c *Config) slideOptions(t Traits, run string) transforms.SlideOptions {
	o := transforms.SlideOptions{
		Run: run, SliceMs: c.Slice.Milliseconds(), KeyGroups: c.KeyGroups,
		// A window as long as the longest with what its first samples are compared with, and a chart of it.
		RetainMs:        (c.MaxWindow + wire.HistoryLength*c.Slice + c.Lateness + 2*c.Skew).Milliseconds() + aggregate.Lookback,
		SeriesPerMetric: c.SeriesPerMetric,
		StateBytes:      c.StateBytes - c.StateBytes/shareOfReading - c.StateBytes/shareOfPartials - c.StateBytes/shareOfIDs,
		ReadBytes:       c.StateBytes / shareOfReading,
		IDBytes:         c.StateBytes / shareOfIDs,
		LeadMs:          c.lead().Milliseconds(),
		AheadMs:         (c.Bound + c.Skew).Milliseconds(),
		BoundMs:         c.Bound.Milliseconds(),
		TimerEarlyMs:    t.TimerEarly.Milliseconds(),
		Durable:         t.Durable,
		CatchUp:         c.CatchUp,
	}
	if c.Retain > 0 {
		o.RetainMs = c.Retain.Milliseconds()
	}
	if !c.Until.IsZero() {
		o.UntilMs = c.Until.UnixMilli()
	}
	return o
}
