package property_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"pulseboard/e2e/testenv"
)

// result is what the pipeline says, as docs/protocol.md has it.
type result struct {
	Key         string  `json:"key"`
	WindowStart int64   `json:"window_start"`
	WindowEnd   int64   `json:"window_end"`
	PrevEnd     int64   `json:"prev_end"`
	Due         []int64 `json:"due"`
	NewestEvent *int64  `json:"newest_event"`
	Complete    bool    `json:"complete"`
	Matched     int     `json:"matched"`
	Series      []struct {
		Tags  map[string]string `json:"tags"`
		Value *value            `json:"value"`
		Count int64             `json:"count"`
	} `json:"series"`
	Truncated     int   `json:"truncated"`
	UnknownStarts int64 `json:"unknown_starts"`

	text string
}

// events is how many events a result counts.
func (r *result) events() (n int64) {
	for _, s := range r.Series {
		n += s.Count
	}
	return n
}

// watch keeps every message and every history entry from the beginning, also
// those that Redis trims later.
type watch struct {
	client   *redis.Client
	mu       sync.Mutex
	messages map[string][]*result         // By metric key, as they came.
	streams  map[string]map[int64]*result // By stream and window end.
	last     map[string]string            // The newest id of each stream.
	newest   map[string]int64             // The newest end of each stream.
	fault    error
}

func newWatch(t *testing.T, addr string) *watch {
	t.Helper()
	w := &watch{
		client: redis.NewClient(&redis.Options{Addr: addr}), messages: map[string][]*result{},
		streams: map[string]map[int64]*result{}, last: map[string]string{}, newest: map[string]int64{},
	}
	testenv.Watch(t, w.client, "m*", w.message, 200*time.Millisecond, w.read)
	return w
}

func (w *watch) message(m *redis.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &result{text: m.Payload}
	if err := json.Unmarshal([]byte(m.Payload), r); err != nil || r.Key != m.Channel {
		w.fault = fmt.Errorf("message on %s: %w: %s", m.Channel, err, m.Payload)
	}
	w.messages[m.Channel] = append(w.messages[m.Channel], r)
}

// read takes over what histories hold since the last time.
func (w *watch) read(ctx context.Context) {
	streams, err := w.client.Keys(ctx, "history:*").Result()
	if err != nil {
		return // The end of the test.
	}
	for _, s := range streams {
		w.mu.Lock()
		from := "-"
		if id := w.last[s]; id != "" {
			from = "(" + id
		}
		w.mu.Unlock()
		entries, err := w.client.XRange(ctx, s, from, "+").Result()
		if err != nil {
			return
		}
		w.mu.Lock()
		for _, e := range entries {
			text, _ := e.Values["r"].(string)
			r := &result{text: text}
			if err := json.Unmarshal([]byte(text), r); err != nil || e.ID != fmt.Sprintf("%d-0", r.WindowEnd) {
				w.fault = fmt.Errorf("entry %s of %s: %w: %s", e.ID, s, err, text)
			}
			if w.streams[s] == nil {
				w.streams[s] = map[int64]*result{}
			}
			w.streams[s][r.WindowEnd] = r
			w.last[s], w.newest[s] = e.ID, r.WindowEnd
		}
		w.mu.Unlock()
	}
}

func (w *watch) newestOf(stream string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.newest[stream]
}
