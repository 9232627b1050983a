package registry

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/wire"
)

// limit is how long a test waits for what must happen; passing tests wait for milliseconds.
const limit = 2 * time.Minute

func open(t *testing.T, m *miniredis.Miniredis) *Store {
	t.Helper()
	s, err := Open(t.Context(), redisconn.At(m.Addr()), WithLog(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func entry(name string, refresh ...int64) wire.QueryEntry {
	return wire.QueryEntry{Query: metric.Query{Metric: name, Aggregation: metric.Avg, WindowSeconds: 60}, RefreshMs: refresh}
}

func entries(es ...wire.QueryEntry) map[string]wire.QueryEntry {
	m := make(map[string]wire.QueryEntry)
	for _, e := range es {
		m[e.Query.Key()] = e
	}
	return m
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(limit):
		t.Fatal("nothing arrived")
		panic("unreachable")
	}
}

func TestOpenSaysWhatToDo(t *testing.T) {
	m := miniredis.RunT(t)
	addr := m.Addr()
	m.Close()
	_, err := Open(t.Context(), redisconn.At(addr))
	if err == nil || !strings.HasPrefix(err.Error(), "cannot reach Redis at "+addr+": ") || !strings.HasSuffix(err.Error(), "; start it or pass another address with --redis") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("error %v", err)
	}
}

func TestPublishAndLoad(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	filter, err := metric.NewFilter(metric.Term{Tag: "region", Op: metric.Equal, Values: []string{"eu <1>"}})
	if err != nil {
		t.Fatal(err)
	}
	full := wire.QueryEntry{Query: metric.Query{
		Metric: "http.latency", Aggregation: metric.Max, WindowSeconds: 60, DelaySeconds: 10,
		Filter: filter, GroupBy: []string{"host", "zone"},
	}, RefreshMs: []int64{250, 1000}}

	for i, want := range []map[string]wire.QueryEntry{
		{},
		entries(full, entry("a", 1000)),
		entries(entry("a", 1000, 5000), entry("b", 1000)),
		{},
	} {
		if err := s.Publish(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		got, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.Version != int64(i+1) || !reflect.DeepEqual(got.Entries, want) || got.Skipped != nil {
			t.Errorf("publication %d: got %+v, want version %d and %+v", i, got, i+1, want)
		}
	}
}

func TestPublishOfTheSameDoesNothing(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	set := entries(entry("a", 1000))
	sub := s.client.Subscribe(t.Context(), "queries:changed")
	defer func() { _ = sub.Close() }()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.Publish(t.Context(), set); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Publish(t.Context(), entries(entry("a", 5000))); err != nil {
		t.Fatal(err)
	}
	first, second := receive(t, sub.Channel()), receive(t, sub.Channel())
	if first.Payload != `{"version":1,"changed":["a:avg:60s"]}` || second.Payload != `{"version":2,"changed":["a:avg:60s"]}` {
		t.Errorf("notices %q, %q", first.Payload, second.Payload)
	}
}

func TestPublishRefusesAWrongKey(t *testing.T) {
	s := open(t, miniredis.RunT(t))
	if err := s.Publish(t.Context(), map[string]wire.QueryEntry{"x": entry("a", 1000)}); err == nil {
		t.Error("published an entry under a key that is not its query's")
	}
}

// Two config services that publish at the same moment must leave the set of
// one of them, never a mixture.
func TestConcurrentPublishersDoNotMix(t *testing.T) {
	m := miniredis.RunT(t)
	a, b := open(t, m), open(t, m)
	setA, setB := entries(entry("a", 1000), entry("c", 1000)), entries(entry("b", 1000), entry("c", 2000))
	errs := make(chan error, 2)
	publish := func(s *Store, set map[string]wire.QueryEntry) {
		var first error
		for range 50 {
			if err := s.Publish(t.Context(), set); err != nil && first == nil {
				first = err
			}
		}
		errs <- first
	}
	go publish(a, setA)
	go publish(b, setB)
	for range 2 {
		if err := receive(t, errs); err != nil {
			t.Error(err)
		}
	}
	got, err := a.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Entries, setA) && !reflect.DeepEqual(got.Entries, setB) {
		t.Errorf("a mixture: %+v", got.Entries)
	}
}

func TestLoadLeavesOutBadEntries(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	good := entry("a", 1000)
	if err := s.Publish(t.Context(), entries(good)); err != nil {
		t.Fatal(err)
	}
	query := `{"query":{"metric_name":"a","aggregation":"avg","window_seconds":`
	bad := map[string]string{
		"not json":      "{",
		"wrong key":     query + `5},"refresh_ms":[1000]}`,
		"a:avg:0s":      query + `0},"refresh_ms":[1000]}`,
		"a:avg:5s":      query + `5},"refresh_ms":[]}`,
		"a:avg:6s":      query + `6},"refresh_ms":[0]}`,
		"a:avg:7s":      query + `"7"},"refresh_ms":[1000]}`,
		"a:median:8s":   `{"query":{"metric_name":"a","aggregation":"median","window_seconds":8},"refresh_ms":[1000]}`,
		"":              `{}`,
		"a:avg:9s by (": `null`,
	}
	for k, v := range bad {
		m.HSet("queries", k, v)
	}
	got, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Entries, entries(good)) {
		t.Errorf("entries %+v, want only the good one", got.Entries)
	}
	if want := slices.Sorted(maps.Keys(bad)); !slices.Equal(got.Skipped, want) {
		t.Errorf("skipped %q, want %q", got.Skipped, want)
	}
}

