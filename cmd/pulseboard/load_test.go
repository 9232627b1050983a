package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pulseboard/clients/load"
	"pulseboard/e2e/testenv"
	"pulseboard/internal/service"
)

// startProgram runs the real program, all of it, and returns its address, that of
// its Redis, and its pid.
func startProgram(t *testing.T) (address, redis string, pid int) {
	t.Helper()
	log := new(testenv.Buffer)
	p := testenv.Start(t, log, testenv.Build(t, "pulseboard"), "run", "--no-demo", "--addr", "127.0.0.1:0", "--data-dir", t.TempDir())
	banner := regexp.MustCompile(`running: (http://\S+)/\n(?:.*\n)*?  Redis (\S+) `)
	limit := time.After(2 * time.Minute)
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for {
		if m := banner.FindStringSubmatch(log.String()); m != nil && healthy(m[1]) {
			return m[1], m[2], p.Pid()
		}
		select {
		case <-every.C:
		case <-limit:
			t.Fatalf("the program does not start:\n%s", log)
		}
	}
}

// sayLoad runs "pulseboard load" in this process.
func sayLoad(t *testing.T, args ...string) said {
	t.Helper()
	var stdout, stderr strings.Builder
	code := service.Run(t.Context(), "pulseboard", service.Env{
		Args: append([]string{"load"}, args...), Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" },
	}, command)
	return said{code, stdout.String(), stderr.String()}
}

func healthy(address string) bool {
	res, err := http.Get(address + "/healthz")
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// The whole program under a small load, over a line that loses some answers of
// ingest: each count and sum is exact all the same, and every window comes once.
func TestLoad(t *testing.T) {
	address, redis, pid := startProgram(t)
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	var n, lost atomic.Int64
	line := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ingest" && n.Add(1)%10 == 5 {
			lost.Add(1)
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(line.Close)
	file := filepath.Join(t.TempDir(), "report.json")
	s := sayLoad(t, "--url", address, "--ingest", line.URL, "--rate", "2000", "--batch", "100", "--connections", "30", "--dashboards", "3",
		"--for", "4s", "--warmup", "2s", "--check", "--redis", redis, "--pids", "all="+strconv.Itoa(pid), "--json", file)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, s.stdout, s.stderr)
	}
	var r load.Report
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	d := r.Streams.Delivery
	if d.Faults() != 0 || d.Expected == 0 || d.Delivered+d.LeftOut != d.Expected || r.Streams.Unpublished != 0 {
		t.Errorf("delivery is %+v, %d ends were not published", d, r.Streams.Unpublished)
	}
	if c := r.Check; c == nil || !c.Exact || c.Events != r.Events.TotalEvents || c.Events == 0 || c.Doubtful != 0 {
		t.Errorf("the check says %+v of %d events", c, r.Events.TotalEvents)
	}
	if r.Events.RetriesLost != lost.Load() || lost.Load() == 0 {
		t.Errorf("%d answers were lost, %d requests were sent again for it", lost.Load(), r.Events.RetriesLost)
	}
	if r.EndToRedis == nil || r.EndToRedis.Count == 0 {
		t.Errorf("Redis told nothing: %+v", r.EndToRedis)
	}
	names := map[string]bool{}
	for _, p := range r.Processes {
		names[p.Name] = p.RSS > 0
	}
	if !names["all"] || !names["all/pipeline"] || !names["this load"] || len(r.Heap) != 1 {
		t.Errorf("processes %v, heap %v", names, r.Heap)
	}
	// A busy machine may make the run invalid, which is what the code says then.
	want := 0
	if !r.Valid || !r.Exact {
		want = 1
	}
	s.want(t, want, "count and sum of 20 metrics are exact", "missing 0, duplicate 0, reordered 0", "window end → Redis")
}

func TestLoadOfTheWrongKind(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nothing to do":    {[]string{"--rate", "0", "--connections", "0"}, "pass --rate, --connections or both"},
		"a pid of letters": {[]string{"--pids", "gateway"}, `--pids: "gateway" is no process: write name=pid or pid`},
		"no URL":           {[]string{"--url", "localhost:8080"}, "it must be a URL such as http://127.0.0.1:8080"},
		"a word too many":  {[]string{"now"}, `unexpected argument "now"`},
		"nobody there":     {[]string{"--url", "http://127.0.0.1:1", "--rate", "0"}, "cannot reach the config service"},
	} {
		t.Run(name, func(t *testing.T) {
			s := sayLoad(t, c.args...)
			s.want(t, exitTrouble, c.want)
		})
	}
	s := sayLoad(t, "--help")
	s.want(t, 0, "PULSEBOARD_STOP_READING", "Exit codes: 0 valid and exact, 1 invalid or not exact, 2 it could not be run.")
}
