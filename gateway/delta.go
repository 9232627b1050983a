package gateway

import (
	"time"

	"github.com/gorilla/websocket"

	"pulseboard/wire"
)

// cursor is what was sent last of one widget.
type cursor struct {
	end        int64     // The window end sent last.
	version    string    // The series version sent last.
	values     []float64 // The values at end, in the order of version; nil = not comparable.
	state      wire.State
	generation int // Of the feed.
}

// sameBase reports whether the next delta computed from a equals that from b, so that
// clients at either can share one encoded frame. Values are compared by identity: those
// of a point are shared by all streams.
func (a *cursor) sameBase(b *cursor) bool {
	return a.end == b.end && a.generation == b.generation && a.state == b.state && a.version == b.version && len(a.values) == len(b.values) &&
		(len(a.values) == 0 || &a.values[0] == &b.values[0])
}

// pendingSnapshot is the snapshot that a client must get of a widget before any update.
type pendingSnapshot uint8

const (
	pendingNone  pendingSnapshot = iota
	pendingRest                  // The points after end: the last frame could not hold them.
	pendingNewer                 // The points after end.
	pendingAll
)

// widgetCursor is the cursor of one widget on one stream, and what is pending.
type widgetCursor struct {
	cursor
	pending pendingSnapshot
	partway bool             // Some of the points that were missed were sent.
	resume  wire.ResumePoint // For the first snapshot.
}

// deltaEncoder encodes what is new of a dashboard's widgets for one stream, or for all
// that are in sync. It has no queue: the next frame is a function of the cursors and the feeds.
type deltaEncoder struct {
	layout  *layout // Nil before the welcome.
	cursors []widgetCursor
	filters []*seriesFilter // Of the widgets; nil = everything is shown.
	most    int             // Points of a snapshot that begins anew; 0 = all that there are.
	skipped int
	partial *partialList // A list of series of which a part was sent; nil = none.
	rest    int          // The widget at which the last update was full; 0 = it had all.
}

// partialList is a list of series that goes on in the next frame.
type partialList struct {
	index int
	list  *wire.SeriesList
	next  int
}

// adopt takes a layout. What is known of a widget holds as long as it shows the
// same feed. resume is where an earlier connection ended, choice what its
// client chose of the dashboard's variables.
func (d *deltaEncoder) adopt(l *layout, resume map[string]wire.ResumePoint, choice choice) {
	known := make(map[string]int, len(d.cursors))
	for i := range d.cursors {
		known[d.layout.widgets[i].ID] = i
	}
	cursors := make([]widgetCursor, len(l.widgets))
	filters := choice.filters(l)
	for i, w := range l.widgets {
		if j, ok := known[w.ID]; ok && d.layout.widgets[j].feed == w.feed && filterOf(filters, i).equal(filterOf(d.filters, j)) {
			cursors[i] = d.cursors[j]
			continue
		}
		cursors[i] = widgetCursor{pending: pendingAll, resume: resume[w.ID]}
	}
	d.layout, d.cursors, d.filters = l, cursors, filters
	d.partial, d.rest = nil, 0 // Indexes have changed: what was sent in part is sent again.
}

func filterOf(filters []*seriesFilter, i int) *seriesFilter {
	if filters == nil {
		return nil
	}
	return filters[i]
}

// require makes a snapshot pending for every widget, at least of the given kind.
func (d *deltaEncoder) require(n pendingSnapshot) {
	for i := range d.cursors {
		cur := &d.cursors[i]
		if cur.pending = max(cur.pending, n); n == pendingAll {
			cur.version = "" // A client that asks for everything may have lost the list of series too.
		}
	}
}

// see returns points without the series that the client has filtered out.
func (d *deltaEncoder) see(i int, points []wire.Point) []wire.Point {
	if l := filterOf(d.filters, i); l != nil {
		return l.see(points)
	}
	return points
}

// snapshot encodes one pending snapshot, if its feed is loaded.
func (d *deltaEncoder) snapshot(s *scratch) bool {
	d.goBack()
	for i := range d.cursors {
		if d.cursors[i].pending != pendingNone && d.sendPending(s, i) {
			return true
		}
	}
	return false
}

// sendPending encodes the pending snapshot of a widget; false when its feed is not loaded yet.
func (d *deltaEncoder) sendPending(s *scratch, i int) bool {
	cur, w := &d.cursors[i], &d.layout.widgets[i]
	v := w.feed.view()
	if !v.loaded {
		return false
	}
	cur.goBack(v.generation)
	from := cur.resume.WindowEnd
	known := (cur.resume.Key == w.KeyID || cur.resume.Key == w.Key) && v.has(from) && !w.feed.horizon.takenBack().Has(from)
	if cur.pending == pendingNewer || cur.pending == pendingRest {
		from, known = cur.end, v.has(cur.end) || cur.end == 0 && len(v.points) == 0
	}
	if cur.pending == pendingAll && cur.end > 0 {
		known = false // Asked for by a resync.
	}
	if !known {
		from = 0
	}
	points := v.after(from)
	// The rest of a snapshot may have more by those that came meanwhile.
	if n := len(points) - d.most; n > 0 && d.most > 0 && cur.pending != pendingRest {
		points, known = points[n:], false
	}
	end := max(from, cur.end)
	if n, sent := d.sendPoints(s, i, v, points, !known); sent && n < len(points) {
		cur.pending = pendingRest
	} else if sent && n == 0 {
		cur.end = end
	}
	return true
}

