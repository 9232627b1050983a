package sources

import (
	"slices"
	"time"
)

// partition is the read loop's side of one partition: the records that are queued, and how far they have moved
// its pipeline time. Its Offset is that of the record to be emitted next.
//
// The pipeline time is the newest timestamp up to the record to be emitted next, less the maximum out-of-orderness:
// no later record can be before it. It follows that record and not the last one that was emitted, or two
// partitions would wait for each other, each behind the other's gap.
type partition struct {
	Offset

	options *Options
	end     int64 // The read ends before this offset; -1 = never.

	queue <-chan response
	head  response // The one taken from the queue.
	taken int      // How many of its records have been emitted.
	spent response // The last one that is emitted as a whole, while its memory is in use.
	begun bool     // The pipeline time is known.
	cuts  []cut    // In rising order; the last one is of the slice in which the pipeline time is.
	lag   lag
	share share
}

func newPartition(o *Options, a assignment, queue <-chan response, all *readAhead) *partition {
	p := &partition{Offset: a.Offset, options: o, end: a.end, queue: queue}
	p.share.all = all
	p.lag.openSince.Store(notRead)
	p.lag.next.Store(a.Next)
	p.lag.heard.Store(time.Now().UnixMilli())
	return p
}

// cut is where a partition came into a slice: the records before the offset are in earlier
// slices, all others are not.
type cut struct {
	slice int64 // Its beginning, epoch ms.
	at    Offset
}

// reach moves the pipeline time on, never back; begun tells whether it is known from now on.
func (p *partition) reach(at int64, begun bool) {
	before, was := p.Time, p.begun
	p.Time, p.begun = max(p.Time, at), begun
	if slice := p.options.sliceOf(p.Time); begun && (!was || slice > p.options.sliceOf(before)) {
		p.cuts = append(p.cuts, cut{slice, p.Offset})
	}
}

// cut returns where to read on for the slices from end on, and forgets those before. end is at most the pipeline time.
func (p *partition) cut(end int64) Offset {
	i := slices.IndexFunc(p.cuts, func(c cut) bool { return c.slice >= end })
	p.cuts = slices.Delete(p.cuts, 0, i)
	return p.cuts[0].at
}

// queued returns the records of the response that is being emitted that have not been.
func (p *partition) queued() []Record { return p.head.records[p.taken:] }

// peek returns the record to be emitted next, nil when none is queued.
func (p *partition) peek() *Record {
	if p.taken == len(p.head.records) {
		return nil
	}
	rec := &p.head.records[p.taken]
	if p.end >= 0 && rec.place() >= p.end {
		return nil
	}
	return rec
}

// take moves on by one record.
func (p *partition) take() {
	rec := &p.head.records[p.taken]
	p.Next, p.Inner = rec.Offset+1, 0
	if rec.marker > 0 {
		p.Next, p.Inner = rec.marker, rec.Offset+1
	}
	p.Newest = max(p.Newest, rec.Newest)
	p.taken++
	p.see()
	if p.taken == len(p.head.records) {
		p.share.take(p.head.bytes)
		p.spent = p.head
		p.head.records, p.head.memory, p.taken = nil, nil, 0 // Free for the collector: the next response may be far.
	}
}

// release is called when nothing holds a record that was taken.
func (p *partition) release() {
	if p.spent.memory != nil {
		p.spent.memory.release(p.spent.events)
	}
	p.spent = response{}
}

// see lets the pipeline time follow the record to be emitted next.
func (p *partition) see() {
	if rec := p.peek(); rec != nil {
		p.reach(rec.Newest-p.options.OutOfOrderMs, true)
		p.lag.time.Store(rec.Time)
	}
	if p.taken == len(p.head.records) && p.head.next != p.Next {
		p.Next, p.Inner = p.head.next, 0 // Behind the last record there may be offsets that hold none.
	}
	p.lag.next.Store(p.Next)
}

// collect takes the responses that are queued, up to the next one with records, without waiting. When all
// records are out and the broker has confirmed that nothing follows, the partition is idle.
func (p *partition) collect() {
	for more := true; more && p.taken == len(p.head.records); {
		select {
		case p.head = <-p.queue:
			if p.taken = 0; len(p.head.records) == 0 {
				p.share.take(p.head.bytes)
			}
			p.lag.end.Store(p.head.end)
			p.From = p.head.from
			p.lag.heard.Store(p.head.at.UnixMilli())
			p.see()
		default:
			more = false
		}
	}
	if p.head.caughtUp && p.taken == len(p.head.records) {
		p.reach(p.head.at.UnixMilli()-p.options.idleBehind(), true)
	}
}

// atEnd reports whether a bounded read has emitted all that it is to emit.
func (p *partition) atEnd() bool { return p.Next >= p.end }
