package load

import (
	"slices"

	"pulseboard/wire"
)

// account is what one client was given of each widget, and what it was owed.
//
// It owes every window end that the pipeline published after the end of the
// widget's first snapshot, once each, in rising order. Ends that an update skips,
// and of which its "skipped" tells, were left out for a slow client, as the
// protocol allows; other ends that are skipped are missing. Which ends were
// published is known when the run is over: until then gaps are only kept.
type account struct {
	layout  *layout
	cursors []cursor
	gaps    []gap
	credits []int // Of each frame with gaps, how many ends its "skipped" covers.
	ahead   int   // Results in snapshots since the last update: its "skipped" counts them too.
	frame   bool  // The credit of this frame stands in credits.
	credit  int
	cut     int64 // What is due later does not count.
	totals  Delivery
	since   []int64 // When it is added up: after which end each widget was owed results.
}

// cursor is where the client stands with one widget.
type cursor struct {
	first, last int64 // 0 = nothing came yet.
	delivered   int64 // In (first, last].
	owed        bool  // The snapshot after a welcome.
	opening     bool  // The rest of the first snapshot is to come.
	replacing   bool  // The rest of a snapshot that replaces what the client has is to come.
}

// gap is the ends of a widget in (after, upto] that were passed over.
type gap struct {
	widget, credit int // Of credits, -1 = none.
	after, upto    int64
}

// Delivery says what became of results, in numbers of results (one widget's
// window end on one connection).
type Delivery struct {
	Expected    int64 `json:"expected"`     // Published after the first snapshot of the widget on its connection.
	Delivered   int64 `json:"delivered"`    // Of these, came: in updates or later snapshots.
	InSnapshots int64 `json:"in_snapshots"` // Of these, came in a later snapshot: to a client that was slow or away.
	LeftOut     int64 `json:"left_out"`     // Passed over, as the frame's "skipped" tells: only the newest was of interest.
	Missing     int64 `json:"missing"`      // Neither.
	Duplicate   int64 `json:"duplicate"`    // Came again.
	Reordered   int64 `json:"reordered"`    // Came after a later one.
	OffGrid     int64 `json:"off_grid"`     // Ends that are no multiple of the refresh interval: they are counted nowhere else.
	Unknown     int64 `json:"unknown"`      // Of widgets that no message has listed.
}

// Faults is how many results were not as promised.
func (d Delivery) Faults() int64 {
	return d.Missing + d.Duplicate + d.Reordered + d.OffGrid + d.Unknown
}

func (d *Delivery) add(o Delivery) {
	d.Expected += o.Expected
	d.Delivered += o.Delivered
	d.InSnapshots += o.InSnapshots
	d.LeftOut += o.LeftOut
	d.Missing += o.Missing
	d.Duplicate += o.Duplicate
	d.Reordered += o.Reordered
	d.OffGrid += o.OffGrid
	d.Unknown += o.Unknown
}

// adopt takes a layout: that of a welcome, or another one that someone made.
// Widgets that stay go on where they are.
func (a *account) adopt(l *layout, welcome bool) {
	if a.layout != l {
		old, before := a.layout, a.cursors
		a.addUp(false)
		a.layout, a.cursors = l, make([]cursor, len(l.widgets))
		for i := range a.cursors {
			a.cursors[i].owed = true
			if old == nil {
				continue
			}
			j := slices.IndexFunc(old.widgets, func(w widget) bool { return w.id == l.widgets[i].id && w.stream == l.widgets[i].stream })
			if j >= 0 {
				a.cursors[i] = cursor{first: before[j].last, last: before[j].last, owed: before[j].owed, opening: before[j].opening, replacing: before[j].replacing}
			}
		}
	}
	if welcome {
		a.ahead = 0
		for i := range a.cursors {
			cur := &a.cursors[i]
			cur.owed, cur.opening, cur.replacing = true, false, false // What was under way is lost.
		}
	}
}

// update takes the results of an update.
func (a *account) update(results []wire.Received, skipped int) {
	a.frame, a.credit = false, max(0, skipped-a.ahead)
	a.ahead = 0
	for _, r := range results {
		a.take(r.Index, r.End)
	}
	a.frame, a.credit = false, 0
}

