package aggregate

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"unsafe"
)

// Histogram is a sample of a histogram, as OpenTelemetry's exponential and Prometheus' native
// histograms have them: how many values a sender has seen in each bin, since its start or since the
// sample before. The zero value is one of no values, of scale 0.
//
// No method changes Counts, so copies of a Histogram may share them.
type Histogram struct {
	Scale         int8 // MinScale to MaxScale; bins grow by 2^(2^-Scale).
	Positive      Bins
	Negative      Bins // Of absolute values.
	Zero          uint64
	ZeroThreshold float64 // Values up to so far from zero are counted in Zero.
	Sum           float64
	Count         uint64 // Of all bins and Zero together.
	Min, Max      float64
	HasExtremes   bool // Min and Max are known.
}

// Bins are those of one sign: Counts[i] is of the values in (base^(Offset+i), base^(Offset+i+1)].
type Bins struct {
	Offset int32
	Counts []uint64
}

// What a Histogram may have. OpenTelemetry's and Prometheus' own have no other scales.
const (
	MinScale = -4
	MaxScale = 20
	MaxBins  = 1 << 14   // Of one sign.
	MaxCount = countMask // Values.
)

// lowestBin and highestBin are the bins of the smallest and the largest float.
func lowestBin(scale int8) int { return powerOfTwo(-1074, scale) }

func highestBin(scale int8) int { return powerOfTwo(1024, scale) }

// powerOfTwo is the bin whose upper border is 2^e, or that it is in.
func powerOfTwo(e int, scale int8) int {
	if scale >= 0 {
		return e<<scale - 1
	}
	return (e - 1) >> -scale
}

// border is the lower border of a bin of any scale.
func border(i int, scale int8) float64 {
	switch {
	case scale <= fineScale:
		return fineBorder(i << (fineScale - scale))
	case i > highestBin(scale):
		return math.MaxFloat64
	}
	fraction := float64(i&(1<<scale-1)) / float64(int(1)<<scale)
	return math.Ldexp(math.Exp2(fraction), i>>scale)
}

// Validate returns what is wrong with a sample that came from outside; the other methods are for valid ones.
func (h *Histogram) Validate() error {
	if h.Scale < MinScale || h.Scale > MaxScale {
		return fmt.Errorf("the scale of a histogram is %d, which must be between %d and %d", h.Scale, MinScale, MaxScale)
	}
	if !isFinite(h.Sum) {
		return fmt.Errorf("the sum of a histogram is %v, which must be a number", h.Sum)
	}
	if !isFinite(h.ZeroThreshold) || h.ZeroThreshold < 0 {
		return fmt.Errorf("the zero threshold of a histogram is %v, which must be 0 or a number above", h.ZeroThreshold)
	}
	if h.HasExtremes && !(isFinite(h.Min) && isFinite(h.Max) && h.Min <= h.Max) {
		return fmt.Errorf("min %v and max %v of a histogram must be numbers, min the lower one", h.Min, h.Max)
	}
	total := min(h.Zero, MaxCount+1) // So that it cannot overflow.
	for _, bins := range []Bins{h.Positive, h.Negative} {
		if err := bins.validate(h.Scale); err != nil {
			return err
		}
		for _, n := range bins.Counts {
			total += min(n, MaxCount+1)
		}
	}
	switch {
	case h.Count > MaxCount || total > MaxCount:
		return fmt.Errorf("a histogram counts more than %d values", uint64(MaxCount))
	case h.Count != total:
		return fmt.Errorf("the bins of a histogram and its zero have %d values together, and its count is %d", total, h.Count)
	}
	return nil
}

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func (b Bins) validate(scale int8) error {
	n := len(b.Counts)
	if n > MaxBins {
		return fmt.Errorf("a histogram has %d bins in a row, and may have %d: send a lower scale", n, MaxBins)
	}
	first, last := int(b.Offset), int(b.Offset)+n-1
	if n > 0 && (first < lowestBin(scale) || last > highestBin(scale)) {
		return fmt.Errorf("bins %d to %d of a histogram are not between %d and %d, those of the smallest and the largest number at scale %d",
			first, last, lowestBin(scale), highestBin(scale), scale)
	}
	return nil
}

// each calls f with the bins that have values, rising.
func (b Bins) each(f func(i int, n uint64)) {
	for i, n := range b.Counts {
		if n > 0 {
			f(int(b.Offset)+i, n)
		}
	}
}

func (b Bins) total() (total uint64) {
	for _, n := range b.Counts {
		total += n
	}
	return total
}

