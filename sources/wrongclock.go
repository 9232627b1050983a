package sources

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"pulseboard/internal/clock"
)

// The timestamps of a broker are the clock of the log, unless that clock was wrong. It
// shows when it is set right:
//
//	10:00:01  10:00:02  12:00:03  12:00:04  10:00:05  10:00:06 …
//	                    └─── ahead: more records after them say so than do not
//	10:00:01  10:00:02  10:00:08  10:00:09  10:00:05  10:00:06 …
//	                    └─── ahead: it went back as far as it had gone forth
//	10:00:01  10:00:02  08:00:03  08:00:04  10:00:05
//	                    └─── behind: more than an event may be late
//
// Such a record counts at the time of the log before it, moves no time, and is counted. It was
// taken between that time and the one at which the clock is right again: so its events may
// state. That is so in every replay. What the clock of this machine adds is that a record
// which is ahead of now was ahead when it came too, since now is later.

// tolerance is how far apart records must be for their clock to be doubted, ms. What lies further ahead of
// now than clocks may differ, when a read begins, is doubted without.
const (
	tolerance = 5000
	differ    = int64(clock.Tolerance / time.Millisecond)
)

// isAhead reports whether a record's timestamp is out of the question by the clock
// of this machine. known is the end of the log when the read began: of what came since,
// the broker may be right, and we be slow.
func (r *reader) isAhead(l logged, known int64, now time.Time) bool {
	o := &r.options
	limit := now.UnixMilli()
	switch {
	case !l.byBroker:
		limit += o.MaxFutureMs
	case l.Offset < known:
		limit += o.ClockMs + differ
	default:
		limit += o.ClockMs + max(o.LatenessMs, tolerance)
	}
	return l.Timestamp.UnixMilli() > limit
}

// isOldAhead is isAhead of a record that was there when the read began.
func (r *reader) isOldAhead(l logged) bool { return r.isAhead(l, math.MaxInt64, time.Now()) }

// judge returns the record i of what a fetch brought, and whether its time counts.
func (r *reader) judge(ctx context.Context, c *cursor, res *fetched, i int, now time.Time) (rec logged, err error) {
	rec = res.records[i]
	if rec.wrong, err = r.isWrong(ctx, c, res, i, now); err == nil && rec.wrong && rec.byBroker {
		rec.takenBy, err = r.takenBy(ctx, c, res, i, now)
	}
	return rec, err
}

// isWrong reports whether the record i of what a fetch brought has a time that does not
// count. So it is ahead when a producer set it, or the broker's clock was wrong.
func (r *reader) isWrong(ctx context.Context, c *cursor, res *fetched, i int, now time.Time) (bool, error) {
	rec := res.records[i]
	at := rec.Timestamp.UnixMilli()
	switch {
	case r.isAhead(rec, c.known, now):
		return true, nil
	case !rec.byBroker:
		return false, nil
	case rec.Offset < c.stretch.until:
		return true, nil
	case at > c.newest+differ: // Nobody sent anything meanwhile, or the clock was set.
		if err := r.lookAhead(ctx, c, res, i); err != nil {
			return false, err
		}
		if s, ok := c.sky.forthAndBack(rec.Offset, at-c.newest, max(r.options.LatenessMs, tolerance)); ok {
			c.stretch = s
			return true, nil
		}
		return at > c.newest+tolerance && c.sky.isOutvoted(rec.Offset, at-tolerance), nil
	}
	return at < c.newest-max(r.options.LatenessMs, tolerance), nil
}

// skyline is the timestamps of a part of the log, ahead of where it is read.
type skyline struct {
	end  int64 // Up to this offset it is known.
	runs []run
}

// run is records one after the other that were taken within a second.
type run struct{ first, at, last, records int64 }

func (s *skyline) add(first, at, records int64) {
	if n := len(s.runs); n > 0 && s.runs[n-1].at/1000 == at/1000 && max(at-s.runs[n-1].last, s.runs[n-1].last-at) <= differ {
		s.runs[n-1].last = at
		s.runs[n-1].records += records
		return
	}
	s.runs = append(s.runs, run{first, at, at, records})
}

// stretch is a part of the log that was taken while the clock was ahead.
type stretch struct {
	until int64 // It ends before this offset.
	right int64 // The time there.
}

// longestStretch is how long a clock may have been ahead for forthAndBack, ms.
const longestStretch = 3_600_000

