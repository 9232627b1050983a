package pipeline

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"

	"pulseboard/aggregate"
	"pulseboard/internal/redisconn"
	"pulseboard/job"
	"pulseboard/limits"
	"pulseboard/metric"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/transforms"
	"pulseboard/wire"
)

type noTimers struct{}

func (noTimers) Set(timers.TimerMap) {}

type nowhere struct{}

func (nowhere) Publish(transforms.Evaluation) {}
func (nowhere) Behind(string) bool            { return false }

// governed is a governor whose steps the test makes, on a Redis of its own.
type governed struct {
	*governor
	t     *testing.T
	redis *miniredis.Miniredis
}

func govern(t *testing.T, m *miniredis.Miniredis, windows ...int) *governed {
	t.Helper()
	c := Default()
	c.Redis, c.Log = redisconn.At(m.Addr()), slog.New(slog.DiscardHandler)
	run := NewRun()
	groups := transforms.NewGroups(job.NewProgress(), transforms.Resume{})
	groups.PublishTo(nowhere{})
	j := job.Open(run, groups)
	t.Cleanup(func() { _ = j.Close() })
	g, err := newGovernor(t.Context(), &c, run, setOf(windows...), groups)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.end(t.Context()) })
	return &governed{g, t, m}
}

func windowKey(window int) string { return fmt.Sprintf("m:avg:%ds", window) }

// setOf has a query for each window, all of one dashboard.
func setOf(windows ...int) registry.Set {
	set := registry.Set{Version: 1, Entries: make(map[string]wire.QueryEntry)}
	for _, w := range windows {
		q := metric.Query{Metric: "m", Aggregation: metric.Avg, WindowSeconds: w}
		set.Entries[q.Key()] = wire.QueryEntry{Query: q, RefreshMs: []int64{1000}, Owners: []wire.Owner{{Dashboard: "d"}}}
	}
	return set
}

// publish puts a result of each window into its history.
func (g *governed) publish(end int64, windows ...int) {
	g.t.Helper()
	var pubs []results.Publication
	for _, w := range windows {
		pubs = append(pubs, results.Publication{Result: &wire.Result{Key: windowKey(w), WindowStart: end - int64(w)*1000, WindowEnd: end, Due: []int64{1000}, Series: []wire.SeriesValue{}}})
	}
	if _, err := g.results.Publish(g.t.Context(), pubs); err != nil {
		g.t.Fatal(err)
	}
}

