package histogram

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// A quantile is never below the value at its rank, and at most 1/128 above.
func TestQuantilesAgainstSorting(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for round := range 50 {
		var h Histogram
		values := make([]int64, 1+r.IntN(2000))
		for i := range values {
			values[i] = r.Int64N(1 << (1 + r.IntN(39)))
			h.Record(time.Duration(values[i]) * time.Microsecond)
		}
		slices.Sort(values)
		for _, q := range []float64{0.001, .5, .95, .99, .999, 1} {
			rank := int(q*float64(len(values)) + 0.999999)
			want, got := values[max(1, rank)-1], h.Quantile(q).Microseconds()
			if got < want || float64(got-want) > float64(want)/128 {
				t.Fatalf("round %d: %v of %d values is %d, want %d", round, q, len(values), got, want)
			}
		}
		if h.Max().Microseconds() != values[len(values)-1] || h.Count() != int64(len(values)) {
			t.Fatalf("round %d: max %v of %d, want %d of %d", round, h.Max(), h.Count(), values[len(values)-1], len(values))
		}
	}
}

func TestEnds(t *testing.T) {
	var h Histogram
	if h.Count() != 0 || h.Max() != 0 || h.Quantile(.5) != 0 {
		t.Errorf("an empty one has %d, max %v, median %v", h.Count(), h.Max(), h.Quantile(.5))
	}
	h.Record(-time.Second)
	h.RecordN(1000*time.Hour, 3)
	if longest := time.Duration(1<<topBits-1) * time.Microsecond; h.Early() != 1 || h.Count() != 4 || h.Quantile(.5) != longest || h.Quantile(.1) != 0 {
		t.Errorf("%d early of %d, median %v", h.Early(), h.Count(), h.Quantile(.5))
	}
	for v := int64(0); v < 1<<20; v += 1 + v/300 {
		if p := bin(v); v > highest(p) || p > 0 && v <= highest(p-1) {
			t.Fatalf("%d is in bin %d, from %d to %d", v, p, highest(p-1)+1, highest(p))
		}
	}
}

func TestManyAtATime(t *testing.T) {
	var h Histogram
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				h.Record(time.Duration(8*i+n) * time.Microsecond)
			}
		})
	}
	wg.Wait()
	if h.Count() != 8000 || h.Max() != 7999*time.Microsecond || h.Quantile(1) != h.Max() {
		t.Errorf("%d, max %v", h.Count(), h.Max())
	}
}