// forthAndBack finds the end of a stretch that begins at an offset, where the log's time has
// gone forth: it goes back about as far. How far exactly nobody knows who does not know how
// long nothing came around both. Within some time that hardly happens by itself; later only
// a jump counts that is unlike the pauses in between.
func (s *skyline) forthAndBack(offset, forth, within int64) (found stretch, ok bool) {
	begin, _ := slices.BinarySearchFunc(s.runs, offset, func(r run, offset int64) int { return cmp.Compare(r.first, offset) })
	for i, pause := begin+1, int64(0); i < len(s.runs); i++ {
		before, r := s.runs[i-1], s.runs[i]
		took, back := before.last-s.runs[begin].at, before.last-r.at
		switch {
		case took > longestStretch:
			return stretch{}, false
		case back <= differ:
			pause = max(pause, -back)
		case took <= within:
			return stretch{r.first, r.at}, back <= forth+differ && forth-back <= max(differ, back/2)
		default:
			return stretch{r.first, r.at}, max(back-forth, forth-back) <= max(differ, 2*pause) && forth >= 2*pause
		}
	}
	return stretch{}, false
}

// isOutvoted reports whether at some place more records have followed the one at an offset that are
// of the time before a limit than of the time after it.
func (s *skyline) isOutvoted(offset, limit int64) bool {
	votes := int64(0)
	for _, r := range s.runs {
		switch {
		case r.first < offset:
		case r.at < limit:
			votes -= r.records
		default:
			votes += r.records
		}
		if votes < 0 {
			return true
		}
	}
	return false
}

// goesOn returns the time at which the log goes on after an offset, no earlier than a time and
// before a limit; 0 when it does not.
func (s *skyline) goesOn(offset, from, limit int64) int64 {
	for _, r := range s.runs {
		if r.first > offset && r.at >= from && r.at < limit {
			return r.at
		}
	}
	return 0
}

// takenBy is the latest time at which a record was taken whose own does not count.
func (r *reader) takenBy(ctx context.Context, c *cursor, res *fetched, i int, now time.Time) (int64, error) {
	rec := res.records[i]
	latest, right := now.UnixMilli()+r.options.ClockMs, c.stretch.right
	if rec.Offset >= c.stretch.until {
		if err := r.lookAhead(ctx, c, res, i); err != nil {
			return 0, err
		}
		at, limit := rec.Timestamp.UnixMilli(), int64(math.MaxInt64)
		if at > c.newest {
			limit = at - tolerance
		}
		right = c.sky.goesOn(rec.Offset, c.newest, limit)
	}
	if right > 0 {
		latest = min(latest, right)
	}
	return max(latest, c.newest), nil
}

// lookAhead learns what is there of the log after a record, once for all of it.
func (r *reader) lookAhead(ctx context.Context, c *cursor, res *fetched, i int) error {
	rec := res.records[i]
	if rec.Offset >= c.sky.end {
		c.sky = skyline{end: res.next}
		for _, later := range res.records[i:] {
			if later.byBroker {
				c.sky.add(later.Offset, later.Timestamp.UnixMilli(), 1)
			}
		}
		if err := r.broker.heads(ctx, c.partition, res.next, res.end, func(b batch) {
			if b.isByBroker() {
				c.sky.add(b.first, b.newest, b.last-b.first+1)
			}
			c.sky.end = b.last + 1
		}); err != nil {
			c.sky = skyline{}
			return err
		}
	}
	return nil
}

// heads calls f with the batches of a part of the log, without what is in them.
func (b *broker) heads(ctx context.Context, partition int32, from, to int64, f func(batch)) error {
	for from < to {
		_, res, err := b.ask(ctx, partition, from, maxWait, anything)
		if err == nil {
			err = kerr.ErrorForCode(res.ErrorCode)
		}
		if err != nil {
			return fmt.Errorf("cannot look ahead from offset %d of %s/%d: %w", from, b.topic, partition, err)
		}
		next := from
		for head := range batches(res.RecordBatches) {
			if next = max(next, head.last+1); head.last >= from {
				f(head)
			}
		}
		if next == from {
			return nil // It holds nothing that can be read here; the read itself says so.
		}
		from = next
	}
	return nil
}

// setBack is told once that the log's time, by which results were published, was ahead:
// the broker's clock was set back.
func (r *reader) setBack(c *cursor, at int64) {
	err := fmt.Errorf("the clock of the broker of partition %d was set back by %v", c.partition, time.Duration(c.newest-at)*time.Millisecond)
	if tell, ok := setBacks.Load(r.options.Run); ok {
		tell.(func(error, time.Time))(err, time.UnixMilli(min(at, c.sane)))
	}
}

var setBacks sync.Map // Run → func(error, time.Time).

// OnSetBack says whom to tell when time must go back in a run, which no runner can: it
// must begin anew. Until since the log's time was right. Close ends it.
func OnSetBack(run string, tell func(why error, since time.Time)) { setBacks.Store(run, tell) }