// trimmed returns b without the bins at either end that have no values.
func (b Bins) trimmed() Bins {
	first, end := 0, len(b.Counts)
	for end > 0 && b.Counts[end-1] == 0 {
		end--
	}
	for first < end && b.Counts[first] == 0 {
		first++
	}
	if first == end {
		return Bins{}
	}
	return Bins{Offset: b.Offset + int32(first), Counts: b.Counts[first:end:end]}
}

// coarser returns the bins of so many scales below.
func (b Bins) coarser(by int8) Bins {
	b = b.trimmed()
	if by == 0 || len(b.Counts) == 0 {
		return b
	}
	first, last := int(b.Offset)>>by, (int(b.Offset)+len(b.Counts)-1)>>by
	c := Bins{Offset: int32(first), Counts: make([]uint64, last-first+1)}
	b.each(func(i int, n uint64) { c.Counts[i>>by-first] += n })
	return c
}

// Downscale makes h a histogram of a lower scale, exactly: two bins become one. At its own scale, or a higher
// one, it only loses empty bins at the ends.
func (h *Histogram) Downscale(scale int8) {
	by := max(h.Scale-max(scale, MinScale), 0)
	h.Positive, h.Negative = h.Positive.coarser(by), h.Negative.coarser(by)
	h.Scale -= by
}

// widened is the lowest threshold from t up that lies in no bin that has values.
func (h *Histogram) widened(t float64) float64 {
	to := t
	for _, bins := range []Bins{h.Positive, h.Negative} {
		bins.each(func(i int, _ uint64) {
			if border(i, h.Scale) < t {
				to = max(to, border(i+1, h.Scale))
			}
		})
	}
	return to
}

// widen counts the bins up to a threshold, at which one begins, in Zero.
func (h *Histogram) widen(t float64) {
	if t <= h.ZeroThreshold {
		return
	}
	h.ZeroThreshold = t
	above := func(b Bins) Bins {
		kept := Bins{Offset: b.Offset, Counts: make([]uint64, len(b.Counts))}
		b.each(func(i int, n uint64) {
			if border(i, h.Scale) < t {
				h.Zero += n
			} else {
				kept.Counts[i-int(b.Offset)] = n
			}
		})
		return kept.trimmed()
	}
	h.Positive, h.Negative = above(h.Positive), above(h.Negative)
}

// Merge adds the values of o, which is not changed: at the lower of both scales, or below where there would
// be more than MaxBins; and where their zero thresholds differ with the larger, or above where it lies in a bin
// that has values, as OpenTelemetry and Prometheus do.
func (h *Histogram) Merge(o *Histogram) {
	a, b := *h, *o
	a.Downscale(b.Scale)
	b.Downscale(a.Scale)
	for a.Positive.span(b.Positive) > MaxBins || a.Negative.span(b.Negative) > MaxBins {
		a.Downscale(a.Scale - 1)
		b.Downscale(a.Scale)
	}
	if t := max(a.ZeroThreshold, b.ZeroThreshold); a.ZeroThreshold != b.ZeroThreshold {
		t = b.widened(a.widened(t)) // Now it is a border of both, or in no bin of either.
		a.widen(t)
		b.widen(t)
	}
	a.Positive, a.Negative = a.Positive.plus(b.Positive), a.Negative.plus(b.Negative)
	switch {
	case a.Count == 0:
		a.Min, a.Max, a.HasExtremes = b.Min, b.Max, b.HasExtremes
	case b.Count == 0:
	case a.HasExtremes && b.HasExtremes:
		a.Min, a.Max = min(a.Min, b.Min), max(a.Max, b.Max)
	default:
		a.Min, a.Max, a.HasExtremes = 0, 0, false
	}
	a.Zero += b.Zero
	a.Sum += b.Sum
	a.Count += b.Count
	*h = a
}

// span is how many bins both have together.
func (b Bins) span(o Bins) int {
	if len(b.Counts) == 0 || len(o.Counts) == 0 {
		return len(b.Counts) + len(o.Counts)
	}
	first := min(int(b.Offset), int(o.Offset))
	return max(int(b.Offset)+len(b.Counts), int(o.Offset)+len(o.Counts)) - first
}

func (b Bins) plus(o Bins) Bins {
	switch {
	case len(o.Counts) == 0:
		return b
	case len(b.Counts) == 0:
		return o
	}
	sum := Bins{Offset: min(b.Offset, o.Offset), Counts: make([]uint64, b.span(o))}
	for _, bins := range []Bins{b, o} {
		bins.each(func(i int, n uint64) { sum.Counts[i-int(sum.Offset)] += n })
	}
	return sum
}

