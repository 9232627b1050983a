package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/gateway"
	"pulseboard/internal/host"
	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/wire"
)

const (
	patience  = 2 * time.Minute // For what must come; a test that waits as long fails.
	dashboard = "d1"
	oneKey    = "m:sum:5s"
	groupKey  = "m:avg:5s by (host)"
)

// world is a gateway with the Redis that it reads, and who else writes there.
type world struct {
	t         *testing.T
	redis     *miniredis.Miniredis
	results   *results.Store
	dashboard *registry.Store
	metrics   *prometheus.Registry
	url       string
	stop      func() // Ends the gateway and waits.
	prev      map[string]int64
	longest   int // Bytes of a frame that clients take.
}

// maxFrame is what docs/protocol.md promises.
const maxFrame = 256 << 10

func open(t *testing.T, change func(*gateway.Config)) *world {
	t.Helper()
	w := &world{t: t, redis: miniredis.RunT(t), metrics: prometheus.NewRegistry(), prev: map[string]int64{}, longest: maxFrame}
	log := slog.New(slog.DiscardHandler)
	var err error
	if w.results, err = results.Open(t.Context(), redisconn.At(w.redis.Addr())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.results.Close() })
	if w.dashboard, err = registry.Open(t.Context(), redisconn.At(w.redis.Addr()), registry.WithLog(log)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.dashboard.Close() })
	c := gateway.Config{Results: w.results, Dashboards: w.dashboard, Shared: host.Shared{Metrics: w.metrics, Log: log}}
	if change != nil {
		change(&c)
	}
	g, err := gateway.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	server := httptest.NewServer(g.Handler())
	w.url = server.URL
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		server.Close()
	})
	t.Cleanup(w.stop)
	return w
}

// awaitConnections waits until so many streams are open, as the metric says.
func (w *world) awaitConnections(n float64) {
	w.t.Helper()
	w.awaitGauge("pulseboard_gateway_connections", n)
}

func (w *world) awaitGauge(name string, n float64) {
	w.t.Helper()
	deadline := time.After(patience)
	for {
		families, err := w.metrics.Gather()
		if err != nil {
			w.t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == name && f.GetMetric()[0].GetGauge().GetValue() == n {
				return
			}
		}
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			w.t.Fatalf("%s never was %v", name, n)
		}
	}
}

// show publishes the dashboard with widgets of these metric keys and charts, as "key|chart".
func (w *world) show(version int, widgets ...string) {
	w.t.Helper()
	v := wire.View{Version: int64(version)}
	for _, text := range widgets {
		key, chart, _ := strings.Cut(text, "|")
		q, err := metric.ParseKey(key)
		if err != nil {
			w.t.Fatal(err)
		}
		v.Widgets = append(v.Widgets, wire.NewWidgetView("w:"+key, q, 1000, chart != "gauge"))
	}
	w.showView(v)
}

func (w *world) showView(v wire.View) {
	w.t.Helper()
	if err := w.dashboard.PublishViews(w.t.Context(), map[string]wire.View{dashboard: v}); err != nil {
		w.t.Fatal(err)
	}
}

// result is that of key at end; values belong to the hosts h0, h1, … or to no tag.
func (w *world) result(key string, end int64, values ...float64) results.Publication {
	r := &wire.Result{
		Key: key, WindowStart: end - 5000, WindowEnd: end, PrevEnd: w.prev[key], Due: []int64{1000}, NewestEvent: &end,
		Complete: true, Matched: len(values), SeriesVersion: fmt.Sprintf("v%d", len(values)),
	}
	for i := range values {
		s := wire.SeriesValue{Value: &values[i], Count: 1}
		if strings.Contains(key, " by ") {
			s.Tags = metric.Tags{{Key: "host", Value: fmt.Sprintf("h%d", i)}}
		}
		r.Series = append(r.Series, s)
	}
	w.prev[key] = end
	return results.Publication{Result: r, Announce: true}
}

func (w *world) publish(pubs ...results.Publication) {
	w.t.Helper()
	if _, err := w.results.Publish(w.t.Context(), pubs); err != nil {
		w.t.Fatal(err)
	}
}

// silently writes a result into the history without a message.
func (w *world) silently(p results.Publication) {
	p.Announce = false
	w.publish(p)
}

// browser is a client of the stream.
type browser struct {
	t  *testing.T
	ws *websocket.Conn
}

// message is any message of the server.
type message struct {
	Type      string `json:"type"`
	Index     int    `json:"index"`
	Heartbeat int    `json:"heartbeat_ms"`
	Build     string `json:"build"`
	Dashboard struct {
		ID      string `json:"id"`
		Version int    `json:"version"`
	} `json:"dashboard"`
	Version int `json:"version"`
	Widgets []struct {
		Index     int    `json:"index"`
		WidgetID  string `json:"widget_id"`
		MetricKey string `json:"metric_key"`
		KeyID     string `json:"key_id"`
		RefreshMs int    `json:"refresh_ms"`
		WindowMs  int    `json:"window_ms"`
		DelayMs   int    `json:"delay_ms"`

		GroupBy []string `json:"group_by"`
	} `json:"widgets"`
	More          bool   `json:"more"`
	From          int    `json:"from"`
	State         string `json:"state"`
	Detail        string `json:"detail"`
	Reset         bool   `json:"reset"`
	SeriesVersion string `json:"series_version"`
	Series        []struct {
		Tags map[string]string `json:"tags"`
	} `json:"series"` // Nil: as told before.
	CoveredSince *int64   `json:"covered_since"`
	Truncated    int      `json:"truncated"`
	Error        float64  `json:"error"`
	Points       []row    `json:"points"`
	Updates      []update `json:"updates"`
	Skipped      int      `json:"skipped"`
	Code         int      `json:"code"`
	Reason       string   `json:"reason"`
}

