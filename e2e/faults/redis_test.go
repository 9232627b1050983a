package faults_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/registry"
	"pulseboard/wire"
)

const (
	dashboard = "board"
	// staleAfter is when a value may be shown no longer as live, at a refresh of a
	// second (docs/protocol.md, "States").
	staleAfter = 3 * time.Second
)

// shown are the widgets of the dashboard; the last one is no chart.
func shown() []metric.Query {
	return []metric.Query{
		{Metric: metricName(0), Aggregation: metric.Count, WindowSeconds: 5},
		{Metric: metricName(1), Aggregation: metric.Avg, WindowSeconds: 10},
		{Metric: metricName(2), Aggregation: metric.Count, WindowSeconds: 600, GroupBy: []string{"host"}},
		{Metric: metricName(3), Aggregation: metric.Sum, WindowSeconds: 60},
	}
}

// publishDashboard does what the config service does.
func publishDashboard(t *testing.T, addr string) {
	t.Helper()
	v := wire.View{Version: 1}
	for i, q := range shown() {
		v.Widgets = append(v.Widgets, wire.NewWidgetView(fmt.Sprintf("w%d", i), q, 1000, i < len(shown())-1)) // The last one is a gauge.
	}
	store, err := registry.Open(t.Context(), redisconn.At(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // It was written.
	if err := store.PublishViews(t.Context(), map[string]wire.View{dashboard: v}); err != nil {
		t.Fatal(err)
	}
}

// change is a state that a widget came to.
type change struct {
	state string
	at    time.Time
}

// viewer is a page that is open: it takes every frame of the stream.
type viewer struct {
	ws   *websocket.Conn
	done chan struct{}

	mu     sync.Mutex
	states [][]change  // By widget.
	ends   [][]arrival // By widget, all points in the order in which they came.
	faults []string
}

// frame is any message of the gateway, as far as a viewer looks at it.
type frame struct {
	Type    string              `json:"type"`
	Index   int                 `json:"index"`
	State   string              `json:"state"`
	Reset   bool                `json:"reset"`
	Points  [][]json.RawMessage `json:"points"`
	Updates [][]json.RawMessage `json:"updates"`
}

func view(t *testing.T, url string) *viewer {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{"pulseboard.v1"}}
	ws, res, err := d.DialContext(t.Context(), "ws"+strings.TrimPrefix(url, "http")+"/stream/"+dashboard, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close() // It has none.
	v := &viewer{ws: ws, done: make(chan struct{}), states: make([][]change, len(shown())), ends: make([][]arrival, len(shown()))}
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"hello"}`)); err != nil {
		t.Fatal(err)
	}
	go v.read()
	t.Cleanup(v.close)
	return v
}

// close ends the stream and waits for its reader.
func (v *viewer) close() {
	_ = v.ws.Close() // It was only read.
	<-v.done
}

func (v *viewer) read() {
	defer close(v.done)
	for {
		_, text, err := v.ws.ReadMessage()
		if err != nil {
			v.fault("the stream ended: %v", err)
			return
		}
		var f frame
		if err := json.Unmarshal(text, &f); err != nil {
			v.fault("%.200s: %v", text, err)
			continue
		}
		v.take(f)
	}
}

func (v *viewer) fault(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.faults = append(v.faults, fmt.Sprintf(format, args...))
}

func (v *viewer) take(f frame) {
	switch f.Type {
	case "snapshot":
		v.mu.Lock()
		first := len(v.ends[f.Index]) == 0
		v.mu.Unlock()
		if f.Reset && !first {
			v.fault("widget %d was given all of its points anew", f.Index)
		}
		for _, p := range f.Points {
			v.point(f.Index, p[0])
		}
		v.state(f.Index, f.State)
	case "state":
		v.state(f.Index, f.State)
	case "update":
		for _, u := range f.Updates {
			var index int
			if err := json.Unmarshal(u[0], &index); err != nil {
				v.fault("%s: %v", u, err)
				continue
			}
			v.point(index, u[1])
		}
	case "close":
		v.fault("the gateway closes the stream")
	}
}

// point takes a window end, which must be newer than all before it.
func (v *viewer) point(index int, text json.RawMessage) {
	var end int64
	if err := json.Unmarshal(text, &end); err != nil {
		v.fault("%s: %v", text, err)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	ends := v.ends[index]
	if n := len(ends); n > 0 && end <= ends[n-1].end {
		v.faults = append(v.faults, fmt.Sprintf("widget %d was given %d after %d", index, end, ends[n-1].end))
	}
	v.ends[index] = append(ends, arrival{end, time.Now().UnixMilli()})
}

func (v *viewer) state(index int, state string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s := v.states[index]; len(s) == 0 || s[len(s)-1].state != state {
		v.states[index] = append(s, change{state, time.Now()})
	}
}

// all reports whether every widget has this state and, of live ones, a current value.
func (v *viewer) all(state string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, s := range v.states {
		if len(s) == 0 || s[len(s)-1].state != state {
			return fmt.Errorf("widget %d: %v", i, s)
		}
		if ends := v.ends[i]; state == "live" && (len(ends) == 0 || time.Now().UnixMilli()-ends[len(ends)-1].end > fresh) {
			return fmt.Errorf("widget %d has no current value", i)
		}
	}
	return nil
}

// holes counts the seconds that a widget has no point of, from its first point to its last.
func (v *viewer) holes(index int) (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	ends := v.ends[index]
	for i := 1; i < len(ends); i++ {
		n += int(ends[i].end-ends[i-1].end)/1000 - 1
	}
	return n
}

// answer is what GET …/snapshot said.
type answer struct {
	at     time.Time
	status int
	state  string
	end    int64
	values int
}

// snapshots asks the gateway for the value of a widget, again and again, until
// the test ends.
type snapshots struct {
	mu      sync.Mutex
	answers []answer
}

func askSnapshots(t *testing.T, url string) *snapshots {
	t.Helper()
	s := &snapshots{}
	stop, stopped := make(chan struct{}), make(chan struct{})
	client := &http.Client{Timeout: 5 * time.Second}
	go func() {
		defer close(stopped)
		every := time.NewTicker(100 * time.Millisecond)
		defer every.Stop()
		for {
			select {
			case <-stop:
				return
			case <-every.C:
			}
			a := ask(client, url+"/dashboards/"+dashboard+"/widgets/w1/snapshot")
			s.mu.Lock()
			s.answers = append(s.answers, a)
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
	return s
}

func ask(client *http.Client, url string) answer {
	res, err := client.Get(url)
	if err != nil {
		return answer{at: time.Now(), state: err.Error()}
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	var body struct {
		State     string            `json:"state"`
		WindowEnd int64             `json:"window_end"`
		Series    []json.RawMessage `json:"series"`
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		return answer{at: time.Now(), status: res.StatusCode, state: err.Error()}
	}
	return answer{time.Now(), res.StatusCode, body.State, body.WindowEnd, len(body.Series)}
}

// old returns the answers that gave a value that was stale, or claimed that it was live.
func (s *snapshots) old() (out []answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.answers {
		// A result that has just come is as old as the pipeline's delay; then the time runs.
		limit := staleAfter.Milliseconds() + fresh
		if (a.values > 0 || a.state == "live") && a.at.UnixMilli()-a.end > limit {
			out = append(out, a)
		}
	}
	return out
}

// live fails until a value was given as live, after a moment.
func (s *snapshots) live(since time.Time) error {
	if texts := s.between(since, time.Now()); !slices.Contains(texts, "200 live with 1 values") {
		return fmt.Errorf("it answers %q", texts)
	}
	return nil
}

// between tells what was answered in a time, once each.
func (s *snapshots) between(from, to time.Time) (texts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.answers {
		text := fmt.Sprintf("%d %s with %d values", a.status, a.state, a.values)
		if a.at.After(from) && a.at.Before(to) && !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
}

// Without Redis for half a minute: aggregation goes on, nobody is shown an old
// value as a live one, and all is whole again without a restart of anything.
func TestRedisAway(t *testing.T) {
	testenv.NeedReal(t)
	kafka := testenv.StartKafka(t, 1, topics()...)
	server := testenv.StartRedis(t)
	publish(t, server.Addr())
	publishDashboard(t, server.Addr())
	dir := t.TempDir()
	logs := filepath.Join(dir, "log")
	log, gatewayLog := new(testenv.Buffer), new(testenv.Buffer)
	pipeline, gateway := testenv.Build(t, "pipeline"), testenv.Build(t, "gateway")
	r := &run{t: t, watch: startWatch(t, server.Addr()), load: startLoad(t, kafka.Addrs(), 100*time.Millisecond)}
	showLogs(t, log, logs)
	p := testenv.Start(t, log, pipeline, "flink-local", "--kafka", kafka.Addr(0), "--redis", server.Addr(), "--flink-jars", testenv.FlinkJars(), "--dir", dir,
		"--worker-logs", logs, "--worker-metrics-addr", "127.0.0.1:0", "--checkpoint-interval", "3s")
	g := testenv.Start(t, gatewayLog, gateway, "--addr", "127.0.0.1:0", "--redis", server.Addr())
	gatewayAddr := gatewayAddress(t, gatewayLog)
	r.current("the start")
	v := view(t, "http://"+gatewayAddr)
	await(t, "a live dashboard", func() error { return v.all("live") })
	asked := askSnapshots(t, "http://"+gatewayAddr)
	await(t, "a value over HTTP", func() error { return asked.live(time.Time{}) })
	pids := func() [4]int {
		java := testenv.Child(p.Pid(), "pulseboard.flink.OneMachine")
		return [4]int{p.Pid(), java, testenv.Child(java, "--provision_endpoint"), g.Pid()}
	}
	before := pids()
	worker := workerMetrics(t, logs, before[2])
	if limit := sample(t, worker, "go_gc_gomemlimit_bytes"); limit != 2*(2<<30)+(128<<20) {
		t.Errorf("the heap of a worker is bounded by %.0f bytes, and its state by 2 GiB", limit)
	}
	if away := sample(t, worker, "pulseboard_sink_redis_away"); away != 0 {
		t.Errorf("pulseboard_sink_redis_away is %v before", away)
	}

	const absence = 30 * time.Second
	killed := time.Now()
	server.Kill()
	await(t, "the alert", func() error {
		if sample(t, worker, "pulseboard_sink_redis_away") != 1 {
			return errors.New("pulseboard_sink_redis_away is not 1")
		}
		return nil
	})
	alerted := time.Since(killed)
	await(t, "a degraded dashboard", func() error { return v.all("degraded") })
	degraded := time.Now()
	aggregating := r.aggregation(worker)
	for every := time.NewTicker(5 * time.Second); time.Since(killed) < absence; <-every.C { // The fault is a duration.
		aggregating()
		if err := v.all("degraded"); err != nil {
			t.Error(err)
		}
		if sample(t, gatewayAddr, "pulseboard_gateway_redis_away") != 1 || sample(t, worker, "pulseboard_sink_redis_away") != 1 {
			t.Error("the alert is over, and Redis is away")
		}
	}
	withheld := sample(t, worker, "pulseboard_sink_withheld_total")
	back := time.Now()
	r.fault("Redis: 30 s away, back empty", func() {
		server.Restart()
		publish(t, server.Addr()) // As the config service does.
		publishDashboard(t, server.Addr())
	})
	await(t, "a live dashboard", func() error { return v.all("live") })
	await(t, "a value over HTTP", func() error { return asked.live(back) })
	if now := pids(); now != before {
		t.Errorf("processes were started again: %v, before %v", now, before)
	}
	if away := sample(t, worker, "pulseboard_sink_redis_away"); away != 0 {
		t.Errorf("pulseboard_sink_redis_away is %v after", away)
	}
	if withheld == 0 {
		t.Error("pulseboard_sink_withheld_total is 0: nothing was left out")
	}
	hidden := asked.between(killed.Add(staleAfter+fresh*time.Millisecond), back)
	line := fmt.Sprintf("alert after %.1f s, degraded after %.1f s, %.0f results withheld; GET …/snapshot: before %q, then %q, Redis back %q",
		alerted.Seconds(), degraded.Sub(killed).Seconds(), withheld, asked.between(time.Time{}, killed), hidden, asked.between(back, time.Now()))
	t.Log(line)
	r.lines = append(r.lines, line)
	for _, a := range asked.old() {
		t.Errorf("GET …/snapshot gave an old value %v after the fault: %+v", a.at.Sub(killed), a)
	}
	for _, text := range hidden {
		if !strings.HasSuffix(text, " 0 values") {
			t.Errorf("GET …/snapshot answered while Redis was away: %s", text)
		}
	}
	v.judge(t, degraded, back)
	r.whole()
	r.finish()
}

// whole checks that Redis has all that it had before it was emptied: the watch
// knows what it once saw, also when it is there no more.
func (r *run) whole() {
	r.t.Helper()
	first := r.load.acknowledged()[0].at
	missing, there := 0, 0
	for key := range demands() {
		texts, err := r.watch.history(r.t.Context(), key)
		if err != nil {
			r.t.Fatal(err)
		}
		newest := slices.Max(slices.Collect(maps.Keys(texts)))
		for end := first - first%1000 + 1000; end <= newest; end += 1000 {
			if there++; texts[end] == "" {
				missing++
			}
		}
	}
	line := fmt.Sprintf("%d points of %d histories in Redis, since the first event: %d are missing", there-missing, len(demands()), missing)
	r.t.Log(line)
	r.lines = append(r.lines, line)
	if missing > 0 {
		r.t.Error("the histories are not whole again")
	}
}

// gatewayAddress is where a gateway listens, by its log.
func gatewayAddress(t *testing.T, log *testenv.Buffer) (addr string) {
	t.Helper()
	await(t, "the gateway", func() error {
		m := regexp.MustCompile(`msg=listening.*addr=(\S+)`).FindStringSubmatch(log.String())
		if m == nil {
			return fmt.Errorf("it says %q", log.String())
		}
		addr = m[1]
		return nil
	})
	return addr
}

// aggregation returns what fails when a worker has counted and evaluated nothing
// since it was last called.
func (r *run) aggregation(worker string) func() {
	events, results := -1.0, -1.0
	return func() {
		r.t.Helper()
		e, n := sample(r.t, worker, "pulseboard_pipeline_events_total"), sample(r.t, worker, "pulseboard_pipeline_results_total")
		if e <= events || n <= results {
			r.t.Errorf("aggregation stands still: %.0f events, before %.0f; %.0f results, before %.0f", e, events, n, results)
		}
		events, results = e, n
	}
}

// judge looks at all that a viewer was given.
func (v *viewer) judge(t *testing.T, degraded, back time.Time) {
	t.Helper()
	v.mu.Lock()
	faults := slices.Clone(v.faults)
	states := slices.Clone(v.states)
	v.mu.Unlock()
	for _, f := range faults {
		t.Error("the viewer: " + f)
	}
	for i, q := range shown() {
		var told []string
		for _, c := range states[i] {
			told = append(told, fmt.Sprintf("%s %+.1f s", c.state, c.at.Sub(back).Seconds()))
			if c.state != "degraded" && c.at.After(degraded) && c.at.Before(back) {
				t.Errorf("widget %d was said to be %s while Redis was away", i, c.state)
			}
		}
		holes := v.holes(i)
		t.Logf("%s: %s (from when Redis was back); seconds without a point: %d", q.Key(), strings.Join(told, ", "), holes)
		if holes > 0 {
			t.Errorf("the stream of %s has no point of %d seconds", q.Key(), holes)
		}
	}
}
