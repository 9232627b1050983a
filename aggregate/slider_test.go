package aggregate_test

import (
	"math/rand/v2"
	"testing"

	"pulseboard/aggregate"
)

// Windows one after the other, of several queries at once, are those of the tree to the last bit, and hold what the slices do.
func TestSliderIsTheTree(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(21, 200+seed))
		needs := aggregate.AllNeeds * aggregate.Needs(seed%3/2)
		tree := aggregate.NewTree(1 + r.Int64N(900))
		slices := map[int64]*aggregate.Acc{}
		gap := 1 + r.Int64N(1+r.Int64N(60))
		for slice := int64(-700); slice < 700; slice += 1 + r.Int64N(gap) {
			var a aggregate.Acc
			a.AddFor(needs, r.NormFloat64(), slice)
			tree.Add(slice, &a)
			slices[slice] = &a
		}
		var windows []aggregate.Range
		for range 4 {
			length, stride := 1+r.Int64N(500), 1+r.Int64N(1+r.Int64N(90))
			for to := r.Int64N(1400) - 700; to < 800; to += stride {
				windows = append(windows, aggregate.Range{From: to - length, To: to})
			}
		}
		slide := aggregate.NewSlider(tree)
		for _, w := range windows {
			var got, want, all aggregate.Acc
			slide.Window(&got, w.From, w.To)
			if tree.Window(&want, w.From, w.To); bits(got) != bits(want) {
				t.Fatalf("seed %d, %v: %s, of the tree %s", seed, w, bits(got), bits(want))
			}
			for slice := max(w.From, tree.Oldest()); slice < w.To; slice++ {
				if a := slices[slice]; a != nil {
					all.Merge(a)
				}
			}
			if !sameAcc(got, all, false) {
				t.Fatalf("seed %d, %v: %s, of the slices %s", seed, w, bits(got), bits(all))
			}
		}
	}
}
