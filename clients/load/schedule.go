package load

import (
	"context"
	"math"
	"sync/atomic"
)

// schedule is the phases of a run, as clients see them: connecting, measuring
// (in which slow clients do not read), waiting for what was due, the end.
type schedule struct {
	measuring *atomic.Bool
	cut       atomic.Int64 // Epoch ms: results that are due later do not count.

	stopped atomic.Bool   // Slow clients do not read.
	resume  chan struct{} // Closed when slow clients are to read again.
	done    chan struct{} // Closed when all clients are to end.
}

func newSchedule(measuring *atomic.Bool) *schedule {
	s := &schedule{measuring: measuring, resume: make(chan struct{}), done: make(chan struct{})}
	s.cut.Store(math.MaxInt64)
	return s
}

// readAgain lets slow clients read; further calls do nothing.
func (s *schedule) readAgain() {
	if s.stopped.Swap(false) {
		close(s.resume)
	}
}

// end is called once.
func (s *schedule) end() {
	close(s.done)
	s.readAgain()
}

func (s *schedule) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// untilEnd returns a context that is canceled at the end of the run. The caller must
// cancel it too.
func (s *schedule) untilEnd() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-s.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// slots is how many parts of the clients are sampled one after another, all of
// them once a second.
const slots = 20

// slot is which part is sampled in a round: each second a twentieth of a second
// later than in the second before. At one phase of the second always, a client
// whose refresh is a second would always show the same staleness.
func slot(round int) int { return (round + round/slots) % slots }
