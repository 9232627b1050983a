package sinks

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/redisconn"
	"pulseboard/results"
	"pulseboard/transforms"
	"pulseboard/wire"
)

// value reads a counter or a gauge.
func value(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var d dto.Metric
	if err := m.Write(&d); err != nil {
		t.Fatal(err)
	}
	return d.GetCounter().GetValue() + d.GetGauge().GetValue()
}

// computed is the histories that a run computes, of which the tests backfill none.
type computed map[string][]int64

func (c computed) Histories() map[string][]int64 { return c }

func (computed) Backfill(context.Context, string, transforms.BackfillSink) error {
	return transforms.ErrNotReady
}

// stage is a publisher whose results come from the test, and a Redis of which
// the test says how it is.
type stage struct {
	t     *testing.T
	p     *Publisher
	redis *miniredis.Miniredis
	store *results.Store
	log   *bytes.Buffer

	mu     sync.Mutex
	fault  string
	failed int // Commands.
	sent   map[string]int
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, redis: miniredis.RunT(t), log: new(bytes.Buffer), sent: make(map[string]int)}
	store, err := results.Open(t.Context(), redisconn.At(s.redis.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	s.store = store
	s.p = newPublisher(t.Context(), store, computed{}, slog.New(slog.NewTextHandler(s.log, nil)))
	s.redis.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sent[cmd]++
		denied := cmd == "XADD" || cmd == "SET" || cmd == "SETNX" || cmd == "EXEC"
		if s.fault == "" || strings.HasPrefix(s.fault, "OOM") && !denied {
			return false
		}
		s.failed++
		c.WriteError(s.fault)
		return true
	})
	s.p.look(t.Context())
	return s
}