// snapshot takes the points of one, or of a part of one, and reports whether it
// was owed since the welcome, and is whole.
func (a *account) snapshot(index int, reset, more bool, points []wire.Received) (whole bool) {
	if index >= len(a.cursors) {
		a.totals.Unknown += int64(len(points))
		return false
	}
	cur, st := &a.cursors[index], a.layout.widgets[index].stream
	owed := cur.owed
	cur.owed = owed && more
	reset = reset || cur.replacing
	cur.replacing = reset && more
	if cur.last == 0 || cur.opening {
		cur.opening = more
		a.begin(cur, st, reset, points)
		return owed && !more
	}
	before := int64(0)
	for _, p := range points {
		switch {
		case p.End <= before:
			a.totals.Reordered++
			continue
		case reset && p.End <= cur.last:
			before = p.End
			continue // It replaces what the client has.
		}
		before = p.End
		if a.take(index, p.End) {
			a.totals.InSnapshots++
			if !owed {
				a.ahead++
			}
		}
	}
	return owed && !more
}

// begin takes the first snapshot: history, after whose end results are owed.
func (a *account) begin(cur *cursor, st *stream, reset bool, points []wire.Received) {
	before := int64(0)
	for _, p := range points {
		switch {
		case p.End%st.refreshMs != 0:
			a.totals.OffGrid++
		case p.End <= before || p.End <= cur.last && !reset:
			a.totals.Reordered++
		case p.End <= cur.last:
			before = p.End // It was begun anew.
		default:
			st.mark(p.End)
			before, cur.last = p.End, p.End
		}
	}
	cur.first = cur.last
}

// take notes one result and reports whether it is a new one.
func (a *account) take(index int, end int64) bool {
	if index >= len(a.cursors) {
		a.totals.Unknown++
		return false
	}
	cur, st := &a.cursors[index], a.layout.widgets[index].stream
	if end%st.refreshMs != 0 {
		a.totals.OffGrid++
		return false
	}
	switch {
	case end+st.delayMs > a.cut || !st.mark(end):
		return false
	case cur.last == 0:
		// The first snapshot was empty.
		cur.first, cur.last = end-st.refreshMs, end
	case end > cur.last:
		if end > cur.last+st.refreshMs {
			a.miss(index, cur.last, end-st.refreshMs)
		}
		cur.last = end
	case a.fill(index, end):
		a.totals.Reordered++
	default:
		a.totals.Duplicate++
		return false
	}
	cur.delivered++
	return true
}

func (a *account) miss(index int, after, upto int64) {
	if !a.frame && a.credit > 0 {
		a.frame = true
		a.credits = append(a.credits, a.credit)
	}
	g := gap{widget: index, credit: -1, after: after, upto: upto}
	if a.frame {
		g.credit = len(a.credits) - 1
	}
	a.gaps = append(a.gaps, g)
}

// fill takes end out of the gap that it lies in.
func (a *account) fill(index int, end int64) bool {
	refresh := a.layout.widgets[index].stream.refreshMs
	for i := range a.gaps {
		g := &a.gaps[i]
		if g.widget != index || end <= g.after || end > g.upto {
			continue
		}
		rest := *g
		g.upto = end - refresh
		rest.after = end
		if rest.after < rest.upto {
			a.gaps = append(a.gaps, rest)
		}
		return true
	}
	return false
}

// due returns when the earliest result that has not come yet is due, over all
// widgets. sum changes with each result that comes before the cut.
func (a *account) due() (due, sum int64) {
	for i := range a.cursors {
		st := a.layout.widgets[i].stream
		if next := a.cursors[i].last + st.refreshMs + st.delayMs; i == 0 || next < due {
			due = next
		}
		sum += a.cursors[i].last
	}
	return due, sum
}

// addUp adds up what is known by now. open says that the connection lasted to
// the cut, so that the ends from its last one to there are owed too.
func (a *account) addUp(open bool) {
	left := int64(0)
	credits := slices.Clone(a.credits)
	for _, g := range a.gaps {
		if g.credit < 0 {
			continue
		}
		n := min(int64(credits[g.credit]), a.layout.widgets[g.widget].stream.count(g.after, g.upto))
		credits[g.credit] -= int(n)
		left += n
	}
	a.since = make([]int64, len(a.cursors))
	for i := range a.cursors {
		cur, st := &a.cursors[i], a.layout.widgets[i].stream
		if a.since[i] = cur.first; cur.last == 0 {
			continue
		}
		upto := cur.last
		if open {
			upto = max(upto, a.cut-st.delayMs)
		}
		expected := st.count(cur.first, upto)
		a.totals.Expected += expected
		a.totals.Delivered += cur.delivered
		a.totals.Missing += expected - cur.delivered
	}
	a.totals.LeftOut += left
	a.totals.Missing -= left
	a.cursors, a.gaps, a.credits = nil, nil, nil
}
