package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"pulseboard/internal/clock"
	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/results"
	"pulseboard/wire"
)

// How long anything may take that is waited for.
const patience = 10 * time.Minute

// await repeats a check until it holds, as long as the processes live.
func (s *setup) await(ctx context.Context, what string, every time.Duration, ok func() bool) error {
	for began := time.Now(); !ok(); {
		select {
		case <-s.pipeline.Done():
			return s.pipeline.Err()
		case <-s.broker.Done():
			return s.broker.Err()
		default:
		}
		if time.Since(began) > patience {
			return fmt.Errorf("waited too long for %s", what)
		}
		if !clock.Sleep(ctx, every) {
			return ctx.Err()
		}
	}
	return nil
}

// wrongCounters names the metrics of the pipeline that should be zero and are not.
func (s *setup) wrongCounters(ctx context.Context) error {
	sums, err := s.counters(ctx)
	for _, name := range mustBeZero() {
		if sums[name] != 0 {
			err = errors.Join(err, fmt.Errorf("%s is %v", name, sums[name]))
		}
	}
	return err
}

// live measures a load of now.
func (b *bench) live(ctx context.Context, r *row, v variant) (figures, error) {
	return b.atPresent(ctx, r, v, b.warmUp, b.length)
}

// million is live for a minute, with a real broker.
func (b *bench) million(ctx context.Context, r *row, v variant) (figures, error) {
	if b.jars == "" {
		return nil, errors.New("a million events a second need a real Kafka: --jars")
	}
	return b.atPresent(ctx, r, v, b.warmUp, time.Minute)
}

