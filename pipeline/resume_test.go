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
	if err := reg.Publish(t.Context(), map[string]registry.Entry{q.Key(): {Query: q, RefreshMs: []int64{1000, 2000}}}); err != nil {
		t.Fatal(err)
	}
	store, err := results.Open(t.Context(), redisconn.At(m.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // It was only used for this.
	publish := func(key string, end, due int64) {
		t.Helper()
		r := &metric.Result{Key: key, WindowStart: end - 2000, WindowEnd: end, Due: []int64{due}, Complete: true}
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
	if err != nil || len(resume.Ends) != 1 || resume.Ends[q.Key()] != 795000 || !resume.Whole[results.Stream{Key: q.Key(), RefreshMs: 3000}] {
		t.Errorf("resume %+v, %v; want the end 795000", resume, err)
	}
}
