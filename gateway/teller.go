package gateway

import (
	"time"

	"github.com/gorilla/websocket"

	"pulseboard/wire"
)

// told is what a stream was last told of one widget.
type told struct {
	end        int64     // The window end sent last.
	version    string    // The series version sent last.
	values     []float64 // The values at end, in the order of version; nil = not comparable.
	state      wire.State
	generation int // Of the feed.
}

// is reports whether what is said next is the same after a as after b. Values
// are those of a point that all streams share.
func (a *told) is(b *told) bool {
	return a.end == b.end && a.generation == b.generation && a.state == b.state && a.version == b.version && len(a.values) == len(b.values) &&
		(len(a.values) == 0 || &a.values[0] == &b.values[0])
}

// need says which snapshot a widget is owed before anything else.
type need uint8

const (
	needNothing need = iota
	needRest         // The points after end: the last frame could not hold them.
	needNewer        // The points after end.
	needAll
)

// cursor is where a stream stands with one widget.
type cursor struct {
	told
	need    need
	partway bool             // Of points that were missed, some were sent.
	resume  wire.ResumePoint // For the first snapshot.
}

// teller finds what there is to say of a dashboard's widgets. It has no queue:
// what comes next follows from what was told and from the feeds.
type teller struct {
	layout  *layout // Nil before the welcome.
	cursors []cursor
	lenses  []*lens // Of the widgets; nil = everything is shown.
	most    int     // Points of a snapshot that begins anew; 0 = all that there are.
	skipped int
	listing *listing // A list of series of which a part was told; nil = none.
	rest    int      // The widget at which the last update was full; 0 = it had all.
}

// listing is a list of series that goes on in the next frame.
type listing struct {
	index int
	list  *wire.SeriesList
	next  int
}

// adopt takes a layout. What is known of a widget holds as long as it shows the
// same feed. resume is where an earlier connection ended, choice what its
// client chose of the dashboard's variables.
func (t *teller) adopt(l *layout, resume map[string]wire.ResumePoint, choice choice) {
	known := make(map[string]int, len(t.cursors))
	for i := range t.cursors {
		known[t.layout.widgets[i].ID] = i
	}
	cursors := make([]cursor, len(l.widgets))
	lenses := choice.lenses(l)
	for i, w := range l.widgets {
		if j, ok := known[w.ID]; ok && t.layout.widgets[j].feed == w.feed && lensOf(lenses, i).equal(lensOf(t.lenses, j)) {
			cursors[i] = t.cursors[j]
			continue
		}
		cursors[i] = cursor{need: needAll, resume: resume[w.ID]}
	}
	t.layout, t.cursors, t.lenses = l, cursors, lenses
	t.listing, t.rest = nil, 0 // What was begun is told anew: indexes are others.
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
		cur := &t.cursors[i]
		if cur.need = max(cur.need, n); n == needAll {
			cur.version = "" // Whoever asks for everything may have lost the list too.
		}
	}
}

// see returns points as this stream shows them.
func (t *teller) see(i int, points []wire.Point) []wire.Point {
	if l := lensOf(t.lenses, i); l != nil {
		return l.see(points)
	}
	return points
}

// snapshot says what a widget is owed, of one widget a frame.
func (t *teller) snapshot(s *scratch) bool {
	t.goBack()
	for i := range t.cursors {
		if t.cursors[i].need != needNothing && t.sendOwed(s, i) {
			return true
		}
	}
	return false
}

// sendOwed makes a snapshot the frame; false when there is none yet.
func (t *teller) sendOwed(s *scratch, i int) bool {
	cur, w := &t.cursors[i], &t.layout.widgets[i]
	v := w.feed.view()
	if !v.loaded {
		return false
	}
	cur.goBack(v.generation)
	from := cur.resume.WindowEnd
	known := (cur.resume.Key == w.KeyID || cur.resume.Key == w.Key) && v.has(from) && !w.feed.horizon.takenBack().Has(from)
	if cur.need == needNewer || cur.need == needRest {
		from, known = cur.end, v.has(cur.end) || cur.end == 0 && len(v.points) == 0
	}
	if cur.need == needAll && cur.end > 0 {
		known = false // Asked for by a resync.
	}
	if !known {
		from = 0
	}
	points := v.after(from)
	// The rest of a snapshot may have more by those that came meanwhile.
	if n := len(points) - t.most; n > 0 && t.most > 0 && cur.need != needRest {
		points, known = points[n:], false
	}
	end := max(from, cur.end)
	if n, sent := t.sendPoints(s, i, v, points, !known); sent && n < len(points) {
		cur.need = needRest
	} else if sent && n == 0 {
		cur.end = end
	}
	return true
}

// sendPoints makes a snapshot of points, or as many of them as it holds, the
// frame, and moves the cursor to it. sent is false when their list of series
// needs frames of its own, the first of which is made instead.
func (t *teller) sendPoints(s *scratch, i int, v view, points []wire.Point, reset bool) (n int, sent bool) {
	cur, w := &t.cursors[i], &t.layout.widgets[i]
	points = t.see(i, points)
	m := wire.Snapshot{Index: i, State: v.state, Detail: v.limited, Reset: reset, Points: points, CoveredSince: wire.NoTime, Full: s.full}
	if len(v.points) > 0 {
		m.CoveredSince = wire.CoveredSince(v.points, w.feed.windowMs)
	}
	var list *wire.SeriesList
	s.text, list, n = m.Append(s.text, cur.version)
	if n == 0 && len(points) > 0 {
		t.sendSeries(s, i, list)
		return 0, false
	}
	*cur = cursor{told: told{end: cur.end, state: v.state, version: list.Version, generation: v.generation}}
	if n > 0 {
		newest := &points[n-1]
		cur.end = newest.End
		if newest.List.Version == list.Version {
			cur.values = newest.Values
		}
	}
	if n < len(points) {
		cur.state = wire.StateStale
	} else {
		s.snapshots++
	}
	return n, true
}

