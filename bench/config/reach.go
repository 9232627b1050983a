package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// silence is how long the last result of a removed query is waited for.
const silence = 4 * time.Second

// reach adds, changes and removes a widget, again and again, and measures from
// the sending of the request to the first result of the new query on Pub/Sub,
// and to the last one of the removed query.
func (b *bench) reach(ctx context.Context) error {
	sending, stop := context.WithCancel(ctx)
	defer stop()
	sent := make(chan error, 1)
	go func() { sent <- b.send(sending) }()
	var d document
	etag, err := b.request(ctx, http.MethodPost, "/dashboards", "", map[string]any{"title": "Reach"}, &d)
	if err != nil {
		return err
	}
	e := &edits{bench: b, path: "/dashboards/" + d.ID, etag: etag}
	for i := range b.times {
		if err := e.once(ctx, 2+i); err != nil {
			return err
		}
	}
	e.waiting.Wait()
	b.print("added, until its first result:    %s", spread(e.added))
	b.print("changed, until its first result:  %s", spread(e.changed))
	b.print("removed, until its last result:   %s", spread(e.removed))
	_, err = b.request(ctx, http.MethodDelete, e.path, e.etag, nil, nil)
	stop()
	return cmp.Or(err, <-sent)
}

// edits are edits of one dashboard and how long each took to reach the pipeline.
type edits struct {
	*bench
	path, etag     string
	added, changed []time.Duration

	waiting sync.WaitGroup // For the last results of removed queries.
	mu      sync.Mutex
	removed []time.Duration
}

// once adds a widget of a window that no widget had before, changes its
// aggregation and removes it.
func (e *edits) once(ctx context.Context, window int) error {
	avg, most := fmt.Sprintf("reach.m:avg:%ds", window), fmt.Sprintf("reach.m:max:%ds", window)
	sub := e.redis.Subscribe(ctx, avg, most)
	if _, err := sub.Receive(ctx); err != nil { // The first subscription; the second comes with it.
		return err
	}
	messages := sub.Channel()
	began := time.Now()
	d, err := e.edit(ctx, map[string]any{"add": []any{map[string]any{"metric_name": "reach.m", "aggregation": "avg", "window_seconds": window}}})
	if err != nil {
		return err
	}
	took, err := await(ctx, messages, avg, began)
	if err != nil {
		return err
	}
	e.added = append(e.added, took)
	id := d.Widgets[len(d.Widgets)-1].ID
	began = time.Now()
	if _, err = e.edit(ctx, map[string]any{id: map[string]any{"aggregation": "max"}}); err != nil {
		return err
	}
	if took, err = await(ctx, messages, most, began); err != nil {
		return err
	}
	e.changed = append(e.changed, took)
	began = time.Now()
	if _, err = e.edit(ctx, map[string]any{id: nil}); err != nil {
		return err
	}
	e.waiting.Go(func() {
		last := lastOf(ctx, messages, began)
		_ = sub.Close() // It was only read.
		e.mu.Lock()
		defer e.mu.Unlock()
		e.removed = append(e.removed, last)
	})
	return nil
}

// edit sends a patch of the widgets and returns the document as it is then.
func (e *edits) edit(ctx context.Context, patch map[string]any) (d document, err error) {
	e.etag, err = e.request(ctx, http.MethodPatch, e.path+"/widgets", e.etag, patch, &d)
	return d, err
}

// await returns how long after from the next result of a metric key came.
func await(ctx context.Context, messages <-chan *redis.Message, key string, from time.Time) (time.Duration, error) {
	limit := time.After(time.Minute)
	for {
		select {
		case m := <-messages:
			if m.Channel == key {
				return time.Since(from), nil
			}
		case <-limit:
			return 0, fmt.Errorf("no result of %s came for a minute", key)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// lastOf returns how long after from the last result came, of those within silence.
func lastOf(ctx context.Context, messages <-chan *redis.Message, from time.Time) (last time.Duration) {
	end := time.After(silence)
	for {
		select {
		case <-messages:
			last = time.Since(from)
		case <-end:
			return last
		case <-ctx.Done():
			return last
		}
	}
}

// send posts ten events every 100 ms.
func (b *bench) send(ctx context.Context) error {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for n := 0; ; n++ {
		events := make([]any, 0, 10)
		for i := range 10 {
			events = append(events, map[string]any{"metric_name": "reach.m", "value": n, "tags": map[string]string{"host": fmt.Sprint("h", i)}})
		}
		if _, err := b.request(ctx, http.MethodPost, "/ingest", "", events, nil); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}