func (s *stage) is(fault string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

func (s *stage) count(cmd string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent[cmd]
}

func result(key string, end int64) *wire.Result {
	return &wire.Result{Key: key, WindowStart: end - 1000, WindowEnd: end, PrevEnd: end - 1000, Due: []int64{1000}, Complete: true, Series: []wire.SeriesValue{}}
}

func (s *stage) live(end int64, keys ...string) {
	var pubs []results.Publication
	for _, key := range keys {
		pubs = append(pubs, results.Publication{Result: result(key, end), Announce: true})
	}
	s.p.publish(s.t.Context(), []transforms.Evaluation{{Publications: pubs}})
}

func (s *stage) ends(key string) string {
	s.t.Helper()
	rs, err := s.store.History(s.t.Context(), key, 1000, 0, 600)
	if err != nil {
		s.t.Fatal(err)
	}
	var ends []int64
	for _, r := range rs {
		ends = append(ends, r.WindowEnd/1000)
	}
	return fmt.Sprint(ends)
}

const full = "OOM command not allowed when used memory > 'maxmemory'."

// A full Redis costs the keys that it refuses their turn, and nobody else; the
// log says so once, not for each result.
func TestFullRedisIsTold(t *testing.T) {
	s := newStage(t)
	s.live(1000, "a:sum:1s", "b:sum:1s")
	s.is(full)
	for end := int64(2000); end <= 20_000; end += 1000 {
		s.live(end, "a:sum:1s", "b:sum:1s")
		s.p.look(t.Context())
	}
	if n := strings.Count(s.log.String(), "level=ERROR"); n != 1 || !strings.Contains(s.log.String(), "no memory left") {
		t.Errorf("the log says:\n%s", s.log)
	}
	if !s.p.full || s.p.away || len(s.p.behind) != 2 {
		t.Errorf("full %v, away %v, behind %v", s.p.full, s.p.away, s.p.behind)
	}
	// Nothing is sent that will be refused: one attempt, then the keys wait.
	if n := s.count("XADD"); n > 4 {
		t.Errorf("%d entries were sent to a full Redis", n)
	}
	s.is("")
	s.live(21_000, "c:sum:1s")
	if got := s.ends("c:sum:1s"); got != "[21]" {
		t.Errorf("a key that is not behind has %s", got)
	}
	s.live(21_000, "a:sum:1s") // It would leave a gap.
	if got := s.ends("a:sum:1s"); got != "[1]" {
		t.Errorf("a key that is behind has %s", got)
	}
}

// While another pipeline has the lease nothing is written, and it is said once; then what is missing follows.
func TestOneThatStandsByWritesNothing(t *testing.T) {
	s := newStage(t)
	other, err := results.Open(t.Context(), redisconn.At(s.redis.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	other.WriteAs(results.Lease{Holder: "other", Host: "elsewhere"})
	if err := other.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.store.WriteAs(results.Lease{Holder: "this"})
	for end := int64(1000); end <= 5000; end += 1000 {
		s.live(end, "a:sum:1s")
		s.p.look(t.Context())
	}
	if got := s.ends("a:sum:1s"); got != "[]" || s.p.behind["a:sum:1s"] == nil || s.p.behind["a:sum:1s"].missed != 5000 {
		t.Errorf("the history has %s, behind is %+v", got, s.p.behind)
	}
	if n := strings.Count(s.log.String(), "stands by"); n != 1 || !strings.Contains(s.log.String(), "elsewhere") {
		t.Errorf("the log says:\n%s", s.log)
	}
	if v := value(t, standingBy); v != 1 || value(t, redisAway) != 0 {
		t.Errorf("standby %v, away %v", v, value(t, redisAway))
	}
	if err := other.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.p.look(t.Context())
	s.live(6000, "b:sum:1s")
	if got := s.ends("b:sum:1s"); got != "[6]" || s.p.away || value(t, standingBy) != 0 {
		t.Errorf("a key that is not behind has %s; away %v, standby %v", got, s.p.away, value(t, standingBy))
	}
}

// One that comes and goes is not written to more often for that.
func TestPauses(t *testing.T) {
	var p pauses
	var waited time.Duration
	for range 20 {
		p.badly()
		waited += p.pause
	}
	if p.pause != mostPause || waited < 5*time.Minute {
		t.Errorf("after 20 failures: pause %v, %v in all", p.pause, waited)
	}
	p.well()
	if p.pause != mostPause/2 {
		t.Errorf("after one success: pause %v", p.pause)
	}
}

// The backfiller writes what is missing from where Redis stopped, and announces the newest.
func TestBackfillOfAKeyThatIsBehind(t *testing.T) {
	s := newStage(t)
	key := "a:sum:1s"
	s.live(1000, key)
	s.live(2000, key)
	s.is(full)
	s.live(3000, key)
	s.live(4000, key)
	s.is("")
	r := backfilling{s.p}
	tips, err := r.Tips(t.Context(), key, []int64{1000, 5000})
	if err != nil || tips[1000] != 2000 || tips[5000] != 0 {
		t.Fatalf("tips %v, %v", tips, err)
	}
	heard := make(chan string, 10)
	sub := s.store.Subscribe(t.Context(), func(_, text string) { heard <- text }, func() {})
	t.Cleanup(sub.Close)
	if err := sub.Add(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if err := r.Write(t.Context(), []results.Publication{{Result: result(key, 3000)}, {Result: result(key, 4000)}}); err != nil {
		t.Fatal(err)
	}
	if m := <-heard; !strings.Contains(m, `"window_end":4000`) {
		t.Errorf("announced %q", m)
	}
	r.Done(key)
	if s.p.full || len(s.p.behind) != 0 {
		t.Errorf("full %v, behind %v", s.p.full, s.p.behind)
	}
	s.live(5000, key)
	if m := <-heard; !strings.Contains(m, `"window_end":5000`) {
		t.Errorf("announced %q", m)
	}
	if got := s.ends(key); got != "[1 2 3 4 5]" {
		t.Errorf("the history is %s", got)
	}
}

// Emptied, a key is written anew, also when something newer came first.
func TestEmptiedRedisIsWrittenAnew(t *testing.T) {
	s := newStage(t)
	key := "a:sum:1s"
	s.live(9000, key)
	s.p.fallBehind(key).anew = true
	r := backfilling{s.p}
	for range 2 {
		tips, err := r.Tips(t.Context(), key, []int64{1000})
		if err != nil || tips[1000] != 0 {
			t.Fatalf("tips %v, %v", tips, err)
		}
	}
	if err := r.Write(t.Context(), []results.Publication{{Result: result(key, 1000)}, {Result: result(key, 2000)}}); err != nil {
		t.Fatal(err)
	}
	// The second half goes on where the first stopped.
	if tips, err := r.Tips(t.Context(), key, []int64{1000}); err != nil || tips[1000] != 2000 {
		t.Fatalf("tips %v, %v", tips, err)
	}
}

// What is missing is written again, and no more: a Redis that deletes keys may have
// deleted the mark alone.
func TestOnlyWhatIsMissingIsWrittenAgain(t *testing.T) {
	s := newStage(t)
	looked := time.UnixMilli(1_000_000)
	s.live(1000, "old:sum:1s")
	s.live(999_000, "old:sum:1s")
	s.live(999_000, "since:sum:1s") // It was deleted with what it held before.
	for evicts, want := range map[bool][]string{true: {"gone:sum:1s", "since:sum:1s"}, false: {"gone:sum:1s", "old:sum:1s", "since:sum:1s"}} {
		s.p.evicts = evicts
		got, err := s.p.lost(t.Context(), map[string][]int64{"old:sum:1s": {1000}, "since:sum:1s": {1000}, "gone:sum:1s": {1000}}, looked)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("evicts %v: %v, %v; want %v", evicts, got, err, want)
		}
	}
}

// A real Redis that is full tells so, and one that deletes keys is told of.
func TestARealRedisThatIsFull(t *testing.T) {
	testenv.NeedReal(t)
	server := testenv.StartRedis(t)
	store, err := results.Open(t.Context(), redisconn.At(server.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	log := new(bytes.Buffer)
	p := newPublisher(t.Context(), store, computed{}, slog.New(slog.NewTextHandler(log, nil)))
	configure := func(name, value string) {
		t.Helper()
		if err := server.Configure(name, value); err != nil {
			t.Fatal(err)
		}
	}
	s := &stage{t: t, p: p, store: store, log: log}
	p.lookAtMemory(t.Context())
	if p.evicts {
		t.Error("noeviction evicts")
	}
	s.live(1000, "a:sum:1s")
	configure("maxmemory", "1")
	p.publish(t.Context(), []transforms.Evaluation{{Publications: []results.Publication{{Result: result("a:sum:1s", 2000)}, {Result: result("a:sum:1s", 3000)}}}})
	s.live(2000, "b:sum:1s")
	if p.away || !p.full || len(p.behind) != 2 {
		t.Errorf("away %v, full %v, behind %v: %s", p.away, p.full, p.behind, log)
	}
	if got := s.ends("a:sum:1s"); got != "[1]" {
		t.Errorf("the history of a full Redis is %s", got)
	}
	p.look(t.Context())
	if p.away {
		t.Error("a full Redis is taken for one that is away")
	}
	if p.ready(t.Context()) {
		t.Error("a full Redis is taken for one that has room")
	}
	configure("maxmemory", "100mb")
	if !p.ready(t.Context()) {
		t.Error("one that has room again is taken for full")
	}
	configure("maxmemory-policy", "allkeys-lru")
	p.lookAtMemory(t.Context())
	if !p.evicts || !strings.Contains(log.String(), "allkeys-lru") {
		t.Errorf("evicts %v: %s", p.evicts, log)
	}
}