// Sub returns the values that a cumulative histogram has counted since an older sample of it. ok is false where
// it has begun anew since: it counts less somewhere, or it has a higher scale or a lower zero threshold, which
// senders change in the other direction only.
func (h *Histogram) Sub(older *Histogram) (growth Histogram, ok bool) {
	if h.Count < older.Count || h.Scale > older.Scale || h.ZeroThreshold < older.ZeroThreshold {
		return Histogram{}, false
	}
	o := *older
	if h.ZeroThreshold > o.ZeroThreshold {
		if o.widened(h.ZeroThreshold) > h.ZeroThreshold {
			return Histogram{}, false
		}
		o.widen(h.ZeroThreshold) // Before the scale: a sender may have done so when its bins were finer.
	}
	o.Downscale(h.Scale)
	growth = *h
	growth.Min, growth.Max, growth.HasExtremes = 0, 0, false
	if older.Count == 0 {
		growth.Min, growth.Max, growth.HasExtremes = h.Min, h.Max, h.HasExtremes
	}
	var fell bool
	growth.Positive, fell = h.Positive.minus(o.Positive)
	if fell {
		return Histogram{}, false
	}
	growth.Negative, fell = h.Negative.minus(o.Negative)
	if fell || h.Zero < o.Zero {
		return Histogram{}, false
	}
	growth.Zero -= o.Zero
	growth.Sum -= older.Sum
	growth.Count -= older.Count
	return growth, true
}

func (b Bins) minus(o Bins) (growth Bins, fell bool) {
	growth = Bins{Offset: b.Offset, Counts: append([]uint64(nil), b.Counts...)}
	o.each(func(i int, n uint64) {
		at := i - int(b.Offset)
		if at < 0 || at >= len(b.Counts) || b.Counts[at] < n {
			fell = true
			return
		}
		growth.Counts[at] -= n
	})
	return growth.trimmed(), fell
}

// Extremes returns the least and the greatest value, or where these are not known the borders of the outermost
// bins. The values of Zero are between the threshold and zero when the other bins have one sign.
func (h *Histogram) Extremes() (low, high float64) {
	if h.HasExtremes || h.Count == 0 {
		return h.Min, h.Max
	}
	positive, negative := h.Positive.trimmed(), h.Negative.trimmed()
	switch {
	case len(negative.Counts) > 0:
		low = -border(int(negative.Offset)+len(negative.Counts), h.Scale)
	case h.Zero == 0:
		low = max(h.ZeroThreshold, border(int(positive.Offset), h.Scale))
	}
	switch {
	case len(positive.Counts) > 0:
		high = border(int(positive.Offset)+len(positive.Counts), h.Scale)
	case h.Zero == 0:
		high = -max(h.ZeroThreshold, border(int(negative.Offset), h.Scale))
	case len(negative.Counts) == 0:
		high = h.ZeroThreshold
	}
	return low, high
}

// AddHistogram counts the values of a histogram. Bins of the fine scale, or a higher one, become the fine
// bins that hold them. A coarser bin counts in the fine bin of its middle, so that Histogram gives it back.
func (s *Sketch) AddHistogram(h *Histogram) {
	if s.count > 0 {
		var o Sketch
		o.AddHistogram(h)
		s.Merge(&o)
		return
	}
	s.coarser = max(fineScale-h.Scale, 0)
	for i := len(h.Negative.Counts) - 1; i >= 0; i-- {
		s.push(-h.key(int(h.Negative.Offset)+i), h.Negative.Counts[i])
	}
	if h.Zero > 0 {
		s.threshold = h.ZeroThreshold
		s.push(0, h.Zero)
	}
	for i, n := range h.Positive.Counts {
		s.push(h.key(int(h.Positive.Offset)+i), n)
	}
}

// key is where a positive bin counts in a sketch.
func (h *Histogram) key(i int) int {
	if h.Scale >= fineScale {
		i >>= h.Scale - fineScale
	} else {
		i = middleFine(i, fineScale-h.Scale)
	}
	return max(i+keyOffset, 0) // Below are the subnormal numbers.
}

// push counts values of a key that is not below the last one.
func (s *Sketch) push(key int, n uint64) {
	if n == 0 {
		return
	}
	s.count += int64(n)
	b := newBin(key, int64(n))
	if last := len(s.bins) - 1; last >= 0 && s.bins[last].key() == key {
		s.bins[last] = s.bins[last].plus(b)
		return
	}
	s.bins = append(s.bins, b)
}

