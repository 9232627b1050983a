package aggregate

import (
	"cmp"
	"math"
	"slices"
)

// Buckets are those of a classic histogram in a window: how many values it has counted up to each bound.
type Buckets struct{ all []bucket }

type bucket struct {
	bound float64 // The values in it are not above this.
	count float64 // Of the values up to it, from the least on.
}

// Add adds by how much the counter of the bucket with this bound grew. Bounds that are there already are added up, as those of several
// series of a group.
func (b *Buckets) Add(bound, count float64) {
	i, found := slices.BinarySearchFunc(b.all, bound, func(x bucket, bound float64) int { return cmp.Compare(x.bound, bound) })
	if found {
		b.all[i].count += count
		return
	}
	b.all = slices.Insert(b.all, i, bucket{bound, count})
}

// Counted reports whether a is of counters alone, and adds by how much they grew as the bucket with this bound.
func (b *Buckets) Counted(bound float64, a *Acc) bool {
	if a.More == nil || a.More.Marked.Still.Count != a.Count {
		return false
	}
	if v, ok := increase(a); ok {
		b.Add(bound, v)
	}
	return true
}

// Len is how many bounds there are.
func (b *Buckets) Len() int { return len(b.all) }

// rising makes the counts rise with the bounds: buckets are series of their own, of which one may have been read before another.
func (b *Buckets) rising() {
	for i := 1; i < len(b.all); i++ {
		b.all[i].count = max(b.all[i].count, b.all[i-1].count)
	}
}

// Total is how many values there are; false when that is not known, as the bucket without a bound is missing.
func (b *Buckets) Total() (float64, bool) {
	n := len(b.all)
	if n < 2 || !math.IsInf(b.all[n-1].bound, 1) {
		return 0, false
	}
	b.rising()
	return b.all[n-1].count, true
}

// Percentile returns the value below which of in outOf values lie, linear within its bucket as Prometheus' histogram_quantile has it, and
// how far the true one may be from it, as a part of it: 1 and more says nothing. It is false of no values.
func (b *Buckets) Percentile(of, outOf uint64) (value, within float64, ok bool) {
	total, ok := b.Total()
	if !ok || total <= 0 {
		return 0, 0, false
	}
	rank := float64(of) / float64(outOf) * total
	i := slices.IndexFunc(b.all, func(x bucket) bool { return x.count >= rank && x.count > 0 })
	last := len(b.all) - 1
	switch {
	case i == last:
		return b.all[last-1].bound, 1, true // It is above, nobody knows how far.
	case i == 0 && b.all[0].bound <= 0:
		return b.all[0].bound, 1, true
	}
	lower, before := 0.0, 0.0
	if i > 0 {
		lower, before = b.all[i-1].bound, b.all[i-1].count
	}
	upper := b.all[i].bound
	value = lower + (upper-lower)*(rank-before)/(b.all[i].count-before)
	if value == 0 {
		return 0, 1, true
	}
	return value, max(value-lower, upper-value) / math.Abs(value), true
}

// Bins are the buckets that have values, at most DistributionBins: of more the smallest neighbours are one. What lies above the highest bound
// is shown there.
func (b *Buckets) Bins() []Bin {
	bins := []Bin{}
	if _, ok := b.Total(); !ok {
		return bins
	}
	before, lower := 0.0, min(0, b.all[0].bound)
	for _, x := range b.all {
		upper := x.bound
		if math.IsInf(upper, 1) {
			upper = lower
		}
		if n := int64(math.Round(x.count - before)); n > 0 {
			bins = append(bins, Bin{Lower: lower, Upper: upper, Count: n})
		}
		before, lower = x.count, upper
	}
	for len(bins) > DistributionBins {
		least := 0
		for i := range len(bins) - 1 {
			if bins[i].Count+bins[i+1].Count < bins[least].Count+bins[least+1].Count {
				least = i
			}
		}
		bins[least+1].Lower, bins[least+1].Count = bins[least].Lower, bins[least+1].Count+bins[least].Count
		bins = slices.Delete(bins, least, least+1)
	}
	return bins
}
