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
	Point                        // It is known by its series and time, to the nanosecond: sent again it is the same.
	Binned                       // Its value is a histogram.
)

func (f Flags) isBinned() bool { return f&Binned != 0 }

func (f Flags) isCumulative() bool { return f&Cumulative != 0 }

// kind is the part of the flags that tells samples of one time apart.
func (f Flags) kind() Flags { return f & (Cumulative | Gauge | Binned) }

// grows reports whether a sample is of a cumulative histogram: what counts is by how much it has grown, and not the sample.
func (f Flags) grows() bool { return f&(Cumulative|Binned) == Cumulative|Binned }

// isPoint reports whether a sample is held to count once, however often it comes.
func (f Flags) isPoint() bool { return f&Point != 0 && !f.grows() }

// Sample is an event that is known by its series, its time and its kind.
type Sample struct {
	Time  int64 // Event time, epoch ms.
	Start int64 // Since when the counter counts, epoch ms; 0 = not known.
	Value float64
	Flags Flags
	Needs Needs // What was needed when it came.
	Nanos int32 // Of its time, after Time, less than a million.

	Histogram *Histogram // Of one that is Binned, in place of Value. It is never changed.
}

const sampleSize = int64(unsafe.Sizeof(Sample{}))

// Samples are those of one series, rising by time and kind, none twice. Of two values of one time the greater stays,
// and of two starts the later: that hangs on no order, so under Merge they are a commutative, idempotent monoid.
type Samples []Sample

// maxSamples is how many an accumulator holds, of one series and slice, and maxHistograms how many of them are histograms,
// which may take 10 kB each.
const (
	maxSamples    = 128
	maxHistograms = 8

	// So many more of the oldest go when some must, or each of those that follow would cost a look at all.
	lostTogether = maxSamples / 4
)

