package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// watch returns a copy that follows Redis until the test ends.
func watch(t *testing.T, s *Store) *Copy {
	t.Helper()
	c := NewCopy(s, quiet())
	c.every = 2 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Watch ended with %v", err)
		}
	})
	return c
}

// await waits until a condition holds.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(2 * time.Minute)
	for !ok() {
		select {
		case <-time.After(2 * time.Millisecond):
		case <-limit:
			t.Fatalf("waited too long for %s", what)
		}
	}
}

// value reads a counter or a gauge.
func value(m prometheus.Metric) float64 {
	var d dto.Metric
	if err := m.Write(&d); err != nil {
		panic(err)
	}
	return d.GetCounter().GetValue() + d.GetGauge().GetValue()
}

func all(t *testing.T, c *Copy) string {
	t.Helper()
	p, err := c.Search("", MaxLimit, "")
	if err != nil {
		t.Fatal(err)
	}
	return list(p.Entries)
}

func TestCatalogFollows(t *testing.T) {
	everyRedis(t, func(t *testing.T, s *Store) {
		t.Helper()
		c := NewCopy(s, quiet())
		if c.Loaded() || all(t, c) != "" {
			t.Error("it knows something before it was read")
		}
		c = watch(t, s)
		await(t, "the empty catalog", c.Loaded)
		put(t, s, 0, "b", "a")
		await(t, "two metrics", func() bool { return all(t, c) == "a b" })
		put(t, s, StaleAfter+time.Minute, "b")
		await(t, "b to be stale", func() bool { return all(t, c) == "a b!" })
		if err := s.Write(t.Context(), nil, []string{"a"}); err != nil {
			t.Fatal(err)
		}
		await(t, "a to be gone", func() bool { return all(t, c) == "b!" })
		if n := value(c.known); n != 1 {
			t.Errorf("the metric says %v metrics", n)
		}
		// Emptied: the last copy stays until it is written again.
		if err := s.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		put(t, s, 0, "c")
		await(t, "the new catalog", func() bool { return all(t, c) == "c" })
	})
}

// While Redis is away, and while it is empty, the last copy stays.
func TestCatalogKeepsItsCopy(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m.Addr())
	put(t, s, 0, "a")
	c := watch(t, s)
	await(t, "the catalog", func() bool { return all(t, c) == "a" })
	m.Close()
	await(t, "a failure", func() bool { return value(c.failures) > 0 })
	m.FlushAll()
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	looked := value(c.readAt)
	await(t, "a look at the empty Redis", func() bool { return value(c.readAt) > looked })
	if got := all(t, c); got != "a" {
		t.Errorf("with an empty Redis it says %q", got)
	}
	put(t, s, 0, "b")
	await(t, "what is written again", func() bool { return all(t, c) == "b" })
}

// A copy that cannot be refreshed says so in its entries.
func TestCopyBecomesStale(t *testing.T) {
	s := open(t, miniredis.RunT(t).Addr())
	put(t, s, 0, "a")
	c := NewCopy(s, quiet())
	if _, err := c.look(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		age  time.Duration
		want string
	}{{0, "a"}, {StaleAfter - time.Minute, "a"}, {StaleAfter + time.Second, "a!"}} {
		v := *c.view.Load()
		v.at = time.Now().Add(-step.age)
		c.view.Store(&v)
		if got := all(t, c); got != step.want {
			t.Errorf("after %v it says %q, want %q", step.age, got, step.want)
		}
		if e, ok := c.Metric("a"); !ok || e.Stale != (step.want == "a!") {
			t.Errorf("after %v the metric is %+v, %v", step.age, e, ok)
		}
	}
}

