package sources

import (
	"context"
	"math"
	"slices"
	"time"
)

// drain is one call of the source: it moves what has arrived from the partitions'
// queues into the bundle, oldest first, until the watermark has passed the end of a
// slice, or there is nothing more.
type drain struct {
	reader    *reader
	emit      func(*Batch)
	watermark int64 // What Beam was told, epoch ms: nothing may be emitted before it.
	emitted   bool
}

// How many records go into one batch.
const maxBatch = 512

const (
	// budget bounds one call while there is something: what it emits leaves when it ends.
	budget = 120 * time.Millisecond
	// grace is how long a call waits for the last words of the slice that is due, or for
	// whom it waits when it is behind.
	grace = 30 * time.Millisecond
	// rest is the longest time between two calls.
	rest = 100 * time.Millisecond
)

// run returns true when a bounded read has come to its end.
func (d *drain) run(ctx context.Context, now time.Time) (done bool, err error) {
	r := d.reader
	begin, wait := d.watermark, now
	if d.isDue(now) {
		wait = now.Add(grace)
	}
	for {
		r.collect(d.watermark)
		at, known := r.pipelineTime()
		more := false
		if known {
			d.start(at)
			more = d.emitOldest()
			d.emitted = d.emitted || more
			at, _ = r.pipelineTime()
			d.pass(at - mod(at, r.options.SliceMs))
		}
		now := time.Now()
		switch {
		case known && r.atEnd():
			d.emit(&Batch{Kind: Passed, PipelineTime: math.MaxInt64, Held: &r.kept})
			return true, nil
		case ctx.Err() != nil:
			return false, ctx.Err()
		case more && now.Sub(wait) < budget:
		case more, d.watermark > begin, !now.Before(wait):
			return false, nil // What is whole leaves when the call ends.
		default:
			d.wait(ctx, wait.Sub(now))
		}
	}
}

// due is when the slice that is open ends at the latest while all is well: then all
// partitions are past it by a record or by the broker's word.
func (d *drain) due() (at time.Time, known bool) {
	at0, known := d.reader.pipelineTime()
	o := &d.reader.options
	return time.UnixMilli(at0 - mod(at0, o.SliceMs) + o.SliceMs + o.OutOfOrderMs + o.OutOfOrderMs/idleMargin), known
}

// isDue reports whether the end of a slice may come any moment.
func (d *drain) isDue(now time.Time) bool {
	due, known := d.due()
	return known && !now.Before(due)
}

// next is when to be called again.
func (d *drain) next(now time.Time) time.Time {
	switch due, known := d.due(); {
	case d.emitted && !known, d.emitted && due.Before(now):
		return now // It is behind.
	case known && due.After(now) && due.Before(now.Add(rest)):
		return due.Add(time.Millisecond)
	case known && !due.After(now):
		return now.Add(rest / 5) // It waits for somebody.
	}
	return now.Add(rest)
}

// start emits an empty batch once: the key groups' timers are set by the first
// element that they see, so all are sent one, the quiet ones too.
func (d *drain) start(at int64) {
	if r := d.reader; r.fresh && !r.begun {
		r.begun, r.origin = true, at
		d.emit(&Batch{Kind: Started, CoveredSince: r.since, PipelineTime: at, Held: &r.kept})
	}
}

// pass lets out the slices that are whole, and takes down where they end. The watermark is
// the end of a slice: a shuffle on Prism looks at every pending element each time it moves.
func (d *drain) pass(end int64) {
	r := d.reader
	if end <= d.watermark {
		return
	}
	d.watermark = end
	r.told.Store(end)
	if r.fresh && end <= r.origin {
		return // What starts the key groups is held: who reads again must hold it too.
	}
	r.fresh = false
	d.emit(&Batch{Kind: Passed, PipelineTime: end, Held: &r.kept})
	pos := Position{Shard: r.shard, Started: true, Since: r.since, Next: make([]Offset, 0, len(r.partitions))}
	for _, p := range r.partitions {
		pos.Next = append(pos.Next, p.cut(end))
	}
	r.position = pos
}

