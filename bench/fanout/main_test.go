package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pulseboard/bench/fanout/proc"
	"pulseboard/bench/fanout/reader"
	"pulseboard/bench/fanout/setting"
	"pulseboard/e2e/testenv"
	"pulseboard/internal/service"
)

func TestFlagsThatCannotBe(t *testing.T) {
	for args, want := range map[string]string{
		"--gateways 0":                          "--gateways is 0: it must be 1 to 64",
		"--kill-after -1s":                      "must not be below 0",
		"--kill-connections 5":                  "give that too, such as --kill-after 30s",
		"--every 1ms":                           "--every is 1ms: it must be 1s or more",
		"more":                                  `unexpected argument "more"`,
		"--dashboards many":                     "invalid value",
		"--kill-after 1s --kill-connections=-1": "must not be below 0",
		"--gateways 65":                         "--gateways is 65: it must be 1 to 64",
	} {
		_, err := parse(service.Env{Args: strings.Fields(args), Getenv: func(string) string { return "" }, Stdout: new(bytes.Buffer)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q in it", args, err, want)
		}
	}
}

// One of two gateways is killed: it comes back at its address, whose clients
// are distinguished from those of the other, and all of it stands in the file.
func TestKilledGatewayIsBackAtItsAddress(t *testing.T) {
	dir := t.TempDir()
	o := options{
		gateway: testenv.Build(t, "gateway"), gateways: 2, killAfter: time.Millisecond, killConnections: 9, hold: true, every: time.Second,
		json: filepath.Join(dir, "setting.json"), ids: filepath.Join(dir, "ids"),
		Config: setting.Config{Dashboards: 2, Widgets: 2, Series: 1, History: 1, Dir: dir, Log: slog.New(slog.DiscardHandler), InProcess: true},
	}
	out := new(testenv.Buffer)
	b := &bench{o: o, out: out}
	defer b.close()
	if err := b.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- b.serve(ctx) }()
	await(t, func() bool { return strings.Contains(out.String(), "ready") })
	before := read(t, o.json)
	if len(before.Gateways) != 2 || before.Gateways[0].Addr == before.Gateways[1].Addr || len(before.DashboardIDs) != 2 || before.Ended != nil {
		t.Fatalf("%+v: two gateways, two dashboards, not ended", before)
	}
	if ids, err := os.ReadFile(o.ids); err != nil || string(ids) != strings.Join(before.DashboardIDs, ",")+"\n" {
		t.Errorf("the ids are %q, %v", ids, err)
	}
	var lost, kept, back reader.Pool
	defer kept.Close()
	defer back.Close()
	if err := kept.Connect(t.Context(), before.Gateways[1].Addr, reader.Pulseboard(), before.DashboardIDs, 2, 1000); err != nil {
		t.Fatal(err)
	}
	// With the last of these the kill is due: it may come before their first update.
	err := lost.Connect(t.Context(), before.Gateways[0].Addr, reader.Pulseboard(), before.DashboardIDs, 3, 1000)
	await(t, func() bool { return err != nil || lost.Err() != nil })
	lost.Close()
	// Whoever lost his gateway comes back to the same address.
	await(t, func() bool { return read(t, o.json).Gateways[0].Starts == 2 })
	if err := back.Connect(t.Context(), before.Gateways[0].Addr, reader.Pulseboard(), before.DashboardIDs, 3, 1000); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return strings.Contains(out.String(), "100 % open again") })
	if err := kept.Err(); err != nil {
		t.Errorf("the other gateway: %v", err)
	}
	stop()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	if err := b.end(); err != nil {
		t.Fatal(err)
	}
	after := read(t, o.json)
	first := after.Gateways[0]
	if first.Addr != before.Gateways[0].Addr || first.Pid == before.Gateways[0].Pid || after.Gateways[1].Pid != before.Gateways[1].Pid {
		t.Errorf("before %+v, after %+v: the same addresses, another process of the first", before.Gateways, after.Gateways)
	}
	if k := after.Killed; k == nil || k.Streams != 9 || len(k.BackMs) != 3 || k.BackMs[100] < k.HealthyMs {
		t.Errorf("killed: %+v; of 9 streams 50, 99 and 100 %% came back, after it answered", k)
	}
	if p := after.Publishing; p == nil || p.Refused != 0 || p.Ends == 0 || after.Ended == nil {
		t.Errorf("published: %+v", p)
	}
	for _, want := range []string{"was killed with -9 and is back at " + first.Addr, "of 9 streams 50 % open again after", "window end → PUBLISH done: p50"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in what was printed:\n%s", want, out)
		}
	}
}

// A gateway that ends by itself is the end, with its last words.
func TestGatewayThatEndsIsTold(t *testing.T) {
	o := options{
		gateway: testenv.Build(t, "gateway"), gateways: 1, every: time.Second,
		Config: setting.Config{Dashboards: 1, Widgets: 1, Series: 1, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), InProcess: true},
	}
	b := &bench{o: o, out: new(testenv.Buffer)}
	defer b.close()
	if err := b.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- b.guard(t.Context()) }()
	b.gateways[0].Kill()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "gateway 1 ended: signal: killed") {
		t.Errorf("%v", err)
	}
}

func TestBytesPerConnection(t *testing.T) {
	at := func(pid, connections int, rss int64) sample {
		return sample{pid: pid, connections: connections, usage: proc.Usage{RSS: rss}}
	}
	for name, c := range map[string]struct {
		samples []sample
		held    int
		want    float64
		ok      bool
	}{
		"more than when it was empty":         {[]sample{at(1, 0, 100), at(1, 10, 300), at(1, 20, 500)}, 0, 20, true},
		"the last moment without streams":     {[]sample{at(1, 0, 100), at(1, 0, 200), at(1, 10, 300)}, 0, 10, true},
		"never empty":                         {[]sample{at(1, 10, 300)}, 0, 0, false},
		"empty now":                           {[]sample{at(1, 0, 100), at(1, 10, 300), at(1, 0, 200)}, 0, 0, false},
		"empty was another process":           {[]sample{at(1, 0, 100), at(2, 10, 300)}, 0, 0, false},
		"a new process that was empty itself": {[]sample{at(1, 10, 900), at(2, 0, 100), at(2, 10, 300)}, 0, 20, true},
		"held streams are not counted":        {[]sample{at(1, 0, 50), at(1, 5, 100), at(1, 15, 300)}, 5, 20, true},
		"only held streams":                   {[]sample{at(1, 5, 100), at(1, 5, 300)}, 5, 0, false},
		"held streams were not back yet":      {[]sample{at(1, 2, 100), at(1, 15, 300)}, 5, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := bytesPerConnection(c.samples, c.held); got != c.want || ok != c.ok {
				t.Errorf("%v, %v; want %v, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

func read(t *testing.T, file string) (r report) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func await(t *testing.T, ok func() bool) {
	t.Helper()
	limit := time.After(time.Minute)
	for !ok() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-limit:
			t.Fatal("it never was so")
		}
	}
}
