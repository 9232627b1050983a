package wire

import (
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"pulseboard/metric"
)

// Subprotocol is that of WS /stream/{dashboard_id}.
const Subprotocol = "pulseboard.v1"

// MaxFrame bounds a message of the stream, in bytes: libraries of clients refuse longer
// ones. What does not fit goes on in further messages (docs/protocol.md, "Parts").
const MaxFrame = 256 << 10

// MessageEnd is what a list leaves of MaxFrame to what ends its message: it takes no
// more from MaxFrame − MessageEnd on.
const MessageEnd = 1 << 10

// The codes with which a stream is closed.
const (
	CloseRestart     = 1012
	CloseOverloaded  = 1013
	CloseProtocol    = 4400
	CloseToken       = 4401
	CloseNoDashboard = 4404
	CloseNoHello     = 4408
)

// State is what the values of a widget may claim (docs/protocol.md, "States").
type State string

// The states.
const (
	StateWaiting  State = "waiting"
	StateLive     State = "live"
	StateLate     State = "late"
	StateStale    State = "stale"
	StateDegraded State = "degraded"
	StateLimited  State = "limited"
)

// The messages of the server are appended to a buffer that is used again: a gateway
// does little else. full is the length from which a message takes no more
// (MessageEnd).

func appendInt(b []byte, name string, v int64) []byte {
	return strconv.AppendInt(append(b, name...), v, 10)
}

func appendText(b []byte, name, v string) []byte {
	// It fails on invalid UTF-8 only, which stands for U+FFFD then.
	b, _ = jsontext.AppendQuote(append(b, name...), v)
	return b
}

// comma separates an item of a list from the one before it.
func comma(b []byte) []byte {
	if b[len(b)-1] == '[' {
		return b
	}
	return append(b, ',')
}

// appendSeries appends one of a list of series.
func appendSeries(b []byte, t metric.Tags) []byte {
	return append(t.AppendJSON(append(comma(b), `{"tags":`...)), '}')
}

// Place is where a list of widgets that fills more than one message goes on: at a
// widget, and at a byte of its metric key where no message holds all of that.
type Place struct{ Widget, Byte int }

// AppendWelcome writes a welcome with as many of its widgets as fit.
func AppendWelcome(b []byte, w *WelcomeMessage, full int) ([]byte, Place) {
	b = appendInt(b, `{"type":"welcome","server_time":`, w.ServerTime)
	b = appendInt(b, `,"heartbeat_ms":`, w.HeartbeatMs)
	if w.Build != "" {
		b = appendText(b, `,"build":`, w.Build)
	}
	b = appendText(b, `,"dashboard":{"id":`, w.Dashboard.ID)
	b = appendInt(b, `,"version":`, w.Dashboard.Version)
	return appendWidgets(append(b, '}'), w.Widgets, Place{}, full)
}

// AppendDashboard writes that a dashboard has another version, with as many of its
// widgets as fit.
func AppendDashboard(b []byte, version int64, widgets []StreamWidget, full int) ([]byte, Place) {
	b = appendInt(b, `{"type":"dashboard","version":`, version)
	return appendWidgets(b, widgets, Place{}, full)
}

// AppendWidgets goes on with the widgets of a welcome or dashboard.
func AppendWidgets(b []byte, widgets []StreamWidget, at Place, full int) ([]byte, Place) {
	return appendWidgets(append(b, `{"type":"widgets"`...), widgets, at, full)
}

// appendWidgets writes as many widgets, from a place on, as fit, ends the message,
// and returns where the next one goes on.
func appendWidgets(b []byte, widgets []StreamWidget, at Place, full int) ([]byte, Place) {
	b = append(b, `,"widgets":[`...)
	for first := true; at.Widget < len(widgets); first = false {
		w, before := &widgets[at.Widget], len(b)
		b = comma(b)
		key, piece := w.MetricKey[at.Byte:], full/8 // However a piece is escaped, it fits.
		if b = appendWidget(b, w, key); len(b) <= full || first && len(key) <= piece {
			at = Place{Widget: at.Widget + 1}
			continue
		}
		b = b[:before]
		if first {
			n := piece
			for !utf8.RuneStart(key[n]) {
				n--
			}
			b = appendWidget(b, w, key[:n])
			at.Byte += n
		}
		break
	}
	return appendMore(append(b, ']'), at.Widget < len(widgets)), at
}