// wait sleeps until something arrives.
func (d *drain) wait(ctx context.Context, left time.Duration) {
	r := d.reader
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-r.arrived:
	case <-r.progress.changed:
	case <-t.C:
	case <-ctx.Done():
	}
}

// emitOldest emits a batch of the partition that is furthest behind among those
// that have something and may go on. It reports whether there was one.
func (d *drain) emitOldest() bool {
	r := d.reader
	var p *partition
	for _, q := range r.partitions {
		if q.peek() != nil && (p == nil || q.time < p.time) {
			p = q
		}
	}
	if p == nil {
		return false
	}
	limit := r.limit(p)
	b := &Batch{CoveredSince: r.since, Held: &r.kept}
	for rec := p.peek(); rec != nil && len(b.Records) < maxBatch && p.time <= limit; rec = p.peek() {
		rec.PipelineTime = p.time
		b.Records = append(b.Records, *rec)
		p.take(&r.options)
	}
	if len(b.Records) == 0 {
		return false
	}
	d.emit(b)
	return true
}

// limit returns the pipeline time up to which a partition may be read now: not
// too far ahead of the other partitions, nor of the slowest key group, since
// all that lies between is held in memory.
func (r *reader) limit(p *partition) int64 {
	limit := p.time + 10*r.options.MaxDriftMs
	for _, q := range r.partitions {
		if q != p {
			limit = min(limit, q.time+r.options.MaxDriftMs)
		}
	}
	return min(limit, r.lead())
}

// collect takes over discovered partitions and the answers that have come,
// without waiting, and moves the time of each partition on. No time is before
// mark, what Beam was told: a record before it would be late, and be dropped.
func (r *reader) collect(mark int64) {
	for more := true; more; {
		select {
		case f := <-r.found:
			r.addPartition(f)
		default:
			more = false
		}
	}
	for _, p := range r.partitions {
		p.collect(&r.options)
		p.reach(mark, p.begun, &r.options)
	}
}

// How many answers a partition may be ahead of drain, besides the one being decoded: what
// comes between two calls. Their bytes are bounded, see room.
const queueLength = 64

func newPartition(f found) *partition {
	return &partition{id: f.id, queue: make(chan answer, queueLength), next: f.start, inner: f.inner, from: f.from, newest: f.newest, end: f.end, time: f.time}
}

func (r *reader) addPartition(f found) {
	p := newPartition(f)
	p.lag.next.Store(f.start)
	p.lag.heard.Store(time.Now().UnixMilli())
	r.lags.Store(f.id, &p.lag)
	i, _ := slices.BinarySearchFunc(r.partitions, p.id, func(p *partition, id int32) int { return int(p.id - id) })
	r.partitions = slices.Insert(r.partitions, i, p)
	r.since = max(r.since, f.since)
	r.complete = r.complete || f.last
	r.ahead.Store(f.id, &p.ahead)
	r.running.Go(func() { r.fetchLoop(r.ctx, f, p.queue, &p.ahead) })
}

// partition is drain's side of one partition.
type partition struct {
	id     int32
	queue  chan answer
	head   answer // Taken from the queue; records are drained from it one by one.
	next   int64
	inner  int64 // See Offset.
	from   int64
	newest int64
	end    int64 // The read is bounded by this offset; -1: it is not.
	time   int64 // Pipeline time: that of the record to be drained next, else of the last one or of the clock.
	begun  bool  // time is known.
	cuts   []cut // Rising; the last one is of the slice in which time is.
	lag    lag
	ahead  ahead
}

// cut is where a partition came into a slice: the records before the offset are in earlier
// ones, all others are not.
type cut struct {
	slice int64 // Its beginning, epoch ms.
	at    Offset
}

