package canary

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// message is what of the server's messages matters here (protocol.md).
type message struct {
	Type       string `json:"type"`
	ServerTime int64  `json:"server_time"`
	Heartbeat  int64  `json:"heartbeat_ms"`
	Widgets    []struct {
		Index    int    `json:"index"`
		WidgetID string `json:"widget_id"`
	} `json:"widgets"`
	Index  int `json:"index"`
	From   int `json:"from"`
	Series []struct {
		Tags map[string]string `json:"tags"`
	} `json:"series"` // Nil in a snapshot: the list that was told before.
	More         bool   `json:"more"`
	CoveredSince *int64 `json:"covered_since"`
	Points       []row  `json:"points"`
	Updates      []row  `json:"updates"`
	Code         int    `json:"code"`
	Reason       string `json:"reason"`
}

// row is a list of values of different types.
type row []json.RawMessage

func (r row) read(i int, into any) error {
	if i >= len(r) {
		return fmt.Errorf("a list has %d members, %d are needed", len(r), i+1)
	}
	return json.Unmarshal(r[i], into)
}

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
	var m message
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("the gateway sent what is no message: %w", err)
	}
	switch m.Type {
	case "welcome", "dashboard", "widgets":
		if m.Heartbeat > 0 {
			f.silence = min(max(3*time.Duration(m.Heartbeat)*time.Millisecond, shortestSilence), longestSilence)
		}
		if m.Type != "widgets" {
			f.index = -1
		}
		for _, w := range m.Widgets {
			if w.WidgetID == widgetID {
				f.index = w.Index
			}
		}
		if f.index < 0 && !m.More {
			return nil, errNoWidget
		}
	case "close":
		return nil, &closed{m.Code, m.Reason}
	case "snapshot":
		if m.Index == f.index {
			if m.Series != nil {
				f.find(&m)
			}
			return f.snapshot(&m)
		}
	case "series":
		if m.Index == f.index {
			f.find(&m)
		}
	case "update":
		return f.update(&m)
	}
	return nil, nil
}

// find looks for the instance in a new list of series, or a part of one.
func (f *frames) find(m *message) {
	if m.From == 0 {
		f.place = -1
	}
	for i, s := range m.Series {
		if s.Tags["instance"] == f.instance {
			f.place = m.From + i
		}
	}
}

func (f *frames) snapshot(m *message) (out []window, err error) {
	for _, p := range m.Points {
		var end int64
		if err := p.read(0, &end); err != nil {
			return out, fmt.Errorf("the gateway sent a point without an end: %w", err)
		}
		if err := f.value(p, 2); err != nil {
			return out, err
		}
		start := end - Slots*1000
		out = append(out, window{end: end / 1000, sum: f.sum, complete: m.CoveredSince != nil && start >= *m.CoveredSince})
	}
	return out, nil
}

func (f *frames) update(m *message) (out []window, err error) {
	for _, u := range m.Updates {
		var index int
		var end int64
		if err := errors.Join(u.read(0, &index), u.read(1, &end)); err != nil {
			return out, fmt.Errorf("the gateway sent an update without index and end: %w", err)
		}
		if index != f.index {
			continue
		}
		if err := f.value(u, 4); err != nil {
			return out, err
		}
		differs := struct {
			Complete bool `json:"complete"`
		}{true}
		if len(u) > 5 {
			if err := u.read(5, &differs); err != nil {
				return out, fmt.Errorf("the gateway sent an update that says wrongly what it covers: %w", err)
			}
		}
		out = append(out, window{end: end / 1000, sum: f.sum, complete: differs.Complete, sent: time.UnixMilli(m.ServerTime)})
	}
	return out, nil
}

// value takes the value of the instance from a list of values; null in place of
// the list is the list before it, and null in it is no event.
func (f *frames) value(r row, at int) error {
	var values []*float64
	if err := r.read(at, &values); err != nil {
		return fmt.Errorf("the gateway sent values that are none: %w", err)
	}
	if values == nil {
		return nil
	}
	f.sum = 0
	if f.place >= 0 && f.place < len(values) && values[f.place] != nil {
		f.sum = *values[f.place]
	}
	return nil
}
