package wire

import (
	"slices"
	"strconv"
)

// Snapshot is the points of a widget that a client has not got yet.
type Snapshot struct {
	Index        int
	State        State
	Detail       string // Why it is limited; else unused.
	Reset        bool   // The client lets go of the points that it has.
	Points       []Point
	CoveredSince int64 // NoTime when the widget has no point.
	Full         int   // The length from which the message takes no more.
}

// Append writes as many of the points, oldest first, as fit, and returns how many,
// and the series list that the client knows afterwards. What is not the last part is
// stale: its newest values are not the newest.
//
// A list of series that fills the message alone must have been sent before: known
// is the version that was. If it is another one, no point is written, and the
// list is the one to be sent.
func (s *Snapshot) Append(b []byte, known string) (_ []byte, list *SeriesList, n int) {
	begin := len(b)
	for most := s.most(); ; most /= 2 {
		u := newUnion(s.Points[:most])
		if b, n = s.appendPoints(b[:begin], &u, most, false); n > 0 || len(s.Points) == 0 {
			return b, u.list, n
		}
		if most > 1 {
			continue
		}
		if known != u.list.Version {
			return b[:begin], u.list, 0
		}
		// All that have this list.
		for most < len(s.Points) && s.Points[most].List.Version == known {
			most++
		}
		b, n = s.appendPoints(b[:begin], &u, most, true)
		return b, u.list, n
	}
}

// most bounds how many points a message can hold, by what each takes at least: so
// no union is made of more.
func (s *Snapshot) most() int {
	if len(s.Points) == 0 {
		return 0
	}
	u := union{list: s.Points[0].List}
	last, width := u.list, len(u.list.Tags)
	for i := range s.Points {
		if l := s.Points[i].List; l != last {
			if !l.same(last) {
				u.add(l, nil)
				width = len(u.columns)
			}
			last = l
		}
		if width*len(`{"tags":{}},`)+(i+1)*(2*width+len(`[0,0,[]],`)) > s.Full {
			return max(1, i)
		}
	}
	return len(s.Points)
}

// appendPoints writes the message with the first of the points, at most so many,
// and returns how many; 0 when the list of series, unless it is known, leaves no room.
func (s *Snapshot) appendPoints(b []byte, u *union, most int, known bool) (_ []byte, n int) {
	b = appendInt(b, `{"type":"snapshot","index":`, int64(s.Index))
	state := len(b)
	b = s.appendState(b)
	afterState := len(b)
	b = strconv.AppendBool(append(b, `,"reset":`...), s.Reset)
	b = appendText(b, `,"series_version":`, u.list.Version)
	if known {
		b = append(b, `,"series":null`...)
	} else if b = appendList(b, u.list, s.Full); len(b) > s.Full {
		return b, 0
	}
	b = appendMs(append(b, `,"covered_since":`...), s.CoveredSince)
	b = append(b, `,"points":[`...)
	var row []int
	for ; n < most; n++ {
		before := len(b)
		if b, row = s.Points[n].append(comma(b), u, row); len(b) > s.Full && (n > 0 || !known) {
			b = b[:before]
			break
		}
	}
	b = append(b, ']')
	if n > 0 {
		b = s.Points[n-1].appendSeldom(b)
	}
	if n < len(s.Points) {
		b = slices.Replace(b, state, afterState, []byte(`,"state":"stale"`)...)
	}
	return appendMore(b, n < len(s.Points)), n
}

func (s *Snapshot) appendState(b []byte) []byte {
	b = appendText(b, `,"state":`, string(s.State))
	if s.State == StateLimited {
		b = appendText(b, `,"detail":`, s.Detail)
	}
	return b
}

// appendList writes a list of series, or as much of it as shows that it is too long.
func appendList(b []byte, l *SeriesList, full int) []byte {
	b = append(b, `,"series":[`...)
	for _, t := range l.Tags {
		if len(b) > full {
			return b
		}
		b = appendSeries(b, t)
	}
	return append(b, ']')
}

// append writes p in the columns of a union. row is used again.
func (p *Point) append(b []byte, u *union, row []int) ([]byte, []int) {
	b = append(b, '[')
	b = strconv.AppendInt(b, p.End, 10)
	b = append(b, ',')
	b = appendMs(b, p.Newest)
	b = append(b, ',')
	b, row = u.appendRow(b, p, row)
	return append(b, ']'), row
}