func appendWidget(b []byte, w *StreamWidget, key string) []byte {
	b = appendInt(b, `{"index":`, int64(w.Index))
	b = appendText(b, `,"widget_id":`, w.WidgetID)
	b = appendText(b, `,"metric_key":`, key)
	b = appendText(b, `,"key_id":`, w.KeyID)
	b = appendInt(b, `,"refresh_ms":`, w.RefreshMs)
	b = appendInt(b, `,"window_ms":`, w.WindowMs)
	if w.DelayMs > 0 {
		b = appendInt(b, `,"delay_ms":`, w.DelayMs)
	}
	if len(w.GroupBy) > 0 {
		b = append(b, `,"group_by":[`...)
		for _, tag := range w.GroupBy {
			b = appendText(comma(b), "", tag)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// appendMore ends a message; more means that it goes on in the next one.
func appendMore(b []byte, more bool) []byte {
	if more {
		b = append(b, `,"more":true`...)
	}
	return append(b, '}')
}

// AppendSeries writes as many of l's series, from one on, as fit, at least one, and
// returns which is the next.
func AppendSeries(b []byte, index int, l *SeriesList, from, full int) (_ []byte, next int) {
	b = appendInt(b, `{"type":"series","index":`, int64(index))
	b = appendText(b, `,"series_version":`, l.Version)
	if from > 0 {
		b = appendInt(b, `,"from":`, int64(from))
	}
	b = append(b, `,"series":[`...)
	for next = from; next < len(l.Tags); next++ {
		before := len(b)
		if b = appendSeries(b, l.Tags[next]); len(b) > full && next > from {
			b = b[:before]
			break
		}
	}
	return appendMore(append(b, ']'), next < len(l.Tags)), next
}

// AppendState writes the state of a widget.
func AppendState(b []byte, index int, s State, detail string) []byte {
	b = appendInt(b, `{"type":"state","index":`, int64(index))
	b = appendText(b, `,"state":`, string(s))
	b = appendText(b, `,"detail":`, detail)
	return append(b, '}')
}

// Entry is one widget in an update.
type Entry struct {
	Index     int
	Point     Point
	Unchanged bool // The values are those of the widget's previous point on this connection.
	WindowMs  int64
}

// AppendUpdate writes as many of the entries as fit, at least one, and returns how many.
func AppendUpdate(b []byte, serverTime int64, entries []Entry, skipped, full int) (_ []byte, n int) {
	b = appendInt(b, `{"type":"update","server_time":`, serverTime)
	b = append(b, `,"updates":[`...)
	for ; n < len(entries); n++ {
		before := len(b)
		if b = entries[n].append(comma(b)); len(b) > full && n > 0 {
			b = b[:before]
			break
		}
	}
	b = appendInt(b, `],"skipped":`, int64(skipped))
	return appendMore(b, n < len(entries)), n
}

func (e *Entry) append(b []byte) []byte {
	p := &e.Point
	b = append(b, '[')
	b = strconv.AppendInt(b, int64(e.Index), 10)
	b = appendInt(b, ",", p.End)
	b = appendMs(append(b, ','), p.Newest)
	b = appendText(b, ",", p.List.Version)
	if e.Unchanged {
		b = append(b, ",null"...)
	} else {
		b = p.Values.append(append(b, ','))
	}
	if p.Start != p.End-e.WindowMs || !p.Complete || p.Truncated > 0 || p.Error > 0 {
		b = appendInt(b, `,{"start":`, p.Start)
		b = strconv.AppendBool(append(b, `,"complete":`...), p.Complete)
		b = p.appendSeldom(b)
		b = append(b, '}')
	}
	return append(b, ']')
}

// AppendHeartbeat writes a heartbeat.
func AppendHeartbeat(b []byte, serverTime int64) []byte {
	return append(appendInt(b, `{"type":"heartbeat","server_time":`, serverTime), '}')
}

// AppendClose writes the last message of a stream.
func AppendClose(b []byte, code int, reason string, reconnectAfterMs int64) []byte {
	b = appendInt(b, `{"type":"close","code":`, int64(code))
	b = appendText(b, `,"reason":`, reason)
	b = appendInt(b, `,"reconnect_after_ms":`, reconnectAfterMs)
	return append(b, '}')
}

// appendSeldom writes how many series did not leave the pipeline, and how far off values may be; nothing where all is as usual.
func (p *Point) appendSeldom(b []byte) []byte {
	if p.Truncated > 0 {
		b = appendInt(b, `,"truncated":`, int64(p.Truncated))
	}
	if p.Error > 0 {
		b = strconv.AppendFloat(append(b, `,"error":`...), float64(p.Error), 'g', -1, 32)
	}
	return b
}

// appendMs writes a time, which may be NoTime.
func appendMs(b []byte, at int64) []byte {
	if at == NoTime {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, at, 10)
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
