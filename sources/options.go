package sources

import "pulseboard/aggregate"

// Options are what a source reads, and how. All of it is serialised into the job.
type Options struct {
	Run     string // Names the run of the job, by which readers find what must not be in the job, see Connect.
	Topic   string
	Shards  int     // Reader shards, each a key of its own.
	Keys    []int64 // Those keys, where the runner would not spread 0, 1, 2, … evenly; nil = those.
	Hold    bool    // For a runner that drops timers where the watermark is at the end of time, see HoldFn.
	StartMs int64   // Records with this timestamp or a later one are read, epoch ms. 0 = all there are.
	ToEnd   bool    // Stop at the offsets at which the partitions ended at the start: a bounded read.

	SliceMs      int64 // Length of a slice of pipeline time, to which the watermark is rounded down.
	OutOfOrderMs int64 // Pipeline time is the newest record timestamp of a partition less this.
	MaxDriftMs   int64 // Partitions are read at most this far apart in pipeline time.
	MaxLeadMs    int64 // The source stays at most this far ahead of the slowest key group of this process. 0 = the runner holds it back.
	MaxFutureMs  int64 // How far ahead of its record's timestamp an event may be.
	LatenessMs   int64 // How far behind the newest timestamp of its partition an event may be.
	ClockMs      int64 // How far the clock of this machine was behind that of Redis at the start; 0 when it was not.

	PartialBytes int64 // With more than this on its way to key groups, the source goes no further than their timers need. 0 = no limit.
	ReadBytes    int64 // With more than this fetched and not emitted, only partitions without anything fetch. 0 = no limit.
	MaxIDs       int   // Most ids remembered of a partition; 0 = no limit.

	DedupeMs   int64  // A record whose id was there in this much record time before is a duplicate; 0 = none is.
	ReplicaTag string // It tells apart agents that scrape the same targets, see replicas; "" = there are none.
}

// sliceOf is the beginning of the slice that a time is in, epoch ms.
func (o *Options) sliceOf(at int64) int64 { return at - aggregate.Mod(at, o.SliceMs) }

// Shard is one of Of readers: it owns the partitions p with p mod Of = Index. A
// job that is restored keeps its shards, whatever the options say then.
type Shard struct{ Index, Of int }

// owns reports whether the shard reads a partition.
func (s Shard) owns(partition int32) bool { return int(partition)%s.Of == s.Index }
