package catalog

import (
	"fmt"
	"log/slog"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/redisconn"
)

// everyRedis runs a test on Redis in process and, where there is one, on a real one.
func everyRedis(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) { test(t, open(t, miniredis.RunT(t).Addr())) })
	t.Run("redis-server", func(t *testing.T) {
		if _, err := exec.LookPath("redis-server"); err != nil {
			t.Skip("redis-server is not on PATH")
		}
		test(t, open(t, testenv.StartRedis(t).Addr()))
	})
}

func open(t *testing.T, addr string) *Store {
	t.Helper()
	s, err := Open(t.Context(), redisconn.At(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// put writes entries that were updated so long ago, by the clock of Redis.
func put(t *testing.T, s *Store, ago time.Duration, metrics ...string) {
	t.Helper()
	set := make(map[string][]byte)
	for _, m := range metrics {
		text, err := Entry{Metric: m, Series: 1, Updated: state(t, s).Now.Add(-ago).UnixMilli()}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		set[m] = text
	}
	if err := s.Write(t.Context(), set, nil); err != nil {
		t.Fatal(err)
	}
}

func state(t *testing.T, s *Store) State {
	t.Helper()
	st, err := s.State(t.Context())
	if err != nil || st.Mark == "" {
		t.Fatalf("state %+v, %v", st, err)
	}
	return st
}

// load returns what a copy has once it was read.
func load(t *testing.T, s *Store) (all []Entry) {
	t.Helper()
	c := NewCopy(s, quiet())
	if _, err := c.look(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for cursor := ""; ; {
		p, err := c.Search("", MaxLimit, cursor)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p.Entries...)
		if cursor = p.Next; cursor == "" {
			return all
		}
	}
}

// names loads the catalog and writes it down, with ! at what is stale.
func names(t *testing.T, s *Store) string {
	t.Helper()
	return list(load(t, s))
}

func list(entries []Entry) string {
	var out []string
	for _, e := range entries {
		if e.Stale {
			e.Metric += "!"
		}
		out = append(out, e.Metric)
	}
	return strings.Join(out, " ")
}

func TestWriteAndLoad(t *testing.T) {
	everyRedis(t, func(t *testing.T, s *Store) {
		t.Helper()
		if got := names(t, s); got != "" {
			t.Errorf("at first there are %q", got)
		}
		put(t, s, 0, "b", "a", "d")
		put(t, s, StaleAfter+time.Second, "c")
		put(t, s, StaleAfter-time.Minute, "d")
		if err := s.Write(t.Context(), map[string][]byte{"bad": []byte(`{"metric":`)}, []string{"b", "absent"}); err != nil {
			t.Fatal(err)
		}
		if got := names(t, s); got != "a c! d" {
			t.Errorf("the catalog is %q, want a, c that is stale, and d", got)
		}
		if n := state(t, s).Metrics; n != 4 {
			t.Errorf("%d entries, want 4", n)
		}
		if v, _, err := s.version(t.Context()); err != nil || v != 4 {
			t.Errorf("version %d, %v after four writes", v, err)
		}
	})
}

// More entries than Redis gives at once.
func TestLoadOfMany(t *testing.T) {
	everyRedis(t, func(t *testing.T, s *Store) {
		t.Helper()
		want := map[string]bool{}
		for i := range 3 * scanCount {
			want[fmt.Sprintf("m%04d", i)] = true
		}
		sorted := slices.Sorted(maps.Keys(want))
		put(t, s, 0, sorted...)
		if got := names(t, s); got != strings.Join(sorted, " ") {
			t.Errorf("%d bytes of names, want %d", len(got), len(strings.Join(sorted, " ")))
		}
	})
}

// Each writer sees that Redis was emptied, also when another was there first.
func TestMarkIsGoneWithTheRest(t *testing.T) {
	everyRedis(t, func(t *testing.T, s *Store) {
		t.Helper()
		before := state(t, s).Mark
		if again := state(t, s).Mark; again != before {
			t.Errorf("the mark was %s and is %s", before, again)
		}
		if err := s.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		after := state(t, s).Mark
		if after == before || state(t, s).Mark != after {
			t.Errorf("the mark was %s, is %s, and should be another one", before, after)
		}
	})
}

func TestSweep(t *testing.T) {
	everyRedis(t, func(t *testing.T, s *Store) {
		t.Helper()
		put(t, s, time.Hour, "old", "older")
		put(t, s, time.Minute, "new")
		if err := s.Write(t.Context(), map[string][]byte{"bad": []byte("?")}, nil); err != nil {
			t.Fatal(err)
		}
		before := state(t, s).Now.Add(-30 * time.Minute)
		if n, err := s.Sweep(t.Context(), before); n != 3 || err != nil {
			t.Errorf("swept %d, %v; want 3", n, err)
		}
		if got := names(t, s); got != "new" {
			t.Errorf("left are %q", got)
		}
		put(t, s, time.Hour, "old")
		if n, err := s.Sweep(t.Context(), before); n != 0 || err != nil {
			t.Errorf("within a minute it swept %d, %v again", n, err)
		}
	})
}

func TestWithoutRedis(t *testing.T) {
	m := miniredis.RunT(t)
	addr := m.Addr()
	s := open(t, addr)
	m.Close()
	_, stateErr := s.State(t.Context())
	_, lookErr := NewCopy(s, quiet()).look(t.Context(), 0)
	writeErr := s.Write(t.Context(), nil, []string{"m"})
	_, sweepErr := s.Sweep(t.Context(), time.Now())
	for call, err := range map[string]error{"State": stateErr, "look": lookErr, "Write": writeErr, "Sweep": sweepErr} {
		if err == nil || !strings.Contains(err.Error(), `"catalog`) || !strings.HasPrefix(err.Error(), "cannot ") {
			t.Errorf("%s: %v; the error must say what could not be done, and to what", call, err)
		}
	}
	if _, err := Open(t.Context(), redisconn.At(addr)); err == nil || !strings.Contains(err.Error(), "--redis") {
		t.Errorf("Open: %v", err)
	}
}
