package gateway

import (
	"slices"
	"time"

	"github.com/gorilla/websocket"

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
	layout  *layout
	cursors []cursor
	// partial: some widget has no history yet. No stream is in sync then, since each gets
	// that snapshot by itself.
	partial bool
}

// batch is the frames that lead from one position to the next, shared by all streams in sync.
type batch struct {
	before, after *position
	frames        []*message
}

// share makes s's frame one for many.
func (s *scratch) share() *message {
	m := s.message
	m.text = slices.Clone(s.text)
	// It fails for types of messages that do not exist only.
	m.prepared, _ = websocket.NewPreparedMessage(websocket.TextMessage, m.text)
	return &m
}

// encode makes the next batch of what is new. Only run calls it.
func (b *room) encode(s *scratch, now time.Time) {
	l, _ := b.current()
	if l == nil {
		return
	}
	t := &b.encoder
	if t.layout != l {
		*t = deltaEncoder{}
		t.adopt(l, nil, nil)
	}
	back := t.goBack()
	loaded := t.catchUp()
	var frames []*message
	for s.reset(); t.continueSeries(s) || t.changedState(s) || t.update(s, now); s.reset() {
		frames = append(frames, s.share())
	}
	last := b.latest.Load()
	if last != nil && last.after.layout == l && !loaded && !back && len(frames) == 0 {
		return
	}
	next := &batch{after: t.position(), frames: frames}
	if last != nil && !back { // Else each stream gets snapshots by itself.
		next.before = last.after
	}
	b.latest.Store(next)
}

// catchUp moves the cursors of widgets that had no history before to their newest
// points, and reports whether there are any: each stream gets their snapshots by itself.
func (d *deltaEncoder) catchUp() (loaded bool) {
	for i := range d.cursors {
		cur := &d.cursors[i]
		if cur.pending == pendingNone {
			continue
		}
		v := d.layout.widgets[i].feed.view()
		if !v.loaded {
			continue
		}
		*cur = widgetCursor{cursor: cursor{state: v.state, version: wire.NoSeries, generation: v.generation}}
		if n := len(v.points); n > 0 {
			newest := &v.points[n-1]
			cur.end, cur.version, cur.values = newest.End, newest.List.Version, newest.Values
		}
		loaded = true
	}
	return loaded
}

func (d *deltaEncoder) position() *position {
	p := &position{layout: d.layout, cursors: make([]cursor, len(d.cursors))}
	for i := range d.cursors {
		p.cursors[i] = d.cursors[i].cursor
		p.partial = p.partial || d.cursors[i].pending != pendingNone
	}
	return p
}

// standsAt reports whether all cursors equal those of p.
func (d *deltaEncoder) standsAt(p *position) bool {
	if d.layout != p.layout || p.partial || d.filters != nil || d.skipped > 0 {
		return false
	}
	for i := range d.cursors {
		if d.cursors[i].pending != pendingNone || !d.cursors[i].sameBase(&p.cursors[i]) {
			return false
		}
	}
	return true
}

// resumeAt gives a stream that was in sync cursors of its own.
func (d *deltaEncoder) resumeAt(p *position) {
	d.cursors = make([]widgetCursor, len(p.cursors))
	for i := range p.cursors {
		d.cursors[i].cursor = p.cursors[i]
	}
}

// awaited reports whether live widgets have no point yet for the newest end that
// others have: the batch waits a moment for them.
func (d *deltaEncoder) awaited() bool {
	newest := int64(0) // Without the delay, so that all are comparable.
	for i := range d.cursors {
		f := d.layout.widgets[i].feed
		newest = max(newest, f.newestEnd()+f.delayMs)
	}
	for i := range d.cursors {
		cur, f := &d.cursors[i], d.layout.widgets[i].feed
		if cur.pending == pendingNone && cur.state == wire.StateLive && f.newestEnd() <= cur.end && cur.end+f.refreshMs+f.delayMs <= newest {
			return true
		}
	}
	return false
}
