package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"pulseboard/internal/service"
)

func openTest(t *testing.T, path string, stdout io.Writer) *Log {
	t.Helper()
	l, err := Open(Config{Path: path, Service: "test", Stdout: stdout, Address: service.Proxies(nil).Address, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// running runs a log; stop ends it and waits.
func running(t *testing.T, l *Log) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func entries(t *testing.T, text []byte) (all []Entry) {
	t.Helper()
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Errorf("%v in %q", err, lines.Text())
		}
		all = append(all, e)
	}
	return all
}

func read(t *testing.T, path string) []Entry {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return entries(t, b)
}

func TestALineForEach(t *testing.T) {
	var out bytes.Buffer
	l := openTest(t, "-", &out)
	stop := running(t, l)
	l.Note(Entry{Event: Edit, Action: "changed", Dashboard: "d", Before: 3, After: 4, Token: "ann"})
	stop()
	all := entries(t, out.Bytes())
	if len(all) != 1 || all[0].Service != "test" || all[0].After != 4 || all[0].Token != "ann" || time.Since(all[0].At) > time.Hour {
		t.Errorf("%+v", all)
	}
	for _, absent := range []string{"reason", "count", "dropped", "error"} {
		if strings.Contains(out.String(), absent) {
			t.Errorf("%s in %s", absent, out.String())
		}
	}
}

func TestNoLogKeepsNothing(t *testing.T) {
	l := openTest(t, "", nil)
	l.Note(Entry{Event: Edit})
	l.Refuse(l.From(httptest.NewRequest(http.MethodGet, "/", nil)), Refusal{Reason: "rate"})
	running(t, l)()
}

func TestFloodOfRefusalsIsCounted(t *testing.T) {
	var out bytes.Buffer
	l := openTest(t, "-", &out)
	now := time.Now()
	l.now = func() time.Time { return now }
	request := func(address, path string) From {
		r := httptest.NewRequest(http.MethodGet, "/x?token=secret", nil)
		r.RemoteAddr, r.URL.Path = address+":1234", path
		return l.From(r)
	}
	for range 1000 {
		l.Refuse(request("10.0.0.1", "/"+strings.Repeat("ä", 9000)), Refusal{Reason: "no_token", Need: "view"})
	}
	l.Refuse(request("10.0.0.2", "/x"), Refusal{Reason: "no_token"})
	l.Refuse(request("10.0.0.1", "/x"), Refusal{Reason: "origin"})
	running(t, l)()
	all := entries(t, out.Bytes())
	lines, counted := map[string]int{}, 0
	for _, e := range all {
		lines[e.Address+" "+e.Reason]++
		counted += e.Count
		if len(e.Path) > mostPath+10 || strings.Contains(e.Path, "secret") {
			t.Errorf("a path of %d bytes: %.60s", len(e.Path), e.Path)
		}
	}
	if lines["10.0.0.1 no_token"] != refusalsWritten+1 || counted != 1000-refusalsWritten || lines["10.0.0.2 no_token"] != 1 || lines["10.0.0.1 origin"] != 1 {
		t.Errorf("%v, %d counted", lines, counted)
	}
	// As many addresses as there may be cost bounded memory.
	for i := range 3 * mostAddresses {
		l.Refuse(request(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), "/x"), Refusal{Reason: "no_token"})
	}
	if n := len(l.limits.of); n > mostAddresses+1 {
		t.Errorf("%d addresses are remembered", n)
	}
	now = now.Add(2 * refusalTime)
	if l.limits.due(now, false); len(l.limits.of) != 0 {
		t.Errorf("%d are remembered after their minute", len(l.limits.of))
	}
}

func TestFullQueueIsCountedAndBlocksNobody(t *testing.T) {
	var out bytes.Buffer
	l := openTest(t, "-", &out)
	for range queueSize + 7 {
		l.Note(Entry{Event: Edit}) // Nobody writes yet.
	}
	running(t, l)()
	var dropped int64
	edits := 0
	for _, e := range entries(t, out.Bytes()) {
		dropped += e.Dropped
		if e.Event == Edit {
			edits++
		}
	}
	if edits != queueSize || dropped != 7 || value(t, l.metrics.dropped.WithLabelValues("queue")) != 7 {
		t.Errorf("%d edits, %d dropped", edits, dropped)
	}
}

func TestRenamedFileIsBegunAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	out := &file{path: path}
	for _, step := range []func() error{
		func() error { return out.line(Entry{Event: "one"}) },
		func() error { return os.Rename(path, path+".1") },
		func() error { return out.line(Entry{Event: "two"}) },
		func() error { return os.Remove(path) },
		func() error { return out.line(Entry{Event: "three"}) },
		func() error { return os.Truncate(path, 0) }, // logrotate's copytruncate.
		func() error { return out.line(Entry{Event: "four"}) },
		out.close,
		func() error { return os.WriteFile(path, []byte(`{"event":"cut`), 0o600) }, // A killed process.
		func() error { return out.line(Entry{Event: "five"}) },
		out.close,
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if all := read(t, path+".1"); len(all) != 1 || all[0].Event != "one" {
		t.Errorf("the old file holds %+v", all)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(string(b), "\n"); len(lines) != 3 || !strings.Contains(lines[1], "five") {
		t.Errorf("%q", b)
	}
}

func TestFullDiskIsCountedAndShown(t *testing.T) {
	dir := t.TempDir()
	if os.Getuid() != 0 {
		t.Skip("only root may mount a small disk")
	}
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("this machine does not let us mount a small disk: %s", bytes.TrimSpace(out))
	}
	t.Cleanup(func() {
		if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "umount", dir).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	path := filepath.Join(dir, "audit.log")
	l := openTest(t, path, nil)
	defer func() { _ = l.out.close() }()
	wrote := 0
	for l.put(Entry{Event: Edit, Dashboard: strings.Repeat("d", 500)}) {
		wrote++
	}
	for range 3 {
		l.write(Entry{Event: Edit})
	}
	if value(t, l.metrics.failing) != 1 || value(t, l.metrics.dropped.WithLabelValues("write")) < 1 {
		t.Error("nothing is said of the full disk")
	}
	missing := l.missing
	if err := os.Rename(path, filepath.Join(dir, "old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "old"), 0); err != nil {
		t.Fatal(err)
	}
	l.write(Entry{Event: Edit, Dashboard: "after"})
	all := read(t, path)
	if len(all) != 2 || all[0].Dropped != missing || all[1].Dashboard != "after" || value(t, l.metrics.failing) != 0 {
		t.Errorf("%d were written, %d were missing: %+v", wrote, missing, all)
	}
}

// value is that of a counter or gauge.
func value(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.GetCounter().GetValue() + out.GetGauge().GetValue()
}
