package sources

import (
	"context"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"pulseboard/job"
)

// readLoop moves records from the queues of the partitions of a shard into bundles, computes the watermark and
// takes down the position from which a restart reads on. One bundle at a time calls it.
type readLoop struct {
	options      *Options
	alignment    alignment
	lead         lead
	arrived      chan struct{} // Holds a token when something was queued.
	found        chan assignment
	open         func(assignment) *partition // Begins to fetch a partition.
	watermark    atomic.Int64                // The newest that Beam got, epoch ms; 0 = none. For metrics.
	started      bool                        // The start of the shard has been emitted, by this reader or one before it.
	coveredSince int64
	position     Position // What is before it has left as whole slices.
	held         any      // See Batch.Held.
}

// maxBatch is how many records go into one batch.
const maxBatch = 512

const (
	// budget bounds one call while records come: what it emits leaves when its bundle ends.
	budget = 120 * time.Millisecond
	// lastWait is how long a call waits for the last records of the slice that is due, or for a partition that is behind.
	lastWait = 30 * time.Millisecond
	// rest is the longest time between two calls: each costs the runner a bundle.
	rest = 400 * time.Millisecond
	// shortRest is that behind a call that took longer than much: what comes until the slice is due must not make it late.
	shortRest = 100 * time.Millisecond
	much      = 10 * time.Millisecond
	// lateRest is the time to the next call while a partition is late.
	lateRest = 20 * time.Millisecond
)

// newReadLoop returns the loop of a shard that stands at a position.
func newReadLoop(o *Options, pos Position, progress *job.Progress, open func(assignment) *partition) *readLoop {
	return &readLoop{
		options: o, alignment: alignment{maxDriftMs: o.MaxDriftMs}, lead: lead{progress: progress, options: o},
		arrived: make(chan struct{}, 1), found: make(chan assignment), open: open, started: pos.Started, coveredSince: pos.CoveredSince, position: pos,
	}
}

func (l *readLoop) standsAt(pos Position) bool {
	return pos.Started == l.position.Started && slices.Equal(pos.Next, l.position.Next)
}

// collect takes over the partitions that were discovered and the responses that are queued, without waiting.
func (l *readLoop) collect(watermark int64) {
	for more := true; more; {
		select {
		case a := <-l.found:
			l.alignment.add(l.open(a), a.last)
			l.coveredSince = max(l.coveredSince, a.coveredSince)
		default:
			more = false
		}
	}
	l.alignment.collect(watermark)
}

// call is one call of the loop: it moves what is queued into the bundle, the oldest first, until
// the watermark has passed the end of a slice, or nothing more is queued.
type call struct {
	*readLoop

	emit      func(*Batch)
	watermark int64 // Of Beam, epoch ms: nothing may be emitted before it.
	emitted   bool
	emitting  time.Duration
}

// run returns true when a bounded read has come to its end.
func (c *call) run(ctx context.Context, now time.Time) (done bool, err error) {
	begin, wait := c.watermark, now
	if due, known := c.sliceDue(); known && !now.Before(due) {
		wait = now.Add(lastWait)
	}
	for {
		c.collect(c.watermark)
		at, known := c.alignment.time()
		more := false
		if known {
			c.start(at)
			began := time.Now()
			more = c.emitOldest()
			c.emitted, c.emitting = c.emitted || more, c.emitting+time.Since(began)
			at, _ = c.alignment.time()
			// The watermark is the end of a slice: each time it moves, Prism rescans all elements that are pending.
			c.pass(c.options.sliceOf(at))
		}
		now := time.Now()
		switch {
		case known && c.options.ToEnd && c.alignment.atEnd():
			c.emit(&Batch{Kind: Passed, PipelineTime: math.MaxInt64, Held: &c.held})
			return true, nil
		case ctx.Err() != nil:
			return false, ctx.Err()
		case more && now.Sub(wait) < budget:
		case more, c.watermark > begin, !now.Before(wait):
			return false, nil // What is whole leaves when the call ends.
		default:
			c.wait(ctx, wait.Sub(now))
		}
	}
}

// sliceDue is when the open slice ends at the latest while all is well: then a record or the
// broker's confirmation has moved each partition past it.
func (l *readLoop) sliceDue() (at time.Time, known bool) {
	now, known := l.alignment.time()
	return time.UnixMilli(l.options.sliceOf(now) + l.options.SliceMs + l.options.idleBehind()), known
}

// next is when the loop is to be called again.
func (c *call) next(now time.Time) time.Time {
	due, known := c.sliceDue()
	rest := rest
	if !known || c.emitting > much {
		rest = shortRest
	}
	switch {
	case c.emitted && !known, c.emitted && due.Before(now):
		return now // It is behind.
	case known && due.After(now) && due.Before(now.Add(rest)):
		return due.Add(time.Millisecond)
	case known && !due.After(now):
		return now.Add(lateRest)
	}
	return now.Add(rest)
}

// start emits, once, that the shard begins: the first element that a key group gets sets its timer, so
// all are sent one, also those whose metrics get no event.
func (c *call) start(at int64) {
	if !c.started {
		c.started, c.lead.origin = true, at
		c.emit(&Batch{Kind: Started, CoveredSince: c.coveredSince, PipelineTime: at, Held: &c.held})
	}
}

// pass emits that the slices up to end are whole, and takes down where they end: a position is always the end of
// a slice, since what the next stage has of the open one is kept beside the reader, not in state.
func (c *call) pass(end int64) {
	if end <= c.watermark {
		return
	}
	c.watermark = end
	c.readLoop.watermark.Store(end)
	if !c.position.Started && end <= c.lead.origin {
		return // The start is still held by the next stage: a reader that reads again must emit it again.
	}
	c.emit(&Batch{Kind: Passed, PipelineTime: end, Held: &c.held})
	c.position = Position{Shard: c.position.Shard, Started: true, CoveredSince: c.coveredSince, Next: c.alignment.cut(end)}
}

// wait sleeps until something arrives.
func (c *call) wait(ctx context.Context, left time.Duration) {
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-c.arrived:
	case <-c.lead.progress.Changed():
	case <-t.C:
	case <-ctx.Done():
	}
}

// emitOldest emits a batch of the partition that is furthest behind, if it may be read. It reports whether there was one.
func (c *call) emitOldest() bool {
	p := c.alignment.furthestBehind()
	if p == nil {
		return false
	}
	limit := min(c.alignment.limit(p), c.lead.limit())
	records, n := p.queued(), 0
	for rec := p.peek(); rec != nil && n < maxBatch && p.Time <= limit; rec = p.peek() {
		rec.PipelineTime = p.Time
		n++
		p.take()
	}
	if n == 0 {
		return false
	}
	c.emit(&Batch{CoveredSince: c.coveredSince, Held: &c.held, Records: records[:n]})
	p.release()
	return true
}
