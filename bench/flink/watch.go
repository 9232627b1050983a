package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/wire"
)

// windows are those of the queries, in seconds. One of an hour has the job read all of a load of the past.
func (o *options) windows() []int {
	w := []int{5, 10, 60, 300, 600}
	if o.past > 0 {
		w = append(w, 3600)
	}
	return w
}

// query is one of those asked, and what came for it.
type query struct {
	metric.Query

	number int // Of its metric.
	last   *wire.Result
}

// asked returns the queries: first a count of each metric, then a sum, and so on
// with other windows.
func (o *options) asked() map[string]*query {
	out := make(map[string]*query, o.queries)
	w := o.windows()
	for i := range o.queries {
		m, round := i%o.metrics, i/o.metrics
		a := metric.Count
		if round%2 == 1 {
			a = metric.Sum
		}
		q := metric.Query{Metric: metricName(m), Aggregation: a, WindowSeconds: w[(m+round/2)%len(w)]}
		out[q.Key()] = &query{Query: q, number: m}
	}
	return out
}

func publish(ctx context.Context, redis string, refresh int64, queries map[string]*query) error {
	store, err := registry.Open(ctx, redisconn.At(redis))
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // It was written to, and answered.
	entries := map[string]wire.QueryEntry{}
	for key, q := range queries {
		entries[key] = wire.QueryEntry{Query: q.Query, RefreshMs: []int64{refresh}}
	}
	return store.Publish(ctx, entries)
}

// watch gets each message from Redis.
type watch struct {
	load    *load
	refresh int64 // ms.
	store   *results.Store
	sub     *redisconn.Listener

	mu       sync.Mutex
	queries  map[string]*query
	from, to int64           // Ends of windows that are measured, ms: after from, up to to.
	delays   []time.Duration // From the end of a window to its message.
	ends     []int64         // Of those windows.
	recent   int             // Index of the first delay since the last call of lately.
	missing  int             // Ends that were left out.
	wrong    int
	examples []string // Of what is wrong.
	resyncs  int
}

func startWatch(ctx context.Context, redis string, queries map[string]*query, l *load) (*watch, error) {
	store, err := results.Open(ctx, redisconn.At(redis))
	if err != nil {
		return nil, err
	}
	w := &watch{load: l, refresh: l.o.sliceMs(), store: store, queries: queries}
	w.sub = store.Subscribe(ctx, w.message, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.resyncs++
	})
	for key := range queries {
		if err := w.sub.Add(ctx, key); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *watch) close() {
	w.sub.Close()
	_ = w.store.Close()
}

func (w *watch) message(key, text string) {
	now := time.Now()
	r, err := wire.DecodeResult(text)
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.queries[key]
	if err != nil || q == nil {
		w.examples = append(w.examples, fmt.Sprintf("%s: not readable: %v", key, err))
		w.wrong++
		return
	}
	before := q.last
	q.last = r
	if r.WindowEnd <= w.from || w.to != 0 && r.WindowEnd > w.to || w.from == 0 {
		return
	}
	w.delays = append(w.delays, now.Sub(time.UnixMilli(r.WindowEnd)))
	w.ends = append(w.ends, r.WindowEnd)
	if before != nil && r.WindowEnd > before.WindowEnd+w.refresh {
		w.missing += int((r.WindowEnd-before.WindowEnd)/w.refresh) - 1
	}
	if fault := w.fault(q); fault != "" {
		w.wrong++
		if len(w.examples) < 5 {
			w.examples = append(w.examples, fault)
		}
	}
}

// fault says what is wrong with the last result of a query, "" = nothing.
func (w *watch) fault(q *query) string {
	want, sum := w.load.within(q.number, q.last.WindowStart, q.last.WindowEnd)
	if q.Aggregation == metric.Sum {
		want = sum
	}
	if s := q.last.Series; len(s) == 1 && s[0].Value != nil && *s[0].Value == float64(want) || want == 0 && len(s) == 0 {
		return ""
	}
	got := "nothing"
	if s := q.last.Series; len(s) > 0 && s[0].Value != nil {
		got = fmt.Sprintf("%.0f", *s[0].Value)
	}
	return fmt.Sprintf("%s that ends at %d: %s, sent %d", q.last.Key, q.last.WindowEnd, got, want)
}

// current reports how many queries have a result that is no older than age.
func (w *watch) current(age time.Duration) int { return w.reached(time.Now().Add(-age).UnixMilli()) }

// reached reports how many queries have a result whose window ends at or after end.
func (w *watch) reached(end int64) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, q := range w.queries {
		if q.last != nil && q.last.WindowEnd >= end {
			n++
		}
	}
	return n
}

// begin measures the windows that end after now, end those up to now.
func (w *watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.from = time.Now().UnixMilli()
}

func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = time.Now().UnixMilli()
}

// expected is how many messages those windows should have.
func (w *watch) expected() int { return len(w.queries) * int(w.to/w.refresh-w.from/w.refresh) }

// lately returns the delays since the last call.
func (w *watch) lately() quantiles {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := slices.Clone(w.delays[w.recent:])
	w.recent = len(w.delays)
	return quantilesOf(d)
}

// lastFaults says which queries have a wrong last result.
func (w *watch) lastFaults() (faults []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, q := range w.queries {
		if f := w.fault(q); f != "" {
			faults = append(faults, f)
		}
	}
	return faults
}

type quantiles struct {
	n                  int
	p50, p95, p99, max time.Duration
}

// quantilesOf sorts d.
func quantilesOf(d []time.Duration) quantiles {
	n := len(d)
	if n == 0 {
		return quantiles{}
	}
	slices.Sort(d)
	return quantiles{n, d[n/2], d[n*95/100], d[n*99/100], d[n-1]}
}
