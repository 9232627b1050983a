package rooms

import (
	"time"

	"pulseboard/wire"
)

// Most streams of a dashboard get the same frames at the same moment. So the room has
// an encoder of its own, which encodes once for all clients at its position:
//
//	room    position 1 ──batch: frames──▶ position 2 ──batch: frames──▶ position 3
//	client  at 1 ───────the same frames──▶ at 2, and has no cursors of its own
//	client  at 1, still writing at the second batch: gets cursors of its own, and with
//	        them what it missed; it is in sync again when they equal the room's

// position is the cursors of all streams in sync. It is never changed.
type position struct {
	layout  *Layout
	cursors []cursor
	// partial: some widget has no history yet. No stream is in sync then, since each gets
	// that snapshot by itself.
	partial bool
}

// batch is the frames that lead from one position to the next, shared by all streams in sync.
type batch struct {
	before, after *position
	frames        []*Frame
}

// encode makes the next batch of what is new. Only run calls it.
func (r *Room) encode(s *Scratch, now time.Time) {
	l, _ := r.current()
	if l == nil {
		return
	}
	e := &r.encoder
	if e.layout != l {
		*e = encoder{}
		e.adopt(l, nil, nil)
	}
	back := e.goBack()
	loaded := e.catchUp()
	var frames []*Frame
	for s.Reset(); e.continueSeries(s) || e.changedState(s) || e.update(s, now); s.Reset() {
		frames = append(frames, s.share())
	}
	last := r.latest.Load()
	if last != nil && last.after.layout == l && !loaded && !back && len(frames) == 0 {
		return
	}
	next := &batch{after: e.position(), frames: frames}
	if last != nil && !back { // Else each stream gets snapshots by itself.
		next.before = last.after
	}
	r.latest.Store(next)
}

// catchUp moves the cursors of widgets that had no history before to their newest
// points, and reports whether there are any: each stream gets their snapshots by itself.
func (e *encoder) catchUp() (loaded bool) {
	for i := range e.cursors {
		cur := &e.cursors[i]
		if cur.pending == pendingNone {
			continue
		}
		v := e.layout.widgets[i].feed.View()
		if !v.Loaded {
			continue
		}
		*cur = widgetCursor{cursor: cursor{state: v.State, version: wire.NoSeries, generation: v.Generation}}
		if n := len(v.Points); n > 0 {
			newest := &v.Points[n-1]
			cur.end, cur.version, cur.values = newest.End, newest.List.Version, newest.Values
		}
		loaded = true
	}
	return loaded
}

func (e *encoder) position() *position {
	p := &position{layout: e.layout, cursors: make([]cursor, len(e.cursors))}
	for i := range e.cursors {
		p.cursors[i] = e.cursors[i].cursor
		p.partial = p.partial || e.cursors[i].pending != pendingNone
	}
	return p
}

// standsAt reports whether all cursors equal those of p.
func (e *encoder) standsAt(p *position) bool {
	if e.layout != p.layout || p.partial || e.filters != nil || e.skipped > 0 {
		return false
	}
	for i := range e.cursors {
		if e.cursors[i].pending != pendingNone || !e.cursors[i].sameBase(&p.cursors[i]) {
			return false
		}
	}
	return true
}

// resumeAt gives a stream that was in sync cursors of its own.
func (e *encoder) resumeAt(p *position) {
	e.cursors = make([]widgetCursor, len(p.cursors))
	for i := range p.cursors {
		e.cursors[i].cursor = p.cursors[i]
	}
}

// awaited reports whether live widgets have no point yet for the newest end that
// others have: the batch waits a moment for them.
func (e *encoder) awaited() bool {
	newest := int64(0) // Without the delay, so that all are comparable.
	for i := range e.cursors {
		w := &e.layout.widgets[i]
		newest = max(newest, w.feed.NewestEnd()+w.DelayMs)
	}
	for i := range e.cursors {
		cur, w := &e.cursors[i], &e.layout.widgets[i]
		if cur.pending == pendingNone && cur.state == wire.StateLive && w.feed.NewestEnd() <= cur.end && cur.end+w.RefreshMs+w.DelayMs <= newest {
			return true
		}
	}
	return false
}