// row is [window_end, newest_event, [v, …]].
type row struct {
	end    int64
	values []any // Numbers, lists of bins, or nil.
}

func (r *row) UnmarshalJSON(b []byte) error {
	var newest *int64
	return json.Unmarshal(b, &[]any{&r.end, &newest, &r.values})
}

// update is [index, window_end, newest_event, series_version, [v, …] or null, …].
type update struct {
	index   int
	end     int64
	version string
	values  []any
	extra   struct {
		Truncated int     `json:"truncated"`
		Error     float64 `json:"error"`
	}
}

func (u *update) UnmarshalJSON(b []byte) error {
	var newest *int64
	return json.Unmarshal(b, &[]any{&u.index, &u.end, &newest, &u.version, &u.values, &u.extra})
}

func text(values []any) string {
	if values == nil {
		return "null"
	}
	parts := make([]string, 0, len(values))
	for _, v := range values {
		if v == nil {
			parts = append(parts, "null")
		} else {
			parts = append(parts, fmt.Sprint(v))
		}
	}
	return strings.Join(parts, ",")
}

func (w *world) dial(id string) *browser {
	w.t.Helper()
	d := websocket.Dialer{Subprotocols: []string{"pulseboard.v1"}}
	ws, res, err := d.DialContext(w.t.Context(), "ws"+strings.TrimPrefix(w.url, "http")+"/stream/"+id, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = res.Body.Close()
	if ws.Subprotocol() != "pulseboard.v1" {
		w.t.Errorf("subprotocol %q", ws.Subprotocol())
	}
	w.t.Cleanup(func() { _ = ws.Close() })
	ws.SetReadLimit(int64(w.longest))
	return &browser{w.t, ws}
}

// watch says hello and reads the welcome.
func (w *world) watch(hello string) *browser {
	w.t.Helper()
	b := w.dial(dashboard)
	b.say(hello)
	if m := b.next("welcome"); m.Dashboard.ID != dashboard {
		w.t.Fatalf("welcome %+v", m)
	}
	return b
}

const hello = `{"type":"hello"}`

func (b *browser) say(text string) {
	b.t.Helper()
	if err := b.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		b.t.Fatal(err)
	}
}

// read returns the next message that is no heartbeat and no state.
func (b *browser) read(alsoQuiet bool) (m message, err error) {
	for {
		if err := b.ws.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return m, err
		}
		_, text, err := b.ws.ReadMessage()
		if err != nil {
			return m, err
		}
		m = message{}
		if err := json.Unmarshal(text, &m); err != nil {
			return m, fmt.Errorf("%s: %w", text, err)
		}
		if alsoQuiet || m.Type != "heartbeat" && m.Type != "state" {
			return m, nil
		}
	}
}

// next is the next message, which must be of this type; heartbeats and states
// count only when asked for.
func (b *browser) next(kind string) message {
	b.t.Helper()
	m, err := b.read(kind == "heartbeat" || kind == "state")
	if err != nil {
		b.t.Fatalf("no %s: %v", kind, err)
	}
	if m.Type != kind {
		b.t.Fatalf("got %+v, want %s", m, kind)
	}
	return m
}

// point reads frames until the widget has an update, and returns it.
func (b *browser) point(index int) update {
	b.t.Helper()
	for {
		for _, u := range b.next("update").Updates {
			if u.index == index {
				return u
			}
		}
	}
}

// closed reads until the connection ends and returns the close message before it and the code.
func (b *browser) closed() (last message, code int) {
	b.t.Helper()
	for {
		m, err := b.read(true)
		if err == nil {
			last = m
			continue
		}
		if c, ok := err.(*websocket.CloseError); ok { //nolint:errorlint // The library returns it bare.
			return last, c.Code
		}
		b.t.Fatalf("the connection ended without a close frame: %v", err)
	}
}

func ends(rows []row) string {
	parts := make([]string, 0, len(rows))
	for _, r := range rows {
		parts = append(parts, fmt.Sprintf("%d=%s", r.end, text(r.values)))
	}
	return strings.Join(parts, " ")
}

func (w *world) get(path string) (status int, body map[string]any) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, body
}

// until repeats a check until it holds.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	limit := time.After(patience)
	every := time.NewTicker(10 * time.Millisecond)
	defer every.Stop()
	for !ok() {
		select {
		case <-every.C:
		case <-limit:
			w.t.Fatalf("waited too long for %s", what)
		}
	}
}
