package pipeline

import (
	"runtime"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"pulseboard/metric"
	"pulseboard/results"
	"pulseboard/sinks"
	"pulseboard/sources"
	"pulseboard/transforms"
)

// runner is what differs between runners.
type runner struct {
	name   string
	shards int // Of the source; never more than there are partitions: one without any would hold the watermark.
	// keys spreads so many keys over its workers; nil = it has one.
	keys func(n int) []int64
	// hold: timers are dropped where the watermark is at the end of time, see sources.HoldFn.
	hold bool
	// durable: it keeps state over the loss of a process.
	durable bool
	// late is how long after a slice its elements are still taken, should the
	// watermark have overtaken them; each key group has a timer for each slice as long.
	late time.Duration
	// timerEarly is how long before the end of a slice its timer is set.
	timerEarly time.Duration
}

// onPrism is the runner for one machine.
func onPrism(shards int) runner { return runner{name: "prism", shards: shards, timerEarly: 0} }

// prismShards: what shards do beside each other is little, since each partition is fetched and decoded by itself.
func prismShards(partitions int) int { return max(1, min(runtime.GOMAXPROCS(0)/2, 4, partitions)) }

// Build adds the whole job to s. run names it within the process; start is from
// when on records are read.
func Build(s beam.Scope, c Config, r runner, run string, start time.Time) {
	slice := c.Slice.Milliseconds()
	var groupKeys, shardKeys []int64
	if r.keys != nil {
		groupKeys, shardKeys = r.keys(c.KeyGroups), r.keys(r.shards)
	}

	// PCollection<*sources.Batch>: decoded records with their pipeline time.
	batches := sources.Read(s, sources.Options{
		Run: run, Topic: c.Topic, Shards: r.shards, Keys: shardKeys, Hold: r.hold && !c.ToEnd,
		StartMs: max(0, start.UnixMilli()), ToEnd: c.ToEnd,
		SliceMs: slice, BoundMs: c.Bound.Milliseconds(), SkewMs: c.Skew.Milliseconds(), LateMs: c.Lateness.Milliseconds(), ClockMs: c.clockMs, AlignMs: c.Align.Milliseconds(),
		LeadMs: c.leadMs(r), DedupeMs: c.Dedupe.Milliseconds(),
		PacketBytes: c.packetBytes(r), ReadBytes: c.StateBytes / shareOfReading, MaxIDs: c.maxIDs(),
	})

	// PCollection<KV<KeyGroup, Packet>>, PCollection<DeadLetter>: fused with the source.
	packets, letters := transforms.PreAggregate(s, transforms.PreAggregateFn{
		Run: run, SliceMs: slice, KeyGroups: c.KeyGroups, Keys: groupKeys, Limits: metric.Limits{Late: c.Lateness, Ahead: c.Skew},
		Counted: c.packetBytes(r) > 0,
	}, batches)

	// PCollection<KV<KeyGroup, Packet>>: one per key group and slice of pipeline time.
	merged := transforms.MergeSlices(s, c.Slice, r.late, packets)

	// PCollection<Evaluation>: the results of the windows that are due.
	options := c.slideOptions(r, run)
	options.Keys = groupKeys
	evaluations := transforms.Slide(s, options, merged)

	sinks.PublishRedis(s, run, evaluations)
	sinks.WriteDeadLetters(s, sinks.DeadLettersFn{Run: run, Topic: c.DeadLetters}, letters)
}

// leadMs: a runner with several workers has its own backpressure, and here the
// source knows only the key groups of its own process.
func (c *Config) leadMs(r runner) int64 {
	if r.keys != nil {
		return 0
	}
	return c.lead().Milliseconds()
}

// The parts of --state-bytes that are not for series.
const (
	shareOfReading = 8
	shareOfPackets = 8
	shareOfIDs     = 16
)

// packetBytes: where the source knows only the key groups of its own process, the runner holds it back.
func (c *Config) packetBytes(r runner) int64 {
	if c.leadMs(r) == 0 {
		return 0
	}
	return c.StateBytes / shareOfPackets
}

// usualPartitions is how many ingest makes.
const usualPartitions = 16

// maxIDs of a partition, a constant, so that what a duplicate is remains a function
// of the log: 250 a second for two minutes at least.
func (c *Config) maxIDs() int {
	return int(max(30_000, c.StateBytes/shareOfIDs/sources.IDBytes/usualPartitions))
}

// lead is twice what one timer passes when it catches up: with less than that the
// source would wait for the timer that waits for it.
func (c *Config) lead() time.Duration {
	if c.Lead > 0 {
		return c.Lead
	}
	return max(2*transforms.JumpSlices*c.Slice, 2*c.Align)
}

func (c *Config) slideOptions(r runner, run string) transforms.SlideOptions {
	o := transforms.SlideOptions{
		Run: run, SliceMs: c.Slice.Milliseconds(), KeyGroups: c.KeyGroups,
		// A window as long as the longest, and a chart of it.
		RetainMs:        (c.MaxWindow + results.HistoryLength*c.Slice + c.Lateness + 2*c.Skew).Milliseconds(),
		SeriesPerMetric: c.SeriesPerMetric,
		StateBytes:      c.StateBytes - c.StateBytes/shareOfReading - c.StateBytes/shareOfPackets - c.StateBytes/shareOfIDs,
		ReadBytes:       c.StateBytes / shareOfReading,
		IDBytes:         c.StateBytes / shareOfIDs,
		PacketBytes:     c.packetBytes(r),
		LeadMs:          c.lead().Milliseconds(),
		AheadMs:         (c.Bound + c.Skew).Milliseconds(),
		BoundMs:         c.Bound.Milliseconds(),
		TimerEarlyMs:    r.timerEarly.Milliseconds(),
		Durable:         r.durable,
		CatchUp:         max(c.CatchUp, 0),
	}
	if c.CatchUp == 0 {
		o.CatchUp = 5
	}
	if c.Retain > 0 {
		o.RetainMs = c.Retain.Milliseconds()
	}
	if !c.Until.IsZero() {
		o.UntilMs = c.Until.UnixMilli()
	}
	return o
}
