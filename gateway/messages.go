package gateway

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"pulseboard/results"
)

// Close codes of protocol.md.
const (
	closeRestart     = 1012
	closeOverloaded  = 1013
	closeProtocol    = 4400
	closeToken       = 4401
	closeNoDashboard = 4404
	closeNoHello     = 4408
)

// clientMessage is what a client says. Fields of the wrong type are absent.
type clientMessage struct {
	Type   string                     `json:"type"`
	Token  string                     `json:"token"`
	Resume map[string]json.RawMessage `json:"resume"`
	MaxHz  float64                    `json:"max_hz"`
	Points int                        `json:"points"`
	Vars   map[string]json.RawMessage `json:"vars"`
}

// hello is what a client asked for at its beginning.
type hello struct {
	resume map[string]resumePoint
	every  time.Duration // At least this long between update frames; 0 = each.
	points int           // So many points has a snapshot at most that begins anew; 0 = all that there are.
	choice choice
}

// resumePoint is where a client stood when its last connection ended.
type resumePoint struct {
	Key       string `json:"key"` // The metric key, or the key_id that a welcome gave it.
	WindowEnd int64  `json:"window_end"`
}

// parseClientMessage fails on text that is not JSON. JSON of another shape is a
// message of an unknown type.
func parseClientMessage(b []byte) (clientMessage, error) {
	var m clientMessage
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		if json.Valid(b) {
			return m, nil
		}
		return m, err
	}
	// Each by itself, so that one of the wrong type is absent alone.
	_ = json.Unmarshal(fields["type"], &m.Type)
	_ = json.Unmarshal(fields["token"], &m.Token)
	_ = json.Unmarshal(fields["resume"], &m.Resume)
	_ = json.Unmarshal(fields["max_hz"], &m.MaxHz)
	_ = json.Unmarshal(fields["points"], &m.Points)
	_ = json.Unmarshal(fields["vars"], &m.Vars)
	return m, nil
}

func (m clientMessage) hello() hello {
	h := hello{resume: m.resumePoints(), choice: parseChoice(m.Vars)}
	h.every, _ = interval(m.MaxHz)
	if m.Points >= 1 && m.Points < results.HistoryLength {
		h.points = m.Points
	}
	return h
}

// interval is the time between frames at a rate; false when that is none.
func interval(hz float64) (every time.Duration, ok bool) {
	// A day is as good as never; faster than any slice is each.
	const longest = 24 * time.Hour
	switch {
	case math.IsNaN(hz), hz <= 0:
		return 0, false
	case 1/hz > longest.Seconds():
		return longest, true
	}
	return time.Duration(float64(time.Second) / hz), true
}

func (m clientMessage) resumePoints() map[string]resumePoint {
	points := make(map[string]resumePoint, len(m.Resume))
	for id, raw := range m.Resume {
		var p resumePoint
		if json.Unmarshal(raw, &p) == nil {
			points[id] = p
		}
	}
	return points
}

// The server's messages are appended to a buffer that is used again: they are
// most of what a gateway does.

func appendInt(b []byte, name string, v int64) []byte {
	return strconv.AppendInt(append(b, name...), v, 10)
}

func appendText(b []byte, name, v string) []byte {
	b = append(b, name...)
	// A string can always be encoded.
	text, _ := json.Marshal(v)
	return append(b, text...)
}

func appendWelcome(b []byte, now time.Time, h *hub, dashboard string, l *layout, full int) ([]byte, place) {
	b = appendInt(b, `{"type":"welcome","server_time":`, now.UnixMilli())
	b = appendInt(b, `,"heartbeat_ms":`, h.heartbeat.Milliseconds())
	if h.build != "" {
		b = appendText(b, `,"build":`, h.build)
	}
	b = appendText(b, `,"dashboard":{"id":`, dashboard)
	b = appendInt(b, `,"version":`, l.version)
	b = append(b, '}')
	return appendWidgets(b, l, place{}, full)
}

func appendDashboard(b []byte, l *layout, full int) ([]byte, place) {
	b = appendInt(b, `{"type":"dashboard","version":`, l.version)
	return appendWidgets(b, l, place{}, full)
}

