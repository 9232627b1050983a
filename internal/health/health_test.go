package health

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ask returns the status and body of /readyz.
func ask(t *testing.T, s *Set) (status int, body notReady) {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	if body.Ready != (w.Code == http.StatusOK) {
		t.Errorf("%d says ready: %v", w.Code, body.Ready)
	}
	want := "application/json"
	if w.Code != http.StatusOK {
		want = "application/problem+json"
		if w.Header().Get("Retry-After") == "" {
			t.Error("a 503 does not say when to ask again")
		}
	}
	if got := w.Header().Get("Content-Type"); got != want {
		t.Errorf("%d with the type %s", w.Code, got)
	}
	return w.Code, body
}

func TestReadyFollowsItsChecksAndCostsThemNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var probes atomic.Int64
		var fault atomic.Pointer[error]
		s := New(prometheus.NewRegistry(), slog.New(slog.DiscardHandler), Check{Name: "kafka", Probe: func(context.Context) error {
			probes.Add(1)
			if err := fault.Load(); err != nil {
				return *err
			}
			return nil
		}})
		if status, body := ask(t, s); status != 503 || body.Checks["kafka"].OK {
			t.Errorf("before the first check: %d %+v", status, body)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		if status, body := ask(t, s); status != 200 || !body.Checks["kafka"].OK {
			t.Errorf("%d %+v", status, body)
		}
		away := errors.New("no broker answers")
		fault.Store(&away)
		time.Sleep(3 * time.Second) //nolint:forbidigo // Of the bubble's clock.
		synctest.Wait()
		status, body := ask(t, s)
		since := body.Checks["kafka"].Since
		if status != 503 || body.Status != 503 || body.Checks["kafka"].Detail != away.Error() || !strings.Contains(body.Detail, "kafka") || time.Since(since) > 3*time.Second {
			t.Errorf("%d %+v", status, body)
		}
		time.Sleep(10 * time.Second) //nolint:forbidigo // Of the bubble's clock.
		before := probes.Load()
		for range 10_000 {
			ask(t, s)
		}
		if probes.Load() != before {
			t.Errorf("10,000 requests made %d probes", probes.Load()-before)
		}
		if _, body := ask(t, s); !body.Checks["kafka"].Since.Equal(since) {
			t.Errorf("since %v, it is so since %v", body.Checks["kafka"].Since, since)
		}
		fault.Store(nil)
		time.Sleep(3 * time.Second) //nolint:forbidigo // Of the bubble's clock.
		synctest.Wait()
		if status, _ := ask(t, s); status != 200 {
			t.Errorf("after it: %d", status)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestACheckThatHangsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang, first := make(chan struct{}), true
		s := New(nil, slog.New(slog.DiscardHandler), Check{Name: "disk", Probe: func(context.Context) error {
			if !first {
				<-hang
			}
			first = false
			return nil
		}})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(time.Minute) //nolint:forbidigo // Of the bubble's clock.
		if status, body := ask(t, s); status != 503 || !strings.Contains(body.Checks["disk"].Detail, "does not end") {
			t.Errorf("%d %+v", status, body)
		}
		stop()
		close(hang)
		<-done //nolint:errcheck // Always nil.
	})
}

func TestOtherMethodsAreRefused(t *testing.T) {
	s := New(nil, slog.New(slog.DiscardHandler))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/readyz", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

// smallDisk is a file system of 4 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if os.Getuid() != 0 {
		t.Skip("only root may mount a small disk")
	}
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("this machine does not let us mount a small disk: %s", bytes.TrimSpace(out))
	}
	t.Cleanup(func() {
		if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "umount", dir).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	return dir
}

func TestFullDiskIsFound(t *testing.T) {
	dir := smallDisk(t)
	check := Disk("disk", dir)
	if err := check.Probe(t.Context()); err != nil {
		t.Fatalf("empty: %v", err)
	}
	f, err := os.Create(filepath.Join(dir, "fill"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // Its disk goes away.
	chunk := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(chunk)
	}
	if err := check.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "free") {
		t.Errorf("full: %v", err)
	}
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if err := check.Probe(t.Context()); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) != 0 {
		t.Errorf("the probe left %v, %v", left, err)
	}
	if err := Disk("disk", filepath.Join(dir, "none")).Probe(t.Context()); err == nil {
		t.Error("a folder that is not there is well")
	}
}

// gauge registers one with a value.
func gauge(reg *prometheus.Registry, name string, v float64, labels prometheus.Labels) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, ConstLabels: labels})
	g.Set(v)
	reg.MustRegister(g)
	return g
}

func TestPipelineBehind(t *testing.T) {
	for i, name := range []string{"pulseboard_source_watermark_delay_seconds", "pulseboard_source_lag_seconds"} {
		reg := prometheus.NewRegistry()
		check := Pipeline(reg)[i]
		if _, err := check.Measure(t.Context()); err == nil {
			t.Errorf("%s: a pipeline without a source is well", name)
		}
		gauge(reg, name, 1.2, prometheus.Labels{"shard": "0"})
		slow := gauge(reg, name, 0.4, prometheus.Labels{"shard": "1"})
		if well, err := check.Measure(t.Context()); err != nil || !strings.Contains(well, "1.2 s") {
			t.Errorf("%s: %v, %q", name, err, well)
		}
		slow.Set(7.5)
		if _, err := check.Measure(t.Context()); err == nil || !strings.Contains(err.Error(), "7.5 s") {
			t.Errorf("%s: one shard behind: %v", name, err)
		}
	}
}

func TestCanaryLateOrLost(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := &canary{now: time.Now}
	now := time.Now()
	c.now = func() time.Time { return now }
	probe := func() error {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.judge(families)
		return err
	}
	if err := probe(); err == nil {
		t.Error("a canary that does not run is well")
	}
	age := gauge(reg, "pulseboard_canary_age_seconds", 1, nil)
	verdicts := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pulseboard_canary_verdicts_total"}, []string{"verdict"})
	reg.MustRegister(verdicts)
	verdicts.WithLabelValues("counted").Add(100)
	if err := probe(); err != nil {
		t.Error(err)
	}
	age.Set(70)
	if err := probe(); err == nil || !strings.Contains(err.Error(), "70 s") {
		t.Errorf("70 s late: %v", err)
	}
	age.Set(1)
	verdicts.WithLabelValues("lost").Inc()
	if err := probe(); err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("one lost: %v", err)
	}
	now = now.Add(2 * lossTime)
	if err := probe(); err != nil {
		t.Errorf("long after: %v", err)
	}
}
