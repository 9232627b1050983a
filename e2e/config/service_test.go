package config

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pulseboard/e2e/testenv"
)

// limit is how long a test waits for what must happen.
const limit = 60 * time.Second

// databases are the two that the service supports, each empty.
func databases(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { test(t, filepath.Join(t.TempDir(), "pulseboard.db")) })
	t.Run("PostgreSQL", func(t *testing.T) {
		if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); len(found) == 0 {
			t.Skip("there is no PostgreSQL on this machine; .ci/run installs Debian's")
		}
		test(t, testenv.Postgres(t))
	})
}

// server is a config service that is killed and started again.
type server struct {
	t      *testing.T
	path   string
	args   []string
	url    atomic.Pointer[string]
	client *http.Client

	mu      sync.Mutex
	program *testenv.Program
	log     *testenv.Buffer
}

func startServer(t *testing.T, database, redis string, more ...string) *server {
	t.Helper()
	s := &server{
		t: t, path: testenv.Build(t, "configsvc"), client: &http.Client{Timeout: limit},
		// Its editors are faster than people may be.
		args: append([]string{"--addr", "127.0.0.1:0", "--database", database, "--redis", redis, "--edit-rate", "0"}, more...),
	}
	s.start()
	return s
}

var listening = regexp.MustCompile(`msg=listening .*addr=(127\.0\.0\.1:\d+)`)

func (s *server) start() {
	s.t.Helper()
	log := &testenv.Buffer{}
	program := testenv.Start(s.t, log, s.path, s.args...)
	s.mu.Lock()
	s.program, s.log = program, log
	s.mu.Unlock()
	testenv.Until(s.t, "the config service listens", testenv.That(func() bool {
		found := listening.FindStringSubmatch(log.String())
		if found == nil {
			return false
		}
		url := "http://" + found[1]
		s.url.Store(&url)
		return true
	}))
}

// restart is kill -9 and a start.
func (s *server) restart() {
	s.t.Helper()
	s.program.Kill()
	s.start()
}

// answer is a response, read whole. Status 0: none came, and whether the
// request was carried out is not known.
type answer struct {
	status int
	etag   string
	body   []byte
}

func (s *server) do(ctx context.Context, method, path, ifMatch string, body any) answer {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			s.t.Error(err)
			return answer{}
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, *s.url.Load()+path, r)
	if err != nil {
		s.t.Error(err)
		return answer{}
	}
	req.Header.Set("Content-Type", "application/json")
	if ifMatch != "" {
		req.Header.Set("If-Match", ifMatch)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return answer{}
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}
	}
	return answer{res.StatusCode, res.Header.Get("ETag"), text}
}

// widget and dashboard are what the tests look at, read by code that is not ours.
type widget struct {
	ID      string  `json:"widget_id"`
	Metric  string  `json:"metric_name"`
	Agg     string  `json:"aggregation"`
	Window  int     `json:"window_seconds"`
	Refresh float64 `json:"refresh_interval_seconds"`
	Display struct {
		Title string `json:"title"`
	} `json:"display_config"`
}

type dashboard struct {
	ID      string   `json:"dashboard_id"`
	Title   string   `json:"title"`
	Version int64    `json:"version"`
	Tags    []string `json:"tags"`
	Widgets []widget `json:"widgets"`
}

func (a answer) dashboard() (d dashboard, err error) {
	if a.status != http.StatusOK && a.status != http.StatusCreated {
		return d, fmt.Errorf("status %d: %s", a.status, a.body)
	}
	return d, json.Unmarshal(a.body, &d)
}

// get reads until an answer comes.
func (s *server) get(path string) answer {
	s.t.Helper()
	var a answer
	testenv.Until(s.t, "GET "+path+" is answered", testenv.That(func() bool {
		a = s.do(s.t.Context(), http.MethodGet, path, "", nil)
		return a.status != 0
	}))
	return a
}

// all reads every page of a list.
func all[T any](s *server, path, member string) (out []T, err error) {
	next := ""
	for {
		a := s.get(path + "?limit=200&cursor=" + next)
		if a.status != http.StatusOK {
			return nil, fmt.Errorf("GET %s: %d %s", path, a.status, a.body)
		}
		var page map[string]json.RawMessage
		if err := json.Unmarshal(a.body, &page); err != nil {
			return nil, err
		}
		var some []T
		if err := json.Unmarshal(page[member], &some); err != nil {
			return nil, err
		}
		out = append(out, some...)
		var more *string
		if err := json.Unmarshal(page["next"], &more); err != nil {
			return nil, err
		}
		if more == nil {
			return out, nil
		}
		if next = *more; strings.ContainsAny(next, "&#% ") {
			return nil, errors.New("a cursor must fit into an address as it is: " + next)
		}
	}
}