func (b *bench) atPresent(ctx context.Context, r *row, v variant, warmUp, length time.Duration) (figures, error) {
	c := r.content
	s, err := b.begin(ctx, &c)
	if err != nil {
		return nil, err
	}
	defer s.close()
	all := queries(&c, r.groupBy...)
	if err := s.publish(ctx, all, r.slice); err != nil {
		return nil, err
	}
	store, err := results.Open(ctx, redisconn.At(s.redis.Addr()))
	if err != nil {
		return nil, err
	}
	w, err := s.watched(ctx, v, r.slice, store, all)
	if err != nil {
		return nil, err
	}
	defer w.close()
	const start = 3 * time.Second // Of the load and the pipeline.
	c.Begin = time.Now().Add(start).Truncate(time.Second).UnixMilli()
	c.End = c.Begin + (warmUp + length + 2*time.Second).Milliseconds()
	load, err := s.startLoad(&c)
	if err != nil {
		return nil, err
	}
	clock.Sleep(ctx, time.Until(time.UnixMilli(c.Begin).Add(warmUp)))
	if b.profile != "" {
		profiled := make(chan error, 1)
		go func() { profiled <- s.saveProfile(ctx, length-time.Second) }()
		defer func() { <-profiled }() //nolint:errcheck // A profile that is missing shows.
	}
	w.measure(time.Now().UnixMilli(), 0)
	before := s.used(load)
	clock.Sleep(ctx, length)
	after := s.used(load)
	w.measure(0, time.Now().UnixMilli())
	rss := megabytes(s.pipeline)
	late, err := load.late(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.await(ctx, "the last windows", 100*time.Millisecond, func() bool { return w.reached(c.End) }); err != nil {
		return nil, err
	}
	verdict, p50, p95 := w.judge(newOracle(&c), r.slice)
	d := after.less(before)
	events := float64(c.Rate) * length.Seconds()
	return figures{
		{"events/CPU s", events / d.pipeline, true},
		{"cores: pipeline", d.pipeline / length.Seconds(), false},
		{"broker", d.broker / length.Seconds(), false},
		{"producer", d.load / length.Seconds(), false},
		{"RSS MB", rss, true},
		{"p50 ms", ms(p50), false},
		{"p95 ms", ms(p95), true},
		{"windows right", float64(verdict.windows - verdict.wrong), false},
		{"wrong", float64(verdict.wrong), false},
		{"load late by ms", late, false},
	}, errors.Join(verdict.err(), s.wrongCounters(ctx))
}

// used is CPU seconds.
type used struct{ pipeline, broker, load float64 }

func (s *setup) used(l *loader) used { return used{cpu(s.pipeline), cpu(s.broker), cpu(l.Child)} }

func (u used) less(o used) used {
	return used{u.pipeline - o.pipeline, u.broker - o.broker, u.load - o.load}
}

// catchUp measures a pipeline that was away: everything was written before it starts.
func (b *bench) catchUp(ctx context.Context, r *row, v variant) (figures, error) {
	c := b.beforeNow(r)
	s, err := b.begin(ctx, &c)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.write(ctx, &c); err != nil {
		return nil, err
	}
	store, all, err := s.ended(ctx, r, &c, c.Begin)
	if err != nil {
		return nil, err
	}
	defer store.Close() //nolint:errcheck // Nothing is buffered in it.
	began := time.Now()
	if err := s.startPipeline(v, r.slice); err != nil {
		return nil, err
	}
	middle, err := s.middle(ctx, float64(c.events()))
	if err != nil {
		return nil, err
	}
	streams := make([]results.Stream, 0, len(all))
	for key := range all {
		streams = append(streams, results.Stream{Key: key, RefreshMs: r.slice.Milliseconds()})
	}
	err = s.await(ctx, "the last windows", 100*time.Millisecond, func() bool {
		tips, err := store.Newest(ctx, streams)
		return err == nil && !slices.ContainsFunc(tips, func(t results.Tip) bool { return t.WindowEnd < c.End })
	})
	if err != nil {
		return nil, err
	}
	took, whole, most := time.Since(began).Seconds(), cpu(s.pipeline), peak(s.pipeline)
	verdict, err := s.compare(ctx, store, newOracle(&c), all, r.slice, c.End)
	if err != nil {
		return nil, err
	}
	return figures{
		{"events/CPU s", middle, true},
		{"of the whole", float64(c.events()) / whole, true},
		{"events/s", float64(c.events()) / took, true},
		{"current after s", took, true},
		{"peak MB", most, true},
		{"windows right", float64(verdict.windows - verdict.wrong), false},
		{"wrong", float64(verdict.wrong), false},
	}, errors.Join(verdict.err(), s.wrongCounters(ctx))
}

// beforeNow is the content of a row that ends now.
func (b *bench) beforeNow(r *row) content {
	c := r.content
	length := c.End / 1000 * 1000
	if b.events > 0 {
		length = min(length, int64(b.events/c.Rate)*1000)
	}
	c.End = time.Now().Truncate(time.Second).UnixMilli()
	c.Begin = c.End - length
	return c
}

// write starts to write a content, and returns when what is due by now is there.
func (s *setup) write(ctx context.Context, c *content) error {
	l, err := s.startLoad(c)
	if err != nil {
		return err
	}
	_, err = l.until(ctx, atPresent)
	return err
}

// ended makes Redis as a pipeline left it that ended at a time, epoch ms: with the queries, and a result of each, from
// which on the next pipeline fills in.
func (s *setup) ended(ctx context.Context, r *row, c *content, end int64, more ...metric.Query) (store *results.Store, all map[string]query, err error) {
	all = queries(c, r.groupBy...)
	if err := s.publish(ctx, all, r.slice, more...); err != nil {
		return nil, nil, err
	}
	if store, err = results.Open(ctx, redisconn.At(s.redis.Addr())); err != nil {
		return nil, nil, err
	}
	keys := slices.Collect(maps.Keys(all))
	for _, q := range more {
		keys = append(keys, q.Key())
	}
	var before []results.Publication
	for _, key := range keys {
		before = append(before, results.Publication{Result: &wire.Result{
			Key: key, WindowStart: end - windowSeconds*1000, WindowEnd: end, Due: []int64{r.slice.Milliseconds()}, Complete: true,
		}})
	}
	_, err = store.Publish(ctx, before)
	return store, all, err
}

// middle waits until all events are counted, and returns events for a CPU second between a tenth and nine tenths of them.
func (s *setup) middle(ctx context.Context, total float64) (perCPU float64, err error) {
	type sample struct {
		events, cpu float64
		at          time.Time
	}
	var first, last sample
	profiled := make(chan error, 1)
	err = s.await(ctx, "all events", 50*time.Millisecond, func() bool {
		sums, err := s.counters(ctx)
		if err != nil {
			return false // It does not listen yet.
		}
		now := sample{sums[counted], cpu(s.pipeline), time.Now()}
		switch {
		case first.at.IsZero() && now.events >= total/10:
			first = now
		case first.at.IsZero():
		case now.events <= total*9/10:
			if last.at.IsZero() && s.profile != "" {
				left := total * 8 / 10 / (now.events - first.events) * now.at.Sub(first.at).Seconds()
				go func() { profiled <- s.saveProfile(ctx, max(time.Second, time.Duration(left*float64(time.Second)))) }()
			}
			last = now
		}
		return now.events >= total
	})
	if s.profile != "" && !last.at.IsZero() {
		err = errors.Join(err, <-profiled)
	}
	return (last.events - first.events) / (last.cpu - first.cpu), err
}

// held is how long slices are held: the longest window, 600 slices, the lateness and some seconds.
const held = 4264 * time.Second

// memory measures what the pipeline has once it holds all that it ever does, and some minutes later.
func (b *bench) memory(ctx context.Context, r *row, v variant) (figures, error) {
	const flat = 4 // Minutes.
	c := r.content
	c.Begin = time.Now().Add(-held).Truncate(time.Second).UnixMilli()
	c.End = time.Now().Add(20 * time.Minute).UnixMilli() // It is ended before.
	hour := metric.Query{Metric: c.metric(0), Aggregation: metric.Sum, WindowSeconds: 3600}
	s, err := b.begin(ctx, &c)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.write(ctx, &c); err != nil {
		return nil, err
	}
	store, all, err := s.ended(ctx, r, &c, c.Begin, hour)
	if err != nil {
		return nil, err
	}
	w, err := s.watched(ctx, v, r.slice, store, all)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if err := s.await(ctx, "now", 100*time.Millisecond, func() bool { return w.reached(time.Now().Add(-2 * time.Second).UnixMilli()) }); err != nil {
		return nil, err
	}
	sums, err := s.counters(ctx)
	out := figures{{"events counted", sums[counted], false}, {"peak MB", peak(s.pipeline), true}, {"RSS MB when current", megabytes(s.pipeline), true}}
	for minute := range flat {
		clock.Sleep(ctx, time.Minute)
		out = append(out, figure{fmt.Sprintf("after %d min", minute+1), megabytes(s.pipeline), true})
	}
	if sums, also := s.counters(ctx); also == nil {
		out = append(out, figure{"series MB", sums["pulseboard_pipeline_state_bytes"] / 1e6, true})
	}
	return out, errors.Join(err, s.wrongCounters(ctx))
}
