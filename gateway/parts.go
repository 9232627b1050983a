package gateway

import (
	"slices"
	"strconv"
	"unicode/utf8"
)

// Ordinary clients take messages up to a limit of their library: no frame is
// longer than maxFrame. What does not fit goes on in further messages (protocol.md,
// "Parts"), each of which is made when it is written: a client that is slow in
// reading them has the newest in the last one.
const (
	maxFrame = 256 << 10 // Bytes of a message, or of an event with what SSE puts around it.
	// A list leaves so much of that to what ends the message: a frame is full before.
	frameEnd = 1 << 10
)

// place is where a list of widgets goes on: at a widget, and within its metric
// key where a frame does not hold all of that.
type place struct{ widget, byte int }

func appendWidgetsMessage(b []byte, l *layout, at place, full int) ([]byte, place) {
	return appendWidgets(append(b, `{"type":"widgets"`...), l, at, full)
}

// appendWidgets writes as many of l's widgets, from a place on, as a frame holds,
// ends the message, and returns where the next one goes on.
func appendWidgets(b []byte, l *layout, at place, full int) ([]byte, place) {
	b = append(b, `,"widgets":[`...)
	for first := true; at.widget < len(l.widgets); first = false {
		w, before := &l.widgets[at.widget], len(b)
		if !first {
			b = append(b, ',')
		}
		key, piece := w.key[at.byte:], full/8 // However a piece is escaped, it fits.
		if b = appendWidget(b, at.widget, w, key); len(b) <= full || first && len(key) <= piece {
			at = place{widget: at.widget + 1}
			continue
		}
		b = b[:before]
		if first {
			n := piece
			for !utf8.RuneStart(key[n]) {
				n--
			}
			b = appendWidget(b, at.widget, w, key[:n])
			at.byte += n
		}
		break
	}
	return appendMore(append(b, ']'), at.widget < len(l.widgets)), at
}

func appendWidget(b []byte, index int, w *widget, key string) []byte {
	b = appendInt(b, `{"index":`, int64(index))
	b = appendText(b, `,"widget_id":`, w.id)
	b = appendText(b, `,"metric_key":`, key)
	b = appendText(b, `,"key_id":`, w.keyID)
	b = appendInt(b, `,"refresh_ms":`, w.refreshMs)
	return append(b, '}')
}

// appendMore ends a message.
func appendMore(b []byte, more bool) []byte {
	if more {
		b = append(b, `,"more":true`...)
	}
	return append(b, '}')
}

// appendSeriesMessage writes as many of l's series, from one on, as a frame
// holds, and returns which is the next.
func appendSeriesMessage(b []byte, index int, l *seriesList, from, full int) (_ []byte, next int) {
	b = appendInt(b, `{"type":"series","index":`, int64(index))
	b = appendText(b, `,"series_version":`, l.version)
	if from > 0 {
		b = appendInt(b, `,"from":`, int64(from))
	}
	b = append(b, `,"series":[`...)
	for next = from; next < len(l.tags); next++ {
		before := len(b)
		if next > from {
			b = append(b, ',')
		}
		b = append(l.tags[next].AppendJSON(append(b, `{"tags":`...)), '}')
		if len(b) > full && next > from {
			b = b[:before]
			break
		}
	}
	return appendMore(append(b, ']'), next < len(l.tags)), next
}

// append writes as many of the points, oldest first, as a frame holds, and
// returns how many, and the series list that the client knows afterwards. What is
// not the last part says that it is stale: its newest values are not the newest.
//
// A list of series that fills the frame alone must have been told before: told
// is the version that was. If it is another one, no point is written, and the
// list is the one to be told.
func (s *snapshot) append(b []byte, told string) (_ []byte, list *seriesList, n int) {
	begin := len(b)
	for most := s.most(); ; most /= 2 {
		u := newUnion(s.points[:most])
		if b, n = s.appendPoints(b[:begin], &u, most, false); n > 0 || len(s.points) == 0 {
			return b, u.list, n
		}
		if most > 1 {
			continue
		}
		if told != u.list.version {
			return b[:begin], u.list, 0
		}
		// All that have this list.
		for most < len(s.points) && s.points[most].list.version == told {
			most++
		}
		b, n = s.appendPoints(b[:begin], &u, most, true)
		return b, u.list, n
	}
}

// most bounds how many points a frame can hold, by what each takes at least: so
// no union is made of more.
func (s *snapshot) most() int {
	var width int
	var last *seriesList
	var known map[string]struct{} // The series of all lists, when there are several.
	var key []byte
	add := func(l *seriesList) {
		for _, t := range l.tags {
			key = t.AppendKey(key[:0])
			if _, ok := known[string(key)]; !ok {
				known[string(key)] = struct{}{}
			}
		}
	}
	for i := range s.points {
		switch l := s.points[i].list; {
		case l == last:
		case last == nil || last.same(l):
			width, last = max(width, len(l.tags)), l
		default:
			if known == nil {
				known = make(map[string]struct{}, 2*len(l.tags))
				add(last)
			}
			add(l)
			width, last = len(known), l
		}
		if width*len(`{"tags":{}},`)+(i+1)*(2*width+len(`[0,0,[]],`)) > s.full {
			return max(1, i)
		}
	}
	return len(s.points)
}

// appendPoints writes the message with the first of the points, at most so many,
// and returns how many; 0 when the list of series, unless it was told, leaves no room.
func (s *snapshot) appendPoints(b []byte, u *union, most int, told bool) (_ []byte, n int) {
	b = appendInt(b, `{"type":"snapshot","index":`, int64(s.index))
	state := len(b)
	b = s.appendState(b)
	afterState := len(b)
	b = strconv.AppendBool(append(b, `,"reset":`...), s.reset)
	if told {
		b = append(appendText(b, `,"series_version":`, u.list.version), `,"series":null`...)
	} else if b = appendSeries(b, u.list, s.full); len(b) > s.full {
		return b, 0
	}
	b = appendTime(append(b, `,"covered_since":`...), s.since)
	b = append(b, `,"points":[`...)
	var row []float64
	for ; n < most; n++ {
		before := len(b)
		if n > 0 {
			b = append(b, ',')
		}
		if b, row = s.points[n].append(b, u, row); len(b) > s.full && (n > 0 || !told) {
			b = b[:before]
			break
		}
	}
	b = append(b, ']')
	if n > 0 {
		b = appendTruncated(b, s.points[n-1].truncated)
	}
	if n < len(s.points) {
		b = slices.Replace(b, state, afterState, []byte(`,"state":"stale"`)...)
	}
	return appendMore(b, n < len(s.points)), n
}

// append writes p in the columns of a union. row is used again.
func (p *point) append(b []byte, u *union, row []float64) ([]byte, []float64) {
	b = append(b, '[')
	b = strconv.AppendInt(b, p.end, 10)
	b = append(b, ',')
	b = appendTime(b, p.newest)
	b = append(b, ',')
	row = u.row(p, row)
	return append(appendValues(b, row), ']'), row
}
