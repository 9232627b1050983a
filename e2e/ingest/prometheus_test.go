package ingest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pulseboard/e2e/testenv"
)

// page is what a Prometheus scrapes: what it says is told by how often it was asked.
type page struct {
	mu     sync.Mutex
	served int
	until  int // It is not there after so many times.
	unit   string
}

func (p *page) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until > 0 && p.served >= p.until {
		http.Error(w, "no more", http.StatusServiceUnavailable)
		return
	}
	p.served++
	n := p.served
	w.Header().Set("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
	var b strings.Builder
	fmt.Fprintf(&b, "# TYPE page_served gauge\npage_served{host=\"a\"} %d\n# TYPE page_nothing gauge\npage_nothing{host=\"a\"} NaN\n", n)
	fmt.Fprintf(&b, "# TYPE page_bytes_total counter\n# TYPE page_bytes unknown\npage_bytes{host=\"a\"} %d\npage_bytes{host=\"b\"} %d\n", 1000+7*n, 500*n)
	// One that begins anew each ten times.
	fmt.Fprintf(&b, "# TYPE page_reset unknown\npage_reset{host=\"a\"} %d\n", 3*(n%10))
	b.WriteString("# TYPE page_seconds histogram\n# HELP page_seconds How long it takes.\n" + p.unit)
	for i, le := range []string{"0.1", "1.0", "+Inf"} {
		fmt.Fprintf(&b, "page_seconds_bucket{host=\"a\",le=%q} %d\n", le, n*(i+1))
	}
	fmt.Fprintf(&b, "page_seconds_sum{host=\"a\"} %d\npage_seconds_count{host=\"a\"} %d\n# EOF\n", 2*n, 3*n)
	_, _ = w.Write([]byte(b.String()))
}

// times is how often it was read.
func (p *page) times() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.served
}

// end lets it be read no more, and returns how often it was.
func (p *page) end() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = p.served
	return p.served
}

// resume lets it be read again.
func (p *page) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = 0
}

// read is what widgets show of a page that was read so often from its first time on.
func read(n int) []*shown {
	sum := func(f func(n int) float64) (total float64) {
		for i := 1; i <= n; i++ {
			total += f(i)
		}
		return total
	}
	a := func(v float64) map[string]float64 { return map[string]float64{"a": v} }
	grown := float64(n - 1)
	return []*shown{
		{"page_served", "count", a(float64(n))},
		{"page_served", "sum", a(sum(func(i int) float64 { return float64(i) }))},
		{"page_served", "max", a(float64(n))},
		{"page_bytes", "increase", map[string]float64{"a": 7 * grown, "b": 500 * grown}},
		{"page_bytes", "max", map[string]float64{"a": float64(1000 + 7*n), "b": float64(500 * n)}},
		{"page_reset", "increase", a(sum(func(i int) float64 {
			switch {
			case i == 1:
				return 0
			case i%10 == 0:
				return 0 // It is 0 then.
			default:
				return 3
			}
		}))},
		{"page_seconds_count", "increase", a(3 * grown)},
	}
}

// scraper is a Prometheus that sends what it reads of a page.
type scraper struct {
	t       *testing.T
	log     *testenv.Buffer
	path    string
	args    []string
	program *testenv.Program
}

func (s *scraper) start() { s.program = testenv.Start(s.t, s.log, s.path, s.args...) }

// senders are the Prometheus of Debian, which knows 1.0, and the agent of the newest one's packages, with 2.0.
func senders(t *testing.T, dir, config string) map[string]func() (path string, args []string, message string) {
	t.Helper()
	return map[string]func() (string, []string, string){
		"1.0": func() (string, []string, string) {
			path, err := exec.LookPath("prometheus")
			if err != nil {
				t.Skip("it needs Debian's Prometheus: apt-get install prometheus")
			}
			return path, []string{"--enable-feature=agent", "--config.file=" + config, "--storage.agent.path=" + dir, "--web.listen-address=127.0.0.1:0"}, ""
		},
		"2.0": func() (string, []string, string) {
			return testenv.PrometheusAgent(), []string{config, dir}, "protobuf_message: io.prometheus.write.v2.Request, send_native_histograms: true, "
		},
	}
}

// Every value that a Prometheus has read is shown once, whatever happens on the way: the network is cut for as long as it reads twenty
// times, the receiver is killed with -9, and the sender is restarted.
func TestPrometheusSends(t *testing.T) {
	testenv.NeedReal(t)
	for _, version := range []string{"1.0", "2.0"} {
		t.Run(version, func(t *testing.T) {
			dir, data := t.TempDir(), t.TempDir()
			config := filepath.Join(t.TempDir(), "prometheus.yml")
			path, args, message := senders(t, dir, config)[version]()
			target, units := new(page), []string{}
			if version == "2.0" { // Debian's Prometheus cannot read such a line.
				target.unit, units = "# UNIT page_seconds seconds\n", []string{"s"}
			}
			server := httptest.NewServer(target)
			t.Cleanup(server.Close)
			b := startBoard(t, data)
			way := testenv.NewSwitch(t, hostOf(t, b.url))
			text := fmt.Sprintf("global: { scrape_interval: 1s }\nscrape_configs: [{ job_name: page, static_configs: [{ targets: [%q] }] }]\n"+
				"remote_write: [{ url: \"http://%s/api/v1/write\", %squeue_config: { batch_send_deadline: 500ms, max_backoff: 1s }, metadata_config: { send_interval: 1s } }]\n", hostOf(t, server.URL), way.Addr(), message)
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			b.show(read(1))
			s := &scraper{t: t, log: new(testenv.Buffer), path: path, args: args}
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(testenv.Page(s.log.String()))
				}
			})
			s.start()
			readMore := func(times int) {
				t.Helper()
				want := target.times() + times
				testenv.Until(t, "the page is read", func(context.Context) error {
					if n := target.times(); n < want {
						return fmt.Errorf("%d of %d times", n, want)
					}
					return nil
				})
			}
			readMore(5)
			way.To("127.0.0.1:1") // Nothing is there.
			readMore(20)
			way.To(hostOf(t, b.url))
			readMore(3)
			b.program.Kill()
			again := startBoard(t, data)
			again.dashboard, again.widgets = b.dashboard, b.widgets
			way.To(hostOf(t, again.url))
			readMore(5)
			// A sender that ends drops the page that it is reading, which it then has not read.
			again.untilShown(read(target.end()))
			if err := s.program.Stop(); err != nil {
				t.Error(err)
			}
			s.start()
			target.resume()
			readMore(5)
			n := target.end()
			again.untilShown(read(n))
			again.untilKnown("page_seconds_bucket", units, []string{"How long it takes."})
			again.untilKnown("page_seconds_count", []string{"1"}, []string{"How long it takes."})
			again.untilKnown("page_served", []string{}, []string{})
			if err := s.program.Stop(); err != nil {
				t.Error(err)
			}
			t.Logf("%d times", n)
		})
	}
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}
