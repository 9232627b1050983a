package clock_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"pulseboard/e2e/testenv"
)

// world is a pulseboard with a clock of its own, what is sent to it, and what it publishes.
type world struct {
	t     *testing.T
	clock *testenv.Clock
	pid   int
	url   string
	redis *redis.Client
	log   *testenv.Buffer
	ended chan struct{}

	mu     sync.Mutex
	base   time.Duration            // What the clock of the producers is ahead of the machine's: they are right.
	sent   map[string][]event       // By metric, in the order of their times.
	found  map[string]map[int64]got // By key and window end: what a history held, the last time that it was read.
	future []string                 // Ends that lie ahead of the clocks, as the histories were read last.
}

type event struct {
	at    int64 // Epoch ms.
	maybe bool  // Ingest did not answer.
}

type got struct {
	count    float64
	complete bool
	seen     time.Time
}

// metrics lie in several partitions; windows are short and longer than any time that a clock is wrong here.
var (
	metrics = []string{"clock.a", "clock.b", "clock.c", "clock.d", "clock.e"}
	windows = []int64{5, 20}
)

func key(metric string, window int64) string { return fmt.Sprintf("%s:count:%ds", metric, window) }

var banner = regexp.MustCompile(`running: (http://\S+)/\n(?:.*\n)*?  Kafka (\S+) .*\n  Redis unix://(\S+) \((\S+)\)`)

// start runs pulseboard until it has printed its address. Without withRedis it finds no redis-server, and
// has a Redis of its own, whose clock is set with it.
func start(t *testing.T, program string, withRedis bool) *world {
	t.Helper()
	w := &world{
		t: t, clock: testenv.NewClock(t), log: new(testenv.Buffer), ended: make(chan struct{}),
		sent: make(map[string][]event), found: make(map[string]map[int64]got),
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, "run", "--addr", "127.0.0.1:0", "--data-dir", t.TempDir(), "--no-demo")
	cmd.Stderr = w.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(os.Environ(), w.clock.Env())
	if !withRedis {
		empty := t.TempDir()
		cmd.Env = append(cmd.Env, "PATH="+empty)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.pid = cmd.Process.Pid
	lines, printed := bufio.NewReader(stdout), ""
	for !strings.Contains(printed, "Ctrl-C") {
		line, err := lines.ReadString('\n')
		if printed += line; err != nil {
			break
		}
	}
	go func() {
		defer close(w.ended)
		_, _ = io.Copy(w.log, lines)
		_ = cmd.Wait() // It is killed.
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-w.ended
		if t.Failed() {
			t.Logf("the end of the log of the program:\n%s", testenv.Page(w.log.String()))
		}
	})
	m := banner.FindStringSubmatch(printed)
	if m == nil {
		t.Fatalf("the program printed %q", printed)
	}
	if kind := m[4]; (kind == "redis-server") != withRedis {
		t.Fatalf("Redis is %s", kind)
	}
	w.url = m[1]
	w.redis = redis.NewClient(&redis.Options{Network: "unix", Addr: m[3]})
	t.Cleanup(func() { _ = w.redis.Close() })
	return w
}

// makeDashboard asks for the counts of all metrics over all windows, and returns its id.
func (w *world) makeDashboard() (id string) {
	w.t.Helper()
	var widgets []map[string]any
	for _, m := range metrics {
		for _, window := range windows {
			widgets = append(widgets, map[string]any{"metric_name": m, "aggregation": "count", "window_seconds": window, "refresh_interval_seconds": 1})
		}
	}
	var made struct {
		ID string `json:"dashboard_id"`
	}
	res, err := w.post("/dashboards", map[string]any{"title": "Clock", "widgets": widgets})
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	if err := json.NewDecoder(res.Body).Decode(&made); err != nil || made.ID == "" {
		w.t.Fatalf("POST /dashboards: %s, %v", res.Status, err)
	}
	return made.ID
}

func (w *world) post(path string, body any) (*http.Response, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	all, err := io.ReadAll(res.Body)
	_ = res.Body.Close() // It was read.
	res.Body = io.NopCloser(bytes.NewReader(all))
	return res, err
}

// now is the right time.
func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.base)
}

// sleep lets the clocks of all go on, the producers' too.
func (w *world) sleep(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.base += d
	w.clock.Set(w.base)
}

// wrong sets the program's clock only.
func (w *world) wrong(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock.Set(w.base + by)
}

// produce sends an event of each metric ten times a second, with the right time, until ctx ends.
func (w *world) produce(ctx context.Context) {
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		for _, m := range metrics {
			at := w.now().UnixMilli()
			res, err := w.post("/ingest", map[string]any{"metric_name": m, "value": 1, "event_time": at}) //nolint:bodyclose // post has read it and closed it.
			var answer struct {
				Accepted int `json:"accepted"`
			}
			maybe := err != nil || res.StatusCode >= http.StatusInternalServerError
			if !maybe && json.NewDecoder(res.Body).Decode(&answer) == nil && answer.Accepted == 0 {
				continue // The program's clock is wrong, and it said so.
			}
			w.mu.Lock()
			w.sent[m] = append(w.sent[m], event{at, maybe})
			w.mu.Unlock()
		}
	}
}

// read takes what all histories hold.
func (w *world) read(ctx context.Context) error {
	now := w.now()
	var future []string
	for _, m := range metrics {
		for _, window := range windows {
			k := key(m, window)
			names, err := w.redis.Keys(ctx, "*history:"+k+"@1000").Result()
			if err != nil {
				return err
			}
			var entries []redis.XMessage
			if len(names) == 1 {
				if entries, err = w.redis.XRange(ctx, names[0], "-", "+").Result(); err != nil {
					return err
				}
			}
			held := make(map[int64]got, len(entries))
			w.mu.Lock()
			before := w.found[k]
			w.mu.Unlock()
			for _, e := range entries {
				var r struct {
					End      int64 `json:"window_end"`
					Complete bool  `json:"complete"`
					Series   []struct {
						Value *float64 `json:"value"`
					} `json:"series"`
				}
				text, _ := e.Values["r"].(string)
				if err := json.Unmarshal([]byte(text), &r); err != nil {
					return err
				}
				g := got{complete: r.Complete, seen: now}
				if b, ok := before[r.End]; ok {
					g.seen = b.seen
				}
				if len(r.Series) == 1 && r.Series[0].Value != nil {
					g.count = *r.Series[0].Value
				}
				held[r.End] = g
				if r.End > now.UnixMilli()+6000 {
					future = append(future, fmt.Sprintf("%s ends %v ahead", k, time.Duration(r.End-now.UnixMilli())*time.Millisecond))
				}
			}
			w.mu.Lock()
			w.found[k] = held
			w.mu.Unlock()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.future = future
	return nil
}

// judgement is what comes of comparing results with what was sent.
type judgement struct {
	checked    int
	incomplete int       // Of them say so themselves.
	right      time.Time // When the last of the keys had its first right result, zero while one has none.
	faults     []string
}

// judge compares the results of windows that ended in a time with what was sent.
func (w *world) judge(from, to int64) (v judgement) {
	w.mu.Lock()
	defer w.mu.Unlock()
	none := false
	for _, m := range metrics {
		for _, window := range windows {
			k := key(m, window)
			first := time.Time{}
			for end := (from/1000 + 1) * 1000; end <= to; end += 1000 {
				g, ok := w.found[k][end]
				if !ok {
					continue
				}
				least, most := w.bounds(m, window, end)
				v.checked++
				if !g.complete {
					v.incomplete++
				}
				switch wrong := g.count < least || g.count > most; {
				case wrong && g.complete:
					v.faults = append(v.faults, fmt.Sprintf("%s at %d (%+d ms): %v, and %v to %v were sent", k, end, end-from, g.count, least, most))
				case !wrong && first.IsZero():
					first = g.seen
				}
			}
			if first.IsZero() {
				none = true
			}
			if first.After(v.right) {
				v.right = first
			}
		}
	}
	if none {
		v.right = time.Time{}
	}
	return v
}

// bounds of the count of a window, by what was sent. It is called with the lock.
func (w *world) bounds(metric string, window, end int64) (least, most float64) {
	for _, e := range w.sent[metric] {
		if e.at >= end-window*1000 && e.at < end {
			most++
			if !e.maybe {
				least++
			}
		}
	}
	return least, most
}

// until is testenv.Until for as long as the program runs.
func (w *world) until(what string, ok func() error) {
	w.t.Helper()
	testenv.Until(w.t, what, func(context.Context) error {
		select {
		case <-w.ended:
			w.t.Fatalf("waiting until %s: the program ended", what)
		default:
		}
		return ok()
	})
}

// wait lets time pass, while histories are read.
func (w *world) wait(d time.Duration) {
	w.t.Helper()
	every := time.NewTicker(300 * time.Millisecond)
	defer every.Stop()
	for until := time.Now().Add(d); time.Now().Before(until); <-every.C {
		if err := w.read(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}
