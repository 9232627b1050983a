package results_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/internal/redisconn"
	"pulseboard/results"
	"pulseboard/wire"
)

const key = `m:sum:5s {host="a b"} by (x)`

func open(t *testing.T, addr string) *results.Store {
	t.Helper()
	s, err := results.Open(t.Context(), redisconn.At(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func publication(key string, end int64, announce bool, due ...int64) results.Publication {
	return results.Publication{Announce: announce, Result: &wire.Result{Key: key, WindowStart: end - 5000, WindowEnd: end, Due: due, Complete: true}}
}

func ends(t *testing.T, s *results.Store, key string, refresh, after int64, limit int) []int64 {
	t.Helper()
	h, err := s.History(t.Context(), key, refresh, after, limit)
	if err != nil {
		t.Fatal(err)
	}
	out := []int64{}
	for _, r := range h {
		out = append(out, r.WindowEnd)
	}
	return out
}

func TestPublishRefusesWhatIsRepeatedOrGoesBack(t *testing.T) {
	redis := miniredis.RunT(t)
	s := open(t, redis.Addr())
	for i, step := range []struct {
		pubs []results.Publication
		want results.Outcome
	}{
		{[]results.Publication{publication(key, 1000, false, 1000), publication(key, 2000, true, 1000, 2000)}, results.Outcome{Accepted: 3, Published: 1}},
		{[]results.Publication{publication(key, 1000, false, 1000), publication(key, 2000, true, 1000, 2000)}, results.Outcome{Refused: 3}},
		{[]results.Publication{publication(key, 500, true, 1000)}, results.Outcome{Refused: 1}},
		{[]results.Publication{publication(key, 3000, true, 1000)}, results.Outcome{Accepted: 1, Published: 1}},
		{[]results.Publication{publication("other:sum:5s", 1000, true, 1000)}, results.Outcome{Accepted: 1, Published: 1}},
		{[]results.Publication{publication(key, time.Now().UnixMilli()+60_000, true, 1000)}, results.Outcome{TooFarAhead: 1}},
		{nil, results.Outcome{}},
	} {
		got, err := s.Publish(t.Context(), step.pubs)
		if err != nil || got != step.want {
			t.Fatalf("step %d: %+v, %v; want %+v", i, got, err, step.want)
		}
	}
	if got := ends(t, s, key, 1000, 0, 600); !slices.Equal(got, []int64{1000, 2000, 3000}) {
		t.Errorf("history at 1 s: %v", got)
	}
	if got := ends(t, s, key, 2000, 0, 600); !slices.Equal(got, []int64{2000}) {
		t.Errorf("history at 2 s: %v", got)
	}
	if got := ends(t, s, key, 1000, 1000, 600); !slices.Equal(got, []int64{2000, 3000}) {
		t.Errorf("history after 1000: %v", got)
	}
	if got := ends(t, s, key, 1000, 0, 2); !slices.Equal(got, []int64{2000, 3000}) {
		t.Errorf("the newest two: %v", got)
	}
	if ttl := redis.TTL("history:" + key + "@2000"); ttl < 59*time.Minute {
		t.Errorf("the history expires in %v", ttl)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	redis := miniredis.RunT(t)
	s := open(t, redis.Addr())
	var pubs []results.Publication
	for end := int64(1); end <= 1500; end++ {
		pubs = append(pubs, publication(key, end*1000, false, 1000))
	}
	if out, err := s.Publish(t.Context(), pubs); err != nil || out.Accepted != 1500 || out.Published != 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	got := ends(t, s, key, 1000, 0, 10_000)
	if n := len(got); n < wire.HistoryLength || n > 2*wire.HistoryLength || got[n-1] != 1_500_000 {
		t.Errorf("%d entries, the last at %v", n, got[n-1])
	}
}

// Each of several processes sees that Redis was emptied, also when another left the new mark.
func TestMarkIsGoneWithTheRest(t *testing.T) {
	redis := miniredis.RunT(t)
	s, other := open(t, redis.Addr()), open(t, redis.Addr())
	mark := func(s *results.Store) string {
		t.Helper()
		m, err := s.Mark(t.Context())
		if err != nil || m == "" {
			t.Fatalf("mark %q, %v", m, err)
		}
		return m
	}
	before := mark(s)
	if m := mark(other); m != before || mark(s) != before {
		t.Errorf("the mark was %s and is %s", before, m)
	}
	redis.FlushAll()
	after := mark(other)
	if after == before || mark(s) != after {
		t.Error("the mark has not changed for both")
	}
	redis.Close()
	if _, err := s.Mark(t.Context()); err == nil {
		t.Error("no error without Redis")
	}
	if _, err := s.Publish(t.Context(), []results.Publication{publication(key, 1000, true, 1000)}); err == nil {
		t.Error("published without Redis")
	}
}

// inbox collects messages and tells when something came.
type inbox struct {
	mu      sync.Mutex
	ends    map[string][]int64
	resyncs int
	changed chan struct{}
}

func (b *inbox) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(2 * time.Minute)
	for {
		b.mu.Lock()
		done := ok()
		b.mu.Unlock()
		if done {
			return
		}
		select {
		case <-b.changed:
		case <-limit:
			t.Fatalf("waited too long for %s: %v, %d resyncs", what, b.ends, b.resyncs)
		}
	}
}

func (b *inbox) note(f func()) {
	b.mu.Lock()
	f()
	b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

func TestSubscriber(t *testing.T) {
	redis := miniredis.RunT(t)
	s := open(t, redis.Addr())
	box := &inbox{ends: map[string][]int64{}, changed: make(chan struct{}, 1)}
	sub := s.Subscribe(t.Context(), func(key, payload string) {
		r, err := wire.DecodeResult(payload)
		if err != nil {
			t.Error(err)
			return
		}
		box.note(func() { box.ends[key] = append(box.ends[key], r.WindowEnd) })
	}, func() { box.note(func() { box.resyncs++ }) })
	defer sub.Close()

	publish := func(key string, end int64) {
		t.Helper()
		if _, err := s.Publish(t.Context(), []results.Publication{publication(key, end, true, 1000)}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, k := range []string{"a:sum:5s", "a:sum:5s", "b:sum:5s"} {
		if err := sub.Add(ctx, k); err != nil {
			t.Fatal(err)
		}
	}
	publish("a:sum:5s", 1000)
	publish("b:sum:5s", 1000)
	publish("c:sum:5s", 1000) // Nobody wants it.
	box.until(t, "the first messages", func() bool { return len(box.ends["a:sum:5s"]) == 1 && len(box.ends["b:sum:5s"]) == 1 })
	for range 2 {
		if got := fmt.Sprint(redis.PubSubChannels("*")); got != "[a:sum:5s b:sum:5s]" {
			t.Errorf("channels subscribed to: %s", got)
		}
		sub.Remove(ctx, "a:sum:5s")                      // The first of two users goes, then the second.
		if err := sub.Add(ctx, "b:sum:5s"); err != nil { // A round trip behind it.
			t.Fatal(err)
		}
		if len(redis.PubSubChannels("*")) == 1 {
			break
		}
	}

	redis.Close()
	if err := redis.Restart(); err != nil {
		t.Fatal(err)
	}
	box.until(t, "the resync after a reconnection", func() bool { return box.resyncs > 0 })
	publish("b:sum:5s", 2000)
	box.until(t, "a message after it", func() bool { return slices.Contains(box.ends["b:sum:5s"], 2000) })
	if slices.Contains(box.ends["c:sum:5s"], 1000) || len(box.ends["a:sum:5s"]) != 1 {
		t.Errorf("messages nobody subscribed to: %v", box.ends)
	}
}
