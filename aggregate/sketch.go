package aggregate

import (
	"encoding/binary"
	"math"
	"slices"
	"unsafe"
)

// SketchError is the relative error of the quantiles of a Sketch: (base−1)/(base+1) of its bins, rounded up.
const SketchError = 0.005416

// Sketch is a DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable
// quantile sketch with relative-error guarantees", VLDB 2019) with the fine bins of
// this package: every value of a bin is within SketchError of the bin's middle. It
// holds any finite values, never collapses bins, and merging is exact: the Sketch of
// a union is the merge of the Sketches.
//
// Bins are sorted and sparse, because a slice of one series holds a few and an
// hour of it some hundred. The zero value is empty.
type Sketch struct {
	bins  []bin // Rising, no key twice.
	count int64
	// Of histograms that were merged into it (AddHistogram): values up to threshold from zero may be
	// counted as zero, and the coarsest of them has bins of so many scales below the fine one.
	threshold float64
	coarser   int8
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
	// With this added, keys of positive values are above 0; that of the largest fits.
	keyOffset = 1 - lowestFine
	// Subnormal numbers have too few bits for a relative error, and count as zero.
	smallestNormal = 0x1p-1022
)

func newBin(key int, n int64) bin { return bin(key+keyZero)<<countBits | bin(n) }

func (b bin) key() int { return int(b>>countBits) - keyZero }

func (b bin) n() int64 { return int64(b & countMask) }

func keyOf(v float64) int {
	switch {
	case v >= smallestNormal:
		return fineIndex(v) + keyOffset
	case v <= -smallestNormal:
		return -fineIndex(-v) - keyOffset
	}
	return 0
}

// value is the middle of a bin.
func (b bin) value() float64 {
	switch key := b.key(); {
	case key > 0:
		return fineBorder(key-keyOffset) * middleOfBin
	case key < 0:
		return -fineBorder(-key-keyOffset) * middleOfBin
	}
	return 0
}

// Add counts a finite value.
func (s *Sketch) Add(v float64) { s.add(newBin(keyOf(v), 1)) }

func (s *Sketch) add(b bin) {
	s.count += b.n()
	i := s.place(b)
	if i < len(s.bins) && s.bins[i]>>countBits == b>>countBits {
		s.bins[i] = s.bins[i].plus(b)
		return
	}
	s.bins = slices.Insert(s.bins, i, b)
}

// place is where a bin of b's key is, or would be. It has no branches that depend on
// the values: they cannot be foreseen, and would cost more than all else.
func (s *Sketch) place(b bin) int {
	key := int64(b >> countBits)
	i, n := 0, len(s.bins)
	// Bins around the middle mostly have no gaps between them, and then it is as far from there as its key.
	if n > 8 {
		at := n/2 + int(key-int64(s.bins[n/2]>>countBits))
		if uint(at) < uint(n) && int64(s.bins[at]>>countBits) == key {
			return at
		}
	}
	for n > 1 {
		half := n / 2
		i += half & int((int64(s.bins[i+half]>>countBits)-key-1)>>63) // All bits where that bin is not above.
		n -= half
	}
	if n > 0 && int64(s.bins[i]>>countBits) < key {
		i++
	}
	return i
}

// plus adds the values of a bin of the same key. A bin that holds all that it can holds no more.
func (b bin) plus(o bin) bin {
	n := b&countMask + o&countMask
	return b&^countMask | min(n, countMask)
}

// Merge adds the values of o, which is not changed.
func (s *Sketch) Merge(o *Sketch) {
	s.threshold, s.coarser = max(s.threshold, o.threshold), max(s.coarser, o.coarser)
	n := len(s.bins)
	if 8*len(o.bins) < n {
		for _, b := range o.bins {
			s.add(b)
		}
		return
	}
	s.count += o.count
	missing := 0
	i := 0
	for _, b := range o.bins {
		for i < n && s.bins[i]>>countBits < b>>countBits {
			i++
		}
		if i < n && s.bins[i]>>countBits == b>>countBits {
			s.bins[i] = s.bins[i].plus(b)
		} else {
			missing++
		}
	}
	if missing > 0 {
		s.insert(o.bins, missing)
	}
}

