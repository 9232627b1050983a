package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pulseboard/metric"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/wire"
)

// world is a Redis with queries, and how old the newest result of each is.
type world struct {
	now  time.Time
	set  map[string]wire.QueryEntry
	ages map[string]time.Duration // None = no result.
	away error
	read map[string]bool
}

func (w *world) Load(context.Context) (registry.Set, error) {
	return registry.Set{Entries: w.set}, w.away
}

func (w *world) Newest(_ context.Context, streams []results.Stream) ([]results.Tip, error) {
	tips := make([]results.Tip, len(streams))
	for i, s := range streams {
		w.read[s.Key] = true
		if age, ok := w.ages[s.Key]; ok {
			tips[i].WindowEnd = w.now.Add(-age).UnixMilli()
		}
	}
	return tips, nil
}

func (w *world) add(key string, refresh time.Duration, delay int, age time.Duration) {
	w.set[key] = wire.QueryEntry{Query: metric.Query{DelaySeconds: delay}, RefreshMs: []int64{refresh.Milliseconds()}}
	w.ages[key] = age
}

func TestResultsStandStill(t *testing.T) {
	cases := []struct {
		name string
		set  func(*world)
		says string // Of what it tells, or of its fault.
		bad  bool
	}{
		{"no query", func(*world) {}, "no query", false},
		{"as it should be", func(w *world) { w.add("a", time.Second, 0, 900*time.Millisecond) }, "0.9 s ago", false},
		{"frozen", func(w *world) { w.add("a", time.Second, 0, 42*time.Second) }, "42 s ago", true},
		{"a new query beside", func(w *world) {
			w.add("a", time.Second, 0, time.Second)
			w.add("b", time.Second, 0, 0)
			delete(w.ages, "b")
		}, "1.0 s ago", false},
		{"nothing yet", func(w *world) {
			w.add("a", time.Second, 0, 0)
			delete(w.ages, "a")
		}, "no result yet", true},
		{"one that is seldom hides nothing", func(w *world) {
			w.add("a", time.Second, 0, 42*time.Second)
			w.add("b", time.Hour, 0, time.Minute)
		}, "1 of 1", true},
		{"only seldom ones", func(w *world) { w.add("b", time.Hour, 0, time.Minute) }, "60.0 s ago", false},
		{"a delay is meant", func(w *world) { w.add("a", time.Second, 30, 32*time.Second) }, "32.0 s ago", false},
		{"one that was cut", func(w *world) {
			w.add("a", time.Second, 0, time.Second)
			w.add("b", time.Second, 0, time.Second)
			w.add("c", time.Second, 0, time.Hour)
		}, "1.0 s ago", false},
		{"a clock was set back", func(w *world) { w.add("a", time.Second, 0, -time.Hour) }, "set back", true},
		{"Redis is away", func(w *world) { w.away = errors.New("connection refused") }, "connection refused", true},
	}
	for _, c := range cases {
		w := &world{now: time.UnixMilli(1763892060000), set: map[string]wire.QueryEntry{}, ages: map[string]time.Duration{}, read: map[string]bool{}}
		c.set(w)
		n := &newest{queries: w, histories: w, slice: time.Second, now: func() time.Time { return w.now }}
		said, err := n.measure(t.Context())
		if err != nil {
			said = err.Error()
		}
		if (err != nil) != c.bad || !strings.Contains(said, c.says) {
			t.Errorf("%s: %v, %q", c.name, err, said)
		}
	}
}

// Thousands of histories are not read each time, and each is read sometimes.
func TestResultsAreLookedAtInTurn(t *testing.T) {
	w := &world{now: time.UnixMilli(1763892060000), set: map[string]wire.QueryEntry{}, ages: map[string]time.Duration{}, read: map[string]bool{}}
	for i := range 5*resultsLooked + 7 {
		w.add(fmt.Sprint("m", i), time.Second, 0, time.Second)
	}
	n := &newest{queries: w, histories: w, slice: time.Second, now: func() time.Time { return w.now }}
	for look := 1; look <= 6; look++ {
		if _, err := n.measure(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := min(look*resultsLooked, len(w.set)); len(w.read) != want {
			t.Errorf("after look %d %d histories were read, want %d", look, len(w.read), want)
		}
	}
}