// histories are the keys that have one.
func (g *governed) histories(want ...int) {
	g.t.Helper()
	streams, err := g.results.Streams(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	var got, keys []string
	for _, s := range streams {
		got = append(got, s.Key)
	}
	for _, w := range want {
		keys = append(keys, windowKey(w))
	}
	slices.Sort(got)
	slices.Sort(keys)
	if !slices.Equal(got, keys) {
		g.t.Errorf("histories of %v, want %v", got, keys)
	}
}

// Histories go with their queries: what a process left at the start, what an edit takes away
// at once, and what was on its way then a moment later.
func TestHistoriesGoWithTheirQueries(t *testing.T) {
	g := govern(t, miniredis.RunT(t), 1, 2, 3)
	end := time.Now().UnixMilli() / 1000 * 1000
	g.publish(end, 1, 2, 3, 4)
	g.sweep(t.Context())
	g.histories(1, 2, 3)
	now := time.Now()
	g.set = setOf(1, 3)
	g.step(t.Context(), now)
	g.histories(1, 3)
	g.publish(end+1000, 2) // It was under way.
	g.step(t.Context(), now.Add(time.Second))
	g.step(t.Context(), now.Add(2*againAfter))
	g.histories(1, 3)
	// What comes back keeps what is written then.
	g.set = setOf(1)
	g.step(t.Context(), now.Add(3*againAfter))
	g.set = setOf(1, 3)
	g.step(t.Context(), now.Add(3*againAfter+time.Second))
	g.publish(end+2000, 3)
	g.step(t.Context(), now.Add(5*againAfter))
	g.histories(1, 3)
}

// Nobody has said yet what is wanted: nothing is deleted.
func TestUnpublishedSetDeletesNothing(t *testing.T) {
	g := govern(t, miniredis.RunT(t))
	g.set.Version = 0
	g.publish(time.Now().UnixMilli()/1000*1000, 1)
	g.sweep(t.Context())
	g.histories(1)
}

// A query beyond a budget is cut: not computed, its history gone, and told; it
// comes back with room, and stays cut over a restart until its width is known.
func TestBeyondABudgetIsCut(t *testing.T) {
	m := miniredis.RunT(t)
	g := govern(t, m, 1, 2, 3)
	one := limits.NewQuery(g.set.Entries[windowKey(1)].Query, []int64{1000}, nil, limits.Size{}, 1000)
	g.budgets.Share = 1
	g.budgets.Total[limits.Histories] = 2.5 * one.Cost()[limits.Histories]
	g.publish(time.Now().UnixMilli()/1000*1000, 1, 2, 3)
	now := time.Now()
	g.step(t.Context(), now)
	g.histories(1, 2)
	reports, err := g.queries.LoadLimits(t.Context())
	if err != nil || len(reports) != 1 || len(reports[0].Cut) != 1 {
		t.Fatalf("%+v, %v", reports, err)
	}
	if c := reports[0].Cut[0]; c.Key != windowKey(3) || c.Resource != limits.Histories || c.SinceMs != now.UnixMilli() {
		t.Errorf("%+v", c)
	}
	again := govern(t, m, 1, 2, 3)
	if _, computed := again.active[windowKey(3)]; computed || len(again.active) != 2 {
		t.Errorf("after a restart %v are computed", again.active)
	}
	g.budgets.Total[limits.Histories] *= 2
	g.step(t.Context(), now.Add(time.Second))
	if len(g.active) != 3 {
		t.Errorf("with room %v are computed", g.active)
	}
	if reports, err = g.queries.LoadLimits(t.Context()); err != nil || len(reports[0].Cut) != 0 {
		t.Errorf("%+v, %v", reports, err)
	}
}

// Of a metric that has no series yet only some selectors are computed: what they cost is not known.
func TestSelectorsOfASilentMetricWait(t *testing.T) {
	set := func(hosts, windows int) registry.Set {
		set := registry.Set{Version: 1, Entries: make(map[string]wire.QueryEntry)}
		for h := range hosts {
			for w := range windows {
				q := metric.Query{Metric: "m", Aggregation: metric.Avg, WindowSeconds: w + 1, Filter: metric.Filter{{Tag: "host", Op: metric.Equal, Values: []string{fmt.Sprint(h)}}}}
				set.Entries[q.Key()] = wire.QueryEntry{Query: q, RefreshMs: []int64{1000}}
			}
		}
		return set
	}
	g := govern(t, miniredis.RunT(t))
	g.set = set(15, 2)
	g.step(t.Context(), time.Now())
	if n := len(g.active); n != 30 {
		t.Errorf("%d of 30 queries are computed", n)
	}
	g.set = set(200, 2)
	g.step(t.Context(), time.Now())
	if n := len(g.active); n != 2*idleSelectors {
		t.Errorf("%d queries are computed, want those of %d selectors", n, idleSelectors)
	}
	was := maps.Clone(g.active)
	// With series they are counted, and all of them fit.
	slide := &transforms.SlideFn{
		Options: transforms.SlideOptions{Run: g.run, SliceMs: 1000, KeyGroups: g.c.KeyGroups, RetainMs: 100_000, AheadMs: 3000},
		Timer:   timers.InEventTime("slice"),
	}
	at := time.Now().UnixMilli() / 1000 * 1000
	partial := transforms.Partial{Table: aggregate.Table{}}
	partial.Table.Add(at/1000, aggregate.NewName("m", string(metric.NewTags(map[string]string{"host": "1"}).AppendKey(nil))), 4, at)
	group := transforms.KeyGroup("m", g.c.KeyGroups)
	none := func(transforms.Evaluation) {}
	if err := slide.ProcessElement(beam.EventTime(at+999), nil, noTimers{}, group, partial, none); err != nil {
		t.Fatal(err)
	}
	if err := slide.OnTimer(t.Context(), beam.EventTime(at+1000), nil, noTimers{}, group, timers.Context{}, none); err != nil {
		t.Fatal(err)
	}
	for range 400 {
		g.step(t.Context(), time.Now())
		if len(g.active) == 400 {
			break
		}
	}
	if n := len(g.active); n != 400 {
		t.Errorf("with series %d of 400 queries are computed", n)
	}
	for key := range was {
		if _, is := g.active[key]; !is {
			t.Errorf("%s is computed no more", key)
		}
	}
}
