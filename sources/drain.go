package sources

import (
	"context"
	"slices"
	"time"
)

// drain is one call of ProcessElement: it moves what has arrived from the
// partitions' queues into the bundle, oldest first, until its time is over or
// the watermark has passed the end of a slice.
type drain struct {
	reader    *reader
	emit      func(*Batch)
	watermark *watermark
	tracker   *tracker
	started   bool // The key groups have been started.
	until     time.Time
}

// How many records go into one batch.
const maxBatch = 512

// run returns true when a bounded read has come to its end.
func (d *drain) run(ctx context.Context) (done bool, err error) {
	r := d.reader
	begin := d.mark()
	for {
		r.collect(d.mark())
		at, known := r.pipelineTime()
		emitted := false
		if known {
			d.start(at)
			emitted = d.emitOldest()
			at, _ = r.pipelineTime()
			// Rounded down, because a shuffle on Prism looks at every pending element each time its watermark moves.
			at -= mod(at, r.options.SliceMs)
			d.watermark.advance(at)
			r.told.Store(at)
		}
		switch left := time.Until(d.until); {
		case known && r.atEnd():
			d.claim(true)
			return true, nil
		case ctx.Err() != nil:
			return false, ctx.Err()
		case left <= 0:
			return false, nil
		case emitted:
		case d.mark() > begin:
			return false, nil // A slice has ended: let it out.
		default:
			d.wait(ctx, left)
		}
	}
}

// mark is the watermark that Beam was told: nothing may be emitted before it.
func (d *drain) mark() int64 { return d.watermark.ms.Load() }

// start emits an empty batch once: the key groups' timers are set by the first
// element that they see, so all are sent one, the quiet ones too.
func (d *drain) start(at int64) {
	if !d.started {
		d.started = true
		d.reader.origin = at
		d.emit(&Batch{CoveredSince: d.reader.since, PipelineTime: at})
		d.claim(false)
	}
}

func (d *drain) claim(done bool) {
	r := d.reader
	pos := Position{Started: true, Done: done, Since: r.since, Next: make([]Offset, 0, len(r.partitions))}
	for _, p := range r.partitions {
		pos.Next = append(pos.Next, p.offset())
	}
	r.position = pos
	d.tracker.TryClaim(pos) // Fails only when done, which drain alone decides.
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
	b := &Batch{CoveredSince: r.since}
	for rec := p.peek(); rec != nil && len(b.Records) < maxBatch && p.time <= limit; rec = p.peek() {
		rec.PipelineTime = p.time
		b.Records = append(b.Records, *rec)
		p.take(r.options.BoundMs)
	}
	if len(b.Records) == 0 {
		return false
	}
	d.emit(b)
	d.claim(false)
	return true
}

// limit returns the pipeline time up to which a partition may be read now: not
// too far ahead of the other partitions, nor of the slowest key group, since
// all that lies between is held in memory.
func (r *reader) limit(p *partition) int64 {
	limit := p.time + 10*r.options.AlignMs
	for _, q := range r.partitions {
		if q != p {
			limit = min(limit, q.time+r.options.AlignMs)
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
		p.collect(r.options.BoundMs)
		p.time = max(p.time, mark)
	}
}

// How many answers a partition may be ahead of drain, besides the one being decoded.
const queueLength = 2

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
	lag    lag
	ahead  ahead
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
func (p *partition) take(boundMs int64) {
	rec := &p.head.records[p.head.taken]
	p.next, p.inner = rec.Offset+1, 0
	if rec.marker > 0 {
		p.next, p.inner = rec.marker, rec.Offset+1
	}
	p.newest = max(p.newest, rec.Newest)
	p.head.taken++
	p.see(boundMs)
	if p.head.taken == len(p.head.records) {
		p.ahead.take(&p.head)
		p.head.records, p.head.taken = nil, 0 // The next answer may be far.
	}
}

// see lets the time follow the record to be drained next: since it is the
// highest timestamp so far less the bound, no later record can be before it.
func (p *partition) see(boundMs int64) {
	if rec := p.peek(); rec != nil {
		p.time, p.begun = max(p.time, rec.Newest-boundMs), true
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

func (p *partition) collect(boundMs int64) {
	for more := true; more && p.head.taken == len(p.head.records); {
		select {
		case p.head = <-p.queue:
			if len(p.head.records) == 0 {
				p.ahead.take(&p.head)
			}
			p.lag.end.Store(p.head.end)
			p.from = p.head.from
			p.lag.heard.Store(p.head.at.UnixMilli())
			p.see(boundMs)
		default:
			more = false
		}
	}
	// An idle partition, all of whose records are out, has come as far as the broker
	// last said that it has no more. One that cannot be reached is not idle: it
	// holds the watermark, else its records would be left out of windows.
	if p.head.quiet && p.head.taken == len(p.head.records) {
		p.time, p.begun = max(p.time, p.head.at.UnixMilli()-boundMs-boundMs/idleMargin), true
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