// insert puts those of the bins that s has not between its own. They are rising, and so many are missing.
func (s *Sketch) insert(bins []bin, missing int) {
	i := len(s.bins) - 1
	s.bins = slices.Grow(s.bins, missing)[:len(s.bins)+missing]
	// From the end, so that nothing is overwritten that is still to be moved.
	for j := len(bins) - 1; missing > 0; j-- {
		b := bins[j]
		for i >= 0 && s.bins[i]>>countBits > b>>countBits {
			s.bins[i+missing] = s.bins[i]
			i--
		}
		if i < 0 || s.bins[i]>>countBits != b>>countBits {
			s.bins[i+missing] = b
			missing--
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
	if len(s.bins) == 0 {
		return math.NaN()
	}
	b, zero := s.binAt(rank), s.zero()
	if key := b.key(); -zero <= key && key <= zero {
		return 0
	}
	return b.value()
}

// binAt is the bin of the value at a rank, sought from the end that is nearer.
func (s *Sketch) binAt(rank int64) bin {
	if above := s.count - rank; above < rank {
		i := len(s.bins) - 1
		for ; i > 0 && above > s.bins[i].n(); i-- {
			above -= s.bins[i].n()
		}
		return s.bins[i]
	}
	i := 0
	for ; i < len(s.bins)-1 && rank >= s.bins[i].n(); i++ {
		rank -= s.bins[i].n()
	}
	return s.bins[i]
}

// zero is the key up to which bins count as zero, since the threshold is above them. That in which it lies does
// not: histograms count what is above their threshold in it.
func (s *Sketch) zero() int {
	if s.threshold < smallestNormal {
		return 0
	}
	next := (fineIndex(s.threshold)>>s.coarser + 1) << s.coarser
	if fineBorder(next) > s.threshold {
		next -= 1 << s.coarser
	}
	return max(next-1+keyOffset, 0)
}

// distribution returns the bins of s that have values, of so many scales below the fine one.
func (s *Sketch) distribution(coarser int8) []Bin {
	zero := s.zero()
	bins := make([]Bin, 0, min(len(s.bins), 2*DistributionBins))
	last := 0
	for _, b := range s.bins {
		key := b.key()
		switch {
		case key > zero:
			key = (key-keyOffset)>>coarser + keyOffset
		case key < -zero:
			key = -((-key-keyOffset)>>coarser + keyOffset)
		default:
			key = 0
		}
		if len(bins) == 0 || key != last {
			bins = append(bins, binOf(key, coarser, s.threshold))
			last = key
		}
		bins[len(bins)-1].Count += b.n()
	}
	return bins
}

// binOf is the empty bin of a key: nothing in it is as near to zero as the threshold, but in that of zero.
func binOf(key int, coarser int8, threshold float64) Bin {
	switch {
	case key > 0:
		i := key - keyOffset
		return Bin{Lower: max(threshold, fineBorder(i<<coarser)), Upper: fineBorder((i + 1) << coarser)}
	case key < 0:
		b := binOf(-key, coarser, threshold)
		return Bin{Lower: -b.Upper, Upper: -b.Lower}
	case threshold > 0:
		return Bin{Lower: -threshold, Upper: threshold}
	}
	return Bin{}
}

// Scale is that of the coarsest histogram in s, at most 6. Bins of this scale or a lower one are exact.
func (s *Sketch) Scale() int8 { return fineScale - s.coarser }

// Error is the relative error of the quantiles of s, of those above the threshold of its histograms, if
// it has any; what is below may be 0. It is SketchError, or that of the coarsest histogram in it.
func (s *Sketch) Error() float64 { return scaleError(s.coarser) }

// Reset empties s and keeps its memory.
func (s *Sketch) Reset() { *s = Sketch{bins: s.bins[:0]} }

// Size returns about how many bytes of memory s takes.
func (s *Sketch) Size() int {
	if s == nil {
		return 0
	}
	return sketchSize + 8*cap(s.bins)
}

// equal reports whether s and o hold the same.
func (s *Sketch) equal(o *Sketch) bool {
	return s.count == o.count && s.threshold == o.threshold && s.coarser == o.coarser && slices.Equal(s.bins, o.bins)
}

const sketchSize = int(unsafe.Sizeof(Sketch{}))

// The lowest bit of the head of an encoded sketch, below the number of its bins.
const hasHistograms = 1

// append appends the wire form: the number of bins and whether there are histograms in it, of these the
// threshold and how much coarser they are, then per bin how far its key is above the one before (the
// first: above that of values a little above 1, signed) and its count.
func (s *Sketch) append(dst []byte) []byte {
	head := uint64(len(s.bins)) << 1
	if s.threshold > 0 || s.coarser > 0 {
		head |= hasHistograms
	}
	dst = binary.AppendUvarint(dst, head)
	if head&hasHistograms != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(s.threshold))
		dst = append(dst, byte(s.coarser))
	}
	before := keyOffset
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
	head := r.Uvarint()
	n := head >> 1
	if head&hasHistograms != 0 && len(r.Rest) >= 9 {
		s.threshold = math.Float64frombits(binary.LittleEndian.Uint64(r.Rest))
		s.coarser = int8(r.Rest[8])
		r.Rest = r.Rest[9:]
		r.Bad = r.Bad || !(s.threshold >= 0 && s.threshold <= math.MaxFloat64) || s.coarser < 0 || s.coarser > fineScale-MinScale
	}
	if n > uint64(len(r.Rest)) {
		r.Bad = true
	}
	if r.Bad {
		return
	}
	s.bins = slices.Grow(s.bins, int(n))
	key := int64(keyOffset)
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
