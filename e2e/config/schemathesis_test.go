package config

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/redisconn"
	"pulseboard/limits"
	"pulseboard/registry"
)

// What schemathesis must not take for a fault, each with its reason.
const schemathesisConfig = `
[checks.missing_required_header]
# docs/protocol.md: a change without If-Match is 428.
expected-statuses = [400, 401, 403, 406, 415, 422, 428]

[checks.positive_data_acceptance]
# Rules that no schema has, such as min below max, are 422; a cursor or an ETag that was
# invented is 400, or 412; a document is at most 1 MiB.
expected-statuses = ["2xx", "3xx", 400, 401, 403, 404, 409, 412, 413, 422, 428, 431]

[checks.use_after_free]
# The versions of a deleted dashboard stay, and bring it back.
enabled = false

[checks.negative_data_rejection]
# A member that is null counts as absent, and who has an outdated ETag is told so first.
enabled = false
`

// The service answers as its own OpenAPI file says, whatever it is asked.
func TestSchemathesis(t *testing.T) {
	program := os.Getenv("PULSEBOARD_SCHEMATHESIS")
	if program == "" {
		t.Skip("PULSEBOARD_SCHEMATHESIS does not name the program of the PyPI package schemathesis; make test-real installs it")
	}
	seconds := os.Getenv("SCHEMATHESIS_SECONDS")
	if seconds == "" {
		seconds = "40"
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "schemathesis.toml")
	if err := os.WriteFile(conf, []byte(schemathesisConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	redis := testenv.Redis(t)
	sayLimits(t, redis)
	s := startServer(t, filepath.Join(dir, "pulseboard.db"), redis, "--tokens", testenv.Tokens(t, "admin"))
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, "--config-file", conf, "run", *s.url.Load()+"/openapi.yaml",
		"-H", "Authorization: Bearer admin", "--max-time", seconds, "--continue-on-failure", "--no-color")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	_, summary, _ := strings.Cut(string(out), "= SUMMARY =")
	t.Logf("schemathesis for %s s: %s", seconds, summary)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// sayLimits does what the pipeline does: GET /limits is 503 while it has said nothing.
func sayLimits(t *testing.T, addr string) {
	t.Helper()
	store, err := registry.Open(t.Context(), redisconn.At(addr))
	if err != nil {
		t.Fatal(err)
	}
	b := limits.NewBudgets(1<<30, 1<<30, 2, limits.DefaultShare)
	report := limits.Report{
		Share: b.Share, Total: b.Total,
		Used: []limits.Use{{Scope: limits.Metric, Name: "cpu", Resource: limits.Trees, Used: 1000, Limit: b.Of(limits.Metric)[limits.Trees]}},
		Cut:  []limits.Cut{{Key: "cpu:sum:60s", Scope: limits.Process, Resource: limits.Histories, Used: 2 << 30, Limit: 1 << 29, SinceMs: 1_700_000_000_000}},
	}
	if err := store.SaveLimits(t.Context(), "test", report); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for again := time.NewTicker(time.Second); ; { // What is said expires.
			select {
			case <-stop:
				return
			case <-again.C:
				if err := store.SaveLimits(context.WithoutCancel(t.Context()), "test", report); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
		_ = store.Close() // It was written.
	})
}