// sendPoints encodes a snapshot of points, or of as many as a frame holds, oldest
// first, and moves the cursor to the newest of them. All parts but the last have the
// state stale: their newest point is not the newest, and a reader that does not know
// of parts would show it as live. sent is false when the list of series needs frames
// of its own, the first of which is encoded instead.
func (d *deltaEncoder) sendPoints(s *scratch, i int, v view, points []wire.Point, reset bool) (n int, sent bool) {
	cur, w := &d.cursors[i], &d.layout.widgets[i]
	points = d.see(i, points)
	m := wire.Snapshot{Index: i, State: v.state, Detail: v.limited, Reset: reset, Points: points, CoveredSince: wire.NoTime, Full: s.full}
	if len(v.points) > 0 {
		m.CoveredSince = wire.CoveredSince(v.points, w.feed.windowMs)
	}
	var list *wire.SeriesList
	s.text, list, n = m.Append(s.text, cur.version)
	if n == 0 && len(points) > 0 {
		d.sendSeries(s, i, list)
		return 0, false
	}
	*cur = widgetCursor{cursor: cursor{end: cur.end, state: v.state, version: list.Version, generation: v.generation}}
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

// sendSeries encodes a list of series, or its first part.
func (d *deltaEncoder) sendSeries(s *scratch, i int, l *wire.SeriesList) {
	d.partial = &partialList{index: i, list: l}
	d.continueSeries(s)
}

// continueSeries encodes the next part of a list of series. The cursor moves to the
// list with its last part.
func (d *deltaEncoder) continueSeries(s *scratch) bool {
	l := d.partial
	if l == nil {
		return false
	}
	s.text, l.next = wire.AppendSeries(s.text, l.index, l.list, l.next, s.full)
	if l.next == len(l.list.Tags) {
		cur := &d.cursors[l.index]
		cur.version, cur.values = l.list.Version, nil
		d.partial = nil
	}
	return true
}

// changedState encodes the state of one widget whose state is not the one sent last.
func (d *deltaEncoder) changedState(s *scratch) bool {
	for i := range d.cursors {
		cur, w := &d.cursors[i], &d.layout.widgets[i]
		state, detail := w.feed.currentState()
		// A widget that waits for its snapshot gets its state with it, unless nothing may come for long.
		if state == cur.state || (cur.pending != pendingNone || cur.partway) && state != wire.StateDegraded {
			continue
		}
		cur.state = state
		s.text = wire.AppendState(s.text, i, state, detail)
		return true
	}
	return false
}

// update encodes the newest points of all widgets that have one, or of as many as a
// frame holds. A widget that missed points gets a snapshot of those in between first,
// and one whose series changed gets its list of series first; the update follows in a
// later frame then.
func (d *deltaEncoder) update(s *scratch, now time.Time) bool {
	return d.updateRest(s, now) || d.updateFrom(s, now, 0)
}

// updateRest goes on with the widgets for which the last update had no room, before
// anything newer of those before them: a slow client would never get the last ones.
func (d *deltaEncoder) updateRest(s *scratch, now time.Time) bool {
	return d.rest > 0 && d.updateFrom(s, now, d.rest)
}

func (d *deltaEncoder) updateFrom(s *scratch, now time.Time, first int) bool {
	s.entries = s.entries[:0]
	for i := first; i < len(d.cursors); i++ {
		cur, w := &d.cursors[i], &d.layout.widgets[i]
		if cur.pending != pendingNone {
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
				// Where their series have to be sent first, they come after that.
				if n, sent := d.sendPoints(s, i, v, missed, false); sent {
					cur.partway = n < len(missed)
					skipped, _ = skips(missed[:n])
					d.skipped += skipped
				}
				return true
			}
			d.skipped += skipped
			cur.end = missed[len(missed)-1].End
		}
		newest := &d.see(i, points[len(points)-1:])[0]
		if newest.List.Version != cur.version {
			d.sendSeries(s, i, newest.List)
			return true
		}
		s.entries = append(s.entries, wire.Entry{
			Index: i, Point: *newest, WindowMs: w.feed.windowMs,
			Unchanged: cur.values != nil && wire.SameValues(cur.values, newest.Values),
		})
	}
	d.rest = 0
	if len(s.entries) == 0 {
		return false
	}
	var n int
	if s.text, n = wire.AppendUpdate(s.text, now.UnixMilli(), s.entries, d.skipped, s.full); n < len(s.entries) {
		d.rest = s.entries[n].Index
	}
	s.updates, s.skipped = n, d.skipped
	d.skipped = 0
	for i := range s.entries[:n] {
		e := &s.entries[i]
		cur := &d.cursors[e.Index]
		cur.end, cur.values = e.Point.End, e.Point.Values
		w := &d.layout.widgets[e.Index]
		s.age(e, w.RefreshMs, w.feed.delayMs)
	}
	return true
}

// skips counts the results that a client could have had as updates, and says
// whether some are among them that were read from the history later, without a message.
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
