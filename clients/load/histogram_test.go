package load

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A quantile is never below the value at its rank, and at most 1/128 above.
func TestHistogramAgainstSorting(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // A test.
	for round := range 50 {
		var h histogram
		values := make([]int64, 1+r.IntN(2000))
		for i := range values {
			values[i] = r.Int64N(1 << (1 + r.IntN(39)))
			h.record(time.Duration(values[i]) * time.Microsecond)
		}
		slices.Sort(values)
		for _, q := range []float64{0.001, .5, .95, .99, .999, 1} {
			rank := int(q*float64(len(values)) + 0.999999)
			want, got := values[max(1, rank)-1], h.quantile(q).Microseconds()
			if got < want || float64(got-want) > float64(want)/128 {
				t.Fatalf("round %d: %v of %d values is %d, want %d", round, q, len(values), got, want)
			}
		}
		if got := h.latency(); got.Max != float64(values[len(values)-1])/1000 || got.Count != int64(len(values)) {
			t.Fatalf("round %d: %+v, max %d", round, got, values[len(values)-1])
		}
	}
}

func TestHistogramAtItsEnds(t *testing.T) {
	var h histogram
	if l := h.latency(); l != (Latency{}) {
		t.Errorf("an empty one says %+v", l)
	}
	h.record(-time.Second)
	h.recordN(1000*time.Hour, 3)
	if l := h.latency(); l.Early != 1 || l.Count != 4 || l.P50 != float64(1<<topBits-1)/1000 {
		t.Errorf("%+v", l)
	}
	for v := int64(0); v < 1<<20; v += 1 + v/300 {
		if p := place(v); v > highest(p) || p > 0 && v <= highest(p-1) {
			t.Fatalf("%d is in place %d, from %d to %d", v, p, highest(p-1)+1, highest(p))
		}
	}
}
