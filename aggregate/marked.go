package aggregate

import (
	"encoding/binary"
	"math"
)

// Marked is what events tell that say more of themselves than a value: what counters and gauges stand at, points, and
// that a series ended. It is kept whoever asks.
type Marked struct {
	Samples Samples // Of counters, and points.
	Lost    int64   // So many of them were left out: see maxSamples.
	Still   Still
	Stale   int64 // When the series was said to have no value any more, at last, epoch ms; 0 = never.
}

// Still is the count and the sum of those events, among all, whose value is no growth.
type Still struct {
	Count int64
	Sum   float64
}

// AddSample counts an event that is a sample, as the needs say that are in it. A point is only held: what it counts as hangs
// on all that say something of it, so whoever has all of these counts it (countPoints).
func (a *Acc) AddSample(s Sample) {
	if s.Start >= s.Time {
		s.Start = 0 // As senders write it who do not know.
	}
	s.Value += 0 // Of zeros of both signs none is the greater.
	if s.Histogram != nil {
		s.Value, s.Flags, s.Histogram = 0, s.Flags|Binned, s.Histogram.canonical()
	}
	if !s.Flags.isPoint() && !s.Flags.grows() {
		a.count(&s)
	}
	if s.Flags&(Point|Cumulative) != 0 {
		m := &a.more().Marked
		m.Samples.Add(s)
		if len(m.Samples) > maxSamples || s.Flags.isBinned() {
			a.bound()
		}
	}
}

// AddStale says that the series has no value from that time on, epoch ms.
func (a *Acc) AddStale(at int64) {
	m := &a.more().Marked
	m.Stale = max(m.Stale, at)
}

// count counts a sample as sum, count and the others have it.
func (a *Acc) count(s *Sample) {
	if s.Histogram != nil {
		a.AddHistogram(s.Needs, s.Histogram, s.Time)
		return
	}
	a.AddFor(s.Needs, s.Value, s.Time)
	if s.Flags&(Cumulative|Gauge) != 0 {
		still := &a.more().Marked.Still
		still.Count++
		still.Sum += s.Value
	}
}

// countPoints counts the points that a holds, and forgets all samples.
func (a *Acc) countPoints() {
	if a.More == nil {
		return
	}
	a.countThose(a.More.Marked.Samples)
	a.More.Marked.Samples = a.More.Marked.Samples[:0]
}

func (a *Acc) countThose(samples Samples) {
	for i := range samples {
		if samples[i].Flags.isPoint() {
			a.count(&samples[i])
		}
	}
}

// countGrown counts what a histogram has counted up to its sample n.
func (a *Acc) countGrown(n *Sample, since *Histogram) { a.AddHistogram(n.Needs, since, n.Time) }

// bound leaves out samples when there are too many. Points among them count from now on, whatever else comes of them.
func (a *Acc) bound() {
	m := &a.More.Marked
	if len(m.Samples) <= maxHistograms {
		return
	}
	lost := m.Samples.bound()
	m.Lost += int64(len(lost))
	a.countThose(lost)
}

// events is how many events there are, points among them.
func (a *Acc) events() int64 {
	if a.More == nil {
		return a.Count
	}
	return a.Count + int64(a.More.Marked.Samples.count(Flags.isPoint))
}

func (m *Marked) merge(o *Marked) {
	m.Samples.Merge(o.Samples)
	m.Lost += o.Lost
	m.Still.Count += o.Still.Count
	m.Still.Sum += o.Still.Sum
	m.Stale = max(m.Stale, o.Stale)
}

func (m *Marked) reset() { *m = Marked{Samples: m.Samples[:0]} }

func (m *Marked) isEmpty() bool {
	return len(m.Samples) == 0 && m.Still.Count == 0 && m.Stale == 0 && m.Lost == 0
}

func (m *Marked) size() int64 {
	n := int64(cap(m.Samples)) * sampleSize
	for i := range m.Samples {
		if h := m.Samples[i].Histogram; h != nil {
			n += int64(h.Size())
		}
	}
	return n
}

// packedAfter is what samples are packed by: the start and the histogram before.
type packedAfter struct {
	start     int64
	histogram *Histogram
}

// The first byte of what is packed says what follows, and what need not.
const (
	marksStale    = 1 << iota // When; else never.
	marksLost                 // How many; else none.
	marksOneValue             // One sample, with the time and the value of the accumulator: only its start and its flags follow; else all, behind their number.
	marksAllStill             // All events of the accumulator are still;
	marksNoStill              // none is; else their count and sum follow.
)

// Bits of the packed flags of a sample.
const (
	finer = 0x80 // Its nanoseconds follow; those of most are none.
	alike = 0x40 // Flags, needs and start are those of the sample before, and do not follow.
)

