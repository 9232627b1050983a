package canary

import (
	"errors"
	"fmt"
	"time"

	"pulseboard/wire"
)

// closed is why a gateway ended the stream.
type closed struct {
	code   int
	reason string
}

func (c *closed) Error() string {
	return fmt.Sprintf("the gateway closed the stream, %d: %s", c.code, c.reason)
}

// frames reads a stream, message by message.
type frames struct {
	instance string
	index    int // Of the widget; -1 = not there.
	place    int // Of the instance among the series; -1 = not there.
	sum      float64
	silence  time.Duration // The stream is dead when nothing comes for so long.
}

// A heartbeat comes every 5 s, or as often as the gateway says: each minute at least.
const (
	shortestSilence = 5 * time.Second
	longestSilence  = 3 * time.Minute
)

func newFrames(instance string) *frames {
	return &frames{instance: instance, index: -1, place: -1, silence: longestSilence}
}

var errNoWidget = errors.New("the canary's dashboard has lost its widget")

// read returns the windows that a message shows, oldest first.
func (f *frames) read(text []byte) ([]window, error) {
	m, err := wire.ServerMessage(text)
	if err != nil {
		return nil, fmt.Errorf("the gateway sent what cannot be read: %w", err)
	}
	switch m := m.(type) {
	case *wire.WelcomeMessage:
		f.silence = min(max(3*time.Duration(m.HeartbeatMs)*time.Millisecond, shortestSilence), longestSilence)
		f.index = -1
		return nil, f.widgets(m.Widgets, m.More)
	case *wire.DashboardMessage:
		f.index = -1
		return nil, f.widgets(m.Widgets, m.More)
	case *wire.WidgetsMessage:
		return nil, f.widgets(m.Widgets, m.More)
	case *wire.CloseMessage:
		return nil, &closed{m.Code, m.Reason}
	case *wire.SnapshotMessage:
		return f.snapshot(m), nil
	case *wire.SeriesMessage:
		if m.Index == f.index {
			f.find(m.From, m.Series)
		}
	case *wire.UpdateMessage:
		return f.update(m), nil
	}
	return nil, nil
}

func (f *frames) widgets(widgets []wire.StreamWidget, more bool) error {
	for _, w := range widgets {
		if w.WidgetID == widgetID {
			f.index = w.Index
		}
	}
	if f.index < 0 && !more {
		return errNoWidget
	}
	return nil
}

// find looks for the instance in a new list of series, or the part of one that begins at from.
func (f *frames) find(from int, series []wire.SeriesInfo) {
	if from == 0 {
		f.place = -1
	}
	for i, s := range series {
		if s.Tags.Get("instance") == f.instance {
			f.place = from + i
		}
	}
}

func (f *frames) snapshot(m *wire.SnapshotMessage) (out []window) {
	if m.Index != f.index {
		return nil
	}
	if m.Series != nil { // Else it is the list that was sent before.
		f.find(0, m.Series)
	}
	for _, p := range m.Points {
		f.take(p.Values)
		start := p.WindowEnd - Slots*1000
		out = append(out, window{end: p.WindowEnd / 1000, sum: f.sum, complete: m.CoveredSince != nil && start >= *m.CoveredSince})
	}
	return out
}

func (f *frames) update(m *wire.UpdateMessage) (out []window) {
	for _, u := range m.Updates {
		if u.Index != f.index {
			continue
		}
		f.take(u.Values)
		out = append(out, window{end: u.WindowEnd / 1000, sum: f.sum, complete: u.Extra == nil || u.Extra.Complete, sent: time.UnixMilli(m.ServerTime)})
	}
	return out
}

// take takes the value of the instance from a list of values; no list stands for
// the one before it, and null in it is no event.
func (f *frames) take(values []*wire.Value) {
	if values == nil {
		return
	}
	f.sum = 0
	if f.place >= 0 && f.place < len(values) && values[f.place] != nil {
		f.sum = values[f.place].Number
	}
}