// Histogram returns the values of s as bins of a scale, at most Scale, and their count. Sum and extremes are not
// in a Sketch. Histograms that were merged into it are given back as their merge of that scale.
func (s *Sketch) Histogram(scale int8) Histogram {
	h := Histogram{Scale: min(scale, s.Scale()), ZeroThreshold: s.threshold, Count: uint64(s.count)}
	zero := newBin(s.zero(), 0)
	i := s.place(newBin(-zero.key(), 0))
	j := s.place(newBin(zero.key()+1, 0))
	h.Negative = binsOf(s.bins[:i], -1, fineScale-h.Scale)
	h.Positive = binsOf(s.bins[j:], 1, fineScale-h.Scale)
	for _, b := range s.bins[i:j] {
		h.Zero += uint64(b.n())
	}
	return h
}

// binsOf returns bins of a sketch, of one sign, as those of so many scales below the fine one.
func binsOf(bins []bin, sign int, by int8) Bins {
	if len(bins) == 0 {
		return Bins{}
	}
	index := func(b bin) int { return (sign*b.key() - keyOffset) >> by }
	a, z := index(bins[0]), index(bins[len(bins)-1])
	b := Bins{Offset: int32(min(a, z)), Counts: make([]uint64, max(a, z)-min(a, z)+1)}
	for _, from := range bins {
		b.Counts[index(from)-int(b.Offset)] += uint64(from.n())
	}
	return b
}

// AddHistogram counts the values of a histogram as of one event time, also in the sketch where it is needed.
// Moments cannot be told from it, so they do not hold it.
func (a *Acc) AddHistogram(n Needs, h *Histogram, eventTime int64) {
	switch h.Count {
	case 0:
		return
	case 1:
		a.AddFor(n, h.single(), eventTime)
		return
	}
	if n&NeedSketch != 0 {
		a.more().Sketch.AddHistogram(h)
	}
	low, high := h.Extremes()
	a.Merge(&Acc{Count: int64(h.Count), Sum: h.Sum, Min: low, Max: high, Newest: eventTime})
}

// single is the value of a histogram of one: its sum, which may be the difference of two large ones and then
// lie a little beside the value's bin.
func (h *Histogram) single() float64 {
	if h.HasExtremes {
		return h.Min
	}
	low, high := h.Extremes()
	switch {
	case h.Zero > 0:
		low = -h.ZeroThreshold
	case low >= 0:
		low = math.Nextafter(low, high)
	default:
		high = math.Nextafter(high, low)
	}
	return min(max(h.Sum, low), high)
}

// canonical is a copy of h that shares nothing with it and has no empty bins at the ends.
func (h *Histogram) canonical() *Histogram {
	c := *h
	for _, b := range []*Bins{&c.Positive, &c.Negative} {
		*b = b.trimmed()
		b.Counts = slices.Clone(b.Counts)
	}
	c.Sum, c.Min, c.Max = c.Sum+0, c.Min+0, c.Max+0 // Of zeros of both signs none is the greater.
	return &c
}

// Compare puts histograms without empty bins at their ends into an order: those that count more are the greater ones. 0 says that they
// are the same, or none.
func (h *Histogram) Compare(o *Histogram) int {
	switch {
	case h == o:
		return 0
	case h == nil:
		return -1
	case o == nil:
		return 1
	}
	extremes := func(h *Histogram) []float64 {
		if h.HasExtremes {
			return []float64{h.Min, h.Max}
		}
		return nil
	}
	return cmp.Or(
		cmp.Compare(h.Count, o.Count), cmp.Compare(h.Sum, o.Sum), cmp.Compare(h.Scale, o.Scale), cmp.Compare(h.Zero, o.Zero),
		cmp.Compare(h.ZeroThreshold, o.ZeroThreshold), h.Positive.compare(o.Positive), h.Negative.compare(o.Negative),
		slices.Compare(extremes(h), extremes(o)),
	)
}

func (b Bins) compare(o Bins) int {
	return cmp.Or(cmp.Compare(b.Offset, o.Offset), slices.Compare(b.Counts, o.Counts))
}

// Size returns about how many bytes of memory h takes.
func (h *Histogram) Size() int {
	return int(unsafe.Sizeof(Histogram{})) + 8*(cap(h.Positive.Counts)+cap(h.Negative.Counts))
}

// The head of an encoded histogram: its scale above MinScale in the lower bits, and what it has.
const (
	scaleBits        = 5
	hasExtremes      = 1 << 5
	hasZeroThreshold = 1 << 6
)

