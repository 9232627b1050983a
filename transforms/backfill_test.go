package transforms

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pulseboard/metric"
	"pulseboard/results"
)

// sinkFunc takes what does not wait for a timer, with Redis always there.
type sinkFunc func(Evaluation)

func (f sinkFunc) Publish(e Evaluation) { f(e) }
func (sinkFunc) Behind(string) bool     { return false }

// redis is a backfill's other side.
type redis struct {
	tips   map[int64]int64
	pubs   []results.Publication
	left   int // Writes until one fails.
	done   int
	during func()
}

func (r *redis) Tips(context.Context, string, []int64) (map[int64]int64, error) {
	return maps.Clone(r.tips), nil
}

func (r *redis) Write(_ context.Context, pubs []results.Publication) error {
	if r.left--; r.left < 0 {
		return errors.New("Redis is away")
	}
	r.pubs = append(r.pubs, pubs...)
	for _, p := range pubs {
		for _, ms := range p.Result.Due {
			r.tips[ms] = p.Result.WindowEnd
		}
	}
	if r.during != nil {
		r.during()
	}
	return nil
}

func (r *redis) Done(string) { r.done++ }

func (h *host) backfill(r *redis, d Demand) error {
	h.t.Helper()
	h.pubs, r.pubs = nil, nil
	err := h.k.backfill(h.t.Context(), d.Query.Normal().Key(), r)
	h.pubs = r.pubs
	return err
}

// A backfill writes what Redis lacks, from the newest end that it has on.
func TestBackfillGoesOnWhereRedisStopped(t *testing.T) {
	d := demand(metric.Sum, 2, 1000)
	h := newHost(t, d)
	for i := range int64(5) {
		h.slice(fmt.Sprintf("%d=1", i))
	}
	h.want("5(4)! 2")
	r := &redis{tips: map[int64]int64{1000: 2000}, left: 10}
	if err := h.backfill(r, d); err != nil || r.done != 1 {
		t.Fatalf("%v, done %d", err, r.done)
	}
	h.want("3(2) 2; 4(3) 2; 5(4) 2")
	if err := h.backfill(r, d); err != nil || r.done != 2 {
		t.Fatalf("%v, done %d", err, r.done)
	}
	h.want("")
	// The timers go on as ever.
	h.slice("5=1")
	h.want("6(5)! 2")
	// Emptied, Redis gets all that there is.
	r = &redis{tips: map[int64]int64{}, left: 10}
	if err := h.backfill(r, d); err != nil {
		t.Fatal(err)
	}
	h.want("1(0) 1; 2(1) 2; 3(2) 2; 4(3) 2; 5(4) 2; 6(5) 2")
}

// What comes while a backfill writes is written too, before the key is live again.
func TestBackfillCatchesUp(t *testing.T) {
	d := demand(metric.Sum, 2, 1000, 2000)
	h := newHost(t, d)
	for i := range int64(3) {
		h.slice(fmt.Sprintf("%d=1", i))
	}
	r := &redis{tips: map[int64]int64{1000: 2000, 2000: 0}, left: 10}
	r.during = func() {
		r.during = nil
		h.slice("3=1")
	}
	if err := h.backfill(r, d); err != nil || r.done != 1 {
		t.Fatalf("%v, done %d", err, r.done)
	}
	// Of 2 s the history lacks 2 too; each end says which came before it.
	h.want("2(1) 2; 3(2) 2; 4(3) 2")
	if r.tips[1000] != 4000 || r.tips[2000] != 4000 {
		t.Errorf("tips %v", r.tips)
	}
}

// Of a query that no series matches a backfill writes what follows the history that Redis has; where there is none, none begins.
func TestBackfillWithNothingThatMatches(t *testing.T) {
	d := demand(metric.Count, 2, 1000, 2000)
	d.Query.Filter = metric.Filter{{Tag: "host", Op: metric.Equal, Values: []string{"b"}}}
	h := newHost(t, d)
	for i := range int64(5) {
		h.slice(fmt.Sprintf("%d=1 a", i))
	}
	r := &redis{tips: map[int64]int64{1000: 3000}, left: 10}
	if err := h.backfill(r, d); err != nil || r.done != 1 {
		t.Fatalf("%v, done %d", err, r.done)
	}
	h.want("4(3); 5(4)")
	for _, p := range h.pubs {
		if !slices.Equal(p.Result.Due, []int64{1000}) {
			t.Errorf("the end %d is due for %v", p.Result.WindowEnd, p.Result.Due)
		}
	}
}

// One that fails half-way goes on where it stopped.
func TestBackfillFailsHalfWay(t *testing.T) {
	d := demand(metric.Sum, 2, 1000)
	h := newHost(t, d)
	const n = 200
	for i := range int64(n) {
		h.slice(fmt.Sprintf("%d=1", i))
	}
	r := &redis{tips: map[int64]int64{1000: 1000}, left: 1}
	if err := h.backfill(r, d); err == nil || r.done != 0 {
		t.Fatalf("%v, done %d", err, r.done)
	}
	first := len(r.pubs)
	if first == 0 || first >= n-1 {
		t.Fatalf("%d windows were written", first)
	}
	r.left = 10
	if err := h.backfill(r, d); err != nil || r.done != 1 {
		t.Fatalf("%v, done %d", err, r.done)
	}
	if first+len(r.pubs) != n-1 || r.pubs[0].Result.WindowEnd != int64(first+2)*1000 || r.pubs[0].Result.PrevEnd != int64(first+1)*1000 {
		t.Errorf("%d windows, then %d, the first %+v; want %d in all", first, len(r.pubs), r.pubs[0].Result, n-1)
	}
}

// A query that is being prepared, or that nobody asks for, is not backfilled.
func TestBackfillOfOthers(t *testing.T) {
	d := demand(metric.Sum, 2, 1000)
	h := newHost(t, d)
	r := &redis{tips: map[int64]int64{}, left: 10}
	if err := h.backfill(r, d); !errors.Is(err, ErrNotReady) || r.done != 0 {
		t.Errorf("before the first slice: %v, done %d", err, r.done)
	}
	h.slice("0=1")
	h.demand()
	if err := h.backfill(r, d); err != nil || r.done != 1 {
		t.Errorf("nobody asks for it: %v, done %d", err, r.done)
	}
}

// behindSink says that Redis takes nothing.
type behindSink struct{ sinkFunc }

func (behindSink) Behind(string) bool { return true }

// While Redis takes nothing no history of a new query is computed in vain.
func TestNewQueriesWithoutRedis(t *testing.T) {
	h := newHost(t)
	for i := range int64(5) {
		h.slice(fmt.Sprintf("%d=1", i))
	}
	var told []results.Publication
	h.groups.sink = behindSink{func(e Evaluation) { told = append(told, e.Publications...) }}
	d := demand(metric.Sum, 2, 1000)
	h.demand(d)
	h.slice("5=1")
	if len(told) != 0 {
		t.Errorf("published %d results", len(told))
	}
	h.slice("6=1")
	h.want("7(0)! 2")
	r := &redis{tips: map[int64]int64{}, left: 10}
	if err := h.backfill(r, d); err != nil {
		t.Fatal(err)
	}
	h.want("1(0) 1; 2(1) 2; 3(2) 2; 4(3) 2; 5(4) 2; 6(5) 2; 7(6) 2")
}
