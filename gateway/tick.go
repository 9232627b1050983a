package gateway

import (
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"pulseboard/wire"
)

// Most streams of a dashboard are told the same at the same moment. So the
// board has a teller of its own, which speaks once for all who are where it is:
//
//	board   position 1 ──tick: frames──▶ position 2 ──tick: frames──▶ position 3
//	client  at 1 ───────the same frames──▶ at 2, and has no cursors of its own
//	client  at 1, still writing at the second tick: gets cursors, is told by
//	        itself what it missed, and is in step again where it stands as the board does

// position is what every stream in step was told. It is never changed.
type position struct {
	layout *layout
	told   []told
	// Some widget has no history yet: nobody is in step, since each is told of it by itself.
	partial bool
}

// tick is what leads from one position to the next.
type tick struct {
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

// tick makes the next tick of what is new. Only pulse calls it.
func (b *board) tick(s *scratch, now time.Time) {
	l, _ := b.current()
	if l == nil {
		return
	}
	t := &b.teller
	if t.layout != l {
		*t = teller{}
		t.adopt(l, nil, nil)
	}
	back := t.goBack()
	loaded := t.catchUp()
	var frames []*message
	for s.reset(); t.goOnWithSeries(s) || t.tellState(s) || t.update(s, now); s.reset() {
		frames = append(frames, s.share())
	}
	last := b.latest.Load()
	if last != nil && last.after.layout == l && !loaded && !back && len(frames) == 0 {
		return
	}
	next := &tick{after: t.position(), frames: frames}
	if last != nil && !back { // Else each stream is told by itself.
		next.before = last.after
	}
	b.latest.Store(next)
}

// catchUp takes what there is of widgets that were not looked at yet, and
// reports whether there are any: each stream is told of them by itself.
func (t *teller) catchUp() (loaded bool) {
	for i := range t.cursors {
		cur := &t.cursors[i]
		if cur.need == needNothing {
			continue
		}
		v := t.layout.widgets[i].feed.view()
		if !v.loaded {
			continue
		}
		*cur = cursor{told: told{state: v.state, version: wire.NoSeries, generation: v.generation}}
		if n := len(v.points); n > 0 {
			newest := &v.points[n-1]
			cur.end, cur.version, cur.values = newest.End, newest.List.Version, newest.Values
		}
		loaded = true
	}
	return loaded
}

func (t *teller) position() *position {
	p := &position{layout: t.layout, told: make([]told, len(t.cursors))}
	for i := range t.cursors {
		p.told[i] = t.cursors[i].told
		p.partial = p.partial || t.cursors[i].need != needNothing
	}
	return p
}

// standsAt reports whether everything that was told is what p says.
func (t *teller) standsAt(p *position) bool {
	if t.layout != p.layout || p.partial || t.lenses != nil || t.skipped > 0 {
		return false
	}
	for i := range t.cursors {
		if t.cursors[i].need != needNothing || !t.cursors[i].is(&p.told[i]) {
			return false
		}
	}
	return true
}

// resumeAt gives a stream that was in step cursors of its own.
func (t *teller) resumeAt(p *position) {
	t.cursors = make([]cursor, len(p.told))
	for i := range p.told {
		t.cursors[i].told = p.told[i]
	}
}

// awaited reports whether widgets that are on time have no point yet that
// belongs to those that came: then they are worth a moment's wait.
func (t *teller) awaited() bool {
	newest := int64(0) // Without the delay, so that all are comparable.
	for i := range t.cursors {
		f := t.layout.widgets[i].feed
		newest = max(newest, f.newestEnd()+f.delayMs)
	}
	for i := range t.cursors {
		cur, f := &t.cursors[i], t.layout.widgets[i].feed
		if cur.need == needNothing && cur.state == wire.StateLive && f.newestEnd() <= cur.end && cur.end+f.refreshMs+f.delayMs <= newest {
			return true
		}
	}
	return false
}
