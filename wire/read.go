package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// Kind is the type of a message of the server.
type Kind uint8

// The kinds.
const (
	KindUnknown Kind = iota // What newer servers send.
	KindWelcome
	KindSnapshot
	KindSeries
	KindUpdate
	KindState
	KindDashboard
	KindWidgets
	KindHeartbeat
	KindClose
)

func kindOf(name []byte) Kind {
	switch string(name) {
	case "welcome":
		return KindWelcome
	case "snapshot":
		return KindSnapshot
	case "series":
		return KindSeries
	case "update":
		return KindUpdate
	case "state":
		return KindState
	case "dashboard":
		return KindDashboard
	case "widgets":
		return KindWidgets
	case "heartbeat":
		return KindHeartbeat
	case "close":
		return KindClose
	}
	return KindUnknown
}

// Received is one entry of an update, or one point of a snapshot, whose widget is
// then that of the message.
type Received struct {
	Index       int
	End, Newest int64 // Newest is NoTime where it is null.
}

// Message is what readers that count results need of a message of the server. It
// skips what they do not, values above all: encoding/json would take ten times as
// long. It is used again for the next message.
type Message struct {
	Kind             Kind
	ServerTime       int64
	Index            int
	Reset            bool
	More             bool // It goes on in the next message.
	Skipped          int
	Code             int
	ReconnectAfterMs int64
	Results          []Received // Of an update, or the points of a snapshot.
}

// Read reads a message. What it skips is trusted to be JSON.
func (m *Message) Read(b []byte) error {
	*m = Message{Results: m.Results[:0]}
	w := walker{b: b}
	list := -1 // Where updates or points begin, until the type is known.
	typed := false
	err := w.object(func(name []byte) error {
		var err error
		switch string(name) {
		case "type":
			typed = true
			var s []byte
			if s, err = w.text(); err == nil {
				m.Kind = kindOf(s)
			}
		case "server_time":
			m.ServerTime, err = w.whole()
		case "index":
			m.Index, err = w.number()
		case "skipped":
			m.Skipped, err = w.number()
		case "code":
			m.Code, err = w.number()
		case "reconnect_after_ms":
			m.ReconnectAfterMs, err = w.whole()
		case "reset":
			m.Reset, err = w.boolean()
		case "more":
			m.More, err = w.boolean()
		case "updates", "points":
			if !typed {
				list = w.i
				return w.skip()
			}
			err = m.list(&w, string(name))
		default:
			return w.skip()
		}
		return err
	})
	if err == nil && w.space() != len(b) {
		err = errors.New("something follows the message")
	}
	if err == nil && list >= 0 {
		w.i = list
		err = m.list(&w, "")
	}
	if err != nil {
		return fmt.Errorf("cannot read a message at byte %d: %w", w.i, err)
	}
	return nil
}

// list reads updates of an update or points of a snapshot.
func (m *Message) list(w *walker, name string) error {
	switch {
	case m.Kind == KindUpdate && name != "points":
		return w.array(func() error { return m.entry(w, true) })
	case m.Kind == KindSnapshot && name != "updates":
		return w.array(func() error { return m.entry(w, false) })
	}
	return w.skip()
}

// entry reads [index, window_end, newest_event, …], without the index in a point.
func (m *Message) entry(w *walker, indexed bool) error {
	var r Received
	var err error
	next := byte('[')
	if indexed {
		if err = w.take(next); err == nil {
			r.Index, err = w.number()
		}
		next = ','
	}
	if err == nil {
		err = w.take(next)
	}
	if err == nil {
		r.End, err = w.whole()
	}
	if err == nil {
		err = w.take(',')
	}
	if err == nil && w.null() {
		r.Newest = NoTime
	} else if err == nil {
		r.Newest, err = w.whole()
	}
	m.Results = append(m.Results, r)
	if err != nil {
		return err
	}
	return w.leave()
}

var (
	errEnds  = errors.New("the text ends early")
	errWhole = errors.New("not a whole number")
)

// walker goes over JSON.
type walker struct {
	b []byte
	i int
}

// space skips white space and returns where it is then.
func (w *walker) space() int {
	for w.i < len(w.b) {
		switch w.b[w.i] {
		case ' ', '\t', '\n', '\r':
			w.i++
		default:
			return w.i
		}
	}
	return w.i
}

