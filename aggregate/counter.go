package aggregate

import (
	"cmp"
	"slices"
	"unsafe"
)

// Lookback is how long before a sample of a counter the one may lie that it is compared with, in milliseconds. A series
// that had no event for longer has no value.
const Lookback = 5 * 60 * 1000

// Flags say what an event is that is no measurement by itself.
type Flags uint8

// The flags of a Sample.
const (
	Cumulative Flags = 1 << iota // What a counter stands at.
	Gauge                        // What something stands at: it does not grow.
	Point                        // It is known by its series and time: sent again it is the same.
)

// kind is the part of the flags that tells samples of one time apart.
func (f Flags) kind() Flags { return f & (Cumulative | Gauge) }

// Sample is an event that is known by its series, its time and its kind.
type Sample struct {
	Time  int64 // Event time, epoch ms.
	Start int64 // Since when the counter counts, epoch ms; 0 = not known.
	Value float64
	Flags Flags
	Needs Needs // What was needed when it came.
}

const sampleSize = int64(unsafe.Sizeof(Sample{}))

// Samples are those of one series, rising by time and kind, none twice. Of two values of one time the greater stays,
// and of two starts the later: that hangs on no order, so under Merge they are a commutative, idempotent monoid.
type Samples []Sample

// maxSamples is how many an accumulator holds, of one series and slice.
const maxSamples = 128

func (s Sample) compare(o Sample) int {
	return cmp.Or(cmp.Compare(s.Time, o.Time), cmp.Compare(s.Flags.kind(), o.Flags.kind()))
}

// find returns where a sample of that time and kind is, or belongs.
func (s Samples) find(x Sample) (at int, found bool) {
	if n := len(s); n == 0 || s[n-1].compare(x) < 0 {
		return n, false // They mostly come in their order.
	}
	return slices.BinarySearchFunc(s, x, Sample.compare)
}

// Add takes up a sample.
func (s *Samples) Add(x Sample) {
	at, found := s.find(x)
	if found {
		(*s)[at].join(x)
		return
	}
	*s = slices.Insert(*s, at, x)
}

// Merge takes up all of o.
func (s *Samples) Merge(o Samples) {
	for _, x := range o {
		s.Add(x)
	}
}

// join makes one sample of two of one time.
func (s *Sample) join(x Sample) {
	if x.Value > s.Value || x.Value == s.Value && x.Start > s.Start {
		s.Value, s.Start = x.Value, x.Start
	}
	s.Flags |= x.Flags
	s.Needs |= x.Needs
}

// bound leaves out samples when there are too many for an accumulator, and returns these. While a counter rises, only the ends of the rise tell by how much,
// so those between go first; where there are none, the oldest.
func (s *Samples) bound() (lost Samples) {
	all := *s
	if len(all) <= maxSamples {
		return nil
	}
	kept := all[:1]
	for i := 1; i < len(all); i++ {
		if i+1 < len(all) && all[i].within(kept[len(kept)-1], all[i+1]) && i%2 == 1 {
			lost = append(lost, all[i])
			continue
		}
		kept = append(kept, all[i])
	}
	if n := len(kept) - maxSamples; n > 0 {
		lost = append(lost, kept[:n]...)
		kept = slices.Delete(kept, 0, n)
	}
	clear(all[len(kept):])
	*s = kept
	return lost
}

// points is how many of the samples are points.
func (s Samples) points() (n int64) {
	for i := range s {
		if s[i].Flags&Point != 0 {
			n++
		}
	}
	return n
}

// news leaves those that count as points from now on, beside known ones, with the values that they count with. changed says that
// some that count already have another value than they had.
func (s Samples) news(known Samples) (news Samples, changed bool) {
	news = s[:0]
	for _, x := range s {
		at, found := known.find(x)
		if !found {
			if x.Flags&Point != 0 {
				news = append(news, x)
			}
			continue
		}
		before := known[at]
		x.join(before)
		switch {
		case x.Flags&Point == 0:
		case before.Flags&Point == 0:
			news = append(news, x)
		default:
			changed = changed || x.Value != before.Value || x.Needs != before.Needs
		}
	}
	return news, changed
}

// within reports whether a counter grew as much from p over s to n as from p to n.
func (s Sample) within(p, n Sample) bool {
	return s.Flags&Cumulative != 0 && p.Flags.kind() == s.Flags.kind() && n.Flags.kind() == s.Flags.kind() &&
		p.Start == s.Start && n.Start == s.Start && p.Value <= s.Value && s.Value <= n.Value
}

// Growth is by how much counters grew.
type Growth struct {
	Sum      float64
	Unknown  int64 // Samples that nothing precedes and whose start is not known, or long ago: they count 0.
	WentBack int64 // Samples below one before, although the counter did not start anew: two writers. They count 0.
}

func (g *Growth) add(o Growth) {
	g.Sum += o.Sum
	g.Unknown += o.Unknown
	g.WentBack += o.WentBack
}

func (g Growth) minus(o Growth) Growth {
	return Growth{g.Sum - o.Sum, g.Unknown - o.Unknown, g.WentBack - o.WentBack}
}

// Joins is how the samples of a counter become its growth.
type Joins struct {
	Lookback    int64 // See the constant Lookback, ms.
	FirstCounts bool  // A sample that nothing precedes counts whole: series begin at 0.
}

// chain is what the growth of a series' next sample hangs on, in the order of time: the newest sample, and of each start
// within the lookback those that are greater than all after them.
type chain []Sample

// next is by how much the counter grew up to its sample n, which is newer than those of the chain, and joins it to them.
func (j Joins) next(c *chain, n Sample) (g Growth) {
	switch p := c.last(); {
	case p == nil || n.Time-p.Time > j.Lookback:
		if j.FirstCounts || n.Start != 0 && n.Time-n.Start <= j.Lookback {
			g.Sum = n.Value
		} else {
			g.Unknown = 1
		}
	case n.Start > p.Time:
		g.Sum = n.Value
	case n.Start != 0 && n.Start == p.Start:
		if top := j.greatest(*c, n); n.Value >= top {
			g.Sum = n.Value - top
		} else {
			g.WentBack = 1
		}
	case n.Value < p.Value:
		g.Sum = n.Value
	default:
		g.Sum = n.Value - p.Value
	}
	*c = slices.DeleteFunc(*c, func(x Sample) bool {
		return x.Start == 0 || x.Start == n.Start && x.Value <= n.Value || n.Time-x.Time > j.Lookback
	})
	*c = append(*c, n)
	return g
}

func (c *chain) last() *Sample {
	if len(*c) == 0 {
		return nil
	}
	return &(*c)[len(*c)-1]
}

// greatest is that of the samples with the start of n within the lookback before it, of which there is one.
func (j Joins) greatest(c chain, n Sample) float64 {
	i := slices.IndexFunc(c, func(x Sample) bool { return x.Start == n.Start && n.Time-x.Time <= j.Lookback })
	return c[i].Value
}

// fold is next of each of the counter's samples.
func (j Joins) fold(c *chain, samples Samples) (g Growth) {
	for _, s := range samples {
		if s.Flags&Cumulative != 0 {
			g.add(j.next(c, s))
		}
	}
	return g
}

// Growth is by how much a counter grew up to each of its samples of [from, to), epoch ms. The samples of up to the
// lookback before belong to samples too.
func (j Joins) Growth(samples Samples, from, to int64) (g Growth) {
	var c chain
	for _, s := range samples {
		if s.Flags&Cumulative == 0 || s.Time >= to {
			continue
		}
		if grown := j.next(&c, s); s.Time >= from {
			g.add(grown)
		}
	}
	return g
}