// AppendHistogram appends the compact form of a histogram: the head, the sum, extremes and zero threshold
// where it has them, the count of zero, and of either sign how many bins have values, then of each how far it
// is above the one before, and its count.
func AppendHistogram(dst []byte, h *Histogram) []byte {
	head := byte(h.Scale - MinScale)
	if h.HasExtremes {
		head |= hasExtremes
	}
	if h.ZeroThreshold > 0 {
		head |= hasZeroThreshold
	}
	dst = appendFloat(append(dst, head), h.Sum)
	if h.HasExtremes {
		dst = appendFloat(appendFloat(dst, h.Min), h.Max)
	}
	if h.ZeroThreshold > 0 {
		dst = appendFloat(dst, h.ZeroThreshold)
	}
	dst = binary.AppendUvarint(dst, h.Zero)
	for _, bins := range []Bins{h.Positive, h.Negative} {
		n, before := uint64(0), 0
		bins.each(func(int, uint64) { n++ })
		dst = binary.AppendUvarint(dst, n)
		bins.each(func(i int, n uint64) {
			dst = binary.AppendUvarint(binary.AppendVarint(dst, int64(i-before)), n)
			before = i
		})
	}
	return dst
}

// The first byte of a histogram among samples.
const (
	histogramWhole = iota // It follows as it is,
	histogramSince        // or what it has counted since the one before it, and its own sum and extremes.
)

// appendAfter appends h, of a series of samples, by what it has counted since the one before where that gives it exactly.
func (h *Histogram) appendAfter(dst []byte, before *Histogram) []byte {
	if before != nil {
		if since, ok := h.Sub(before); ok {
			since.Sum, since.Min, since.Max, since.HasExtremes = h.Sum, h.Min, h.Max, h.HasExtremes
			if before.after(&since).Compare(h) == 0 {
				return AppendHistogram(append(dst, histogramSince), &since)
			}
		}
	}
	return AppendHistogram(append(dst, histogramWhole), h)
}

// after is what h becomes when it has counted what appendAfter says.
func (h *Histogram) after(since *Histogram) *Histogram {
	a := *h
	a.Merge(since)
	a.Sum, a.Min, a.Max, a.HasExtremes = since.Sum, since.Min, since.Max, since.HasExtremes
	return a.canonical()
}

// histogramAfter reads what appendAfter wrote.
func (r *Reader) histogramAfter(before *Histogram) *Histogram {
	form := r.byte()
	h := r.Histogram()
	switch {
	case form == histogramWhole:
		return &h
	case form != histogramSince || before == nil || r.Bad:
		r.Bad = true
		return &h
	}
	a := before.after(&h)
	r.Bad = r.Bad || a.Validate() != nil
	return a
}

// Histogram reads what AppendHistogram wrote.
func (r *Reader) Histogram() Histogram {
	if len(r.Rest) == 0 || r.Bad {
		r.Bad = true
		return Histogram{}
	}
	head := r.Rest[0]
	r.Rest = r.Rest[1:]
	r.Bad = head > hasExtremes|hasZeroThreshold|(1<<scaleBits-1)
	h := Histogram{Scale: int8(head&(1<<scaleBits-1)) + MinScale, Sum: r.packedFloat(), HasExtremes: head&hasExtremes != 0}
	if h.HasExtremes {
		h.Min, h.Max = r.packedFloat(), r.packedFloat()
	}
	if head&hasZeroThreshold != 0 {
		h.ZeroThreshold = r.packedFloat()
		r.Bad = r.Bad || h.ZeroThreshold <= 0
	}
	h.Zero = r.Uvarint()
	h.Positive, h.Negative = r.bins(), r.bins()
	h.Count = h.Zero + h.Positive.total() + h.Negative.total()
	if r.Bad || h.Validate() != nil {
		r.Bad = true
		return Histogram{}
	}
	return h
}

func (r *Reader) bins() Bins {
	var b Bins
	i := int64(0)
	for at := range r.Uvarint() {
		i += r.Varint()
		n := r.Uvarint()
		if at == 0 {
			b.Offset = int32(i)
		}
		next := i - int64(b.Offset)
		if r.Bad || n == 0 || next < int64(len(b.Counts)) || next >= MaxBins || at == 0 && next != 0 {
			r.Bad = true
			return Bins{}
		}
		b.Counts = append(b.Counts, make([]uint64, next+1-int64(len(b.Counts)))...)
		b.Counts[next] = n
	}
	return b
}
