package sources

import (
	"context"
	"math"
	"time"
)

// The timestamps of a broker are the clock of the log, unless the broker's clock was wrong.
// That shows when it is set right:
//
//	10:00:01  10:00:02  12:00:03  12:00:04  10:00:05  10:00:06 …
//	                    └─── ahead: outvoted by the records that follow
//	10:00:01  10:00:02  10:00:08  10:00:09  10:00:05  10:00:06 …
//	                    └─── ahead: a jump back that is as long as the one forward
//	10:00:01  10:00:02  08:00:03  08:00:04  10:00:05
//	                    └─── behind: by more than an event may be late
//
// Such a record counts at the time of the log before it, moves no time, and is counted. The broker
// took it between that time and the one at which its clock is right again: events of the record may
// state a time up to then. The log decides that, so every replay decides the same. The clock of this machine
// decides only about records that are ahead of it: those were ahead when they came, too.

// isAhead reports whether a record's timestamp cannot be right by the clock of this machine.
// Of a record behind knownEnd, the end of the log when the read began, the broker may be right and this
// machine's clock slow.
func (o *Options) isAhead(rec logged, knownEnd int64, now time.Time) bool {
	limit := now.UnixMilli()
	switch {
	case !rec.byBroker:
		limit += o.MaxFutureMs
	case rec.Offset < knownEnd:
		limit += o.ClockMs + differ
	default:
		limit += o.ClockMs + max(o.LatenessMs, tolerance)
	}
	return rec.Timestamp.UnixMilli() > limit
}

// isOldAhead is isAhead of a record that was in the log when the read began.
func (o *Options) isOldAhead(rec logged) bool { return o.isAhead(rec, math.MaxInt64, time.Now()) }

// logClock is the time of the log of one partition where it is read, and judges the timestamps that move it.
// Times are epoch ms.
type logClock struct {
	log      partitionLog
	options  *Options
	setBack  func(by time.Duration, since time.Time)
	newest   int64 // The newest timestamp that counts; before any the start time of the read.
	seen     int64 // The newest timestamp that counts of those read; math.MinInt64 before any.
	sane     int64 // The last newest that was not ahead of the clock of this machine.
	knownEnd int64 // The end of the log when the read began; -1 = not known yet.
	sky      skyline
	stretch  stretch // The last one that was ahead.
}

// newLogClock begins at the newest timestamp before the read, epoch ms, 0 = none is known, but not before Options.StartMs.
func newLogClock(log partitionLog, o *Options, newest int64, setBack func(time.Duration, time.Time)) logClock {
	seen := int64(math.MinInt64)
	if newest > 0 {
		seen = newest
	}
	newest = max(newest, o.StartMs)
	return logClock{log: log, options: o, setBack: setBack, newest: newest, seen: seen, sane: newest, knownEnd: -1}
}

// restart forgets what was learnt of a log that another one has replaced.
func (c *logClock) restart() { c.sky, c.stretch = skyline{}, stretch{} }

// judge returns the record i of what a fetch brought, with whether its time counts.
func (c *logClock) judge(ctx context.Context, res *fetched, i int, now time.Time) (rec logged, err error) {
	rec = res.records[i]
	if rec.wrong, err = c.isWrong(ctx, res, i, now); err == nil && rec.wrong && rec.byBroker {
		rec.takenBy, err = c.takenBy(ctx, res, i, now)
	}
	return rec, err
}

// isWrong reports whether the time of the record i does not count: a producer's is ahead, or
// the broker's clock was wrong.
func (c *logClock) isWrong(ctx context.Context, res *fetched, i int, now time.Time) (bool, error) {
	rec := res.records[i]
	at := rec.Timestamp.UnixMilli()
	switch {
	case c.options.isAhead(rec, c.knownEnd, now):
		return true, nil
	case !rec.byBroker:
		return false, nil
	case rec.Offset < c.stretch.until:
		return true, nil
	case at > c.newest+differ: // A pause in which no record came, or a clock that was set.
		// The log is asked, and not the clock: a replay, whose now is another, would decide otherwise.
		if err := c.lookAhead(ctx, res, i); err != nil {
			return false, err
		}
		if s, ok := c.sky.forthAndBack(rec.Offset, at-c.newest, max(c.options.LatenessMs, tolerance)); ok {
			c.stretch = s
			return true, nil
		}
		return at > c.newest+tolerance && c.sky.isOutvoted(rec.Offset, at-tolerance), nil
	}
	return at < c.newest-max(c.options.LatenessMs, tolerance), nil
}

// takenBy returns the latest time at which the broker may have taken a record whose timestamp is wrong.
func (c *logClock) takenBy(ctx context.Context, res *fetched, i int, now time.Time) (int64, error) {
	rec := res.records[i]
	latest, right := now.UnixMilli()+c.options.ClockMs, c.stretch.right
	if rec.Offset >= c.stretch.until {
		if err := c.lookAhead(ctx, res, i); err != nil {
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

// lookAhead learns the timestamps from the record i to the end of the log, once for all of them.
func (c *logClock) lookAhead(ctx context.Context, res *fetched, i int) error {
	if res.records[i].Offset < c.sky.end {
		return nil
	}
	c.sky = skyline{end: res.next}
	for _, later := range res.records[i:] {
		if later.byBroker {
			c.sky.add(later.Offset, later.Timestamp.UnixMilli(), 1)
		}
	}
	err := eachHead(ctx, c.log, res.next, res.end, func(b batch) {
		if b.isByBroker() {
			c.sky.add(b.first, b.newest, b.last-b.first+1)
		}
		c.sky.end = b.last + 1
	})
	if err != nil {
		c.sky = skyline{}
	}
	return err
}

// follow moves the time of the log on to a record's, if that counts.
func (c *logClock) follow(rec logged) {
	if !rec.wrong {
		c.newest, c.seen = max(c.newest, rec.Timestamp.UnixMilli()), max(c.seen, rec.Timestamp.UnixMilli())
	}
}

// advance is follow for a record of no transaction. It notices that the broker's clock was set
// back, after the time of the log, by which results were published, had been ahead of now.
func (c *logClock) advance(rec logged, now time.Time) {
	at := rec.Timestamp.UnixMilli()
	limit := now.UnixMilli() + c.options.ClockMs + tolerance
	if rec.byBroker && at <= limit && at < c.newest-tolerance && c.newest > limit {
		c.setBack(time.Duration(c.newest-at)*time.Millisecond, time.UnixMilli(min(at, c.sane)))
	}
	if c.newest <= limit {
		c.sane = c.newest
	}
	c.follow(rec)
}
