package sources

import (
	"context"
	"time"
)

// An idle partition, of which all records have been emitted, is as far as the broker last confirmed that nothing
// follows, less idleBehind. A partition that cannot be reached is not idle: it holds the watermark, or
// its records would be left out of windows.

// idleMargin is the part of the maximum out-of-orderness by which the pipeline time of an idle partition is further
// behind than that of others: a record that is on its way to the broker for no longer than this is not
// overtaken, and counts as in a replay.
const idleMargin = 4

// idleBehind is how far the pipeline time of an idle partition is behind the broker's newest confirmation, ms.
func (o *Options) idleBehind() int64 { return o.OutOfOrderMs + o.OutOfOrderMs/idleMargin }

// grace is how long a broker's word that nothing follows does not count after a
// fault. A broker that was stopped or cut off believes for a moment that it still
// leads its partitions, while others have taken records of them.
const grace = 2 * time.Second

// idleness is what is known about whether a partition has nothing more.
type idleness struct {
	log     partitionLog
	options *Options
	until   time.Time // Up to when, by the wall clock of this machine, the broker has confirmed that nothing follows; zero = never.
	trusted bool      // Such a confirmation counts.
	fault   time.Time // The newest one.
}

// maxWait is how long the broker may wait for records before it responds that there
// are none: until that response ends the first slice after until for the partition (see
// partition.collect), in whole milliseconds, as the protocol counts. A broker that answers at
// any other time makes each result late.
func (i *idleness) maxWait(now time.Time) time.Duration {
	behind := i.options.idleBehind()
	ends := time.UnixMilli(i.options.sliceOf(i.until.UnixMilli()-behind) + i.options.SliceMs + behind)
	whole := (ends.Sub(now) + time.Millisecond - 1).Truncate(time.Millisecond)
	return min(max(whole, time.Millisecond), maxWait)
}

// doubt is called after a fault: the next confirmations do not count.
func (i *idleness) doubt() { i.trusted, i.fault = false, time.Now() }

// judge takes a confirmation for what it is worth: response.caughtUp stays only if it counts. The
// first response after a fault never does: only what was asked for after the leader listed its end counts.
func (i *idleness) judge(ctx context.Context, a *response) {
	if a.slow {
		i.doubt()
	}
	if !i.trusted {
		a.caughtUp = false
		i.trusted = time.Since(i.fault) >= grace && i.leaderKnowsItsEnd(ctx)
	}
	if a.caughtUp {
		i.until = a.at
	}
}

// leaderKnowsItsEnd reports whether the leader of the partition lists its end. One that has just been elected
// does so only when it knows how far records are acknowledged (KIP-207): its high watermark may lie behind that.
func (i *idleness) leaderKnowsItsEnd(ctx context.Context) bool {
	_, err := i.log.offsetAt(ctx, toEnd)
	return err == nil
}
