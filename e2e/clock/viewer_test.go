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
	newest map[int]int64 // By widget: the newest window end that is shown.
}

// watch opens the stream, and again when it ends.
func watch(t *testing.T, w *world, id string) *viewer {
	t.Helper()
	v := &viewer{w: w, id: id, newest: make(map[int]int64)}
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
			Points  [][]json.RawMessage `json:"points"`
			Updates [][]json.RawMessage `json:"updates"`
		}
		if json.Unmarshal(text, &m) != nil {
			continue
		}
		v.mu.Lock()
		if m.Type == "snapshot" && m.Reset {
			delete(v.newest, m.Index)
		}
		for _, p := range m.Points {
			v.show(m.Index, p[0])
		}
		for _, u := range m.Updates {
			var index int
			if json.Unmarshal(u[0], &index) == nil {
				v.show(index, u[1])
			}
		}
		v.mu.Unlock()
	}
}

func (v *viewer) show(index int, text json.RawMessage) {
	var end int64
	if json.Unmarshal(text, &end) == nil {
		v.newest[index] = max(v.newest[index], end)
	}
}

// ahead names a widget that shows something of the future, or nothing of the last seconds.
func (v *viewer) ahead(now time.Time) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.newest) == 0 {
		return "nothing"
	}
	for i, end := range v.newest {
		if by := time.Duration(end-now.UnixMilli()) * time.Millisecond; by > 6*time.Second || by < -time.Minute {
			return fmt.Sprintf("a window of widget %d that ends %v ahead", i, by)
		}
	}
	return ""
}
