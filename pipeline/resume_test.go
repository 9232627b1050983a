package pipeline_test

import (
	"log/slog"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/pipeline"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/wire"
)

// An end that was announced for a refresh interval which nobody wants any more
// must not be announced again: readers of the key had it.
func TestResumeKnowsIntervalsOfThePast(t *testing.T) {
	m := miniredis.RunT(t)
	reg, err := registry.Open(t.Context(), redisconn.At(m.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close() //nolint:errcheck // It was only used for this.
	q := metric.Query{Metric: "m", Aggregation: metric.Count, WindowSeconds: 2}
	if err := reg.Publish(t.Context(), map[string]wire.QueryEntry{q.Key(): {Query: q, RefreshMs: []int64{1000, 2000}}}); err != nil {
		t.Fatal(err)
	}
	store, err := results.Open(t.Context(), redisconn.At(m.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // It was only used for this.
	publish := func(key string, end, due int64) {
		t.Helper()
		r := &wire.Result{Key: key, WindowStart: end - 2000, WindowEnd: end, Due: []int64{due}, Complete: true}
		if _, err := store.Publish(t.Context(), []results.Publication{{Result: r, Announce: true}}); err != nil {
			t.Fatal(err)
		}
	}
	publish(q.Key(), 794000, 2000)
	publish(q.Key(), 795000, 3000)
	publish("other:count:2s", 900000, 3000)

	c := pipeline.Default()
	c.Redis, c.Log = redisconn.At(m.Addr()), slog.New(slog.DiscardHandler)
	resume, err := pipeline.Resume(t.Context(), c)
	if err != nil || resume.Keys[q.Key()].End != 795000 || resume.Keys["other:count:2s"].End != 900000 || !resume.Keys[q.Key()].Tips[3000].Whole {
		t.Errorf("resume %+v, %v; want the end 795000", resume, err)
	}
}

// A history that was being written when the pipeline was killed is behind the others of its key: the run
// goes on where the first of them lacks something.
func TestResumeFromWhereAHistoryLacksSomething(t *testing.T) {
	const newest = int64(1_795_954_926_000)
	q := metric.Query{Metric: "m", Aggregation: metric.Count, WindowSeconds: 2}
	for name, c := range map[string]struct {
		refreshMs []int64
		tips      map[int64]int64 // By refresh interval: the newest end, ms before the newest of all.
		from      int64           // ms before that.
	}{
		"all are there":             {[]int64{1000, 2000}, map[int64]int64{1000: 0, 2000: 0}, 0},
		"nothing is due since":      {[]int64{1000, 5000}, map[int64]int64{1000: 0, 5000: 1000}, 0},
		"one is behind":             {[]int64{1000, 2000}, map[int64]int64{1000: 9000, 2000: 0}, 9000},
		"one is not there":          {[]int64{1000, 2000}, map[int64]int64{2000: 0}, 0},
		"nothing is due of one":     {[]int64{1000, 3_600_000}, map[int64]int64{1000: 0}, 0},
		"one that nobody wants":     {[]int64{1000}, map[int64]int64{1000: 0, 2000: 50_000}, 0},
		"told for another interval": {[]int64{1000}, map[int64]int64{1000: 3000, 2000: 0}, 3000},
		"one is behind the history": {[]int64{1000, 2000}, map[int64]int64{1000: 3_000_000, 2000: 0}, 600_000},
	} {
		t.Run(name, func(t *testing.T) {
			m := miniredis.RunT(t)
			reg, err := registry.Open(t.Context(), redisconn.At(m.Addr()))
			if err != nil {
				t.Fatal(err)
			}
			defer reg.Close() //nolint:errcheck // It was only used for this.
			if err := reg.Publish(t.Context(), map[string]wire.QueryEntry{q.Key(): {Query: q, RefreshMs: c.refreshMs}}); err != nil {
				t.Fatal(err)
			}
			store, err := results.Open(t.Context(), redisconn.At(m.Addr()))
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close() //nolint:errcheck // It was only used for this.
			for refresh, before := range c.tips {
				r := &wire.Result{Key: q.Key(), WindowStart: newest - before - 2000, WindowEnd: newest - before, Due: []int64{refresh}, Complete: true}
				if _, err := store.Publish(t.Context(), []results.Publication{{Result: r}}); err != nil {
					t.Fatal(err)
				}
			}
			conf := pipeline.Default()
			conf.Redis, conf.Log = redisconn.At(m.Addr()), slog.New(slog.DiscardHandler)
			resume, err := pipeline.Resume(t.Context(), conf)
			if err != nil || resume.Keys[q.Key()].End != newest || resume.Keys[q.Key()].From != newest-c.from {
				t.Errorf("resume %+v, %v; want it to go on %d ms before %d", resume, err, c.from, newest)
			}
		})
	}
}