// sendSeries makes a list of series, or its first part, the frame.
func (t *teller) sendSeries(s *scratch, i int, l *wire.SeriesList) {
	t.listing = &listing{index: i, list: l}
	t.goOnWithSeries(s)
}

// goOnWithSeries says the next part of a list of series that was begun. The list
// counts as told with its last one.
func (t *teller) goOnWithSeries(s *scratch) bool {
	l := t.listing
	if l == nil {
		return false
	}
	s.text, l.next = wire.AppendSeries(s.text, l.index, l.list, l.next, s.full)
	if l.next == len(l.list.Tags) {
		cur := &t.cursors[l.index]
		cur.version, cur.values = l.list.Version, nil
		t.listing = nil
	}
	return true
}

// tellState says a state that is not the one that was told.
func (t *teller) tellState(s *scratch) bool {
	for i := range t.cursors {
		cur, w := &t.cursors[i], &t.layout.widgets[i]
		state, detail := w.feed.currentState()
		// A widget that waits for its snapshot gets its state with it, unless nothing may come for long.
		if state == cur.state || (cur.need != needNothing || cur.partway) && state != wire.StateDegraded {
			continue
		}
		cur.state = state
		s.text = wire.AppendState(s.text, i, state, detail)
		return true
	}
	return false
}

// update puts all widgets that have a newer point into one frame, or as many as
// it holds. A widget that missed some gets a snapshot of those in between first,
// and one whose series changed gets its series first: then the update is made anew.
func (t *teller) update(s *scratch, now time.Time) bool {
	return t.updateRest(s, now) || t.updateFrom(s, now, 0)
}

// updateRest goes on with the widgets for which the last update had no room: else
// the first of them would have their next points told before these their first.
func (t *teller) updateRest(s *scratch, now time.Time) bool {
	return t.rest > 0 && t.updateFrom(s, now, t.rest)
}

func (t *teller) updateFrom(s *scratch, now time.Time, first int) bool {
	s.entries = s.entries[:0]
	for i := first; i < len(t.cursors); i++ {
		cur, w := &t.cursors[i], &t.layout.widgets[i]
		if cur.need != needNothing {
			continue
		}
		v := w.feed.view()
		points := v.after(cur.end)
		if len(points) == 0 || v.generation != cur.generation {
			continue
		}
		if missed := points[:len(points)-1]; len(missed) > 0 || cur.partway {
			skipped, filled := skips(missed)
			if filled || w.History || cur.partway {
				// Where their series have to be told first, they come after that.
				if n, sent := t.sendPoints(s, i, v, missed, false); sent {
					cur.partway = n < len(missed)
					skipped, _ = skips(missed[:n])
					t.skipped += skipped
				}
				return true
			}
			t.skipped += skipped
			cur.end = missed[len(missed)-1].End
		}
		newest := &t.see(i, points[len(points)-1:])[0]
		if newest.List.Version != cur.version {
			t.sendSeries(s, i, newest.List)
			return true
		}
		s.entries = append(s.entries, wire.Entry{
			Index: i, Point: *newest, WindowMs: w.feed.windowMs,
			Unchanged: cur.values != nil && wire.SameValues(cur.values, newest.Values),
		})
	}
	t.rest = 0
	if len(s.entries) == 0 {
		return false
	}
	var n int
	if s.text, n = wire.AppendUpdate(s.text, now.UnixMilli(), s.entries, t.skipped, s.full); n < len(s.entries) {
		t.rest = s.entries[n].Index
	}
	s.updates, s.skipped = n, t.skipped
	t.skipped = 0
	for i := range s.entries[:n] {
		e := &s.entries[i]
		cur := &t.cursors[e.Index]
		cur.end, cur.values = e.Point.End, e.Point.Values
		w := &t.layout.widgets[e.Index]
		s.age(e, w.RefreshMs, w.feed.delayMs)
	}
	return true
}

// skips counts the results that a client could have had as updates, and says
// whether others are among them that no message told of in time.
func skips(missed []wire.Point) (skipped int, filled bool) {
	for i := range missed {
		if missed[i].Backfilled {
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
func (m *message) age(e *wire.Entry, refreshMs, delayMs int64) {
	if end := e.Point.End + delayMs; m.oldestEnd == 0 || end < m.oldestEnd {
		m.oldestEnd = end
	}
	// An older event was news to an earlier window: its age would only say how rare events are.
	if n := e.Point.Newest; n >= e.Point.End-refreshMs && (m.oldestEvent == 0 || n < m.oldestEvent) {
		m.oldestEvent = n
	}
}

// scratch is what composing needs, used again for the next frame.
type scratch struct {
	message
	entries []wire.Entry
	full    int // Bytes at which a frame takes no more.
}

func (s *scratch) reset() { s.message = message{text: s.text[:0]} }
