// Package histogram counts latencies, from many goroutines at a time.
package histogram

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// Histogram counts durations in microseconds, in the bins of HdrHistogram with 7
// significant bits: below 256 µs each value has its own; above, each power of two
// has 128, so that a quantile is at most 1/128 (0.8 %) above the value at its rank.
// The maximum is exact. Recording is atomic and takes no lock: HdrHistogram's own
// library takes none either, but must not be called by two goroutines at a time.
type Histogram struct {
	counts [bins]atomic.Int64
	total  atomic.Int64
	max    atomic.Int64
	early  atomic.Int64
}

const (
	subBits = 7
	sub     = 1 << subBits
	topBits = 40 // 2^40 µs are 12 days; longer ones count as that.
	bins    = (topBits - subBits + 1) * sub
)

func bin(v int64) int {
	if v < sub {
		return int(v)
	}
	shift := bits.Len64(uint64(v)) - subBits - 1
	return shift*sub + int(v>>shift)
}

// highest is the largest value of a bin.
func highest(bin int) int64 {
	if bin < 2*sub {
		return int64(bin)
	}
	shift := bin/sub - 1
	return int64(bin-shift*sub+1)<<shift - 1
}

// Record counts d once.
func (h *Histogram) Record(d time.Duration) { h.RecordN(d, 1) }

// RecordN counts d n times. What is below 0 counts as 0, and in Early.
func (h *Histogram) RecordN(d time.Duration, n int64) {
	v := d.Microseconds()
	if v < 0 {
		h.early.Add(n)
		v = 0
	}
	v = min(v, 1<<topBits-1)
	h.counts[bin(v)].Add(n)
	h.total.Add(n)
	for old := h.max.Load(); v > old && !h.max.CompareAndSwap(old, v); old = h.max.Load() {
	}
}

// Quantile returns the value at rank ⌈q·Count⌉, rounded up to the end of its bin;
// 0 when nothing was recorded.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := int64(math.Ceil(q * float64(h.total.Load())))
	seen := int64(0)
	for i := range h.counts {
		if seen += h.counts[i].Load(); seen >= rank && seen > 0 {
			return min(time.Duration(highest(i))*time.Microsecond, h.Max())
		}
	}
	return h.Max()
}

// Count is how many durations were recorded.
func (h *Histogram) Count() int64 { return h.total.Load() }

// Max is the longest duration, to a microsecond.
func (h *Histogram) Max() time.Duration { return time.Duration(h.max.Load()) * time.Microsecond }

// Early is how many durations were below 0: the clocks of two machines differ.
func (h *Histogram) Early() int64 { return h.early.Load() }
