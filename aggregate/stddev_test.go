package aggregate_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pulseboard/aggregate"
)

func deviation(values []float64) float64 {
	mean, squares := 0.0, 0.0
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		squares += (v - mean) * (v - mean) / float64(len(values))
	}
	return math.Sqrt(squares)
}

// However values are spread over accumulators and merged, the deviation is that of all of them, also
// where they are close to each other and far from zero: their squares would cancel each other.
func TestStddev(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 9))
	stddev, _ := aggregate.Named("stddev")
	for _, base := range []float64{0, 1, -1e6, 1e9, 1e12} {
		for range 50 {
			values := make([]float64, 1+r.IntN(300))
			parts := make([]aggregate.Acc, 1+r.IntN(20))
			for i := range values {
				values[i] = base + math.Round(r.NormFloat64()*1000)/1000
				parts[r.IntN(len(parts))].AddFor(stddev.Needs, values[i], int64(i))
			}
			r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
			for len(parts) > 1 {
				i := r.IntN(len(parts) - 1)
				parts[i].Merge(&parts[i+1])
				parts = append(parts[:i+1], parts[i+2:]...)
			}
			got, ok := stddev.Extract(&parts[0])
			// At 1e12 a float has three decimals and a little.
			if want := deviation(values); !ok || !parts[0].Has(stddev.Needs) || math.Abs(got-want) > 1e-9*(1+math.Abs(base)/1e6) {
				t.Fatalf("of %d values around %g: %v, %v, want %v", len(values), base, got, ok, want)
			}
		}
	}
}

func TestStddevOfFew(t *testing.T) {
	stddev, _ := aggregate.Named("stddev")
	var a aggregate.Acc
	if _, ok := stddev.Extract(&a); ok {
		t.Error("there is a deviation of nothing")
	}
	a.AddFor(stddev.Needs, 7, 1)
	if v, ok := stddev.Extract(&a); !ok || v != 0 {
		t.Errorf("the deviation of one value is %v, %v", v, ok)
	}
	a.AddFor(stddev.Needs, 7, 1)
	if v, ok := stddev.Extract(&a); !ok || v != 0 {
		t.Errorf("the deviation of two equal values is %v, %v", v, ok)
	}
	a.Add(9, 1) // Before anybody asked for it.
	if a.Has(stddev.Needs) {
		t.Error("moments of two of three events are called whole")
	}
}
