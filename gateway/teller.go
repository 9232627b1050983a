package gateway

import (
	"time"

	"github.com/gorilla/websocket"
)

// told is what a stream was last told of one widget.
type told struct {
	end     int64     // The window end sent last.
	version string    // The series version sent last.
	values  []float64 // The values at end, in the order of version; nil = not comparable.
	state   state
}

// is reports whether what is said next is the same after a as after b. Values
// are those of a point that all streams share.
func (a *told) is(b *told) bool {
	return a.end == b.end && a.state == b.state && a.version == b.version && len(a.values) == len(b.values) &&
		(len(a.values) == 0 || &a.values[0] == &b.values[0])
}

// need says which snapshot a widget is owed before anything else.
type need uint8

const (
	needNothing need = iota
	needNewer        // The points after end.
	needAll
)

// cursor is where a stream stands with one widget.
type cursor struct {
	told
	need   need
	resume resumePoint // For the first snapshot.
}

// teller finds what there is to say of a dashboard's widgets. It has no queue:
// what comes next follows from what was told and from the feeds.
type teller struct {
	layout  *layout // Nil before the welcome.
	cursors []cursor
	lenses  []*lens // Of the widgets; nil = everything is shown.
	skipped int
}

// adopt takes a layout. What is known of a widget holds as long as it shows the
// same feed. resume is where an earlier connection ended, choice what its
// client chose of the dashboard's variables.
func (t *teller) adopt(l *layout, resume map[string]resumePoint, choice choice) {
	known := make(map[string]int, len(t.cursors))
	for i := range t.cursors {
		known[t.layout.widgets[i].id] = i
	}
	cursors := make([]cursor, len(l.widgets))
	lenses := choice.lenses(l)
	for i, w := range l.widgets {
		if j, ok := known[w.id]; ok && t.layout.widgets[j].feed == w.feed && lensOf(lenses, i).equal(lensOf(t.lenses, j)) {
			cursors[i] = t.cursors[j]
			continue
		}
		cursors[i] = cursor{need: needAll, resume: resume[w.id]}
	}
	t.layout, t.cursors, t.lenses = l, cursors, lenses
}

func lensOf(lenses []*lens, i int) *lens {
	if lenses == nil {
		return nil
	}
	return lenses[i]
}

// owe makes every widget need a snapshot, at least of the given kind.
func (t *teller) owe(n need) {
	for i := range t.cursors {
		t.cursors[i].need = max(t.cursors[i].need, n)
	}
}

// see returns points as this stream shows them.
func (t *teller) see(i int, points []point) []point {
	if l := lensOf(t.lenses, i); l != nil {
		return l.see(points)
	}
	return points
}

// snapshot says what a widget is owed, one widget a frame.
func (t *teller) snapshot(s *scratch) bool {
	t.goBack()
	for i := range t.cursors {
		cur, w := &t.cursors[i], &t.layout.widgets[i]
		if cur.need == needNothing {
			continue
		}
		v := w.feed.view()
		if !v.loaded {
			continue
		}
		from := cur.resume.WindowEnd
		known := cur.resume.Key == w.key && v.has(from)
		if cur.need == needNewer {
			from, known = cur.end, v.has(cur.end) || cur.end == 0 && len(v.points) == 0
		}
		if cur.need == needAll && cur.end > 0 {
			known = false // Asked for by a resync.
		}
		if !known {
			from = 0
		}
		*cur = cursor{told: told{end: max(from, cur.end), state: cur.state}}
		t.sendPoints(s, i, v, v.after(from), !known)
		return true
	}
	return false
}

// sendPoints makes a snapshot of points the frame and moves the cursor to it.
func (t *teller) sendPoints(s *scratch, i int, v view, points []point, reset bool) {
	cur, w := &t.cursors[i], &t.layout.widgets[i]
	points = t.see(i, points)
	m := snapshot{index: i, state: v.state, limited: v.limited, reset: reset, points: points, since: noTime}
	if len(v.points) > 0 {
		m.since = coveredSince(v.points, w.feed.windowMs)
	}
	var list *seriesList
	s.text, list = m.append(s.text)
	cur.state, cur.version, cur.values = v.state, list.version, nil
	if n := len(points); n > 0 {
		newest := &points[n-1]
		cur.end = newest.end
		if newest.list.version == list.version {
			cur.values = newest.values
		}
	}
	s.snapshots++
}

