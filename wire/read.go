package wire

import (
	"errors"
	"fmt"
)

// Kind is the type of a message of the server.
type Kind string

// The kinds.
const (
	KindUnknown   Kind = "" // What newer servers send.
	KindWelcome   Kind = "welcome"
	KindSnapshot  Kind = "snapshot"
	KindSeries    Kind = "series"
	KindUpdate    Kind = "update"
	KindState     Kind = "state"
	KindDashboard Kind = "dashboard"
	KindWidgets   Kind = "widgets"
	KindHeartbeat Kind = "heartbeat"
	KindClose     Kind = "close"
)

func kindOf(name []byte) Kind {
	for _, k := range [...]Kind{
		KindUpdate, KindSnapshot, KindSeries, KindState, KindHeartbeat, KindWelcome, KindDashboard, KindWidgets, KindClose,
	} {
		if string(name) == string(k) {
			return k
		}
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
	s := scanner[[]byte]{text: b}
	updates, points := -1, -1 // Where they begin, as long as the type is not known.
	s.take('{')
	for n := 0; s.more(n, '}'); n++ {
		name := s.unquoted()
		s.take(':')
		switch string(name) {
		case "type":
			m.Kind = kindOf(s.unquoted())
		case "server_time":
			m.ServerTime = s.integer()
		case "index":
			m.Index = s.number()
		case "skipped":
			m.Skipped = s.number()
		case "code":
			m.Code = s.number()
		case "reconnect_after_ms":
			m.ReconnectAfterMs = s.integer()
		case "reset":
			m.Reset = s.boolean()
		case "more":
			m.More = s.boolean()
		case "updates":
			updates = m.list(&s, KindUpdate)
		case "points":
			points = m.list(&s, KindSnapshot)
		default:
			s.value()
		}
	}
	if s.peek(); s.i < len(b) {
		s.fail(errors.New("something follows the message"))
	}
	switch {
	case s.err != nil:
	case m.Kind == KindUpdate && updates >= 0:
		s.i = updates
		m.list(&s, KindUpdate)
	case m.Kind == KindSnapshot && points >= 0:
		s.i = points
		m.list(&s, KindSnapshot)
	}
	if s.err != nil {
		return fmt.Errorf("cannot read a message %w", s.err)
	}
	return nil
}

// list reads what a message of a kind has: [[index, window_end, newest_event, …], …] of an update, without an index
// of a snapshot. It skips the list of any other message and returns where that begins, else -1.
func (m *Message) list(s *scanner[[]byte], kind Kind) (begin int) {
	if m.Kind != kind {
		begin = s.i
		s.value()
		return begin
	}
	s.take('[')
	for n := 0; s.more(n, ']'); n++ {
		var r Received
		s.take('[')
		if kind == KindUpdate {
			r.Index = s.number()
			s.take(',')
		}
		r.End = s.integer()
		s.take(',')
		if r.Newest = NoTime; !s.null() {
			r.Newest = s.integer()
		}
		m.Results = append(m.Results, r)
		s.leave()
	}
	return -1
}