// watch starts Watch and returns where its sets arrive. It is ended, and
// waited for, by the test's end.
func watch(t *testing.T, s *Store, every time.Duration) <-chan Set {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	sets, ended := make(chan Set, 100), make(chan error, 1)
	go func() { ended <- s.Watch(ctx, every, func(set Set) { sets <- set }) }()
	t.Cleanup(func() {
		cancel()
		if err := receive(t, ended); err != nil {
			t.Errorf("Watch ended with %v", err)
		}
	})
	return sets
}

// awaitEntries reads sets until one has the entries, and fails on one for which bad holds.
func awaitEntries(t *testing.T, sets <-chan Set, want map[string]wire.QueryEntry, bad func(Set) bool) {
	t.Helper()
	for {
		set := receive(t, sets)
		if bad != nil && bad(set) {
			t.Fatalf("applied %+v", set)
		}
		if reflect.DeepEqual(set.Entries, want) {
			return
		}
	}
}

func TestWatchAppliesChangesByMessage(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	one, two := entries(entry("a", 1000)), entries(entry("a", 1000), entry("b", 1000))
	if err := s.Publish(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	sets := watch(t, s, time.Hour) // Only messages can carry the changes.
	awaitEntries(t, sets, one, nil)
	for _, set := range []map[string]wire.QueryEntry{two, one, {}, two} {
		// The subscription may not stand yet, then it tells of the change itself.
		if err := s.Publish(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		awaitEntries(t, sets, set, nil)
	}
}

func TestWatchAppliesMissedChangesByPoll(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	one, two := entries(entry("a", 1000)), entries(entry("b", 1000))
	if err := s.Publish(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	sets := watch(t, s, 10*time.Millisecond)
	awaitEntries(t, sets, one, nil)
	// A change without a message.
	text := `{"query":{"metric_name":"b","aggregation":"avg","window_seconds":60},"refresh_ms":[1000]}`
	m.HSet("queries", "b:avg:60s", text)
	m.HDel("queries", "a:avg:60s")
	awaitEntries(t, sets, two, nil)
}

func TestWatchDoesNotApplyTheSameTwice(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	one, two := entries(entry("a", 1000)), entries(entry("b", 1000))
	if err := s.Publish(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	sets := watch(t, s, time.Millisecond)
	awaitEntries(t, sets, one, nil)
	for range 20 {
		m.Publish("queries:changed", "1")
	}
	if err := s.Publish(t.Context(), two); err != nil {
		t.Fatal(err)
	}
	if set := receive(t, sets); !reflect.DeepEqual(set.Entries, two) {
		t.Errorf("applied %+v a second time", set)
	}
}

func TestWatchKeepsItsSetWhileRedisIsAwayOrEmptied(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	one, two, three := entries(entry("a", 1000)), entries(entry("b", 1000)), entries(entry("c", 1000))
	if err := s.Publish(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	empty := func(set Set) bool { return len(set.Entries) == 0 }
	sets := watch(t, s, 10*time.Millisecond)
	awaitEntries(t, sets, one, empty)

	m.Close()
	if err := s.Publish(t.Context(), two); err == nil {
		t.Fatal("published to a Redis that is away")
	}
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(t.Context(), two); err != nil {
		t.Fatal(err)
	}
	awaitEntries(t, sets, two, empty)

	m.FlushAll()
	if _, err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(t.Context(), three); err != nil {
		t.Fatal(err)
	}
	awaitEntries(t, sets, three, empty)

	// An empty set that was published is one.
	if err := s.Publish(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	awaitEntries(t, sets, map[string]wire.QueryEntry{}, nil)
}

func TestWatchBeginsWhileRedisIsAway(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	one := entries(entry("a", 1000))
	if err := s.Publish(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	m.Close()
	sets := watch(t, s, time.Hour)
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	awaitEntries(t, sets, one, nil)
}

func TestLoadWithoutRedis(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	m.Close()
	if _, err := s.Load(t.Context()); err == nil || !strings.HasPrefix(err.Error(), `cannot read "queries" from Redis: `) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Load(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}
