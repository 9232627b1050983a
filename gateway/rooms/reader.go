package rooms

import (
	"time"

	"pulseboard/wire"
)

// Options are what a client asks for at its beginning.
type Options struct {
	Resume map[string]wire.ResumePoint // Where an earlier connection ended, by widget id.
	Every  time.Duration               // At least this long between update frames; 0 = each.
	Points int                         // So many points has a snapshot at most that begins anew; 0 = all that there are.
	Choice Choice
}

// Reader is where one stream is in its room. It must be used by one goroutine at a time.
type Reader struct {
	room    *Room
	options Options
	encoder encoder
	at      *position // Where it is in sync with its room; nil = encoder has cursors of its own.
	updated time.Time // When the last update was composed, for Options.Every.
}

// Layout returns the layout that was adopted last, nil before the first.
func (r *Reader) Layout() *Layout { return r.encoder.layout }

// Adopt goes over to the room's current layout, and returns it if it is another than
// Layout was, else nil. gone says that there is no such dashboard.
func (r *Reader) Adopt() (l *Layout, gone bool) {
	l, gone = r.room.current()
	if l == nil || l == r.encoder.layout {
		return nil, gone
	}
	r.LeaveSync()
	r.encoder.most = r.options.Points
	r.encoder.adopt(l, r.options.Resume, r.options.Choice)
	r.options.Resume = nil
	return l, false
}

// Require makes snapshots of all widgets pending.
func (r *Reader) Require(p Pending) {
	r.LeaveSync()
	r.encoder.require(p)
}

// LeaveSync gives a stream that was in sync cursors of its own.
func (r *Reader) LeaveSync() {
	if r.at != nil {
		r.encoder.resumeAt(r.at)
		r.at = nil
	}
}

// Next finds the next frames of the widgets of Layout: shared ones, or one in s when own is
// true. When there are none, wait says when to ask again though nothing new comes; 0 = not.
func (r *Reader) Next(s *Scratch, now time.Time) (shared []*Frame, own bool, wait time.Duration) {
	b := r.room.latest.Load()
	if r.at != nil {
		if r.at == b.before {
			r.at = b.after
			return b.frames, false, 0
		}
		if r.at == b.after {
			return nil, false, 0
		}
		r.LeaveSync()
	}
	e := &r.encoder
	if e.continueSeries(s) || e.snapshot(s) || e.changedState(s) || e.updateRest(s, now) {
		return nil, true, 0
	}
	if wait := r.options.Every - now.Sub(r.updated); wait > 0 {
		return nil, false, wait
	}
	if e.update(s, now) {
		if s.Updates > 0 {
			r.updated = now
		}
		return nil, true, 0
	}
	if b != nil && r.options.Every == 0 && e.standsAt(b.after) {
		r.at, e.cursors = b.after, nil
	}
	return nil, false, 0
}
