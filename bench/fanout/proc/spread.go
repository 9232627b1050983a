package proc

import (
	"fmt"
	"slices"
	"time"

	"pulseboard/internal/histogram"
)

// Spread says how some times lie, in milliseconds.
type Spread struct {
	N   int64   `json:"n"`
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

// String is for people.
func (s Spread) String() string {
	if s.N == 0 {
		return "none"
	}
	return fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, max %.1f ms", s.P50, s.P99, s.Max)
}

// SpreadOf sorts times.
func SpreadOf(times []time.Duration) Spread {
	n := len(times)
	if n == 0 {
		return Spread{}
	}
	slices.Sort(times)
	at := func(i int) float64 { return times[i].Seconds() * 1000 }
	return Spread{N: int64(n), P50: at(n / 2), P99: at(n * 99 / 100), Max: at(n - 1)}
}

// SpreadIn is the spread of what a histogram counted.
func SpreadIn(h *histogram.Histogram) Spread {
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
	return Spread{N: h.Count(), P50: ms(h.Quantile(.5)), P99: ms(h.Quantile(.99)), Max: ms(h.Max())}
}
