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
	needBits = iota // How many there are.
)

// More is what an accumulator holds for the queries that need it: each part of as many events as were added
// with its need, and empty where none was.
type More struct {
	Sketch  Sketch  // The values, for percentiles.
	Moments Moments // For the standard deviation.
}

const moreSize = int64(unsafe.Sizeof(More{}))

// add counts one event in the parts that are needed.
func (m *More) add(n Needs, value float64) {
	if n&NeedSketch != 0 {
		m.Sketch.Add(value)
	}
	if n&NeedMoments != 0 {
		m.Moments.Add(value)
	}
}

// merge adds the events of o, with which m shares nothing afterwards.
func (m *More) merge(o *More) {
	if o.Sketch.Count() > 0 {
		m.Sketch.Merge(&o.Sketch)
	}
	m.Moments.Merge(&o.Moments)
}

// reset empties every part, and keeps its memory.
func (m *More) reset() {
	m.Sketch.Reset()
	m.Moments = Moments{}
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
	return n
}

// has reports whether the needed parts hold as many events.
func (m *More) has(n Needs, events int64) bool {
	return m != nil && (n&NeedSketch == 0 || m.Sketch.Count() == events) && (n&NeedMoments == 0 || m.Moments.Count == events)
}

// equal reports whether m and o hold the same.
func (m *More) equal(o *More) bool {
	return m.Sketch.equal(&o.Sketch) && m.Moments == o.Moments
}

// size is how many bytes of memory m takes.
func (m *More) size() int64 {
	return moreSize + int64(m.Sketch.Size()) - int64(unsafe.Sizeof(m.Sketch))
}

// appendMore packs the parts that a holds.
func appendMore(dst []byte, holds Needs, a *Acc) []byte {
	if holds&NeedMoments != 0 {
		m := &a.More.Moments
		dst = binary.AppendVarint(dst, a.Count-m.Count)
		dst = appendFloat(dst, m.Mean)
		dst = appendFloat(dst, m.Squares)
	}
	if holds&NeedSketch != 0 {
		dst = a.More.Sketch.append(dst)
	}
	return dst
}

// more reads what appendMore wrote into the memory of m, and gives it to a.
func (r *Reader) more(holds Needs, a *Acc, m *More) {
	m.reset()
	a.More = m
	if holds&NeedMoments != 0 {
		m.Moments = Moments{a.Count - r.Varint(), r.packedFloat(), r.packedFloat()}
	}
	if holds&NeedSketch != 0 {
		r.into(&m.Sketch)
	}
}