// tellState says a state that is not the one that was told.
func (t *teller) tellState(s *scratch) bool {
	for i := range t.cursors {
		cur, w := &t.cursors[i], &t.layout.widgets[i]
		state, detail := w.feed.currentState()
		// A widget that waits for its snapshot gets its state with it, unless nothing may come for long.
		if state == cur.state || cur.need != needNothing && state != stateDegraded {
			continue
		}
		cur.state = state
		s.text = appendState(s.text, i, state, detail)
		return true
	}
	return false
}

// update puts all widgets that have a newer point into one frame. A widget that
// missed some gets a snapshot of those in between first, and one whose series
// changed gets its series first: then the update is made anew.
func (t *teller) update(s *scratch, now time.Time) bool {
	s.entries = s.entries[:0]
	for i := range t.cursors {
		cur, w := &t.cursors[i], &t.layout.widgets[i]
		if cur.need != needNothing {
			continue
		}
		v := w.feed.view()
		points := v.after(cur.end)
		if len(points) == 0 {
			continue
		}
		if missed := points[:len(points)-1]; len(missed) > 0 {
			skipped, filled := skips(missed)
			t.skipped += skipped
			cur.end = missed[len(missed)-1].end
			if filled || w.history {
				t.sendPoints(s, i, v, missed, false)
				return true
			}
		}
		newest := &t.see(i, points[len(points)-1:])[0]
		if newest.list.version != cur.version {
			cur.version, cur.values = newest.list.version, nil
			s.text = appendSeriesMessage(s.text, i, newest.list)
			return true
		}
		s.entries = append(s.entries, entry{
			index: i, point: *newest, windowMs: w.feed.windowMs,
			unchanged: cur.values != nil && sameValues(cur.values, newest.values),
		})
	}
	if len(s.entries) == 0 {
		return false
	}
	s.text = appendUpdate(s.text, now, s.entries, t.skipped)
	s.updates, s.skipped = len(s.entries), t.skipped
	t.skipped = 0
	for i := range s.entries {
		e := &s.entries[i]
		cur := &t.cursors[e.index]
		cur.end, cur.values = e.point.end, e.point.values
		w := &t.layout.widgets[e.index]
		s.age(e, w.refreshMs, w.feed.delayMs)
	}
	return true
}

// skips counts the results that a client could have had as updates, and says
// whether others are among them that no message told of in time.
func skips(missed []point) (skipped int, filled bool) {
	for i := range missed {
		if missed[i].filled {
			filled = true
		} else {
			skipped++
		}
	}
	return skipped, filled
}

// message is one frame, and what of it is counted when it is written.
type message struct {
	text     []byte
	prepared *websocket.PreparedMessage // The same, when it is for many streams.

	updates, skipped, snapshots int
	oldestEvent                 int64         // The lowest newest_event among its updates that is news, 0 = none.
	oldestEnd                   int64         // The lowest window end + delay among its updates, 0 = none.
	retry                       time.Duration // Of a close message.
}

// age takes the times of an update that is sent.
func (m *message) age(e *entry, refreshMs, delayMs int64) {
	if end := e.point.end + delayMs; m.oldestEnd == 0 || end < m.oldestEnd {
		m.oldestEnd = end
	}
	// An older event was news to an earlier window: its age would only say how rare events are.
	if n := e.point.newest; n >= e.point.end-refreshMs && (m.oldestEvent == 0 || n < m.oldestEvent) {
		m.oldestEvent = n
	}
}

// scratch is what composing needs, used again for the next frame.
type scratch struct {
	message
	entries []entry
}

func (s *scratch) reset() { s.message = message{text: s.text[:0]} }
