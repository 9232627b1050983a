// Package clock waits, and notices that the clock of this machine was set, or that it
// went on while the machine slept.
package clock

import (
	"context"
	"slices"
	"time"
)

// Tolerance is by how much clocks may be set at once, and differ between machines, without
// anything being done about it. Windows that end within a step forward are over too early: so
// it is less than a second.
const Tolerance = 800 * time.Millisecond

// every is how often a Watch looks.
const every = 200 * time.Millisecond

// Watch calls stepped whenever the clock was set forward or back by more than
// Tolerance, in one step or in several, until ctx ends. While a machine sleeps the
// monotonic clock stands still on most systems: waking up is a step forward. Until
// since, by the clock that is behind, both agreed. What has happened since the process
// began counts.
func Watch(ctx context.Context, stepped func(by time.Duration, since time.Time)) {
	s := NewSteps(began)
	for range Every(ctx, every) {
		before, now := s.last, time.Now()
		if by := s.Look(now); by != 0 {
			since := []time.Time{before.Round(0), now.Round(0).Add(-now.Sub(before))}
			stepped(by, slices.MinFunc(since, time.Time.Compare))
		}
	}
}

var began = time.Now() //nolint:gochecknoglobals // Of the process.

// Steps is Watch for callers with a loop of their own.
type Steps struct {
	last time.Time
	sum  time.Duration // Of steps so far.
}

// NewSteps begins at a moment.
func NewSteps(now time.Time) *Steps { return &Steps{last: now} }

// Look returns by how much the clock was set, 0 when that is within Tolerance.
func (w *Steps) Look(now time.Time) (by time.Duration) {
	by = w.step(now.Sub(w.last), Elapsed(w.last, now))
	w.last = now
	return by
}

// step is Look, with what has passed by the monotonic and by the wall clock.
func (w *Steps) step(passed, wall time.Duration) (by time.Duration) {
	w.sum += wall - passed
	// The two differ a little all the time, by up to a thousandth.
	drift := max(0, passed/1000)
	w.sum -= min(max(w.sum, -drift), drift)
	if w.sum.Abs() <= Tolerance {
		return 0
	}
	by, w.sum = w.sum, 0
	return by
}

// Elapsed is the time between two moments by the wall clock, which goes on while a machine sleeps, and may be set.
func Elapsed(from, to time.Time) time.Duration { return to.Round(0).Sub(from.Round(0)) }

// Longer is the time between two moments, by the monotonic or the wall clock, whichever is longer.
func Longer(from, to time.Time) time.Duration { return max(to.Sub(from), Elapsed(from, to)) }

// Every is a loop that begins at once and again each time that d has passed, until ctx
// ends. A round that takes longer than d is followed by the next one at once.
func Every(ctx context.Context, d time.Duration) func(yield func() bool) {
	return func(yield func() bool) {
		t := time.NewTicker(d)
		defer t.Stop()
		for ctx.Err() == nil && yield() {
			select {
			case <-ctx.Done():
			case <-t.C:
			}
		}
	}
}

// Sleep waits, and reports false when ctx ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
