package main

import (
	"context"
	"fmt"
	"time"

	"pulseboard/internal/clock"
	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/results"
	"pulseboard/wire"
)

// groups is one metric of 10,000 series, of which each has an event every 30 s: a record holds one of each series.
func groups(begin, end int64) content {
	const series, every = 10_000, 30
	return content{Prefix: "engine.groups", Metrics: 1, Series: series, Batch: series, Rate: series / every, Begin: begin, End: end}
}

// widget measures how long a new query of 10,000 groups over an hour takes to have its right value and
// 300 points of history in Redis, with 20,000 other events a second, and how late the others' results are meanwhile.
func (b *bench) widget(ctx context.Context, r *row, v variant) (figures, error) {
	const settled, points = 10 * time.Second, 300
	now := time.Now().Truncate(time.Second)
	g := groups(now.Add(-held).UnixMilli(), now.Add(10*time.Minute).UnixMilli())
	hour := metric.Query{Metric: g.metric(0), Aggregation: metric.Count, WindowSeconds: 3600}
	c := r.content
	s, err := b.begin(ctx, &c)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.write(ctx, &g); err != nil {
		return nil, err
	}
	store, all, err := s.ended(ctx, r, &c, now.Add(-time.Hour).UnixMilli(), hour)
	if err != nil {
		return nil, err
	}
	w, err := s.watched(ctx, v, r.slice, store, all)
	if err != nil {
		return nil, err
	}
	defer w.close()
	c.Begin, c.End = time.Now().UnixMilli(), g.End
	if err := s.write(ctx, &c); err != nil {
		return nil, err
	}
	if err := s.await(ctx, "now", 100*time.Millisecond, func() bool { return w.reached(time.Now().Add(-2 * time.Second).UnixMilli()) }); err != nil {
		return nil, err
	}
	clock.Sleep(ctx, settled)
	w.measure(time.Now().UnixMilli(), 0)
	clock.Sleep(ctx, settled)
	edit := time.Now()
	hour.GroupBy = []string{"host"}
	if err := s.publish(ctx, all, r.slice, hour); err != nil { // In place of the one that is not grouped.
		return nil, err
	}
	value, history, err := s.full(ctx, store, &g, hour, r.slice, points)
	if err != nil {
		return nil, err
	}
	clock.Sleep(ctx, settled)
	before, after := w.around(edit)
	return figures{
		{"value after ms", ms(value.Sub(edit)), true},
		{fmt.Sprint(points, " points after ms"), ms(history.Sub(edit)), true},
		{"others' p95 ms before", ms(before), false},
		{"after", ms(after), true},
		{"RSS MB", megabytes(s.pipeline), true},
	}, s.wrongCounters(ctx)
}

// full waits until the history of a query of groups has its newest value right, and so many points.
func (s *setup) full(ctx context.Context, store *results.Store, g *content, q metric.Query, slice time.Duration, points int64) (value, history time.Time, err error) {
	client, err := redisconn.Open(ctx, redisconn.At(s.redis.Addr()))
	if err != nil {
		return value, history, err
	}
	defer client.Close() //nolint:errcheck // It only reads.
	name := client.Key(wire.HistoryName(q.Key(), slice.Milliseconds()))
	err = s.await(ctx, "the new query", 5*time.Millisecond, func() bool {
		newest, err := store.Latest(ctx, q.Key(), slice.Milliseconds())
		if err == nil && value.IsZero() && rightGroups(g, newest) {
			value = time.Now()
		}
		n, err := client.XLen(ctx, name).Result()
		if err == nil && history.IsZero() && n >= points {
			history = time.Now()
		}
		return !value.IsZero() && !history.IsZero()
	})
	return value, history, err
}

// rightGroups reports whether a result is of the last three seconds and has the count of each group that left the pipeline.
func rightGroups(g *content, r *wire.Result) bool {
	if r == nil || time.Now().UnixMilli()-r.WindowEnd > 3000 || len(r.Series) != wire.MaxSeries || r.Truncated != g.Series-wire.MaxSeries {
		return false
	}
	want := g.records(r.WindowEnd) - g.records(r.WindowStart)
	for _, v := range r.Series {
		if v.Count != want || v.Value == nil || *v.Value != float64(want) {
			return false
		}
	}
	return true
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }
