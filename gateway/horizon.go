package gateway

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/results"
)

// horizon is the end of time by the clock of this machine or that of Redis, whichever
// is ahead: a result that ends beyond it was made by a clock that is wrong, or was.
type horizon struct {
	behind atomic.Int64 // How far the clock of this machine is behind that of Redis, ms; 0 when it is not.
	hidden prometheus.Counter
}

// ask asks Redis for its time, and says so when it does not answer.
func (h *horizon) ask(ctx context.Context, s *results.Store, now func() time.Time) error {
	theirs, err := s.Now(ctx)
	if err == nil {
		h.behind.Store(max(0, theirs.Sub(now()).Milliseconds()))
	}
	return err
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
// was set back; what is right is read again. It is called with the lock.
func (f *feed) takeBack(now time.Time) bool {
	if !f.horizon.isBeyond(f.last(), now) {
		return false
	}
	f.horizon.hidden.Inc()
	f.points, f.latest, f.loaded, f.pending = nil, nil, false, nil
	f.ask()
	return true
}

// goBack owes a stream the snapshots of widgets whose points were taken back.
func (t *teller) goBack() (back bool) {
	for i := range t.cursors {
		cur := &t.cursors[i]
		if cur.end > 0 && cur.need != needAll && t.layout.widgets[i].feed.newestEnd() < cur.end {
			*cur = cursor{told: told{state: cur.state}, need: needAll}
			back = true
		}
	}
	return back
}
