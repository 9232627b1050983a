package aggregate

import (
	"encoding/binary"
	"unsafe"
)

// Needs says what accumulators must hold besides count, sum, min, max and newest.
type Needs uint8

// What is needed by some aggregations. A further one is a line here, a part of More, and its line in each of More's methods.
const (
	NeedSketch Needs = 1 << iota
	NeedMoments
	NeedLast
	needBits = iota // How many there are.
)

// NeedGrowth is of aggregations that need the growth of counters: it is not collected, since the samples of counters are
// always kept, but held by the trees of selectors that need it.
const NeedGrowth Needs = 1 << needBits

// holdsMarked is in the mask of what is held, and no need.
const (
	holdsMarked = NeedGrowth << 1
	partBits    = needBits + 2
	collected   = 1<<needBits - 1 // The needs that parts are collected for.
)

// More is what an accumulator holds for the queries that need it: each part of as many events as were added
// with its need, and empty where none was.
type More struct {
	Sketch  Sketch  // The values, for percentiles.
	Moments Moments // For the standard deviation.
	Last    Last
	Marked  Marked    // Not by need.
	Growth  Growth    // Of the samples of all series, in trees and windows. Those of a series' own slices say it themselves.
	Stand   *Standing // Of windows, as far as their aggregation needs it.
}

const moreSize = int64(unsafe.Sizeof(More{}))

// add counts one event in the parts that are needed.
func (m *More) add(n Needs, value float64, eventTime int64) {
	if n&NeedSketch != 0 {
		m.Sketch.Add(value)
	}
	if n&NeedMoments != 0 {
		m.Moments.Add(value)
	}
	if n&NeedLast != 0 {
		m.Last.add(value, eventTime)
	}
}

// merge adds the events of o, with which m shares nothing afterwards.
func (m *More) merge(o *More) {
	if o.Sketch.Count() > 0 {
		m.Sketch.Merge(&o.Sketch)
	}
	m.Moments.Merge(&o.Moments)
	m.Last.merge(&o.Last)
	m.Marked.merge(&o.Marked)
	m.Growth.add(o.Growth)
}

// reset empties every part, and keeps its memory.
func (m *More) reset() {
	m.Sketch.Reset()
	m.Moments, m.Last, m.Growth, m.Stand = Moments{}, Last{}, Growth{}, nil
	m.Marked.reset()
}

// holds is the mask of the parts that are not empty.
func (m *More) holds() (n Needs) {
	if m == nil {
		return 0
	}
	if m.Sketch.Count() > 0 {
		n |= NeedSketch
	}
	if m.Moments.Count > 0 {
		n |= NeedMoments
	}
	if m.Last.Count > 0 {
		n |= NeedLast
	}
	if m.Growth != (Growth{}) {
		n |= NeedGrowth
	}
	if !m.Marked.isEmpty() {
		n |= holdsMarked
	}
	return n
}

// has reports whether the needed parts hold as many events; of the last value, whether it is known of every series.
func (m *More) has(n Needs, events int64) bool {
	return m != nil && (n&NeedSketch == 0 || m.Sketch.Count() == events) && (n&NeedMoments == 0 || m.Moments.Count == events) &&
		(n&NeedLast == 0 || m.Stand != nil && !m.Stand.Lacking)
}

// equal reports whether m and o have collected the same.
func (m *More) equal(o *More) bool {
	return m.Sketch.equal(&o.Sketch) && m.Moments == o.Moments && m.Last == o.Last
}

// size is how many bytes of memory m takes.
func (m *More) size() int64 {
	return moreSize + int64(m.Sketch.Size()) - int64(unsafe.Sizeof(m.Sketch)) + m.Marked.size()
}

// appendMore packs the parts that a holds.
func appendMore(dst []byte, holds Needs, a *Acc, after *packedAfter) []byte {
	if holds&NeedMoments != 0 {
		m := &a.More.Moments
		dst = binary.AppendVarint(dst, a.Count-m.Count)
		dst = appendFloat(dst, m.Mean)
		dst = appendFloat(dst, m.Squares)
	}
	if holds&NeedSketch != 0 {
		dst = a.More.Sketch.append(dst)
	}
	if holds&NeedLast != 0 {
		l := &a.More.Last
		dst = binary.AppendVarint(dst, a.Count-l.Count)
		dst = binary.AppendVarint(dst, a.Newest-l.Time)
		dst = appendFloat(dst, l.Value)
	}
	if holds&NeedGrowth != 0 {
		g := &a.More.Growth
		dst = appendFloat(appendFloat(dst, g.Sum), g.First)
		dst = binary.AppendVarint(dst, g.Unknown)
		dst = binary.AppendVarint(dst, g.WentBack)
	}
	if holds&holdsMarked != 0 {
		dst = a.More.Marked.append(dst, a, after)
	}
	return dst
}

// more reads what appendMore wrote into a.More, of which these parts are empty.
func (r *Reader) more(holds Needs, a *Acc, after *packedAfter) {
	m := a.More
	if holds&NeedMoments != 0 {
		m.Moments = Moments{a.Count - r.Varint(), r.packedFloat(), r.packedFloat()}
	}
	if holds&NeedSketch != 0 {
		r.into(&m.Sketch)
	}
	if holds&NeedLast != 0 {
		m.Last = Last{a.Count - r.Varint(), a.Newest - r.Varint(), r.packedFloat()}
	}
	if holds&NeedGrowth != 0 {
		m.Growth = Growth{r.packedFloat(), r.packedFloat(), r.Varint(), r.Varint()}
	}
	if holds&holdsMarked != 0 {
		r.marked(&m.Marked, a, after)
	}
}
