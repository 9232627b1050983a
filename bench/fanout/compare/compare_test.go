package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pulseboard/bench/fanout/proc"
	"pulseboard/bench/fanout/setting"
	"pulseboard/e2e/testenv"
	"pulseboard/internal/service"
)

func parseText(args string) error {
	_, err := parse(service.Env{Args: strings.Fields(args), Getenv: func(string) string { return "" }, Stdout: new(bytes.Buffer)})
	return err
}

func TestFlagsThatCannotBe(t *testing.T) {
	for args, want := range map[string]string{
		"--connections 0":       "--connections, --connect-rate and --rounds must be 1 or more",
		"--rounds 0":            "must be 1 or more",
		"--for 1500ms":          "--for whole seconds",
		"--idle 1ms":            "must be 1s or more",
		"--settle -1s":          "--settle must not be below 0",
		"--connections 9999999": "raise the limit to 10000499 (ulimit -n), or choose fewer",
		"--env":                 "flag needs an argument",
	} {
		if err := parseText(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q in it", args, err, want)
		}
	}
	if err := parseText("--connections 100"); err != nil {
		t.Error(err)
	}
}

// quiet is a turn in which nothing was wrong.
func quiet(server string, cpu, rss float64) turn {
	return turn{
		Server: server, CPUFrame: cpu, CPUEnd: cpu, CPUWhole: 2 * cpu, RSSEach: rss, HeapEach: rss / 2, Expected: 10, Delivered: 10,
		ToClient: proc.Spread{P99: cpu}, Feed: &feedFacts{}, Publishing: setting.Published{Lateness: proc.Spread{P99: 20}},
	}
}

func TestRatios(t *testing.T) {
	r := report{Turns: []turn{quiet("gateway", 4, 1024), quiet("centrifuge", 10, 3072), quiet("gateway", 6, 3072), quiet("centrifuge", 20, 1024)}}
	r.sumUp()
	if want := (ratios{CPUFrame: 3, CPUEnd: 3, CPUWhole: 3, RSS: 1, Heap: 1, ToClient: 3}); r.Ratios != want {
		t.Errorf("%+v, want %+v", r.Ratios, want)
	}
	if len(r.Warnings) > 0 {
		t.Errorf("warnings of a run in which nothing was wrong: %v", r.Warnings)
	}
	r = report{Turns: []turn{quiet("gateway", 4, 1024)}}
	r.sumUp()
	if r.Ratios != (ratios{}) {
		t.Errorf("%+v: one that was stopped after the first turn has no ratios", r.Ratios)
	}
	r = report{Turns: []turn{quiet("gateway", -1, -5), quiet("centrifuge", 10, 3072)}}
	r.sumUp()
	if r.Ratios.CPUFrame != 0 || r.Ratios.RSS != 0 {
		t.Errorf("%+v: what is less than nothing has no ratio", r.Ratios)
	}
}

func TestWarnings(t *testing.T) {
	for want, change := range map[string]func(*turn){
		"turn 2, centrifuge: 9 results of 10 were delivered":                                func(t *turn) { t.Delivered = 9 },
		"publishing was late, p99 200 ms":                                                   func(t *turn) { t.Publishing.Lateness.P99 = 200 },
		"the results of an end came in 4.0 frames":                                          func(t *turn) { t.PerEnd = 4 },
		"0.50 cores were used by processes that are none of this run":                       func(t *turn) { t.Others = 0.5 },
		"0.20 cores were taken by other machines":                                           func(t *turn) { t.Stolen = 0.2 },
		"turn 2, centrifuge: 11 results of 10 were delivered":                               func(t *turn) { t.Delivered = 11 },
		"CPU above idle is -1.00 µs a frame: too little was delivered for a figure to hold": func(t *turn) { t.CPUFrame = -1 },
	} {
		r := report{Turns: []turn{quiet("gateway", 4, 1024), quiet("centrifuge", 10, 1024)}}
		change(&r.Turns[1])
		r.sumUp()
		if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], want) {
			t.Errorf("%q; want one with %q", r.Warnings, want)
		}
	}
}

func TestPrint(t *testing.T) {
	r := report{
		Began: time.Date(2026, 11, 25, 23, 0, 0, 0, time.UTC), Options: facts{Cores: 2, Connections: 4000, Dashboards: 200, Widgets: 20, Series: 1, Seconds: 30, Env: "GOGC=100"},
		Turns: []turn{quiet("gateway", 4, 1024), quiet("centrifuge", 10, 3072)},
	}
	r.Turns[1].ForcedGC, r.Turns[1].Delivered = true, 8
	r.sumUp()
	var out bytes.Buffer
	r.print(&out)
	for _, want := range []string{
		"4000 connections over 200 dashboards × 20 widgets × 1 series at 1 Hz",
		"2026-11-25 23:00 UTC; 2 cores; 30 s a turn, servers fresh in each, GOGC=100.",
		"|  | gateway | centrifuge |\n| --- | --- | --- |\n| CPU a frame delivered, above idle | 4.00 µs | 10.00 µs |",
		"| heap and stacks a connection | 0.50 KiB | 1.50 KiB after a collection |",
		"| results delivered of expected | 10 / 10 | 8 / 10 |",
		"CPU a frame **2.50** (a connection and second 2.50, with idle 2.50), memory a connection **3.00** (heap and stacks 3.00), p99 to the client 2.50.",
		"Warning: turn 2, centrifuge: 8 results of 10 were delivered.",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

// The whole, small, with both real servers. The other one is of another module:
//
//	make bin/bench-centrifuge && PULSEBOARD_BENCH_CENTRIFUGE=$PWD/bin/bench-centrifuge go test ./bench/fanout/compare
func TestSmallComparison(t *testing.T) {
	other := os.Getenv("PULSEBOARD_BENCH_CENTRIFUGE")
	if other == "" {
		t.Skip("PULSEBOARD_BENCH_CENTRIFUGE does not name the other server")
	}
	args := []string{
		"--connections", "6", "--dashboards", "2", "--widgets", "3", "--rounds", "1", "--idle", "1s", "--settle", "0s", "--for", "2s",
		"--gateway-path", testenv.Build(t, "gateway"), "--centrifuge-path", other,
	}
	file := filepath.Join(t.TempDir(), "compare.json")
	var out, progress bytes.Buffer
	err := run(t.Context(), service.Env{Args: append(args, "--json", file), Getenv: func(string) string { return "" }, Stdout: &out, Stderr: &progress})
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "36 / 36"); n != 2 {
		t.Errorf("each of 6 connections × 3 widgets × 2 ends must come at both servers:\n%s", out.String())
	}
	if text, err := os.ReadFile(file); err != nil || !bytes.Contains(text, []byte(`"cpu_per_frame"`)) {
		t.Errorf("%s, %v", text, err)
	}
}
