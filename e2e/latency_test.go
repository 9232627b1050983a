package e2e_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// One event by POST is on the WebSocket. How long that takes is logged, and is
// in bench/README.md; a busy machine does not fail the test.
func TestOneEventReachesTheBrowser(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	const rounds = 20
	p := start(t, t.TempDir(), "--no-demo")
	var made struct {
		ID string `json:"dashboard_id"`
	}
	p.request(http.MethodPost, "/dashboards", map[string]any{"title": "One", "widgets": []map[string]any{
		{"metric_name": "one", "aggregation": "sum", "window_seconds": 600},
	}}, http.StatusCreated, &made)
	conn, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(p.url, "http")+"/stream/"+made.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	defer conn.Close() //nolint:errcheck // The test is over.
	if err := conn.WriteJSON(map[string]any{"type": "hello"}); err != nil {
		t.Fatal(err)
	}
	// The metric is known from the first on.
	sendOne(p, 1)
	awaitSum(t, conn, 1)
	var took []time.Duration
	for i := range rounds {
		begin := time.Now()
		sendOne(p, 1)
		awaitSum(t, conn, float64(i+2))
		took = append(took, time.Since(begin))
		// At another phase of the second each time.
		<-time.After(time.Duration(i*37%1000) * time.Millisecond)
	}
	slices.Sort(took)
	t.Logf("POST of one event to its WebSocket frame, refresh 1 s: p50 %v, at most %v of %d", took[rounds/2], took[rounds-1], rounds)
}

// awaitSum reads until an update or a snapshot ends with this value.
func awaitSum(t *testing.T, conn *websocket.Conn, want float64) {
	t.Helper()
	for {
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		_, text, err := conn.ReadMessage()
		if err != nil {
			t.Fatalf("no sum of %v: %v", want, err)
		}
		var m message
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		rows := [][]json.RawMessage{}
		for _, u := range m.Updates {
			rows = append(rows, u[4:5])
		}
		if n := len(m.Points); n > 0 {
			rows = append(rows, m.Points[n-1][2:3])
		}
		for _, row := range rows {
			var values []*float64
			if json.Unmarshal(row[0], &values) == nil && len(values) == 1 && values[0] != nil && *values[0] == want {
				return
			}
		}
	}
}
