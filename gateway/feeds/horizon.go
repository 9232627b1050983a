package feeds

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/results"
)

// horizon is the end of time by the clock of this machine or that of Redis, whichever
// is ahead: a result that ends beyond it was made by a clock that is wrong, or was. It
// also knows which results were taken back because a clock had been ahead.
type horizon struct {
	behind atomic.Int64 // How far the clock of this machine is behind that of Redis, ms; 0 when it is not.
	taken  atomic.Pointer[results.TakenBack]
	hidden prometheus.Counter
}

// ask asks Redis, and says so when it does not answer.
func (h *horizon) ask(ctx context.Context, s *results.Store, now func() time.Time) error {
	theirs, taken, err := s.Horizon(ctx)
	if err == nil {
		h.behind.Store(max(0, theirs.Sub(now()).Milliseconds()))
		h.taken.Store(&taken)
	}
	return err
}

func (h *horizon) takenBack() results.TakenBack {
	if t := h.taken.Load(); t != nil {
		return *t
	}
	return results.TakenBack{}
}

func (h *horizon) isBeyond(end int64, now time.Time) bool {
	return end > now.UnixMilli()+h.behind.Load()+results.MaxAhead.Milliseconds()
}

// hides is isBeyond of a result that has come.
func (h *horizon) hides(end int64, now time.Time) bool {
	if !h.isBeyond(end, now) {
		return false
	}
	h.hidden.Inc()
	return true
}

// takeBack lets go of everything when the newest point is of the future, since a clock
// was set back, and when points were taken back; what is right is read again. It is called
// with the lock.
func (f *Feed) takeBack(now time.Time) bool {
	taken := f.horizon.takenBack()
	isNew := taken.ID != f.obeyed
	f.obeyed = taken.ID
	switch {
	case f.horizon.isBeyond(f.last(), now):
		f.horizon.hidden.Inc()
	case isNew && f.hasAny(taken):
	default:
		return false
	}
	f.points, f.latest, f.loaded, f.held = nil, nil, false, nil
	f.generation++
	f.ask()
	return true
}

// TookBack reports whether the result that ended at end was taken back.
func (f *Feed) TookBack(end int64) bool { return f.horizon.takenBack().Has(end) }

// hasAny reports whether results that were taken back are among the points.
func (f *Feed) hasAny(taken results.TakenBack) bool {
	newer := pointsAfter(f.points, taken.Since)
	return len(newer) > 0 && taken.Has(newer[0].End)
}
