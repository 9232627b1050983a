package load

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"pulseboard/internal/histogram"
	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/results"
	"pulseboard/wire"
)

// messages measures how late Redis announces results: the pipeline's part of the
// latency at clients.
type messages struct {
	store     *results.Store
	sub       *redisconn.Listener
	measuring *atomic.Bool
	late      histogram.Histogram
}

func openMessages(ctx context.Context, at redisconn.Endpoint, measuring *atomic.Bool) (*messages, error) {
	store, err := results.Open(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("%w; correct --redis", err)
	}
	return &messages{store: store, measuring: measuring}, nil
}

// listen subscribes to metric keys until ctx ends.
func (m *messages) listen(ctx context.Context, keys []string) error {
	m.sub = m.store.Subscribe(ctx, func(_, text string) {
		if !m.measuring.Load() {
			return
		}
		now := time.Now()
		r, err := wire.DecodeResult(text)
		if err != nil {
			return // The gateway counts it.
		}
		due := r.WindowEnd
		if q, err := metric.ParseKey(r.Key); err == nil {
			due += int64(q.DelaySeconds) * 1000
		}
		m.late.Record(now.Sub(time.UnixMilli(due)))
	}, func() {})
	for _, key := range keys {
		if err := m.sub.Add(ctx, key); err != nil {
			return fmt.Errorf("cannot subscribe to the results in Redis: %w", err)
		}
	}
	return nil
}

// close ends the subscription.
func (m *messages) close() {
	if m.sub != nil {
		m.sub.Close()
	}
	_ = m.store.Close() // Nothing is lost with it: it was only read.
}

// keys are those that the clients look at, else those of the check.
func (r *run) keys() []string {
	if r.audience != nil {
		return r.audience.published.keys()
	}
	keys := make(map[string]struct{})
	for m := range r.config.Metrics {
		for _, a := range []metric.Aggregation{metric.Count, metric.Sum} {
			q := metric.Query{Metric: r.config.metricName(m), Aggregation: a, WindowSeconds: r.config.checkWindow()}
			keys[q.Key()] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(keys))
}
