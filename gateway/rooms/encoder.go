package rooms

import (
	"time"

	"pulseboard/gateway/feeds"
	"pulseboard/wire"
)

// cursor is what was sent last of one widget.
type cursor struct {
	end        int64       // The window end sent last.
	version    string      // The series version sent last.
	values     wire.Values // The values at end, in the order of version; the zero value = not comparable.
	state      wire.State
	generation int // Of the feed.
}

// sameBase reports whether the next delta computed from a equals that from b, so that
// clients at either can share one encoded frame. Values are compared by identity.
func (a *cursor) sameBase(b *cursor) bool {
	return a.end == b.end && a.generation == b.generation && a.state == b.state && a.version == b.version && a.values.Are(b.values)
}

// Pending is the snapshot that a client must get of a widget before any update.
type Pending uint8

// Each holds what those before it hold.
const (
	pendingNone  Pending = iota
	pendingRest          // The points after end: the last frame could not hold them.
	PendingNewer         // The points after end.
	PendingAll           // All points, and the list of series.
)

// widgetCursor is the cursor of one widget on one stream, and what is pending.
type widgetCursor struct {
	cursor
	pending Pending
	partway bool             // Some of the points that were missed were sent.
	resume  wire.ResumePoint // For the first snapshot.
}

// encoder encodes what is new of a dashboard's widgets for one stream, or for all
// that are in sync. It has no queue: the next frame is a function of the cursors and the feeds.
type encoder struct {
	layout  *Layout // Nil before the welcome.
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
func (e *encoder) adopt(l *Layout, resume map[string]wire.ResumePoint, choice Choice) {
	known := make(map[string]int, len(e.cursors))
	for i := range e.cursors {
		known[e.layout.widgets[i].ID] = i
	}
	cursors := make([]widgetCursor, len(l.widgets))
	filters := choice.filters(l)
	for i, w := range l.widgets {
		if j, ok := known[w.ID]; ok && e.layout.widgets[j].feed == w.feed && filterOf(filters, i).equal(filterOf(e.filters, j)) {
			cursors[i] = e.cursors[j]
			continue
		}
		cursors[i] = widgetCursor{pending: PendingAll, resume: resume[w.ID]}
	}
	e.layout, e.cursors, e.filters = l, cursors, filters
	e.partial, e.rest = nil, 0 // Indexes have changed: what was sent in part is sent again.
}

func filterOf(filters []*seriesFilter, i int) *seriesFilter {
	if filters == nil {
		return nil
	}
	return filters[i]
}

// require makes a snapshot pending for every widget, at least of the given kind.
func (e *encoder) require(n Pending) {
	for i := range e.cursors {
		cur := &e.cursors[i]
		if cur.pending = max(cur.pending, n); n == PendingAll {
			cur.version = "" // A client that asks for everything may have lost the list of series too.
		}
	}
}

// see returns points without the series that the client has filtered out.
func (e *encoder) see(i int, points []wire.Point) []wire.Point {
	if f := filterOf(e.filters, i); f != nil {
		return f.see(points)
	}
	return points
}

// snapshot encodes one pending snapshot, if its feed is loaded.
func (e *encoder) snapshot(s *Scratch) bool {
	e.goBack()
	for i := range e.cursors {
		if e.cursors[i].pending != pendingNone && e.sendPending(s, i) {
			return true
		}
	}
	return false
}

// sendPending encodes the pending snapshot of a widget; false when its feed is not loaded yet.
func (e *encoder) sendPending(s *Scratch, i int) bool {
	cur, w := &e.cursors[i], &e.layout.widgets[i]
	v := w.feed.View()
	if !v.Loaded {
		return false
	}
	cur.goBack(v.Generation)
	from := cur.resume.WindowEnd
	known := (cur.resume.Key == w.KeyID || cur.resume.Key == w.Key) && v.Has(from) && !w.feed.TookBack(from)
	if cur.pending == PendingNewer || cur.pending == pendingRest {
		from, known = cur.end, v.Has(cur.end) || cur.end == 0 && len(v.Points) == 0
	}
	if cur.pending == PendingAll && cur.end > 0 {
		known = false // Asked for by a resync.
	}
	if !known {
		from = 0
	}
	points := v.After(from)
	// The rest of a snapshot may have more by those that came meanwhile.
	if n := len(points) - e.most; n > 0 && e.most > 0 && cur.pending != pendingRest {
		points, known = points[n:], false
	}
	end := max(from, cur.end)
	if n, sent := e.sendPoints(s, i, v, points, !known); sent && n < len(points) {
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
func (e *encoder) sendPoints(s *Scratch, i int, v feeds.View, points []wire.Point, reset bool) (n int, sent bool) {
	cur, w := &e.cursors[i], &e.layout.widgets[i]
	points = e.see(i, points)
	m := wire.Snapshot{Index: i, State: v.State, Detail: v.Limited, Reset: reset, Points: points, CoveredSince: wire.NoTime, Full: s.Full}
	if len(v.Points) > 0 {
		m.CoveredSince = wire.CoveredSince(v.Points, w.WindowMs)
	}
	var list *wire.SeriesList
	s.Text, list, n = m.Append(s.Text, cur.version)
	if n == 0 && len(points) > 0 {
		e.sendSeries(s, i, list)
		return 0, false
	}
	*cur = widgetCursor{cursor: cursor{end: cur.end, state: v.State, version: list.Version, generation: v.Generation}}
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
		s.Snapshots++
	}
	return n, true
}

// sendSeries encodes a list of series, or its first part.
func (e *encoder) sendSeries(s *Scratch, i int, l *wire.SeriesList) {
	e.partial = &partialList{index: i, list: l}
	e.continueSeries(s)
}

// continueSeries encodes the next part of a list of series. The cursor moves to the
// list with its last part.
func (e *encoder) continueSeries(s *Scratch) bool {
	l := e.partial
	if l == nil {
		return false
	}
	s.Text, l.next = wire.AppendSeries(s.Text, l.index, l.list, l.next, s.Full)
	if l.next == len(l.list.Tags) {
		cur := &e.cursors[l.index]
		cur.version, cur.values = l.list.Version, wire.Values{}
		e.partial = nil
	}
	return true
}

// changedState encodes the state of one widget whose state is not the one sent last.
func (e *encoder) changedState(s *Scratch) bool {
	for i := range e.cursors {
		cur, w := &e.cursors[i], &e.layout.widgets[i]
		state, detail := w.feed.State()
		// A widget that waits for its snapshot gets its state with it, unless nothing may come for long.
		if state == cur.state || (cur.pending != pendingNone || cur.partway) && state != wire.StateDegraded {
			continue
		}
		cur.state = state
		s.Text = wire.AppendState(s.Text, i, state, detail)
		return true
	}
	return false
}

// update encodes the newest points of all widgets that have one, or of as many as a
// frame holds. A widget that missed points gets a snapshot of those in between first,
// and one whose series changed gets its list of series first; the update follows in a
// later frame then.
func (e *encoder) update(s *Scratch, now time.Time) bool {
	return e.updateRest(s, now) || e.updateFrom(s, now, 0)
}

// updateRest goes on with the widgets for which the last update had no room, before
// anything newer of those before them: a slow client would never get the last ones.
func (e *encoder) updateRest(s *Scratch, now time.Time) bool {
	return e.rest > 0 && e.updateFrom(s, now, e.rest)
}

func (e *encoder) updateFrom(s *Scratch, now time.Time, first int) bool {
	s.entries = s.entries[:0]
	for i := first; i < len(e.cursors); i++ {
		cur, w := &e.cursors[i], &e.layout.widgets[i]
		if cur.pending != pendingNone {
			continue
		}
		v := w.feed.View()
		points := v.After(cur.end)
		if len(points) == 0 || v.Generation != cur.generation {
			continue
		}
		if missed := points[:len(points)-1]; len(missed) > 0 || cur.partway {
			skipped, filled := skips(missed)
			if filled || w.History || cur.partway {
				// Where their series have to be sent first, they come after that.
				if n, sent := e.sendPoints(s, i, v, missed, false); sent {
					cur.partway = n < len(missed)
					skipped, _ = skips(missed[:n])
					e.skipped += skipped
				}
				return true
			}
			e.skipped += skipped
			cur.end = missed[len(missed)-1].End
		}
		newest := &e.see(i, points[len(points)-1:])[0]
		if newest.List.Version != cur.version {
			e.sendSeries(s, i, newest.List)
			return true
		}
		s.entries = append(s.entries, wire.Entry{
			Index: i, Point: *newest, WindowMs: w.WindowMs,
			Unchanged: cur.values.Numbers != nil && cur.values.Equal(newest.Values),
		})
	}
	e.rest = 0
	if len(s.entries) == 0 {
		return false
	}
	var n int
	if s.Text, n = wire.AppendUpdate(s.Text, now.UnixMilli(), s.entries, e.skipped, s.Full); n < len(s.entries) {
		e.rest = s.entries[n].Index
	}
	s.Updates, s.Skipped = n, e.skipped
	e.skipped = 0
	for i := range s.entries[:n] {
		sent := &s.entries[i]
		cur, w := &e.cursors[sent.Index], &e.layout.widgets[sent.Index]
		cur.end, cur.values = sent.Point.End, sent.Point.Values
		s.age(sent, w.RefreshMs, w.DelayMs)
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

// goBack makes snapshots pending for widgets whose points were taken back.
func (e *encoder) goBack() (back bool) {
	for i := range e.cursors {
		back = e.cursors[i].goBack(e.layout.widgets[i].feed.View().Generation) || back
	}
	return back
}

// goBack makes a snapshot of everything pending when what was sent is of an earlier generation of the feed.
func (c *widgetCursor) goBack(generation int) bool {
	if c.generation == generation {
		return false
	}
	if c.generation = generation; c.end == 0 {
		return false // Nothing was sent.
	}
	*c = widgetCursor{cursor: cursor{state: c.state, generation: generation}, pending: PendingAll}
	return true
}
