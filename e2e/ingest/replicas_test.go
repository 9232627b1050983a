package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"pulseboard/e2e/testenv"
	"pulseboard/metric"
	"pulseboard/wire"
)

// shared is what two agents scrape: a gauge that stays the same and a counter of milliseconds.
type shared struct {
	begun time.Time

	mu     sync.Mutex
	served map[string][]float64 // What the counter stood at, by agent.
	ended  bool
}

func (s *shared) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		http.Error(w, "no more", http.StatusServiceUnavailable)
		return
	}
	agent, at := r.URL.Query().Get("agent"), float64(time.Since(s.begun).Milliseconds())
	s.served[agent] = append(s.served[agent], at)
	w.Header().Set("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
	_, _ = fmt.Fprintf(w, "# TYPE shared_constant gauge\nshared_constant{host=\"h\"} 7\n# TYPE shared_ms unknown\nshared_ms{host=\"h\"} %g\n# EOF\n", at)
}

func (s *shared) times(agent string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.served[agent])
}

func (s *shared) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

// edges are the values that an agent found first, or last.
func (s *shared) edges(last bool) (values []float64) {
	for _, of := range s.served {
		if n := min(3, len(of)); last {
			values = append(values, of[len(of)-n:]...)
		} else {
			values = append(values, of[:n]...)
		}
	}
	return values
}

// longestPause is the longest time in which no agent scraped, ms.
func (s *shared) longestPause() (longest float64) {
	all := slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Values(s.served))...)))
	for i := 1; i < len(all); i++ {
		longest = max(longest, all[i]-all[i-1])
	}
	return longest
}

// Two agents scrape the same target; each is killed with -9 and comes back. No value that is shown tells of it: nothing counts
// twice, and nothing is missing.
func TestTwoAgents(t *testing.T) {
	testenv.NeedReal(t)
	for _, version := range []string{"1.0", "2.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel() // They wait most of the time.
			target := &shared{begun: time.Now(), served: make(map[string][]float64)}
			server := httptest.NewServer(target)
			t.Cleanup(server.Close)
			address := testenv.Redis(t)
			b := startBoard(t, t.TempDir(), "--ha-tag", "replica", "--redis", address)
			queries := b.showReplicas()
			agents := make(map[string]*scraper)
			for _, name := range []string{"a", "b"} {
				agents[name] = newAgent(t, version, name, hostOf(t, server.URL), hostOf(t, b.url))
				agents[name].start()
			}
			readMore := func(name string, times int) {
				t.Helper()
				want := target.times(name) + times
				testenv.Until(t, name+" scrapes", func(context.Context) error {
					if n := target.times(name); n < want {
						return fmt.Errorf("%d of %d times", n, want)
					}
					return nil
				})
			}
			readMore("a", 5)
			readMore("b", 5)
			for _, lost := range []string{"a", "b"} {
				other := map[string]string{"a": "b", "b": "a"}[lost]
				agents[lost].program.Kill()
				readMore(other, 12)
				agents[lost].start()
				readMore(lost, 8)
			}
			target.end()
			b.checkReplicas(address, queries, target)
		})
	}
}

// newAgent makes an agent, which says who it is.
func newAgent(t *testing.T, version, name, target, board string) *scraper {
	t.Helper()
	dir, config := t.TempDir(), filepath.Join(t.TempDir(), "prometheus.yml")
	path, args, message := senders(t, dir, config)[version]()
	text := fmt.Sprintf("global: { scrape_interval: 1s, external_labels: { replica: %s } }\n"+
		"scrape_configs: [{ job_name: shared, params: { agent: [%s] }, static_configs: [{ targets: [%q] }] }]\n"+
		"remote_write: [{ url: \"http://%s/api/v1/write\", %squeue_config: { batch_send_deadline: 500ms, max_backoff: 1s } }]\n", name, name, target, board, message)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &scraper{t: t, log: new(testenv.Buffer), path: path, args: args}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("agent %s: %s", name, testenv.Page(s.log.String()))
		}
	})
	return s
}