// reach moves the time on, which may become known by that.
func (p *partition) reach(at int64, begun bool, o *Options) {
	before, was := p.time, p.begun
	p.time, p.begun = max(p.time, at), begun
	if slice := p.time - mod(p.time, o.SliceMs); begun && (!was || slice > before-mod(before, o.SliceMs)) {
		p.cuts = append(p.cuts, cut{slice, p.offset()})
	}
}

// cut returns where to read on for the slices from end on, and forgets what was before.
func (p *partition) cut(end int64) Offset {
	i := slices.IndexFunc(p.cuts, func(c cut) bool { return c.slice >= end }) // There is one: its time is not before end.
	p.cuts = slices.Delete(p.cuts, 0, i)
	return p.cuts[0].at
}

// offset is where the partition is read on after a restart.
func (p *partition) offset() Offset {
	return Offset{Partition: p.id, Next: p.next, Inner: p.inner, From: p.from, Time: p.time, Newest: p.newest}
}

// peek returns the record to be drained next.
func (p *partition) peek() *Record {
	if p.head.taken == len(p.head.records) {
		return nil
	}
	rec := &p.head.records[p.head.taken]
	if p.end >= 0 && rec.place() >= p.end {
		return nil
	}
	return rec
}

// take moves on by one record.
func (p *partition) take(o *Options) {
	rec := &p.head.records[p.head.taken]
	p.next, p.inner = rec.Offset+1, 0
	if rec.marker > 0 {
		p.next, p.inner = rec.marker, rec.Offset+1
	}
	p.newest = max(p.newest, rec.Newest)
	p.head.taken++
	p.see(o)
	if p.head.taken == len(p.head.records) {
		p.ahead.take(&p.head)
		p.head.records, p.head.taken = nil, 0 // The next answer may be far.
	}
}

// see lets the time follow the record to be drained next: since it is the
// highest timestamp so far less the bound, no later record can be before it.
func (p *partition) see(o *Options) {
	if rec := p.peek(); rec != nil {
		p.reach(rec.Newest-o.OutOfOrderMs, true, o)
		p.lag.time.Store(rec.Time)
	}
	if p.head.taken == len(p.head.records) && p.head.next != p.next {
		p.next, p.inner = p.head.next, 0 // It may lie behind the last record, over what counts nothing.
	}
	p.lag.next.Store(p.next)
}

// idleMargin is the part of the bound by which the time of an idle partition is
// further behind: a record that is on its way to the broker for no longer is not
// overtaken, and counts as in a replay.
const idleMargin = 4

func (p *partition) collect(o *Options) {
	for more := true; more && p.head.taken == len(p.head.records); {
		select {
		case p.head = <-p.queue:
			if len(p.head.records) == 0 {
				p.ahead.take(&p.head)
			}
			p.lag.end.Store(p.head.end)
			p.from = p.head.from
			p.lag.heard.Store(p.head.at.UnixMilli())
			p.see(o)
		default:
			more = false
		}
	}
	// An idle partition, all of whose records are out, has come as far as the broker
	// last said that it has no more. One that cannot be reached is not idle: it
	// holds the watermark, else its records would be left out of windows.
	if p.head.quiet && p.head.taken == len(p.head.records) {
		p.reach(p.head.at.UnixMilli()-o.OutOfOrderMs-o.OutOfOrderMs/idleMargin, true, o)
	}
}

// pipelineTime is the minimum over the partitions, unknown while one's is.
func (r *reader) pipelineTime() (at int64, known bool) {
	if !r.complete {
		return 0, false
	}
	for i, p := range r.partitions {
		if !p.begun {
			return 0, false
		}
		if i == 0 || p.time < at {
			at = p.time
		}
	}
	return at, true
}

// atEnd reports whether a bounded read has emitted everything before its ends.
func (r *reader) atEnd() bool {
	return r.options.ToEnd && !slices.ContainsFunc(r.partitions, func(p *partition) bool { return p.next < p.end })
}

// mod is the remainder that is never negative.
func mod(a, b int64) int64 { return ((a % b) + b) % b }
