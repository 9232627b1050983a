package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/wire"
)

const windowSeconds = 60

// query is one of the 500.
type query struct {
	metric.Query

	number int // Of its metric.
}

// queries returns those of a content, of each group where they are grouped.
func queries(c *content, groupBy ...string) map[string]query {
	all := make(map[string]query)
	for m := range c.Metrics {
		for _, a := range []metric.Aggregation{metric.Sum, metric.Avg, metric.Max, metric.Min, metric.Count} {
			q := metric.Query{Metric: c.metric(m), Aggregation: a, WindowSeconds: windowSeconds, GroupBy: groupBy}
			all[q.Key()] = query{q, m}
		}
	}
	return all
}

// publish asks for the queries at each slice, and as many more.
func (s *setup) publish(ctx context.Context, all map[string]query, slice time.Duration, more ...metric.Query) error {
	store, err := registry.Open(ctx, redisconn.At(s.redis.Addr()))
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // It was written to, and answered.
	entries := map[string]wire.QueryEntry{}
	for key, q := range all {
		entries[key] = wire.QueryEntry{Query: q.Query, RefreshMs: []int64{slice.Milliseconds()}}
	}
	for _, q := range more {
		entries[q.Key()] = wire.QueryEntry{Query: q, RefreshMs: []int64{slice.Milliseconds()}}
	}
	return store.Publish(ctx, entries)
}

// verdict is what comparing with the log gave.
type verdict struct {
	windows, wrong int
	example        string
}

func (v *verdict) add(fault string) {
	v.windows++
	if fault != "" {
		v.wrong++
		v.example = fault
	}
}

func (v *verdict) err() error {
	switch {
	case v.windows == 0:
		return errors.New("no window was compared")
	case v.wrong > 0:
		return fmt.Errorf("%d of %d windows are wrong, such as %s", v.wrong, v.windows, v.example)
	}
	return nil
}

// fault says what is wrong with a result, "" = nothing.
func (o *oracle) fault(q query, r *wire.Result) string {
	want := o.window(q.number, r.WindowStart, r.WindowEnd)
	value, ok := want.value(q.Aggregation)
	got, has := together(q.Aggregation, r.Series)
	if got.count == want.count && ok == has && (!ok || math.Abs(got.sum-value) <= 1e-12*math.Abs(value)) {
		return ""
	}
	return fmt.Sprintf("%s of [%d, %d): %v of %d events, the log has %v of %d", r.Key, r.WindowStart, r.WindowEnd, got.sum, got.count, value, want.count)
}

// together returns what the groups of a result are together: how many events, and the value in place of the sum. ok is
// false when no group has a value.
func together(a metric.Aggregation, groups []wire.SeriesValue) (all cell, ok bool) {
	for _, g := range groups {
		all.count += g.Count
		if g.Value == nil {
			continue
		}
		v := *g.Value
		switch {
		case a == metric.Avg:
			all.sum += v * float64(g.Count)
		case !ok, a == metric.Max && v > all.sum, a == metric.Min && v < all.sum:
			all.sum = v
		case a == metric.Sum, a == metric.Count:
			all.sum += v
		}
		ok = true
	}
	if a == metric.Avg {
		all.sum /= float64(all.count)
	}
	return all, ok
}

// value is absent where nothing is in the window, but for sum and count.
func (c *cell) value(a metric.Aggregation) (v float64, ok bool) {
	switch a {
	case metric.Sum:
		return c.sum, true
	case metric.Count:
		return float64(c.count), true
	case metric.Avg:
		return c.sum / float64(c.count), c.count > 0
	case metric.Max:
		return c.max, c.count > 0
	}
	return c.min, c.count > 0
}

