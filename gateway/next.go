package gateway

import "time"

// scratch is what a writing goroutine needs while it writes.
type scratch struct {
	frame   []byte
	entries []entry
	// What the frame was, for the metrics.
	updates, skipped int
	ages             []time.Duration // now − newest_event of entries whose newest event is news.
}

type action uint8

const (
	actNothing action = iota
	actFrame
	actPing
	actClose // The frame is the last.
)

// next puts the next frame into s. When there is nothing to say, the client is
// no longer writing: whoever wakes it later starts a new goroutine.
func (c *client) next(s *scratch) action {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.frame, s.entries, s.ages, s.updates, s.skipped = s.frame[:0], s.entries[:0], s.ages[:0], 0, 0
	act := c.compose(s, c.hub.now())
	if act == actNothing {
		c.writing = false
	}
	if act == actFrame {
		c.beat = false
	}
	return act
}

func (c *client) compose(s *scratch, now time.Time) action {
	if c.ended {
		return actNothing
	}
	if c.ending == nil && c.board != nil {
		l, gone := c.board.current()
		switch {
		case gone:
			c.endLocked(closeNoDashboard, "there is no such dashboard", 0)
		case l == nil:
		case c.layout == nil:
			c.adopt(l)
			s.frame = appendWelcome(s.frame, now, c.hub.heartbeat, c.dashboard, l)
			return actFrame
		case c.layout != l:
			c.adopt(l)
			s.frame = appendDashboard(s.frame, l)
			return actFrame
		}
	}
	switch {
	case c.ending != nil:
		c.ended = true
		s.frame = appendClose(s.frame, *c.ending)
		return actClose
	case c.ping:
		c.ping = false
		return actPing
	case c.layout != nil && !c.paused && (c.snapshot(s) || c.tellState(s) || c.update(s, now)):
		return actFrame
	case c.beat:
		s.frame = appendHeartbeat(s.frame, now)
		return actFrame
	}
	return actNothing
}

// adopt takes a layout. What the client knows of a widget holds as long as it
// shows the same feed.
func (c *client) adopt(l *layout) {
	known := make(map[string]int, len(c.cursors))
	for i := range c.cursors {
		known[c.layout.widgets[i].id] = i
	}
	cursors := make([]cursor, len(l.widgets))
	for i, w := range l.widgets {
		if j, ok := known[w.id]; ok && c.layout.widgets[j].feed == w.feed {
			cursors[i] = c.cursors[j]
			continue
		}
		cursors[i] = cursor{need: needAll, resume: c.resume[w.id]}
	}
	c.layout, c.cursors, c.resume = l, cursors, nil
}

// snapshot says what a widget is owed, one widget a frame.
func (c *client) snapshot(s *scratch) bool {
	for i := range c.cursors {
		cur, w := &c.cursors[i], &c.layout.widgets[i]
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
		*cur = cursor{end: max(from, cur.end), state: cur.state}
		c.sendPoints(s, i, v, v.after(from), !known)
		return true
	}
	return false
}

// sendPoints makes a snapshot of points the frame and moves the cursor to it.
func (c *client) sendPoints(s *scratch, i int, v view, points []point, reset bool) {
	cur, w := &c.cursors[i], &c.layout.widgets[i]
	m := snapshot{index: i, state: v.state, reset: reset, points: points}
	if len(v.points) > 0 {
		since := coveredSince(v.points, w.feed.windowMs)
		m.since = &since
	}
	var list *seriesList
	s.frame, list = m.append(s.frame)
	cur.state, cur.version, cur.values = v.state, list.version, nil
	if n := len(points); n > 0 {
		newest := &points[n-1]
		cur.end = newest.end
		if newest.list.version == list.version {
			cur.values = newest.values
		}
	}
	c.hub.metrics.snapshots.WithLabelValues("stream").Inc()
}

// tellState says a state that is not the one that the client knows.
func (c *client) tellState(s *scratch) bool {
	for i := range c.cursors {
		cur, w := &c.cursors[i], &c.layout.widgets[i]
		v := w.feed.view()
		// A widget that waits for its snapshot gets its state with it, unless nothing may come for long.
		if v.state == cur.state || cur.need != needNothing && v.state != stateDegraded {
			continue
		}
		cur.state = v.state
		s.frame = appendState(s.frame, i, v.state, v.state.detail(w.feed.stale))
		return true
	}
	return false
}

// update puts all widgets that have a newer point into one frame. A widget that
// missed some gets a snapshot of those in between first, and one whose series
// changed gets its series first: then the update is made anew.
func (c *client) update(s *scratch, now time.Time) bool {
	for i := range c.cursors {
		cur, w := &c.cursors[i], &c.layout.widgets[i]
		if cur.need != needNothing {
			continue
		}
		v := w.feed.view()
		points := v.after(cur.end)
		if len(points) == 0 {
			continue
		}
		newest := &points[len(points)-1]
		if missed := points[:len(points)-1]; len(missed) > 0 {
			skipped, filled := skips(missed)
			c.skipped += skipped
			cur.end = missed[len(missed)-1].end
			if filled || w.history {
				c.sendPoints(s, i, v, missed, false)
				return true
			}
		}
		if newest.list.version != cur.version {
			cur.version, cur.values = newest.list.version, nil
			s.frame = appendSeriesMessage(s.frame, i, newest.list)
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
	s.frame = appendUpdate(s.frame, now, s.entries, c.skipped)
	s.updates, s.skipped = len(s.entries), c.skipped
	c.skipped = 0
	for i := range s.entries {
		e := &s.entries[i]
		cur := &c.cursors[e.index]
		cur.end, cur.values = e.point.end, e.point.values
		// An older event was news to an earlier window: its age would only say how rare events are.
		if n := e.point.newest; n != nil && *n >= e.point.end-c.layout.widgets[e.index].refreshMs {
			s.ages = append(s.ages, now.Sub(time.UnixMilli(*n)))
		}
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
