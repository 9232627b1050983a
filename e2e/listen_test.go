package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pulseboard/e2e/testenv"
)

// Nothing of the program, or of what it starts, listens off loopback; what is not
// meant for everybody on this machine takes nothing from its other users, least of all a job.
func TestListeners(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("sockets are looked up in Linux' /proc")
	}
	if _, err := build(); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"redis-server", "miniredis"} {
		t.Run(kind, func(t *testing.T) {
			if _, err := exec.LookPath("redis-server"); kind == "redis-server" && err != nil {
				t.Skip("redis-server is not on PATH")
			} else if kind == "miniredis" {
				t.Setenv("PATH", t.TempDir())
			}
			p := start(t, t.TempDir())
			p.untilCounting()
			all := p.listeners()
			// On Prism nothing but a socket for the metrics.
			for _, l := range all {
				if l.Process.Pid == p.pipelinePID() && l.Network != "unix" {
					t.Errorf("the pipeline listens on %s", l)
				}
			}
			// Open to everybody on this machine, as the start says.
			open := []string{strings.TrimPrefix(p.url, "http://"), p.kafka}
			for _, l := range all {
				if !l.Private() && !slices.Contains(open, l.Addr) {
					t.Errorf("other users of this machine reach %s", l)
				}
			}
			if !slices.ContainsFunc(all, func(l testenv.Listener) bool { return "unix://"+l.Addr == p.redis }) {
				t.Errorf("Redis is at %s, and nobody listens there: %v", p.redis, all)
			}
			testenv.NoForeignJobs(t, all)
		})
	}
}

// Profiles are on sockets of this user's, one for each process of ours, when a flag
// asks for them: TestListeners shows that there are none else.
func TestProfilesAreThisUsers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("sockets are looked up in Linux' /proc")
	}
	dir := filepath.Join(t.TempDir(), "profiles")
	p := start(t, t.TempDir(), "--pprof", dir)
	p.untilCounting()
	for _, name := range []string{fmt.Sprint("pulseboard-", p.cmd.Process.Pid), fmt.Sprint("pipeline-", p.pipelinePID())} {
		i := slices.IndexFunc(p.listeners(), func(l testenv.Listener) bool { return l.Addr == filepath.Join(dir, name) })
		if i < 0 || !p.listeners()[i].Private() {
			t.Errorf("%s does not listen by itself", name)
		}
		client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, name))
		}}}
		res, err := client.Get("http://localhost/debug/pprof/heap")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s answers %s", name, res.Status)
		}
		client.CloseIdleConnections()
	}
}

// untilCounting waits until the pipeline has counted something: all of it is there.
func (p *program) untilCounting() {
	p.t.Helper()
	p.until("results of the demo", func() error {
		res, err := http.Get(p.url + "/metrics")
		if err != nil {
			return err
		}
		defer res.Body.Close() //nolint:errcheck // It was only read.
		b, err := io.ReadAll(res.Body)
		if err == nil && !strings.Contains(string(b), "\npulseboard_pipeline_up 1") {
			err = errors.New("the pipeline does not answer")
		}
		for _, line := range strings.Split(string(b), "\n") {
			if value, ok := strings.CutPrefix(line, "pulseboard_pipeline_results_total "); ok && value != "0" {
				return err
			}
		}
		return errors.Join(err, errors.New("nothing was evaluated"))
	})
}

// listeners returns all of the tree, which must be on this machine.
func (p *program) listeners() []testenv.Listener {
	p.t.Helper()
	all, err := testenv.Listeners(p.cmd.Process.Pid)
	if err != nil {
		p.t.Fatal(err)
	}
	if len(all) == 0 {
		p.t.Error("nothing listens, which cannot be")
	}
	for _, l := range all {
		p.t.Log(l)
		if !l.OnMachine() {
			p.t.Errorf("other machines reach %s", l)
		}
	}
	return all
}
