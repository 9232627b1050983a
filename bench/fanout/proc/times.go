package proc

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"
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

// Times counts times in steps of 0.1 ms up to a minute, from any goroutine.
// What is longer counts as a minute, what is below 0 as 0: clocks of processes
// of one machine agree, but they are cut to milliseconds.
type Times struct {
	steps [steps + 1]atomic.Uint32
	max   atomic.Int64 // ns.
}

const (
	step  = 100 * time.Microsecond
	steps = int(time.Minute / step)
)

// Add counts one.
func (t *Times) Add(d time.Duration) {
	d = max(0, d)
	t.steps[min(steps, int(d/step))].Add(1)
	for {
		most := t.max.Load()
		if int64(d) <= most || t.max.CompareAndSwap(most, int64(d)) {
			return
		}
	}
}

// Spread sums up what was counted; a quantile is the end of its step.
func (t *Times) Spread() Spread {
	var s Spread
	for i := range t.steps {
		s.N += int64(t.steps[i].Load())
	}
	if s.N == 0 {
		return s
	}
	var seen int64
	middle, high := s.N/2, s.N*99/100
	for i := range t.steps {
		before := seen
		seen += int64(t.steps[i].Load())
		end := (time.Duration(i+1) * step).Seconds() * 1000
		if before <= middle && middle < seen {
			s.P50 = end
		}
		if before <= high && high < seen {
			s.P99 = end
		}
	}
	s.Max = time.Duration(t.max.Load()).Seconds() * 1000
	return s
}
