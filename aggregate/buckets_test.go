package aggregate_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pulseboard/aggregate"
)

// Values that are spread evenly in each bucket have the percentiles of their sorted list; any others are within what is told.
func TestBucketsAgainstSortedValues(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		bounds := make([]float64, 1+random.IntN(15))
		for i := range bounds {
			bounds[i] = math.Exp(random.NormFloat64() * 2)
		}
		slices.Sort(bounds)
		values := make([]float64, 1+random.IntN(200))
		for i := range values {
			values[i] = bounds[len(bounds)-1] * random.Float64()
		}
		slices.Sort(values)
		var b aggregate.Buckets
		for _, i := range random.Perm(len(bounds) + 1) { // In any order, and in two parts.
			bound := math.Inf(1)
			if i < len(bounds) {
				bound = bounds[i]
			}
			n, _ := slices.BinarySearchFunc(values, bound, func(v, bound float64) int {
				if v <= bound {
					return -1
				}
				return 1
			})
			b.Add(bound, float64(n/2))
			b.Add(bound, float64(n-n/2))
		}
		if total, ok := b.Total(); !ok || total != float64(len(values)) {
			t.Fatalf("%v values, %v", total, len(values))
		}
		for _, p := range []uint64{1, 50, 90, 99, 100} {
			got, within, ok := b.Percentile(p, 100)
			want := values[int(math.Ceil(float64(p)/100*float64(len(values))))-1]
			if !ok || math.Abs(want-got) > within*got*(1+1e-9)+1e-12 {
				t.Errorf("p%d of %d values is %v, and %v within %v; bounds %v", p, len(values), want, got, within, bounds)
			}
		}
		count := int64(0)
		for _, bin := range b.Bins() {
			count += bin.Count
		}
		if count != int64(len(values)) {
			t.Errorf("%d values in bins, of %d", count, len(values))
		}
	}
}

func TestBucketsWithoutAnAnswer(t *testing.T) {
	for name, add := range map[string]func(b *aggregate.Buckets){
		"none":                    func(*aggregate.Buckets) {},
		"no bucket without bound": func(b *aggregate.Buckets) { b.Add(1, 1); b.Add(2, 2) },
		"only that":               func(b *aggregate.Buckets) { b.Add(math.Inf(1), 2) },
		"nothing counted":         func(b *aggregate.Buckets) { b.Add(1, 0); b.Add(math.Inf(1), 0) },
	} {
		var b aggregate.Buckets
		add(&b)
		if v, _, ok := b.Percentile(50, 100); ok || len(b.Bins()) > 0 {
			t.Errorf("%s: %v, %v", name, v, b.Bins())
		}
	}
	var above aggregate.Buckets
	above.Add(1, 0)
	above.Add(math.Inf(1), 5)
	if v, within, ok := above.Percentile(50, 100); !ok || v != 1 || within != 1 {
		t.Errorf("of values above all bounds: %v within %v", v, within)
	}
	var many aggregate.Buckets
	for i := range 200 {
		many.Add(float64(i+1), float64(3*i))
	}
	many.Add(math.Inf(1), 600)
	bins, count := many.Bins(), int64(0)
	for i, bin := range bins {
		count += bin.Count
		if i > 0 && bin.Lower < bins[i-1].Upper || bin.Lower > bin.Upper {
			t.Errorf("bin %v after %v", bin, bins[max(0, i-1)])
		}
	}
	if len(bins) != aggregate.DistributionBins || count != 600 {
		t.Errorf("%d bins of %d values", len(bins), count)
	}
}