// snapshot is the message of that name. since is noTime when the feed has no point.
type snapshot struct {
	index int
	state state
	// limited is why it is in that state.
	limited string
	reset   bool
	points  []point
	since   int64
	full    int // Bytes at which the frame takes no more.
}

func (s *snapshot) appendState(b []byte) []byte {
	b = appendText(b, `,"state":`, string(s.state))
	if s.state == stateLimited {
		b = appendText(b, `,"detail":`, s.limited)
	}
	return b
}

func appendSeries(b []byte, l *seriesList, full int) []byte {
	b = appendText(b, `,"series_version":`, l.version)
	b = append(b, `,"series":[`...)
	for i, t := range l.tags {
		if len(b) > full {
			return b // Whoever asked for it sees that it is too long.
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(t.AppendJSON(append(b, `{"tags":`...)), '}')
	}
	return append(b, ']')
}

func appendState(b []byte, index int, s state, detail string) []byte {
	b = appendInt(b, `{"type":"state","index":`, int64(index))
	b = appendText(b, `,"state":`, string(s))
	b = appendText(b, `,"detail":`, detail)
	return append(b, '}')
}

// entry is one widget in an update.
type entry struct {
	index     int
	point     point
	unchanged bool // Values are as at the widget's previous end on this connection.
	windowMs  int64
}

// appendUpdate writes as many of the entries as a frame holds, and returns how many.
func appendUpdate(b []byte, now time.Time, entries []entry, skipped, full int) (_ []byte, n int) {
	b = appendInt(b, `{"type":"update","server_time":`, now.UnixMilli())
	b = append(b, `,"updates":[`...)
	for ; n < len(entries); n++ {
		before := len(b)
		if n > 0 {
			b = append(b, ',')
		}
		if b = entries[n].append(b); len(b) > full && n > 0 {
			b = b[:before]
			break
		}
	}
	b = appendInt(b, `],"skipped":`, int64(skipped))
	return appendMore(b, n < len(entries)), n
}

func (e *entry) append(b []byte) []byte {
	p := &e.point
	b = append(b, '[')
	b = strconv.AppendInt(b, int64(e.index), 10)
	b = appendInt(b, ",", p.end)
	b = appendTime(append(b, ','), p.newest)
	b = appendText(b, ",", p.list.version)
	if e.unchanged {
		b = append(b, ",null"...)
	} else {
		b = appendValues(append(b, ','), p.values)
	}
	if p.start != p.end-e.windowMs || !p.complete || p.truncated > 0 {
		b = appendInt(b, `,{"start":`, p.start)
		b = strconv.AppendBool(append(b, `,"complete":`...), p.complete)
		b = appendTruncated(b, p.truncated)
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendHeartbeat(b []byte, now time.Time) []byte {
	return append(appendInt(b, `{"type":"heartbeat","server_time":`, now.UnixMilli()), '}')
}

func appendClose(b []byte, e ending) []byte {
	b = appendInt(b, `{"type":"close","code":`, int64(e.code))
	b = appendText(b, `,"reason":`, e.reason)
	b = appendInt(b, `,"reconnect_after_ms":`, e.reconnectAfter.Milliseconds())
	return append(b, '}')
}

// appendTruncated tells of series that are not there; nothing when all are.
func appendTruncated(b []byte, n int32) []byte {
	if n <= 0 {
		return b
	}
	return appendInt(b, `,"truncated":`, int64(n))
}

func appendTime(b []byte, at int64) []byte {
	if at == noTime {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, at, 10)
}

func appendValues(b []byte, values []float64) []byte {
	b = append(b, '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendValue(b, v)
	}
	return append(b, ']')
}

// appendValue writes the shortest text that reads back as v, without an
// exponent where people would not write one.
func appendValue(b []byte, v float64) []byte {
	switch a := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return append(b, "null"...)
	case a != 0 && (a < 1e-6 || a >= 1e21):
		return strconv.AppendFloat(b, v, 'e', -1, 64)
	}
	return strconv.AppendFloat(b, v, 'f', -1, 64)
}
