package results_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/results"
)

// pipelineOf is a store that writes with a lease.
func pipelineOf(t *testing.T, redis *miniredis.Miniredis, holder, log string) *results.Store {
	t.Helper()
	s := open(t, redis.Addr())
	s.WriteAs(results.Lease{Holder: holder, Host: "host of " + holder, Log: log})
	return s
}

// One pipeline writes; another waits until that one has ended, or says no more.
func TestOnePipelineWrites(t *testing.T) {
	redis := miniredis.RunT(t)
	now := time.UnixMilli(1_763_892_000_000)
	redis.SetTime(now)
	pass := func(d time.Duration) {
		now = now.Add(d)
		redis.SetTime(now)
	}
	a, again, b := pipelineOf(t, redis, "a", "log"), pipelineOf(t, redis, "a", "log"), pipelineOf(t, redis, "b", "log")
	end := int64(0)
	writes := func(s *results.Store, want bool) {
		t.Helper()
		end += 1000
		out, err := s.Publish(t.Context(), []results.Publication{publication(key, end, true, 1000)})
		if want && (err != nil || out.Accepted != 1) || !want && (err == nil || out.Accepted != 0) {
			t.Errorf("%+v, %v", out, err)
		}
	}
	holds := func(s *results.Store, want bool) {
		t.Helper()
		err := s.Hold(t.Context())
		if _, held := errors.AsType[*results.HeldError](err); held == want || want && err != nil {
			t.Errorf("error %v", err)
		}
	}
	writes(a, false) // It has no lease yet.
	holds(a, true)
	writes(a, true)
	holds(b, false)
	writes(b, false)
	holds(again, true) // A process that takes the place of the first.
	for range 5 {
		pass(3 * time.Second)
		holds(a, true) // Renewed.
		holds(b, false)
	}
	pass(4 * time.Second)
	holds(b, false)
	pass(2 * time.Second)
	writes(a, true) // Nobody has taken it.
	holds(b, true)
	writes(b, true)
	holds(a, false)
	writes(a, false) // It was away too long.
	if err := a.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	writes(b, true) // It was not a's to give back.
	if err := b.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	holds(a, true)
	writes(a, true)
	// The clock of Redis was hours ahead when the lease was given.
	pass(-2 * time.Hour)
	holds(b, true)
	pass(2 * time.Hour)
	holds(a, true)
	// Emptied: whoever is first has it.
	redis.FlushAll()
	writes(a, false)
	holds(b, true)
	holds(a, false)
}

// Results of another log are never written over these.
func TestResultsAreOfOneLog(t *testing.T) {
	redis := miniredis.RunT(t)
	a, b := pipelineOf(t, redis, "a", "cluster/metric-events"), pipelineOf(t, redis, "b", "other/metric-events")
	if err := a.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err := b.Hold(t.Context())
		_, ok := errors.AsType[*results.LogError](err)
		for _, want := range []string{"cluster/metric-events", "other/metric-events", "--redis-prefix", "redis-cli DEL 'pipeline'"} {
			if !ok || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one with %q", err, want)
			}
		}
		if _, err := b.Publish(t.Context(), []results.Publication{publication(key, 1000, true, 1000)}); !results.IsHeld(err) {
			t.Errorf("error %v", err)
		}
		// Also when the first has ended.
		if err := a.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
