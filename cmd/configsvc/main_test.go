package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/internal/conf"
	"pulseboard/internal/service"
)

func noEnvironment(string) string { return "" }

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestRunServesUntilItIsEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines, stderr := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, service.Env{
			Args:   []string{"--addr", "127.0.0.1:0", "--redis", miniredis.RunT(t).Addr(), "--database", filepath.Join(t.TempDir(), "p.db")},
			Getenv: noEnvironment, Stdout: io.Discard, Stderr: stderr,
		})
		_ = stderr.Close()
	}()
	addr := ""
	for log := bufio.NewScanner(lines); addr == "" && log.Scan(); {
		if m := regexp.MustCompile(`msg=listening .*addr=(\S+)`).FindStringSubmatch(log.Text()); m != nil {
			addr = m[1]
		}
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	if addr == "" {
		t.Fatalf("it ended: %v", <-ended)
	}
	for path, want := range map[string]string{
		"/healthz": "ok", "/metrics": "pulseboard_configsvc_dashboards 0", "/dashboards": `{"dashboards":[],"next":null}`, "/openapi.yaml": "openapi: 3.1",
	} {
		if status, body := get(t, "http://"+addr+path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(2 * time.Minute):
		t.Error("did not end")
	}
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	away := miniredis.RunT(t)
	redis := away.Addr()
	away.Close()
	db := filepath.Join(t.TempDir(), "p.db")
	for want, args := range map[string][]string{
		"cannot reach Redis at " + redis: {"--redis", redis, "--database", db},
		"PostgreSQL database x at":       {"--database", "postgres://127.0.0.1:1/x"},
		"--scopes edit --file":           {"--addr", "0.0.0.0:0"},
		"--slice is 1ns":                 {"--slice", "1ns"},
		"--max-window is 0":              {"--max-window", "0"},
		"unexpected argument":            {"serve"},
		"log-level":                      {"--log-level", "loud"},
	} {
		err := run(t.Context(), service.Env{Args: append([]string{"--addr", "127.0.0.1:0"}, args...), Getenv: noEnvironment, Stdout: io.Discard, Stderr: io.Discard})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %v, want one line with %q", args, err, want)
		}
	}
}

func TestHelp(t *testing.T) {
	var help bytes.Buffer
	err := run(t.Context(), service.Env{Args: []string{"--help"}, Getenv: noEnvironment, Stdout: &help, Stderr: io.Discard})
	if !errors.Is(err, conf.ErrHelp) {
		t.Fatal(err)
	}
	for _, want := range []string{"--database database", "PULSEBOARD_MAX_WINDOW", "curl"} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("the help does not name %q", want)
		}
	}
}
