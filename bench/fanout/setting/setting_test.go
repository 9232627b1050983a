package setting

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pulseboard/bench/fanout/reader"
	"pulseboard/gateway"
	"pulseboard/internal/host"
	"pulseboard/internal/redisconn"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/wire"
)

func open(t *testing.T, c Config) *Setting {
	t.Helper()
	c.Dir, c.Log, c.InProcess = t.TempDir(), slog.New(slog.DiscardHandler), true
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConfigNamesTheFlag(t *testing.T) {
	good := Config{Dashboards: 1, Widgets: 1, Series: 1}
	for want, change := range map[string]func(*Config){
		"--dashboards is 0: it must be 1 to 10000": func(c *Config) { c.Dashboards = 0 },
		"--widgets is 201: it must be 1 to 200":    func(c *Config) { c.Widgets = 201 },
		"--series is 101: it must be 1 to 100":     func(c *Config) { c.Series = 101 },
		"--history is 601: it must be 0 to 600":    func(c *Config) { c.History = 601 },
	} {
		c := good
		change(&c)
		if _, err := Open(t.Context(), c); err == nil || err.Error() != want {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

// What the pipeline would find in Redis: a query and a history of every widget,
// each entry with the end before it, values that change.
func TestSettingIsAsTheServicesLeaveIt(t *testing.T) {
	s := open(t, Config{Dashboards: 2, Widgets: 3, Series: 2, History: 5})
	ctx, stop := context.WithCancel(t.Context())
	published := make(chan error, 1)
	since := time.Now().UnixMilli()
	go func() { published <- s.Publisher().Run(ctx) }()

	reg, err := registry.Open(t.Context(), redisconn.At(s.Redis()))
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close() //nolint:errcheck // The test is over.
	store, err := results.Open(t.Context(), redisconn.At(s.Redis()))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // The test is over.
	set, err := reg.Load(t.Context())
	if err != nil || len(set.Entries) != 6 || len(set.Skipped) > 0 {
		t.Fatalf("%d queries, left out %v, %v; want 6", len(set.Entries), set.Skipped, err)
	}
	if s.Publisher().Keys() != 6 {
		t.Errorf("the publisher has %d keys, not 6", s.Publisher().Keys())
	}
	for key := range set.Entries {
		history := awaitHistory(t, store, key, since+2000)
		if len(history) < 7 {
			t.Errorf("%s has %d results: 5 before and 2 since", key, len(history))
		}
		changes := 0
		for i, r := range history {
			if i == 0 {
				continue
			}
			before := history[i-1]
			switch {
			case r.WindowEnd != before.WindowEnd+1000 || r.PrevEnd != before.WindowEnd:
				t.Errorf("%s: after %d came %d, which says %d", key, before.WindowEnd, r.WindowEnd, r.PrevEnd)
			case *r.NewestEvent >= r.WindowEnd || *r.NewestEvent < r.WindowEnd-1000:
				t.Errorf("%s: the newest event of the window until %d is of %d", key, r.WindowEnd, *r.NewestEvent)
			case len(r.Series) != 2 || r.Series[0].Tags[0].Value == r.Series[1].Tags[0].Value:
				t.Errorf("%s: the series are %v", key, r.Series)
			case *r.Series[0].Value != *before.Series[0].Value:
				changes++ // By chance two may be the same.
			}
		}
		if changes < 3 {
			t.Errorf("%s: of %d values %d differ from the one before", key, len(history), changes)
		}
	}
	stop()
	if err := <-published; err != nil {
		t.Error(err)
	}
	p := s.Publisher().Published(since, time.Now().UnixMilli())
	// The last end may have been cut off by the stop.
	if p.Ends < 2 || p.Refused != 0 || p.Results <= int64(6*(p.Ends-1)) || p.Lateness.N == 0 {
		t.Errorf("%+v: at least 2 ends of 6 results, but for the last, none refused", p)
	}
}

// awaitHistory waits until a history reaches an end.
func awaitHistory(t *testing.T, store *results.Store, key string, end int64) []*wire.Result {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		rs, err := store.History(t.Context(), key, refreshMs, 0, wire.HistoryLength)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(rs); n > 0 && rs[n-1].WindowEnd >= end-end%1000 {
			return rs
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-limit:
			t.Fatalf("the history of %s never came to %d", key, end)
		}
	}
}

// The views are dashboards to the gateway, and everything that is published
// reaches every client.
func TestEveryResultReachesEveryClient(t *testing.T) {
	s := open(t, Config{Dashboards: 3, Widgets: 4, Series: 4, History: 2})
	reg, err := registry.Open(t.Context(), redisconn.At(s.Redis()))
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close() //nolint:errcheck // The test is over.
	store, err := results.Open(t.Context(), redisconn.At(s.Redis()))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // The test is over.
	g, err := gateway.New(gateway.Config{Results: store, Dashboards: reg, Shared: host.Shared{Log: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- g.Run(ctx) }()
	go func() { ended <- s.Publisher().Run(ctx) }()
	server := httptest.NewServer(g.Handler())
	defer server.Close()

	const connections, ends = 7, 2
	var pool reader.Pool
	if err := pool.Connect(t.Context(), strings.TrimPrefix(server.URL, "http://"), reader.Pulseboard(), s.IDs, connections, 1000); err != nil {
		t.Fatal(err)
	}
	from := time.Now().Truncate(time.Second).Add(time.Second).UnixMilli() // An end that is surely to come.
	rec := pool.Record(from, from+ends*1000)
	const want = connections * ends * 4
	limit := time.After(time.Minute)
	for rec.Results.Load() < want {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-limit:
			t.Fatalf("%d of %d results came, %v", rec.Results.Load(), want, pool.Err())
		}
	}
	if n := rec.Results.Load(); n != want || rec.FromEnd.Count() != rec.Frames.Load() {
		t.Errorf("%d results in %d frames, %d measured; want %d", n, rec.Frames.Load(), rec.FromEnd.Count(), want)
	}
	if err := pool.Err(); err != nil {
		t.Error(err)
	}
	pool.Close()
	stop()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// Ids are the same in each run, and views hold what the configuration says.
func TestDashboardsAreTheSameInEachRun(t *testing.T) {
	c := Config{Dashboards: 2, Widgets: 7, Series: 1}
	first, again := makeDashboards(c), makeDashboards(c)
	keys := map[string]bool{}
	for i, b := range first {
		if !reflect.DeepEqual(b, again[i]) {
			t.Errorf("dashboard %d differs: %+v, %+v", i, b, again[i])
		}
		if len(b.view.Widgets) != 7 || len(b.view.Widgets[0].GroupBy) > 0 {
			t.Errorf("%+v", b.view)
		}
		for _, q := range b.queries {
			if err := q.Validate(); err != nil {
				t.Error(err)
			}
			keys[q.Key()] = true
		}
	}
	if len(keys) != 14 {
		t.Errorf("%d metric keys for 14 widgets", len(keys))
	}
}

func TestAddressIn(t *testing.T) {
	for line, want := range map[string]string{
		`time=2026-11-25T23:58:48Z level=INFO msg=listening service=gateway addr=127.0.0.1:36561` + "\n": "127.0.0.1:36561",
		`time=x level=INFO msg=listening addr=127.0.0.1:44007 setup=tuned`:                               "127.0.0.1:44007",
		`time=x level=INFO msg=listening addr="[::1]:1"`:                                                 "[::1]:1",
		`time=x level=INFO msg="not listening" addr=127.0.0.1:1`:                                         "",
		`addr=127.0.0.1:1`: "",
	} {
		if got := addressIn(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestStartSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	_, err := Start(t.Context(), Program{Name: "gateway 1", Path: filepath.Join(dir, "nothing"), Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "cannot start gateway 1") || !strings.Contains(err.Error(), "make") {
		t.Errorf("a program that is not there: %v", err)
	}
	if _, err = Start(t.Context(), Program{Name: "gateway 1", Path: "/bin/sh", Args: []string{"-c", "x"}, Dir: dir}); err == nil || !strings.Contains(err.Error(), "gateway 1 ended") {
		t.Errorf("a program that ends: %v", err)
	}
}

func TestFolder(t *testing.T) {
	dir := ""
	cleanUp, err := Folder(&dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(dir, "a"), []byte("1")); err != nil {
		t.Error(err)
	}
	cleanUp()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the temporary folder is still there: %v", err)
	}
	kept := filepath.Join(t.TempDir(), "deeper", "kept")
	if cleanUp, err = Folder(&kept); err != nil {
		t.Fatal(err)
	}
	cleanUp()
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("a folder that was named is kept: %v", err)
	}
	if err := WriteFile(filepath.Join(kept, "no", "where"), nil); err == nil || !strings.Contains(err.Error(), "cannot write") {
		t.Errorf("no folder for a file: %v", err)
	}
}
