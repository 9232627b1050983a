package rooms

import (
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"pulseboard/wire"
)

// Frame is one frame of a stream, and what of it is counted when it is written.
type Frame struct {
	Text     []byte
	Prepared *websocket.PreparedMessage // The same, when it is for many streams.

	Updates, Skipped, Snapshots int
	OldestEvent                 int64         // The lowest newest_event among its updates that is news, epoch ms; 0 = none.
	OldestEnd                   int64         // The lowest window end + delay among its updates, epoch ms; 0 = none.
	Retry                       time.Duration // Of a close message.
}

// age takes the times of an update that is sent.
func (f *Frame) age(e *wire.Entry, refreshMs, delayMs int64) {
	if end := e.Point.End + delayMs; f.OldestEnd == 0 || end < f.OldestEnd {
		f.OldestEnd = end
	}
	// An older event was news to an earlier window: its age would only say how rare events are.
	if n := e.Point.Newest; n >= e.Point.End-refreshMs && (f.OldestEvent == 0 || n < f.OldestEvent) {
		f.OldestEvent = n
	}
}

// Scratch is what composing a frame needs, used again for the next one.
type Scratch struct {
	Frame
	Full int // Bytes at which a frame takes no more.

	entries []wire.Entry
}

// Reset begins a new frame.
func (s *Scratch) Reset() { s.Frame = Frame{Text: s.Text[:0]} }

// share returns the frame as one for many streams.
func (s *Scratch) share() *Frame {
	f := s.Frame
	f.Text = slices.Clone(s.Text)
	// It fails for types of messages that do not exist only.
	f.Prepared, _ = websocket.NewPreparedMessage(websocket.TextMessage, f.Text)
	return &f
}