func (s Sample) compare(o Sample) int {
	return cmp.Or(cmp.Compare(s.Time, o.Time), cmp.Compare(s.Nanos, o.Nanos), cmp.Compare(s.Flags.kind(), o.Flags.kind()))
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
		(*s)[at].join(&x)
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

func (s *Sample) compareValue(o *Sample) int {
	return cmp.Or(cmp.Compare(s.Value, o.Value), s.Histogram.Compare(o.Histogram))
}

// total is how much a counter has counted.
func (s *Sample) total() float64 {
	if s.Histogram != nil {
		return float64(s.Histogram.Count)
	}
	return s.Value
}

// join makes one sample of two of one time.
func (s *Sample) join(x *Sample) {
	if cmp.Or(x.compareValue(s), cmp.Compare(x.Start, s.Start)) > 0 {
		s.Value, s.Start, s.Histogram = x.Value, x.Start, x.Histogram
	}
	s.Flags |= x.Flags
	s.Needs |= x.Needs
}

// bound leaves out samples when there are too many for an accumulator, and returns these. While a counter rises, only the ends of the rise tell by how much,
// so those between go first; where there are none, the oldest. Of histograms those behind the first go.
func (s *Samples) bound() (lost Samples) {
	histograms := s.count(Flags.isBinned) - maxHistograms
	if len(*s) > maxSamples {
		lost = s.drop(func(i int, kept Samples) bool {
			return i%2 == 1 && i+1 < len(*s) && (*s)[i].within(&kept[len(kept)-1], &(*s)[i+1])
		})
		if over := len(*s) - maxSamples; over > 0 {
			over += lostTogether
			lost = append(lost, s.drop(func(i int, _ Samples) bool { return i < over })...)
		}
	}
	if histograms > 0 {
		seen := 0
		lost = append(lost, s.drop(func(i int, _ Samples) bool {
			if (*s)[i].Flags.isBinned() {
				seen++
			}
			return (*s)[i].Flags.isBinned() && seen > 1 && seen <= histograms+1
		})...)
	}
	return lost
}

// drop leaves out those of which out says so, by their place and what is kept of those before, and returns them.
func (s *Samples) drop(out func(i int, kept Samples) bool) (lost Samples) {
	kept := (*s)[:0]
	for i, x := range *s {
		if out(i, kept) {
			lost = append(lost, x)
		} else {
			kept = append(kept, x)
		}
	}
	clear((*s)[len(kept):])
	*s = kept
	return lost
}

// count is how many samples there are of some flags.
func (s Samples) count(of func(Flags) bool) (n int) {
	for i := range s {
		if of(s[i].Flags) {
			n++
		}
	}
	return n
}

// has reports whether there are samples of some flags.
func (s Samples) has(of func(Flags) bool) bool {
	for i := range s {
		if of(s[i].Flags) {
			return true
		}
	}
	return false
}

// news leaves those that count as points from now on, beside known ones, with the values that they count with. changed says that
// some that count already have another value than they had.
func (s Samples) news(known Samples) (news Samples, changed bool) {
	news = s[:0]
	for _, x := range s {
		at, found := known.find(x)
		if !found {
			if x.Flags.isPoint() {
				news = append(news, x)
			}
			continue
		}
		before := &known[at]
		x.join(before)
		switch {
		case !x.Flags.isPoint():
		case !before.Flags.isPoint():
			news = append(news, x)
		default:
			changed = changed || x.compareValue(before) != 0 || x.Needs != before.Needs
		}
	}
	return news, changed
}

// within reports whether a counter grew as much from p over s to n as from p to n.
func (s *Sample) within(p, n *Sample) bool {
	return s.Flags&Cumulative != 0 && p.Flags.kind() == s.Flags.kind() && n.Flags.kind() == s.Flags.kind() &&
		p.Start == s.Start && n.Start == s.Start && p.total() <= s.total() && s.total() <= n.total()
}

// Growth is by how much counters grew. Those that are histograms add to what is counted instead of to Sum.
type Growth struct {
	Sum      float64
	First    float64 // What the samples of Unknown stand at.
	Unknown  int64   // Samples that nothing precedes and whose start is not known, or long ago: they count 0.
	WentBack int64   // Samples below one before, although the counter did not start anew: two writers. They count 0.
}

func (g *Growth) add(o Growth) {
	g.Sum += o.Sum
	g.First += o.First
	g.Unknown += o.Unknown
	g.WentBack += o.WentBack
}

func (g Growth) minus(o Growth) Growth {
	return Growth{g.Sum - o.Sum, g.First - o.First, g.Unknown - o.Unknown, g.WentBack - o.WentBack}
}

// Joins is how the samples of a counter become its growth.
type Joins struct {
	Lookback int64 // See the constant Lookback, ms.
}

// Grown is called with a sample of a histogram, and with what it has counted since the one before.
type Grown func(n *Sample, since *Histogram)

// chain is what the growth of a series' next sample hangs on, in the order of time: the newest sample of each kind, and of each start
// within the lookback those that are greater than all after them.
type chain []Sample

// next is by how much the counter grew up to its sample n, which is newer than those of the chain, and joins it to them.
// since is what a histogram has counted, nil = nothing.
func (j Joins) next(c *chain, n *Sample) (g Growth, since *Histogram) {
	p := c.last(n.Flags.kind())
	first := p == nil || n.Time-p.Time > j.Lookback
	var ok bool
	switch {
	case first && (n.Start == 0 || n.Time-n.Start > j.Lookback):
		g.Unknown, g.First = 1, n.Value
	case first, n.Start > p.Time:
		g.Sum, since, _ = n.above(nil)
	case n.Start != 0 && n.Start == p.Start:
		if g.Sum, since, ok = n.above(j.greatest(*c, n)); !ok {
			g, since = Growth{WentBack: 1}, nil
		}
	default:
		if g.Sum, since, ok = n.above(p); !ok { // It has started anew.
			g.Sum, since, _ = n.above(nil)
		}
	}
	*c = slices.DeleteFunc(*c, func(x Sample) bool {
		return x.Flags.kind() == n.Flags.kind() && (x.Start == 0 || x.Start == n.Start && x.total() <= n.total() || n.Time-x.Time > j.Lookback)
	})
	*c = append(*c, *n)
	return g, since
}

// above is by how much a sample is above another one, nil = above nothing, in its value or in what a histogram counts; ok is
// false where it is below.
func (s *Sample) above(p *Sample) (sum float64, since *Histogram, ok bool) {
	switch {
	case p == nil:
		return s.Value, s.Histogram, true
	case s.Histogram == nil:
		return s.Value - p.Value, nil, s.Value >= p.Value
	}
	h, ok := s.Histogram.Sub(p.Histogram)
	return 0, &h, ok
}

func (c *chain) last(kind Flags) *Sample {
	for i := len(*c) - 1; i >= 0; i-- {
		if x := &(*c)[i]; x.Flags.kind() == kind {
			return x
		}
	}
	return nil
}

// greatest is that of the samples with the start of n within the lookback before it, of which there is one.
func (j Joins) greatest(c chain, n *Sample) *Sample {
	i := slices.IndexFunc(c, func(x Sample) bool {
		return x.Flags.kind() == n.Flags.kind() && x.Start == n.Start && n.Time-x.Time <= j.Lookback
	})
	return &c[i]
}

// fold is next of each of the counter's samples.
func (j Joins) fold(c *chain, samples Samples, grown Grown) (g Growth) {
	for i := range samples {
		if n := &samples[i]; n.Flags.isCumulative() {
			by, since := j.next(c, n)
			g.add(by)
			if since != nil && grown != nil {
				grown(n, since)
			}
		}
	}
	return g
}

// Growth is by how much a counter grew up to each of its samples of [from, to), epoch ms. The samples of up to the
// lookback before belong to samples too. grown is for histograms, nil = there are none.
func (j Joins) Growth(samples Samples, from, to int64, grown Grown) (g Growth) {
	var c chain
	before, _ := samples.find(Sample{Time: from})
	end, _ := samples.find(Sample{Time: to})
	j.fold(&c, samples[:before], nil)
	return j.fold(&c, samples[before:max(before, end)], grown)
}
