package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"pulseboard/e2e/testenv"
)

// The load: metrics × hosts events a round, a round every 100 ms.
const (
	metrics   = 20
	hosts     = 10
	roundTime = 100 * time.Millisecond
	boundMs   = 3000
)

var aggregations = []string{"sum", "avg", "max", "min", "count"}

// widget is one of the dashboard's.
type widget struct {
	metric, aggregation string
	window              int64
	grouped             bool
}

func (w widget) key() string {
	k := fmt.Sprintf("%s:%s:%ds", w.metric, w.aggregation, w.window)
	if w.grouped {
		k += " by (host)"
	}
	return k
}

// widgets are five aggregations of each metric over 5 s by host and over 20 s in all.
func widgets() []widget {
	var ws []widget
	for m := range metrics {
		for _, a := range aggregations {
			name := fmt.Sprintf("load.metric_%02d", m)
			ws = append(ws, widget{name, a, 5, true}, widget{name, a, 20, false})
		}
	}
	return ws
}

func makeDashboard(p *program, ws []widget) (id string) {
	p.t.Helper()
	type document struct {
		Title   string           `json:"title"`
		Widgets []map[string]any `json:"widgets"`
	}
	d := document{Title: "Load"}
	for _, w := range ws {
		m := map[string]any{"metric_name": w.metric, "aggregation": w.aggregation, "window_seconds": w.window, "refresh_interval_seconds": 1}
		if w.grouped {
			m["group_by"] = []string{"host"}
		}
		d.Widgets = append(d.Widgets, m)
	}
	var made struct {
		DashboardID string `json:"dashboard_id"`
	}
	p.request(http.MethodPost, "/dashboards", d, http.StatusCreated, &made)
	return made.DashboardID
}

// send posts rounds of events at a steady rate, and returns when each was answered, ms. One event
// in twenty is up to 15 s late.
func send(p *program, rounds int, seed uint64) (acked []int64) {
	p.t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	type event struct {
		MetricName string            `json:"metric_name"`
		Value      float64           `json:"value"`
		Tags       map[string]string `json:"tags"`
		EventTime  int64             `json:"event_time"`
	}
	every := time.NewTicker(roundTime)
	defer every.Stop()
	sent := 0
	for range rounds {
		now := time.Now().UnixMilli()
		events := make([]event, 0, metrics*hosts)
		for m := range metrics {
			for h := range hosts {
				e := event{fmt.Sprintf("load.metric_%02d", m), r.NormFloat64() * 1000, map[string]string{"host": fmt.Sprintf("h%d", h)}, now - r.Int64N(100)}
				if r.IntN(20) == 0 {
					e.EventTime = now - 1000 - r.Int64N(14_000)
				}
				events = append(events, e)
			}
		}
		var answer struct{ Accepted, Rejected int }
		p.request(http.MethodPost, "/ingest", events, http.StatusOK, &answer)
		if answer.Accepted != len(events) || answer.Rejected != 0 {
			p.t.Fatalf("%d of %d events were accepted, %d rejected", answer.Accepted, len(events), answer.Rejected)
		}
		acked = append(acked, time.Now().UnixMilli())
		sent += len(events)
		<-every.C
	}
	p.t.Logf("%d events sent, seed %d", sent, seed)
	return acked
}

// seen is what a browser would have: per widget, window end → values by host.
type seen struct {
	mu       sync.Mutex
	widgets  []widget
	ends     []map[int64]map[string]*float64
	last     []int64
	starts   []map[int64]int64 // Where a window's start is not its end − window.
	series   map[string][]map[string]string
	versions []string
	updates  int
	faults   []string
}

