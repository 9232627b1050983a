package aggregate

import (
	"encoding/binary"
	"math"
	"slices"
)

// SketchError is the relative error of the quantiles of a Sketch.
const SketchError = 0.01

// Sketch is a DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable
// quantile sketch with relative-error guarantees", VLDB 2019): values are
// counted in bins whose borders grow by a constant factor, so that every value
// of a bin is within SketchError of the bin's middle. It holds any finite
// values, never collapses bins, and merging is exact: the Sketch of a union is
// the merge of the Sketches.
//
// Bins are sorted and sparse, because a slice of one series holds a few and an
// hour of it some hundred. The zero value is empty.
type Sketch struct {
	bins  []bin // Rising, no key twice.
	count int64
}

// bin is a key, above, and how many values the bin holds, in the lower
// countBits. Keys are in the order of the values: 0 is that of zero, those of
// positive values are above, and a negative value has the negated key of its
// absolute value.
type bin uint64

const (
	countBits = 46 // 7e13 values: a million a second for two years.
	countMask = 1<<countBits - 1
	keyZero   = 1 << (63 - countBits)
	// The smallest value has the index −35,421, the largest 35,492: with this
	// added, keys of positive values are above 0 and fit.
	keyOffset = 40_000
	// Subnormal numbers have too few bits for a relative error, and count as zero.
	smallestNormal = 0x1p-1022

	// A little less than the stated error, so that rounding does not exceed it.
	sketchAlpha = SketchError * 0.9999
	gamma       = (1 + sketchAlpha) / (1 - sketchAlpha)
)

var (
	logGamma = math.Log(gamma)           //nolint:gochecknoglobals // Constants that Go cannot compute.
	logMid   = math.Log(2 / (1 + gamma)) //nolint:gochecknoglobals // The same.
	invLog   = 1 / logGamma              //nolint:gochecknoglobals // The same.
)

func newBin(key int, n int64) bin { return bin(key+keyZero)<<countBits | bin(n) }

func (b bin) key() int { return int(b>>countBits) - keyZero }

func (b bin) n() int64 { return int64(b & countMask) }

func keyOf(v float64) int {
	switch {
	case v >= smallestNormal:
		return int(math.Ceil(math.Log(v)*invLog)) + keyOffset
	case v <= -smallestNormal:
		return -keyOf(-v)
	}
	return 0
}

// value is the middle of a bin: as far, relatively, from both of its borders.
func (b bin) value() float64 {
	switch key := b.key(); {
	case key > 0:
		// In two halves: on some processors Exp overflows below the largest float64.
		root := math.Exp((float64(key-keyOffset)*logGamma + logMid) / 2)
		return root * root
	case key < 0:
		return -newBin(-key, 0).value()
	}
	return 0
}

// Add counts a finite value.
func (s *Sketch) Add(v float64) { s.add(newBin(keyOf(v), 1)) }

func (s *Sketch) add(b bin) {
	s.count += b.n()
	// Written out: a comparison by function call would cost more than the rest.
	first := b &^ countMask
	lo, hi := 0, len(s.bins)
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); s.bins[mid] < first {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(s.bins) && s.bins[lo]>>countBits == b>>countBits {
		s.bins[lo] += b & countMask
		return
	}
	s.bins = slices.Insert(s.bins, lo, b)
}

// Merge adds the values of o, which is not changed.
func (s *Sketch) Merge(o *Sketch) {
	n, m := len(s.bins), len(o.bins)
	if 8*m < n {
		for _, b := range o.bins {
			s.add(b)
		}
		return
	}
	s.count += o.count
	missing := 0
	for i, j := 0, 0; j < m; j++ {
		key := o.bins[j] >> countBits
		for i < n && s.bins[i]>>countBits < key {
			i++
		}
		if i == n || s.bins[i]>>countBits != key {
			missing++
		}
	}
	s.bins = slices.Grow(s.bins, missing)[:n+missing]
	// From the end, so that nothing is overwritten that is still to be moved.
	for i, j, k := n-1, m-1, n+missing-1; j >= 0; k-- {
		switch b := o.bins[j]; {
		case i >= 0 && s.bins[i]>>countBits > b>>countBits:
			s.bins[k] = s.bins[i]
			i--
		case i >= 0 && s.bins[i]>>countBits == b>>countBits:
			s.bins[k] = s.bins[i] + b&countMask
			i--
			j--
		default:
			s.bins[k] = b
			j--
		}
	}
}

// Count returns the number of values.
func (s *Sketch) Count() int64 {
	if s == nil {
		return 0
	}
	return s.count
}

// At returns about the value at a rank, 0 being the smallest. The Sketch must
// hold more values than rank.
func (s *Sketch) At(rank int64) float64 {
	for _, b := range s.bins {
		if rank -= b.n(); rank < 0 {
			return b.value()
		}
	}
	return math.NaN()
}

// Reset empties s and keeps its memory.
func (s *Sketch) Reset() { s.bins, s.count = s.bins[:0], 0 }

// Size returns about how many bytes of memory s takes.
func (s *Sketch) Size() int {
	if s == nil {
		return 0
	}
	return 32 + 8*cap(s.bins)
}

// append appends the wire form: the number of bins, then per bin how far its
// key is above the one before (the first: above that of zero, signed) and its count.
func (s *Sketch) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.bins)))
	before := 0
	for _, b := range s.bins {
		dst = binary.AppendVarint(dst, int64(b.key()-before))
		dst = binary.AppendUvarint(dst, uint64(b.n()))
		before = b.key()
	}
	return dst
}

// into reads what append wrote into the memory of s.
func (r *Reader) into(s *Sketch) {
	s.Reset()
	n := r.Uvarint()
	if n > uint64(len(r.Rest)) {
		r.Bad = true
	}
	if r.Bad {
		return
	}
	s.bins = slices.Grow(s.bins, int(n))
	key := int64(0)
	for i := range n {
		delta, count := r.Varint(), r.Uvarint()
		key += delta
		if r.Bad || key <= -keyZero || key >= keyZero || count > countMask || i > 0 && delta <= 0 {
			r.Bad = true
			return
		}
		s.bins = append(s.bins, newBin(int(key), int64(count)))
		s.count += int64(count)
	}
}