// replicaWindow is so long that a window has samples though a scrape on a busy machine was missed.
const replicaWindow = 10

// showReplicas makes a dashboard of what is checked, and returns its queries.
func (b *board) showReplicas() (queries map[string]metric.Query) {
	b.t.Helper()
	queries = make(map[string]metric.Query)
	var widgets []metric.Query
	for name, of := range map[string]string{"last_sum": "shared_constant", "last_count": "shared_constant", "count": "shared_constant", "increase": "shared_ms"} {
		q := metric.Query{Metric: of, Aggregation: metric.Aggregation(name), WindowSeconds: replicaWindow, DelaySeconds: 10}
		queries[name], widgets = q, append(widgets, q)
	}
	testenv.Until(b.t, "there is a dashboard", func(context.Context) error {
		var made struct{}
		return b.ask(http.MethodPost, "/dashboards", map[string]any{"title": "Two agents", "widgets": widgets}, &made)
	})
	return queries
}

// checkReplicas waits until the history has the end of the samples, and looks at all of it.
func (b *board) checkReplicas(address string, queries map[string]metric.Query, target *shared) {
	b.t.Helper()
	store := redis.NewClient(&redis.Options{Addr: address})
	b.t.Cleanup(func() { _ = store.Close() })
	ended := time.Now().Add(2 * replicaWindow * time.Second).UnixMilli()
	shown := make(map[string]map[int64]float64)
	for name, q := range queries {
		testenv.Until(b.t, "the history of "+name+" is whole", func(ctx context.Context) error {
			entries, err := store.XRange(ctx, wire.HistoryName(q.Key(), 1000), "-", "+").Result()
			if err != nil {
				return err
			}
			shown[name] = make(map[int64]float64)
			newest := int64(0)
			for _, e := range entries {
				text, _ := e.Values["r"].(string)
				r, err := wire.DecodeResult(text)
				if err != nil {
					return err
				}
				if newest = r.WindowEnd; len(r.Series) == 1 && r.Series[0].Value != nil {
					shown[name][r.WindowEnd] = *r.Series[0].Value
				}
			}
			if newest < ended {
				return errors.New("it has not come to the end")
			}
			return nil
		})
	}
	total, growing := 0.0, 0
	for end, v := range shown["increase"] {
		if end%(replicaWindow*1000) == 0 {
			total += v
			growing++
		}
	}
	grown := false
	for _, first := range target.edges(false) {
		grown = grown || slices.Contains(target.edges(true), first+total)
	}
	if !grown {
		b.t.Errorf("in %d windows that tile the counter grew by %g ms: that is not from one of %v to one of %v", growing, total, target.edges(false), target.edges(true))
	}
	for name, want := range map[string]func(v float64) bool{
		"last_sum":   func(v float64) bool { return v == 7 },
		"last_count": func(v float64) bool { return v == 1 || v == 0 },
		"count":      func(v float64) bool { return v <= replicaWindow+3 },
	} {
		if len(shown[name]) < 30 {
			b.t.Errorf("%s has %d windows with a value", name, len(shown[name]))
		}
		for end, v := range shown[name] {
			if !want(v) {
				b.t.Errorf("%s at %d is %g", name, end, v)
			}
		}
	}
	ends := slices.Sorted(maps.Keys(shown["last_sum"]))
	for i := 1; i < len(ends); i++ {
		if missing := ends[i] - ends[i-1]; missing > 1000 && target.longestPause() < replicaWindow*500 {
			b.t.Errorf("there is no value for the %d ms before %d, though the longest time without a scrape is %g ms", missing, ends[i], target.longestPause())
		}
	}
	var metrics string
	if err := b.ask(http.MethodGet, "/metrics", nil, &metrics); err != nil {
		b.t.Fatal(err)
	}
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "pulseboard_source_replica") {
			b.t.Log(strings.TrimSpace(line))
		}
	}
	b.t.Logf("the counter grew by %g ms in %d windows; %d windows have a last value", total, growing, len(shown["last_sum"]))
}