// peek returns the next byte that is no white space, 0 at the end.
func (w *walker) peek() byte {
	if w.space() == len(w.b) {
		return 0
	}
	return w.b[w.i]
}

func (w *walker) take(c byte) error {
	if got := w.peek(); got != c {
		if got == 0 {
			return errEnds
		}
		return fmt.Errorf("%q instead of %q", got, c)
	}
	w.i++
	return nil
}

// items calls each before every item until the closing byte.
func (w *walker) items(begin, end byte, each func() error) error {
	if err := w.take(begin); err != nil {
		return err
	}
	if w.peek() == end {
		w.i++
		return nil
	}
	for {
		if err := each(); err != nil {
			return err
		}
		if w.peek() == end {
			w.i++
			return nil
		}
		if err := w.take(','); err != nil {
			return err
		}
	}
}

func (w *walker) array(each func() error) error { return w.items('[', ']', each) }

func (w *walker) object(member func(name []byte) error) error {
	return w.items('{', '}', func() error {
		name, err := w.text()
		if err == nil {
			err = w.take(':')
		}
		if err != nil {
			return err
		}
		w.space()
		return member(name)
	})
}

// text reads a string. What it returns is a part of the text unless it has escapes.
func (w *walker) text() ([]byte, error) {
	if err := w.take('"'); err != nil {
		return nil, err
	}
	begin := w.i
	escaped := false
	for ; w.i < len(w.b); w.i++ {
		switch w.b[w.i] {
		case '\\':
			escaped = true
			w.i++
		case '"':
			raw := w.b[begin:w.i]
			w.i++
			if !escaped {
				return raw, nil
			}
			var s string
			err := json.Unmarshal(w.b[begin-1:w.i], &s)
			return []byte(s), err
		}
	}
	return nil, errEnds
}

func (w *walker) literal(s string) bool {
	w.space()
	if !bytes.HasPrefix(w.b[w.i:], []byte(s)) {
		return false
	}
	w.i += len(s)
	return true
}

func (w *walker) null() bool { return w.literal("null") }

func (w *walker) boolean() (bool, error) {
	switch {
	case w.literal("true"):
		return true, nil
	case w.literal("false"):
		return false, nil
	}
	return false, errors.New("neither true nor false")
}

// number is a whole number that may count or index something.
func (w *walker) number() (int, error) {
	v, err := w.whole()
	if err == nil && (v < 0 || v > math.MaxInt32) {
		err = fmt.Errorf("%d is out of range", v)
	}
	return int(v), err
}

// whole reads an integer of at most 18 digits.
func (w *walker) whole() (int64, error) {
	w.space()
	minus := w.literal("-")
	begin := w.i
	v := int64(0)
	for ; w.i < len(w.b) && w.b[w.i] >= '0' && w.b[w.i] <= '9'; w.i++ {
		if w.i-begin == 18 {
			return 0, errWhole
		}
		v = v*10 + int64(w.b[w.i]-'0')
	}
	if w.i == begin {
		return 0, errWhole
	}
	if w.i < len(w.b) {
		switch w.b[w.i] {
		case '.', 'e', 'E':
			return 0, errWhole
		}
	}
	if minus {
		v = -v
	}
	return v, nil
}

// skip goes over any value.
func (w *walker) skip() error {
	switch w.peek() {
	case 0:
		return errEnds
	case '"':
		return w.over()
	case '[', '{':
		w.i++
		return w.leave()
	case ']', '}', ',', ':':
		return errors.New("a value is missing")
	}
	w.plain()
	return nil
}

// leave goes to the end of the array or object that it is in.
func (w *walker) leave() error {
	for depth := 1; w.i < len(w.b); {
		switch w.b[w.i] {
		case '"':
			if err := w.over(); err != nil {
				return err
			}
			continue
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		if w.i++; depth == 0 {
			return nil
		}
	}
	return errEnds
}

// over skips a string.
func (w *walker) over() error {
	for w.i++; w.i < len(w.b); w.i++ {
		switch w.b[w.i] {
		case '\\':
			w.i++
		case '"':
			w.i++
			return nil
		}
	}
	return errEnds
}

// plain skips a number, true, false or null.
func (w *walker) plain() {
	for ; w.i < len(w.b); w.i++ {
		switch w.b[w.i] {
		case ',', ']', '}', ':', '"', '[', '{', ' ', '\t', '\n', '\r':
			return
		}
	}
}