func searched(t *testing.T, metrics ...string) *Copy {
	t.Helper()
	s := open(t, miniredis.RunT(t).Addr())
	put(t, s, 0, metrics...)
	c := NewCopy(s, quiet())
	if _, err := c.look(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSearch(t *testing.T) {
	c := searched(t, "api.latency", "api.requests", "API.errors", "db.api.calls", "gpu:cpu/x")
	for _, tt := range []struct{ text, want string }{
		{"", "API.errors api.latency api.requests db.api.calls gpu:cpu/x"},
		{"api", "API.errors api.latency api.requests db.api.calls"},
		{"^api", "API.errors api.latency api.requests"},
		{"ERR", "API.errors"},
		{"api l", "api.latency db.api.calls"},
		{"^api l", "api.latency"},
		{"calls api", "db.api.calls"},
		{"  ", "API.errors api.latency api.requests db.api.calls gpu:cpu/x"},
		{"^", "API.errors api.latency api.requests db.api.calls gpu:cpu/x"},
		{"cpu/", "gpu:cpu/x"},
		{"nothing", ""},
	} {
		p, err := c.Search(tt.text, 10, "")
		if got := list(p.Entries); err != nil || got != tt.want || p.Total != len(p.Entries) || p.Next != "" {
			t.Errorf("%q finds %q, total %d, next %q, %v; want %q", tt.text, got, p.Total, p.Next, err, tt.want)
		}
	}
	if _, ok := c.Metric("api"); ok {
		t.Error("there is a metric api")
	}
	if e, ok := c.Metric("api.latency"); !ok || e.Metric != "api.latency" {
		t.Errorf("the metric api.latency is %+v, %v", e, ok)
	}
}

func TestPages(t *testing.T) {
	var metrics []string
	for i := range 25 {
		metrics = append(metrics, fmt.Sprintf("m%02d", i))
	}
	c := searched(t, metrics...)
	for _, limit := range []int{1, 5, 7, 24, 25, 26, MaxLimit} {
		var got []Entry
		pages, cursor := 0, ""
		for {
			p, err := c.Search("m", limit, cursor)
			if err != nil || p.Total != 25 || len(p.Entries) > limit || len(p.Entries) == 0 {
				t.Fatalf("limit %d after %q: %d entries of %d, %v", limit, cursor, len(p.Entries), p.Total, err)
			}
			got = append(got, p.Entries...)
			pages++
			if cursor = p.Next; cursor == "" {
				break
			}
		}
		if list(got) != strings.Join(metrics, " ") || pages != (25+limit-1)/limit {
			t.Errorf("limit %d: %d pages, %s", limit, pages, list(got))
		}
	}
}

// An entry that cannot be read hides no other.
func TestSearchLeavesOutWhatCannotBeRead(t *testing.T) {
	s := open(t, miniredis.RunT(t).Addr())
	put(t, s, 0, "a", "c")
	if err := s.Write(t.Context(), map[string][]byte{"b": []byte(`{"metric":"x"}`)}, nil); err != nil {
		t.Fatal(err)
	}
	c := NewCopy(s, quiet())
	if _, err := c.look(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if p, err := c.Search("", 2, ""); err != nil || list(p.Entries) != "a c" || p.Total != 2 || p.Next != "" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestSearchErrorsNameTheFix(t *testing.T) {
	c := searched(t, "a")
	for _, tt := range []struct {
		limit  int
		cursor string
		want   error
		text   string
	}{
		{0, "", ErrLimit, "limit must be 1 to 1000, not 0"},
		{MaxLimit + 1, "", ErrLimit, "limit must be 1 to 1000, not 1001"},
		{1, "\n", ErrCursor, "cursor is not one of this catalog: begin again without it"},
		{1, strings.Repeat("x", 500), ErrCursor, "cursor is not one of this catalog: begin again without it"},
	} {
		if _, err := c.Search("", tt.limit, tt.cursor); !errors.Is(err, tt.want) || err.Error() != tt.text {
			t.Errorf("limit %d, cursor %.9q: %v; want %q", tt.limit, tt.cursor, err, tt.text)
		}
	}
}

// Searching 100,000 names, and taking over a catalog of so many.
func BenchmarkSearch(b *testing.B) {
	v := &view{texts: make(map[string]string), now: time.Now(), at: time.Now()}
	text, err := goldenEntry().Encode()
	if err != nil {
		b.Fatal(err)
	}
	for i := range MaxMetrics {
		name := fmt.Sprintf("team-%d.service.%d.latency", i%50, i)
		v.texts[name] = strings.Replace(string(text), "api.request.latency", name, 1)
	}
	v.name(nil)
	c := NewCopy(nil, quiet())
	c.view.Store(v)
	for b.Loop() {
		if p, err := c.Search("service 99", 50, ""); err != nil || len(p.Entries) != 50 {
			b.Fatalf("%d entries, %v", len(p.Entries), err)
		}
	}
}
