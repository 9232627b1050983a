package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"pulseboard/e2e/testenv"
)

// one is a dashboard with one widget, and the function that tells its newest sum.
func one(p *program, window int) (send func(values ...float64), sum func() (float64, error)) {
	p.t.Helper()
	var made struct {
		DashboardID string `json:"dashboard_id"`
		Widgets     []struct {
			ID string `json:"widget_id"`
		} `json:"widgets"`
	}
	p.request(http.MethodPost, "/dashboards", map[string]any{"title": "One", "widgets": []map[string]any{
		{"metric_name": "one", "aggregation": "sum", "window_seconds": window},
	}}, http.StatusCreated, &made)
	path := "/dashboards/" + made.DashboardID + "/widgets/" + made.Widgets[0].ID + "/snapshot"
	return func(values ...float64) { sendOne(p, values...) }, func() (float64, error) { return newest(p, path) }
}

func sendOne(p *program, values ...float64) {
	p.t.Helper()
	events := make([]map[string]any, 0, len(values))
	for _, v := range values {
		events = append(events, map[string]any{"metric_name": "one", "value": v})
	}
	p.request(http.MethodPost, "/ingest", events, http.StatusOK, nil)
}

func newest(p *program, path string) (float64, error) {
	p.t.Helper()
	var s struct {
		State  string `json:"state"`
		Series []struct {
			Value *float64 `json:"value"`
		} `json:"series"`
	}
	res, err := http.Get(p.url + path)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s", res.Status)
	}
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		return 0, err
	}
	if len(s.Series) != 1 || s.Series[0].Value == nil {
		return 0, fmt.Errorf("no value: %+v", s)
	}
	return *s.Series[0].Value, nil
}

func equals(want float64, get func() (float64, error)) func() error {
	return func() error {
		got, err := get()
		if err == nil && got != want {
			err = fmt.Errorf("the sum is %v, not %v", got, want)
		}
		return err
	}
}

// Redis holds nothing that is not elsewhere: emptied, it is whole again, history included.
func TestEmptiedRedisIsWholeAgain(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	p := start(t, t.TempDir(), "--no-demo")
	send, sum := one(p, 600)
	send(1, 2, 4)
	p.until("the first sum", equals(7, sum))
	client := redisClient(t, p.redis)
	const history = "history:one:sum:600s@1000"
	before, err := client.XLen(t.Context(), history).Result()
	if err != nil || before == 0 {
		t.Fatalf("%d entries, %v", before, err)
	}
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	p.until("the history", func() error {
		n, err := client.XLen(t.Context(), history).Result()
		if err == nil && n < before {
			err = fmt.Errorf("%d entries of %d", n, before)
		}
		return err
	})
	send(8)
	p.until("the next sum", equals(15, sum))
}

// A Redis that ends is started again, and what it held comes back.
func TestKilledRedisIsStartedAgain(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	p := start(t, t.TempDir(), "--no-demo")
	send, sum := one(p, 600)
	send(1, 2, 4)
	p.until("the first sum", equals(7, sum))
	pid := testenv.Child(p.cmd.Process.Pid, "redis-server")
	if pid == 0 {
		t.Skip("there is no redis-server on this machine; .ci/run installs Debian's")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	send(8)
	p.until("the next sum", equals(15, sum))
}

// Starting again finds dashboards and events again, after Ctrl-C as after kill -9.
func TestStartingAgainFindsEverything(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	dir := t.TempDir()
	p := start(t, dir, "--no-demo")
	send, sum := one(p, 600)
	send(1, 2, 4)
	p.until("the first sum", equals(7, sum))
	var list struct {
		Dashboards []struct {
			ID string `json:"dashboard_id"`
		} `json:"dashboards"`
	}
	if err := p.interrupt(); err != nil {
		t.Fatalf("after Ctrl-C: %v; log: %s", err, p.log)
	}
	for _, end := range []func(*program){func(p *program) { p.kill() }, func(*program) {}} {
		p = start(t, dir, "--no-demo")
		p.request(http.MethodGet, "/dashboards", nil, http.StatusOK, &list)
		if len(list.Dashboards) != 1 {
			t.Fatalf("dashboards %+v", list)
		}
		var d struct {
			Widgets []struct {
				ID string `json:"widget_id"`
			} `json:"widgets"`
		}
		id := list.Dashboards[0].ID
		p.request(http.MethodGet, "/dashboards/"+id, nil, http.StatusOK, &d)
		p.until("the sum", equals(7, func() (float64, error) { return newest(p, "/dashboards/"+id+"/widgets/"+d.Widgets[0].ID+"/snapshot") }))
		end(p)
	}
}

// SIGKILL of the parent takes its children along.
func TestKilledParentLeavesNoOrphans(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	p := start(t, t.TempDir(), "--no-demo")
	p.until("the pipeline's process", func() error {
		if p.pipelinePID() == 0 {
			return fmt.Errorf("there is none")
		}
		return nil
	})
	started := testenv.Children(p.cmd.Process.Pid)
	p.kill()
	limit, every := time.After(time.Minute), time.NewTicker(50*time.Millisecond)
	defer every.Stop()
	for _, child := range started {
		for alive(child.Pid) {
			select {
			case <-every.C:
			case <-limit:
				t.Fatalf("process %d of %v is still there", child.Pid, started)
			}
		}
	}
}

// alive is false for a process that has ended and was not waited for yet.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	return len(fields) > 0 && fields[0] != "Z"
}

// What stands in the way of a start is named in one line, with the way out.
func TestStartThatCannotBe(t *testing.T) {
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // The test is over.
	inUse := t.TempDir()
	start(t, inUse, "--no-demo")
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"port in use", []string{"--addr", ln.Addr().String()}, []string{"port is in use", "--addr"}},
		{"folder in use", []string{"--data-dir", inUse}, []string{inUse, "--data-dir"}},
		{"no Kafka", []string{"--kafka", "127.0.0.1:1"}, []string{"Kafka at 127.0.0.1:1", "--kafka"}},
		{"no Redis", []string{"--redis", "127.0.0.1:1"}, []string{"Redis at 127.0.0.1:1", "--redis"}},
		{"open to others", []string{"--addr", "0.0.0.0:8080"}, []string{"--addr", "--tokens", "127.0.0.1:8080"}},
		{"a flag with a typing error", []string{"--adr", "x"}, []string{"-adr", "--help"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, err := build()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			args := append([]string{"run", "--addr", "127.0.0.1:0", "--data-dir", t.TempDir()}, c.args...)
			cmd := exec.CommandContext(ctx, path, args...)
			cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("%v, exit code %d", err, cmd.ProcessState.ExitCode())
			}
			for _, want := range c.want {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("%q does not name %q", stderr.String(), want)
				}
			}
			if n := strings.Count(stderr.String(), "\n"); n != 1 {
				t.Errorf("%d lines: %s", n, stderr.String())
			}
		})
	}
}