// compare compares every window of the histories that ends after begin up to end.
func (s *setup) compare(ctx context.Context, store *results.Store, o *oracle, all map[string]query, slice time.Duration, end int64) (v verdict, err error) {
	for key, q := range all {
		history, err := store.History(ctx, key, slice.Milliseconds(), o.content.Begin, wire.HistoryLength)
		if err != nil {
			return v, err
		}
		before := int64(0)
		for _, r := range history {
			if r.WindowEnd > end || r.WindowEnd <= o.content.Begin {
				continue
			}
			v.add(o.fault(q, r))
			if before != 0 && r.WindowEnd != before+slice.Milliseconds() {
				v.add(fmt.Sprintf("%s has no window between %d and %d", key, before, r.WindowEnd))
			}
			before = r.WindowEnd
		}
		if before != end {
			v.add(fmt.Sprintf("the history of %s ends at %d, not %d", key, before, end))
		}
	}
	return v, nil
}

// watch gets each message from Redis.
type watch struct {
	queries map[string]query
	store   *results.Store
	sub     *redisconn.Listener

	mu       sync.Mutex
	from, to int64 // Ends of windows that are measured, ms: after from, up to to.
	got      []message
	newest   map[string]int64
}

// message is one that is measured.
type message struct {
	result *wire.Result
	delay  time.Duration // Since the end of its window.
}

// watched starts a pipeline whose every message is seen from the first on. The store is the watch's, also where that fails.
func (s *setup) watched(ctx context.Context, v variant, slice time.Duration, store *results.Store, all map[string]query) (*watch, error) {
	w := &watch{queries: all, store: store, newest: make(map[string]int64)}
	w.sub = store.Subscribe(ctx, w.message, func() {}) // What a lost connection missed, judge counts.
	for key := range all {
		if err := w.sub.Add(ctx, key); err != nil {
			w.close()
			return nil, err
		}
	}
	if err := s.startPipeline(v, slice); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *watch) close() {
	w.sub.Close()
	_ = w.store.Close() // Nothing is buffered in it.
}

func (w *watch) message(key, text string) {
	now := time.Now()
	r, err := wire.DecodeResult(text)
	if err != nil {
		r = &wire.Result{Key: key} // It is wrong, wherever it is from.
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.newest[key] = r.WindowEnd
	if w.from > 0 && r.WindowEnd > w.from && (w.to == 0 || r.WindowEnd <= w.to) {
		w.got = append(w.got, message{r, now.Sub(time.UnixMilli(r.WindowEnd))})
	}
}

// reached reports whether each query has a result whose window ends at or after end.
func (w *watch) reached(end int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range w.queries {
		if w.newest[key] < end {
			return false
		}
	}
	return true
}

func (w *watch) measure(from, to int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.from == 0 {
		w.from = from
	}
	w.to = to
}

// judge compares what came with the log; slice is the distance of the ends of windows.
func (w *watch) judge(o *oracle, slice time.Duration) (v verdict, p50, p95 time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delays := make([]time.Duration, 0, len(w.got))
	for _, m := range w.got {
		v.add(o.fault(w.queries[m.result.Key], m.result))
		delays = append(delays, m.delay)
	}
	if want := len(w.queries) * int(w.to/slice.Milliseconds()-w.from/slice.Milliseconds()); want != len(w.got) {
		v.add(fmt.Sprintf("%d messages came, %d were due", len(w.got), want))
	}
	return v, quantile(delays, 50), quantile(delays, 95)
}

// around returns p95 of what came before and after a moment.
func (w *watch) around(at time.Time) (before, after time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var delays [2][]time.Duration
	for _, m := range w.got {
		i := 0
		if m.result.WindowEnd+m.delay.Milliseconds() >= at.UnixMilli() {
			i = 1
		}
		delays[i] = append(delays[i], m.delay)
	}
	return quantile(delays[0], 95), quantile(delays[1], 95)
}

// quantile returns that of a part, in percent; of nothing 0.
func quantile(delays []time.Duration, percent int) time.Duration {
	slices.Sort(delays)
	if len(delays) == 0 {
		return 0
	}
	return delays[len(delays)*percent/100]
}
