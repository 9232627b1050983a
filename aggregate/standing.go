package aggregate

import (
	"cmp"
	"math"
)

// Standing is how the series of a group stand at the end of a window.
type Standing struct {
	Series   int64 // That have a value.
	Sum      float64
	Min, Max float64
	Newest   Last
	nanos    int32 // Of the time of Newest.
	Alive    bool  // Some have had an event no longer than the lookback ago, and did not end.
	Lacking  bool  // Of some the value was not kept.
}

// Add adds a series that has a value, of an event at that time, epoch ms and nanoseconds after it.
func (s *Standing) Add(value float64, at int64, nanos int32) {
	if s.Series == 0 {
		s.Min, s.Max = value, value
	}
	if s.Series == 0 || cmp.Or(cmp.Compare(at, s.Newest.Time), cmp.Compare(nanos, s.nanos), cmp.Compare(value, s.Newest.Value)) > 0 {
		s.Newest, s.nanos = Last{1, at, value}, nanos
	}
	s.Series++
	s.Sum += value
	s.Min, s.Max = min(s.Min, value), max(s.Max, value)
}

// needsStanding reports whether a window needs to know how its series stand: those of counters only where nothing came.
func (a *Acc) needsStanding(n Needs) bool {
	return n&NeedLast != 0 || n&NeedGrowth != 0 && a.Count == 0
}

// standingCell is a slice of a series, as far as its value in later slices hangs on it.
type standingCell struct {
	slice, newest int64
	nanos         int32 // Of the newest.
	ended, known  bool
	value         float64
}

func (a *Acc) standingCell(slice int64) standingCell {
	c := standingCell{slice: slice, newest: math.MinInt64}
	if a.Count > 0 {
		c.newest = a.Newest
		c.value, c.known = a.last()
	}
	if a.More != nil {
		for i := range a.More.Marked.Samples {
			c.take(&a.More.Marked.Samples[i])
		}
	}
	c.ended = c.newest == math.MinInt64 || a.More != nil && a.More.Marked.Stale > c.newest
	return c
}

// take takes up a sample, unless it is one of the events that were counted. A histogram is no value that could be the last one.
func (c *standingCell) take(s *Sample) {
	switch {
	case !s.Flags.isPoint() && !s.Flags.grows():
	case s.Time > c.newest, s.Time == c.newest && s.Nanos > c.nanos:
		c.newest, c.nanos, c.value, c.known = s.Time, s.Nanos, s.Value, s.Histogram == nil
	case s.Time == c.newest && s.Nanos == c.nanos:
		c.known = c.known && s.Histogram == nil
		c.value = max(c.value, s.Value)
	}
}

// standing is how the series of a group stand at the end of a window.
func (j *joiner) standing(g *group, w Range) *Standing {
	s := new(Standing)
	for _, sr := range g.inOrder() {
		if c, ok := sr.newestBefore(&j.unpack, w.To, min(w.From, w.To-j.lookback)); ok {
			j.stand(s, c, w)
		}
	}
	return s
}

// stand adds a series by its newest slice of those before the end of a window.
func (j *joiner) stand(s *Standing, c standingCell, w Range) {
	switch {
	case c.ended:
		return
	case c.slice < w.From:
	case c.known:
		s.Add(c.value, c.newest, c.nanos)
	default:
		s.Lacking = true
	}
	s.Alive = s.Alive || c.newest >= w.To*j.sliceMs-j.joins.Lookback
}

// newestBefore returns the newest slice of a series in [from, to).
func (sr *series) newestBefore(u *unpack, to, from int64) (c standingCell, ok bool) {
	for i := len(sr.open) - 1; i >= 0; i-- {
		if o := &sr.open[i]; o.slice < to {
			return o.acc.standingCell(o.slice), o.slice >= from
		}
	}
	for i := len(sr.sealed) - 1; i >= 0 && sr.sealed[i].last() >= from; i-- {
		if sr.sealed[i].first() >= to {
			continue
		}
		for u.open(sr.sealed[i]); u.next() && u.cell.slice < to; {
			if u.cell.slice >= from {
				c, ok = u.cell.acc.standingCell(u.cell.slice), true
			}
		}
		return c, ok
	}
	return c, false
}