// append packs what an accumulator is marked with, which is as columns.shown gives it.
func (m *Marked) append(dst []byte, a *Acc, after *packedAfter) []byte {
	form := byte(0)
	if m.Stale != 0 {
		form |= marksStale
	}
	if m.Lost != 0 {
		form |= marksLost
	}
	if len(m.Samples) == 1 && a.Count <= 1 && m.Samples[0].Time == a.Newest && sameBits(m.Samples[0].Value, a.Sum) {
		form |= marksOneValue
	}
	switch {
	case m.Still.Count == 0 && m.Still.Sum == 0:
		form |= marksNoStill
	case m.Still.Count == a.Count && sameBits(m.Still.Sum, a.Sum):
		form |= marksAllStill
	}
	dst = append(dst, form)
	if form&marksStale != 0 {
		dst = binary.AppendVarint(dst, m.Stale-a.Newest)
	}
	if form&marksLost != 0 {
		dst = binary.AppendVarint(dst, m.Lost)
	}
	if form&(marksAllStill|marksNoStill) == 0 {
		dst = appendFloat(binary.AppendVarint(dst, m.Still.Count), m.Still.Sum)
	}
	if form&marksOneValue == 0 {
		dst = binary.AppendUvarint(dst, uint64(len(m.Samples)))
	}
	before := a.Newest
	for i, s := range m.Samples {
		if form&marksOneValue == 0 {
			dst = appendFloat(binary.AppendVarint(dst, s.Time-before), s.Value)
			before = s.Time
		}
		dst = m.appendFlags(dst, i, after)
		if s.Histogram != nil {
			dst = s.Histogram.appendAfter(dst, after.histogram)
			after.histogram = s.Histogram
		}
	}
	return dst
}

// appendFlags packs what a sample is: its flags, nanoseconds, needs and start.
func (m *Marked) appendFlags(dst []byte, i int, after *packedAfter) []byte {
	s, head := &m.Samples[i], byte(m.Samples[i].Flags)
	if i > 0 && s.Flags == m.Samples[i-1].Flags && s.Needs == m.Samples[i-1].Needs && s.Start == after.start {
		head = alike
	}
	if s.Nanos == 0 {
		dst = append(dst, head)
	} else {
		dst = binary.AppendUvarint(append(dst, head|finer), uint64(s.Nanos))
	}
	if head == alike {
		return dst
	}
	dst = binary.AppendVarint(append(dst, byte(s.Needs)), s.Start-after.start)
	after.start = s.Start
	return dst
}

// marked reads what Marked.append wrote into m.
func (r *Reader) marked(m *Marked, a *Acc, after *packedAfter) {
	form := r.byte()
	if form&marksStale != 0 {
		m.Stale = a.Newest + r.Varint()
	}
	if form&marksLost != 0 {
		m.Lost = r.Varint()
	}
	switch {
	case form&marksAllStill != 0:
		m.Still = Still{a.Count, a.Sum}
	case form&marksNoStill == 0:
		m.Still = Still{r.Varint(), r.packedFloat()}
	}
	n := uint64(1)
	if form&marksOneValue == 0 {
		n = r.Uvarint()
	}
	if r.Bad || n > maxSamples {
		r.Bad = true
		return
	}
	before := a.Newest
	for i := range n {
		s := Sample{Time: a.Newest, Value: a.Sum}
		if form&marksOneValue == 0 {
			s.Time, s.Value = before+r.Varint(), r.packedFloat()
			before = s.Time
		}
		head := r.byte()
		if head&finer != 0 {
			nanos := r.Uvarint()
			r.Bad = r.Bad || nanos == 0 || nanos >= 1_000_000
			s.Nanos = int32(nanos)
		}
		switch {
		case head&alike == 0:
			s.Flags, s.Needs = Flags(head&^finer), Needs(r.byte())
			after.start += r.Varint()
		case i == 0:
			r.Bad = true
			return
		default:
			s.Flags, s.Needs = m.Samples[i-1].Flags, m.Samples[i-1].Needs
		}
		s.Start = after.start
		if s.Flags.isBinned() {
			s.Histogram = r.histogramAfter(after.histogram)
			after.histogram = s.Histogram
		}
		m.Samples = append(m.Samples, s)
	}
}

func sameBits(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }

// Last is the newest event, of those that were counted with the need: the greatest of those of one time.
type Last struct {
	Count int64 // How many there were.
	Time  int64 // Epoch ms.
	Value float64
}

func (l *Last) add(value float64, at int64) { l.merge(&Last{1, at, value}) }

func (l *Last) merge(o *Last) {
	if o.Count > 0 && (l.Count == 0 || o.Time > l.Time || o.Time == l.Time && o.Value > l.Value) {
		l.Time, l.Value = o.Time, o.Value
	}
	l.Count += o.Count
}

// last returns the newest value of a series' slice; known is false when it was not kept.
func (a *Acc) last() (value float64, known bool) {
	switch {
	case a.Min == a.Max: // Also of one event.
		return a.Min, true
	case a.More != nil && a.More.Last.Count == a.Count:
		return a.More.Last.Value, true
	}
	return 0, false
}

// growth is by how much counters grew.
func (a *Acc) growth() Growth {
	if a.More == nil {
		return Growth{}
	}
	return a.More.Growth
}

// standing is how the series of a window stand: it has none where it was not asked for.
func (a *Acc) standing() Standing {
	if a.More == nil || a.More.Stand == nil {
		return Standing{}
	}
	return *a.More.Stand
}
