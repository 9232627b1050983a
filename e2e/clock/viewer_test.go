package clock_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// viewer is a page that is open: it shows what the stream tells it to.
type viewer struct {
	w  *world
	id string

	mu     sync.Mutex
	ws     *websocket.Conn
	closed bool
	shown  map[int]map[int64]got // By widget and window end.
}

// watch opens the stream, and again when it ends.
func watch(t *testing.T, w *world, id string) *viewer {
	t.Helper()
	v := &viewer{w: w, id: id, shown: make(map[int]map[int64]got)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for v.open() {
			v.follow()
		}
	}()
	t.Cleanup(func() {
		v.mu.Lock()
		v.closed = true
		if v.ws != nil {
			_ = v.ws.Close()
		}
		v.mu.Unlock()
		<-done
	})
	return v
}

func (v *viewer) open() bool {
	for v.w.t.Context().Err() == nil {
		d := websocket.Dialer{Subprotocols: []string{"pulseboard.v1"}, HandshakeTimeout: 10 * time.Second}
		ws, res, err := d.DialContext(v.w.t.Context(), "ws"+strings.TrimPrefix(v.w.url, "http")+"/stream/"+v.id, nil)
		if res != nil {
			_ = res.Body.Close() // It has none.
		}
		if err != nil {
			select {
			case <-time.After(200 * time.Millisecond):
			case <-v.w.ended:
				return false
			}
			continue
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.closed {
			_ = ws.Close()
			return false
		}
		v.ws = ws
		return ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"hello"}`)) == nil || !v.closed
	}
	return false
}

func (v *viewer) follow() {
	for {
		_, text, err := v.ws.ReadMessage()
		if err != nil {
			return
		}
		var m struct {
			Type    string              `json:"type"`
			Index   int                 `json:"index"`
			Reset   bool                `json:"reset"`
			Since   int64               `json:"covered_since"`
			Points  [][]json.RawMessage `json:"points"`
			Updates [][]json.RawMessage `json:"updates"`
		}
		if json.Unmarshal(text, &m) != nil {
			continue
		}
		v.mu.Lock()
		if m.Type == "snapshot" && m.Reset {
			delete(v.shown, m.Index)
		}
		for _, p := range m.Points {
			v.show(m.Index, p[0], p[2], m.Since, nil)
		}
		for _, u := range m.Updates {
			var index int
			if json.Unmarshal(u[0], &index) == nil {
				v.show(index, u[1], u[4], 0, u[5:])
			}
		}
		v.mu.Unlock()
	}
}

// show takes a point of a widget. What its values are when none are told is what they were.
func (v *viewer) show(index int, endText, valuesText json.RawMessage, since int64, more []json.RawMessage) {
	var end int64
	var values []*float64
	if json.Unmarshal(endText, &end) != nil || json.Unmarshal(valuesText, &values) != nil {
		return
	}
	widget := v.shown[index]
	if widget == nil {
		widget = make(map[int64]got)
		v.shown[index] = widget
	}
	window := windows[index%len(windows)]
	g := got{complete: end-window*1000 >= since}
	if values == nil {
		before := int64(0)
		for e := range widget {
			if e < end {
				before = max(before, e)
			}
		}
		g.count = widget[before].count
	} else if len(values) == 1 && values[0] != nil {
		g.count = *values[0]
	}
	if len(more) > 0 {
		about := struct {
			Complete *bool `json:"complete"`
		}{}
		if json.Unmarshal(more[0], &about) == nil && about.Complete != nil {
			g.complete = *about.Complete
		}
	}
	widget[end] = g
}

// faults lists what is shown as complete of windows that ended in a time, and is wrong.
func (v *viewer) faults(from, to int64) (checked int, faults []string) {
	v.w.mu.Lock()
	defer v.w.mu.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, m := range metrics {
		for j, window := range windows {
			for end, g := range v.shown[i*len(windows)+j] {
				if end <= from || end > to {
					continue
				}
				checked++
				if least, most := v.w.bounds(m, window, end); g.complete && (g.count < least || g.count > most) {
					faults = append(faults, fmt.Sprintf("%s at %d (%+d ms): %v, and %v to %v were sent", key(m, window), end, end-from, g.count, least, most))
				}
			}
		}
	}
	return checked, faults
}

// ahead names a widget that shows something of the future, or nothing of the last seconds.
func (v *viewer) ahead(now time.Time) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.shown) == 0 {
		return "nothing"
	}
	for i, widget := range v.shown {
		end := int64(0)
		for e := range widget {
			end = max(end, e)
		}
		if by := time.Duration(end-now.UnixMilli()) * time.Millisecond; by > 6*time.Second || by < -time.Minute {
			return fmt.Sprintf("a window of widget %d that ends %v ahead", i, by)
		}
	}
	return ""
}
