package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"pulseboard/e2e/testenv"
)

// badRoad brings events to ingest. It loses one on the way and says that all is
// well, and brings another twice: what no metric of ours would tell.
type badRoad struct {
	ingest string

	mu           sync.Mutex
	n            int
	lost, double int // The numbers of the events to lose and to bring twice.
}

func (b *badRoad) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.n++
	n := b.n
	b.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if n == b.lost {
		_, _ = w.Write([]byte(`{"accepted":1,"rejected":0,"errors":[],"rejected_ranges":[]}`))
		return
	}
	if n == b.double {
		if _, _, err := b.pass(r, body, r.Header.Get("Idempotency-Key")+"-again"); err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
	}
	status, text, err := b.pass(r, body, r.Header.Get("Idempotency-Key"))
	if err != nil {
		status = http.StatusBadGateway
	}
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

func (b *badRoad) pass(r *http.Request, body []byte, key string) (status int, text []byte, err error) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, b.ingest+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header = r.Header.Clone()
	req.Header.Set("Idempotency-Key", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	text, err = io.ReadAll(res.Body)
	return res.StatusCode, text, err
}

// metricsOf reads one counter of /metrics by the value of its label.
func metricsOf(t *testing.T, url, name, label string) (map[string]float64, error) {
	t.Helper()
	res, err := http.Get(url + "/metrics")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for _, m := range families[name].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == label {
				out[l.GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	return out, nil
}

var canaryListens = regexp.MustCompile(`msg=listening .*addr=(\S+)`)

// Two canaries, with tokens: that of the program sees every event counted once
// although the pipeline is killed; that on the bad road sees what went wrong there,
// and nothing else. Nobody else sees either of them.
func TestCanary(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	tokens := testenv.Tokens(t, "ingest", "view", "edit", "admin")
	p := start(t, t.TempDir(), "--no-demo", "--no-canary=false", "--tokens", tokens)

	road := &badRoad{ingest: p.url, lost: 4, double: 7}
	server := httptest.NewServer(road)
	defer server.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("admin\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	log := new(testenv.Buffer)
	cmd := exec.Command(program, "canary", "--ingest", server.URL, "--config", p.url, "--gateway", p.url,
		"--instance", "bad road", "--token-file", token, "--addr", "127.0.0.1:0")
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the end of the log of the canary:\n%s", testenv.Page(log.String()))
		}
	})
	alone := ""
	p.until("the canary's address", func() error {
		m := canaryListens.FindStringSubmatch(log.String())
		if m == nil {
			return fmt.Errorf("the log is %q", log)
		}
		alone = "http://" + m[1]
		return nil
	})

	verdicts := func(url string) map[string]float64 {
		v, err := metricsOf(t, url, "pulseboard_canary_verdicts_total", "verdict")
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	p.until("the first verdicts", func() error {
		if v := verdicts(p.url); v["counted"] < 1 {
			return fmt.Errorf("verdicts %v", v)
		}
		return nil
	})
	if err := syscall.Kill(p.pipelinePID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	atKill := verdicts(p.url)
	p.until("verdicts of events after the kill", func() error {
		v, bad := verdicts(p.url), verdicts(alone)
		if judged := v["counted"] + v["late"]; judged < atKill["counted"]+35 {
			return fmt.Errorf("verdicts %v, at the kill %v", v, atKill)
		}
		if bad["lost"] < 1 || bad["twice"] < 1 {
			return fmt.Errorf("verdicts on the bad road %v", bad)
		}
		return nil
	})
	for _, c := range []struct {
		url         string
		lost, twice float64
	}{{p.url, 0, 0}, {alone, 1, 1}} {
		if v := verdicts(c.url); v["lost"] != c.lost || v["twice"] != c.twice || v["unseen"] != 0 {
			t.Errorf("%v, want %v lost and %v twice", v, c.lost, c.twice)
		}
	}
	if n := strings.Count(log.String(), "an acknowledged event was not counted once"); n != 2 {
		t.Errorf("the log tells of %d events, want 2:\n%s", n, log)
	}

	// Hidden from people, found by those who ask for it.
	for path, want := range map[string]string{
		"/dashboards":                       `{"dashboards":[],"next":null}`,
		"/metrics/catalog":                  `{"metrics":[],"total":0,"next":null}`,
		"/dashboards?tag=pulseboard:canary": `"title":"Canary"`,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer view")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s answers %s, want %s", path, text, want)
		}
	}
}
