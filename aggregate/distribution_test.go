package aggregate_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pulseboard/aggregate"
)

func sketchOfValues(values []float64) *aggregate.Sketch {
	var s aggregate.Sketch
	for _, v := range values {
		s.Add(v)
	}
	return &s
}

// in reports whether a value belongs to a bin, by the bin's borders only.
func in(b aggregate.Bin, v float64) bool {
	switch {
	case b.Lower <= 0 && b.Upper >= 0:
		return b.Lower <= v && v <= b.Upper
	case b.Lower > 0:
		return b.Lower < v && v <= b.Upper
	}
	return b.Lower <= v && v < b.Upper
}

// binsAt is how many bins of a scale have values, by logarithms.
func binsAt(scale int, values []float64) int {
	type place struct {
		sign  bool
		index float64
	}
	bins := map[place]bool{}
	for _, v := range values {
		if math.Abs(v) < 0x1p-1022 {
			bins[place{index: math.MaxFloat64}] = true
			continue
		}
		bins[place{v > 0, math.Ceil(math.Log2(math.Abs(v)) * math.Exp2(float64(scale)))}] = true
	}
	return len(bins)
}

// The bins of a distribution are borders of one scale, hold the values that are within
// their borders, each once, and are the finest of which there are not too many.
func TestDistributionAgainstValues(t *testing.T) {
	coarser := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 12))
		values := randomValues(r, 1+r.IntN(2000))
		for i, v := range values {
			if math.Abs(v) < 0x1p-1022 {
				values[i] = 0 // Which count as zero.
			}
		}
		bins := aggregate.Distribution(sketchOfValues(values))
		scale := 6
		for binsAt(scale, values) > aggregate.DistributionBins {
			scale--
			coarser++
		}
		if len(bins) != binsAt(scale, values) {
			t.Fatalf("seed %d: %d bins, want %d of scale %d", seed, len(bins), binsAt(scale, values), scale)
		}
		for i, b := range bins {
			n := int64(0)
			for _, v := range values {
				if in(b, v) {
					n++
				}
			}
			if n == 0 || n != b.Count || i > 0 && bins[i-1].Upper > b.Lower {
				t.Fatalf("seed %d: bin %d of %d is %v after %v, and has %d values", seed, i, len(bins), b, bins[max(i-1, 0)], n)
			}
		}
	}
	if coarser == 0 {
		t.Error("no distribution had too many bins")
	}
}

func TestDistributionOfFew(t *testing.T) {
	if bins := aggregate.Distribution(nil); bins == nil || len(bins) > 0 {
		t.Errorf("that of no values is %v", bins)
	}
	got := aggregate.Distribution(sketchOfValues([]float64{0, 4, -1, 4, 0, 0, math.MaxFloat64}))
	root := math.Exp2(1.0 / 64)
	want := []aggregate.Bin{{-1, -1 / root, 1}, {0, 0, 3}, {4 / root, 4, 2}, {math.MaxFloat64 / root, math.MaxFloat64, 1}}
	if !slices.EqualFunc(got, want, func(a, b aggregate.Bin) bool {
		return a.Count == b.Count && math.Abs(a.Lower-b.Lower) <= 1e-15*math.Abs(b.Lower) && math.Abs(a.Upper-b.Upper) <= 1e-15*math.Abs(b.Upper)
	}) {
		t.Errorf("%v, want %v", got, want)
	}
}

// The bin of zero has what histograms have counted up to their threshold, and nothing overlaps it.
func TestDistributionOfHistograms(t *testing.T) {
	h := counted(0, 0.75, []float64{0.3, -0.3, 0.9, 3, 4, -0.8})
	var s aggregate.Sketch
	s.AddHistogram(&h)
	want := []aggregate.Bin{{-1, -0.75, 1}, {-0.75, 0.75, 2}, {0.75, 1, 1}, {2, 4, 2}}
	if got := aggregate.Distribution(&s); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
