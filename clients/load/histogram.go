package load

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram counts durations in microseconds. Below 128 µs each has a place of
// its own; above, each power of two has 128 places, so that a quantile is at most
// 1/128 (0.8 %) above the value at its rank. The maximum is exact. It may be
// recorded to by many goroutines.
type histogram struct {
	counts [places]atomic.Int64
	total  atomic.Int64
	max    atomic.Int64
	early  atomic.Int64 // Below 0: the clocks of two machines differ. They count as 0.
}

const (
	subBits = 7
	sub     = 1 << subBits
	topBits = 40 // 2^40 µs are 12 days; longer ones count as that.
	places  = (topBits - subBits + 1) * sub
)

func place(v int64) int {
	if v < sub {
		return int(v)
	}
	shift := bits.Len64(uint64(v)) - subBits - 1
	return shift*sub + int(v>>shift)
}

// highest is the largest value of a place.
func highest(place int) int64 {
	if place < 2*sub {
		return int64(place)
	}
	shift := place/sub - 1
	return int64(place-shift*sub+1)<<shift - 1
}

func (h *histogram) record(d time.Duration) { h.recordN(d, 1) }

func (h *histogram) recordN(d time.Duration, n int64) {
	v := d.Microseconds()
	if v < 0 {
		h.early.Add(n)
		v = 0
	}
	v = min(v, 1<<topBits-1)
	h.counts[place(v)].Add(n)
	h.total.Add(n)
	for old := h.max.Load(); v > old && !h.max.CompareAndSwap(old, v); old = h.max.Load() {
	}
}

// quantile is 0 when nothing was recorded.
func (h *histogram) quantile(q float64) time.Duration {
	rank := int64(math.Ceil(q * float64(h.total.Load())))
	seen := int64(0)
	for i := range h.counts {
		if seen += h.counts[i].Load(); seen >= rank && seen > 0 {
			return time.Duration(min(highest(i), h.max.Load())) * time.Microsecond
		}
	}
	return time.Duration(h.max.Load()) * time.Microsecond
}

// Latency is a distribution in milliseconds. Quantiles are at most 0.8 % above
// the value at their rank; Max is exact.
type Latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P95   float64 `json:"p95_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p99_9_ms"`
	Max   float64 `json:"max_ms"`
	Early int64   `json:"early"` // Of Count, how many were below 0 and count as 0: clocks that differ.
}

func (h *histogram) latency() Latency {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Latency{
		Count: h.total.Load(), P50: ms(h.quantile(.5)), P95: ms(h.quantile(.95)), P99: ms(h.quantile(.99)),
		P999: ms(h.quantile(.999)), Max: float64(h.max.Load()) / 1000, Early: h.early.Load(),
	}
}