// browser speaks the protocol of WS /stream and keeps what it is told.
func browser(p *program, dashboard string, ws []widget) *seen {
	p.t.Helper()
	s := &seen{widgets: ws, series: map[string][]map[string]string{}, ends: make([]map[int64]map[string]*float64, len(ws)), starts: make([]map[int64]int64, len(ws)), last: make([]int64, len(ws)), versions: make([]string, len(ws))}
	dialer := websocket.Dialer{Subprotocols: []string{"pulseboard.v1"}}
	conn, res, err := dialer.DialContext(p.t.Context(), "ws"+strings.TrimPrefix(p.url, "http")+"/stream/"+dashboard, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = res.Body.Close()
	if err := conn.WriteJSON(map[string]any{"type": "hello"}); err != nil {
		p.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var index []int
		for {
			_, text, err := conn.ReadMessage()
			if err != nil {
				return
			}
			if fault := s.take(text, &index); fault != "" {
				s.mu.Lock()
				s.faults = append(s.faults, fault)
				s.mu.Unlock()
			}
		}
	}()
	p.t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return s
}

type message struct {
	Type    string `json:"type"`
	Index   int    `json:"index"`
	Widgets []struct {
		Index     int    `json:"index"`
		MetricKey string `json:"metric_key"`
	} `json:"widgets"`
	SeriesVersion string `json:"series_version"`
	Series        []struct {
		Tags map[string]string `json:"tags"`
	} `json:"series"`
	Reset   bool                `json:"reset"`
	Points  [][]json.RawMessage `json:"points"`
	Updates [][]json.RawMessage `json:"updates"`
}

// take applies one message. index maps the stream's index of a widget to ours.
func (s *seen) take(text []byte, index *[]int) (fault string) {
	var m message
	if err := json.Unmarshal(text, &m); err != nil {
		return err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m.Type {
	case "welcome":
		*index = make([]int, len(m.Widgets))
		for _, w := range m.Widgets {
			i := slices.IndexFunc(s.widgets, func(x widget) bool { return x.key() == w.MetricKey })
			if i < 0 {
				return "unknown metric key " + w.MetricKey
			}
			(*index)[w.Index] = i
		}
	case "snapshot":
		i := (*index)[m.Index]
		s.name(i, m)
		if m.Reset {
			s.ends[i], s.starts[i], s.last[i] = map[int64]map[string]*float64{}, map[int64]int64{}, 0
		}
		for _, pt := range m.Points {
			if fault := s.point(i, pt[0], pt[2], nil, m.SeriesVersion, "a snapshot"); fault != "" {
				return fault
			}
		}
	case "series":
		s.name((*index)[m.Index], m)
	case "update":
		s.updates++
		// What was skipped, as this reads slowly, has come in a snapshot: else there is a gap.
		for _, u := range m.Updates {
			var at int
			var version string
			if json.Unmarshal(u[0], &at) != nil || json.Unmarshal(u[3], &version) != nil {
				return "an update without index or version"
			}
			var detail json.RawMessage
			if len(u) > 5 {
				detail = u[5]
			}
			if fault := s.point((*index)[at], u[1], u[4], detail, version, "an update"); fault != "" {
				return fault
			}
		}
	}
	return ""
}

func (s *seen) name(i int, m message) {
	tags := make([]map[string]string, 0, len(m.Series))
	for _, x := range m.Series {
		tags = append(tags, x.Tags)
	}
	s.series[fmt.Sprint(i, "/", m.SeriesVersion)] = tags
	s.versions[i] = m.SeriesVersion
}

func (s *seen) point(i int, endText, valueText, detail json.RawMessage, version, where string) string {
	var end int64
	var values []*float64
	if err := json.Unmarshal(endText, &end); err != nil {
		return err.Error()
	}
	key := s.widgets[i].key()
	if end <= s.last[i] {
		return fmt.Sprintf("%s: window end %d in %s follows %d", key, end, where, s.last[i])
	}
	if s.last[i] != 0 && end != s.last[i]+1000 {
		return fmt.Sprintf("%s: a gap before window end %d in %s, after %d", key, end, where, s.last[i])
	}
	series := s.series[fmt.Sprint(i, "/", version)]
	byHost := map[string]*float64{}
	if string(valueText) == "null" {
		byHost = s.ends[i][s.last[i]] // As at the end before.
	} else {
		if err := json.Unmarshal(valueText, &values); err != nil {
			return err.Error()
		}
		if len(values) != len(series) {
			return fmt.Sprintf("%s: %d values of %d series", key, len(values), len(series))
		}
		for j, v := range values {
			byHost[series[j]["host"]] = v
		}
	}
	if s.ends[i] == nil {
		return key + ": " + where + " before a snapshot"
	}
	if len(detail) > 0 {
		s.starts[i][end] = 0
	}
	s.ends[i][end], s.last[i] = byHost, end
	return ""
}

// histories reads every history entry of a widget from Redis.
func histories(t *testing.T, client *redis.Client, w widget) []entry {
	t.Helper()
	raw, err := client.XRange(context.Background(), "history:"+w.key()+"@1000", "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]entry, 0, len(raw))
	for _, x := range raw {
		var e entry
		if err := json.Unmarshal([]byte(x.Values["r"].(string)), &e); err != nil {
			t.Fatal(err)
		}
		if x.ID != fmt.Sprintf("%d-0", e.WindowEnd) || e.Key != w.key() {
			t.Fatalf("entry %s of %s is %+v", x.ID, w.key(), e)
		}
		out = append(out, e)
	}
	return out
}

type entry struct {
	Key         string `json:"key"`
	WindowStart int64  `json:"window_start"`
	WindowEnd   int64  `json:"window_end"`
	PrevEnd     int64  `json:"prev_end"`
	Complete    bool   `json:"complete"`
	Series      []struct {
		Tags  map[string]string `json:"tags"`
		Value *float64          `json:"value"`
		Count int64             `json:"count"`
	} `json:"series"`
}

func redisClient(t *testing.T, addr string) *redis.Client {
	t.Helper()
	o := &redis.Options{Addr: addr}
	if strings.Contains(addr, "://") {
		var err error
		if o, err = redis.ParseURL(addr); err != nil {
			t.Fatal(err)
		}
	}
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// overtaken reports whether an event may be missing in a window that it had passed for: its record took
// so long from its timestamp into the log that an idle partition, which is 1.25 bounds behind what the broker
// confirmed, was beyond the end of the window before (ARCHITECTURE.md, "Time"). No timestamp in the log shows that,
// but the producer had no answer then either.
func (e logEvent) overtaken(end int64) bool { return e.acked >= end+boundMs+boundMs/4 }

// explains reports whether the log gives v for a window. One that was evaluated
// when it ended holds what had passed by then, but for what was overtaken. One that was
// filled in later may hold what had passed by any later moment.
func (tp topic) explains(w widget, host string, start, end int64, v *float64, filled bool, also func(count int64) bool) (ok, exact bool) {
	holds := func(passed int64) bool {
		want, count, _ := tp.window(w.metric, w.aggregation, host, start, end, passed)
		return same(w.aggregation, v, want, count) && also(count)
	}
	if holds(end) {
		return true, true
	}
	// The events of a metric are in one partition: who is overtaken, those behind are too.
	from := end
	for _, e := range slices.Backward(tp[w.metric]) {
		if e.passes >= end {
			continue
		}
		if !e.overtaken(end) {
			break
		}
		from = e.passes
	}
	for _, passed := range tp.cuts(w.metric) {
		if passed >= from && (filled || passed <= end) && holds(passed) {
			return true, false
		}
	}
	return false, false
}

// compare checks all that Redis and the browser hold against the log. Every
// window from the first with events to the last must be there.
func compare(p *program, ws []widget, s *seen, log topic, first, last int64, every bool) {
	p.t.Helper()
	client := redisClient(p.t, p.redis)
	checkedEntries, checkedPoints, late, inexact := 0, 0, 0, 0
	for i, w := range ws {
		entries := histories(p.t, client, w)
		begun := log.begun(w.metric)
		before := int64(0)
		for _, e := range entries {
			if before != 0 && e.WindowEnd != before+1000 {
				p.t.Fatalf("%s: the history has %d after %d", w.key(), e.WindowEnd, before)
			}
			before = e.WindowEnd
			for _, v := range e.Series {
				want, count, n := log.window(w.metric, w.aggregation, v.Tags["host"], e.WindowStart, e.WindowEnd, e.WindowEnd)
				ok, exact := log.explains(w, v.Tags["host"], e.WindowStart, e.WindowEnd, v.Value, !every || e.WindowEnd < begun, func(n int64) bool { return n == v.Count })
				if !ok || e.Complete && e.WindowStart != e.WindowEnd-w.window*1000 {
					p.t.Fatalf("%s [%d, %d) %v: history has %s of %d events, complete %v; the log says %v of %d", w.key(), e.WindowStart, e.WindowEnd, v.Tags, text(v.Value), v.Count, e.Complete, want, count)
				}
				late += n
				if !exact {
					inexact++
				}
				checkedEntries++
			}
			if len(e.Series) == 0 && e.WindowEnd > first+1000 && e.WindowEnd <= last {
				p.t.Fatalf("%s: no series in the window that ends at %d", w.key(), e.WindowEnd)
			}
		}
		if len(entries) == 0 || entries[0].WindowEnd > first+1000 || before < last {
			p.t.Fatalf("%s: the history does not reach from %d to %d", w.key(), first, last)
		}
		s.mu.Lock()
		for end, byHost := range s.ends[i] {
			for host, v := range byHost {
				want, count, _ := log.window(w.metric, w.aggregation, host, end-w.window*1000, end, end)
				if _, listed := s.starts[i][end]; listed {
					continue // Another start: compared in the history.
				}
				ok, _ := log.explains(w, host, end-w.window*1000, end, v, !every || end < begun, func(int64) bool { return true })
				if !ok && (v != nil || contains(entries, end, host)) {
					p.t.Fatalf("%s host %q end %d: the browser was told %s; the log says %v of %d", w.key(), host, end, text(v), want, count)
				}
				checkedPoints++
			}
		}
		if s.last[i] < last {
			p.t.Fatalf("%s: the browser was told up to %d, not %d", w.key(), s.last[i], last)
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) > 0 {
		p.t.Fatalf("%d faults in the stream, the first: %s", len(s.faults), s.faults[0])
	}
	if late == 0 || s.updates == 0 || every && s.updates < 15 {
		p.t.Fatalf("late events counted %d times, %d frames with updates", late, s.updates)
	}
	p.t.Logf("compared %d values of histories and %d of the browser in %d frames; late events counted %d times; %d values were filled in later or lack an overtaken record", checkedEntries, checkedPoints, s.updates, late, inexact)
}

// contains reports whether the history lists a host at an end: a snapshot has null where it does not.
func contains(entries []entry, end int64, host string) bool {
	for _, e := range entries {
		if e.WindowEnd == end {
			for _, v := range e.Series {
				if v.Tags["host"] == host {
					return true
				}
			}
		}
	}
	return false
}

func text(v *float64) string {
	if v == nil {
		return "null"
	}
	return fmt.Sprint(*v)
}

// settle waits until the browser was told of the window that ends after the last event.
func settle(p *program, s *seen, after int64) (last int64) {
	p.t.Helper()
	last = after/1000*1000 + 1000
	p.until("the last windows", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, w := range s.widgets {
			if s.last[i] < last {
				return fmt.Errorf("%s was told up to %d, not %d; faults %v", w.key(), s.last[i], last, s.faults)
			}
		}
		return nil
	})
	return last
}

// Real sockets, real processes: 20 metrics of 10 series at 2,000 events a
// second, five aggregations, windows of 5 s and 20 s. Every history entry and
// every update that a browser gets equals what the log says for the window it states.
func TestEveryResultEqualsTheLog(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	p := start(t, t.TempDir(), "--no-demo", "--bound", fmt.Sprintf("%dms", boundMs))
	ws := widgets()
	id := makeDashboard(p, ws)
	s := browser(p, id, ws)
	first := time.Now().UnixMilli()
	acked := send(p, 300, 1)
	last := settle(p, s, time.Now().UnixMilli())
	compare(p, ws, s, readTopic(t, p.kafka, boundMs, acked), first, last, true)
}

// Each process stands still for longer than the bound while events come, as on a machine that
// has no time for it: the results are late, and are those of the log all the same.
func TestFrozenProcessesChangeNoResult(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	p := start(t, t.TempDir(), "--no-demo", "--bound", fmt.Sprintf("%dms", boundMs))
	ws := widgets()
	id := makeDashboard(p, ws)
	s := browser(p, id, ws)
	first := time.Now().UnixMilli()
	acked := send(p, 50, 4)
	frozen := testenv.Freeze(t, p.pipelinePID())
	acked = append(acked, send(p, 50, 5)...) // They take 5 s.
	frozen()
	acked = append(acked, send(p, 30, 6)...)
	// Ingest, the broker and the gateway: the request that is sent meanwhile waits.
	frozen = testenv.Freeze(t, p.cmd.Process.Pid)
	thawed := time.AfterFunc(2*boundMs*time.Millisecond, frozen)
	acked = append(acked, send(p, 50, 7)...)
	if thawed.Stop() {
		t.Error("events were accepted by a process that stood still")
	}
	last := settle(p, s, time.Now().UnixMilli())
	compare(p, ws, s, readTopic(t, p.kafka, boundMs, acked), first, last, true)
}

// The oracle takes a window without a record for wrong, unless its producer waited for the answer so long that
// the record may have been overtaken.
func TestOracleSeesWhatIsMissing(t *testing.T) {
	t.Parallel()
	const end, stamped = 60_000, 62_500
	w := widget{metric: "m", aggregation: "count", window: 20}
	for _, test := range []struct {
		acked int64
		held  float64
		want  bool
	}{
		{stamped + 5, 2, true},
		{stamped + 5, 1, false},
		{end + boundMs + boundMs/4 - 1, 1, false},
		{end + boundMs + boundMs/4, 1, true},
		{end + boundMs + boundMs/4, 2, true},
		{end + boundMs + boundMs/4, 0, false}, // The first event was answered at once.
	} {
		log := topic{"m": {
			{at: end - 2000, passes: end - 1500, acked: end + 1500},
			{at: end - 1000, passes: stamped - boundMs, acked: test.acked},
		}}
		if ok, _ := log.explains(w, "", end-20_000, end, &test.held, false, func(int64) bool { return true }); ok != test.want {
			t.Errorf("%v of 2 events, the second one answered after %d ms: %v, want %v", test.held, test.acked-stamped, ok, test.want)
		}
	}
}

// The same with kill -9 of the pipeline's process in the middle: it is started
// again, reads back, and no window is missing, twice or wrong.
func TestKilledPipelineIsRightAgain(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	p := start(t, t.TempDir(), "--no-demo", "--bound", fmt.Sprintf("%dms", boundMs))
	ws := widgets()
	id := makeDashboard(p, ws)
	s := browser(p, id, ws)
	first := time.Now().UnixMilli()
	acked := send(p, 80, 2)
	settle(p, s, first)
	pid := p.pipelinePID()
	if pid == 0 {
		t.Fatal("cannot find the pipeline's process")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	acked = append(acked, send(p, 70, 3)...)
	last := settle(p, s, time.Now().UnixMilli())
	if again := p.pipelinePID(); again == 0 || again == pid {
		t.Errorf("the pipeline's process is %d, was %d", again, pid)
	}
	compare(p, ws, s, readTopic(t, p.kafka, boundMs, acked), first, last, false)
}
