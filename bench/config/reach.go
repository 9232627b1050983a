package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// After a removal its last result is waited for so long.
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
	path := "/dashboards/" + d.ID
	var added, changed, removed []time.Duration
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range b.times {
		window := 2 + i
		first, second := fmt.Sprintf("reach.m:avg:%ds", window), fmt.Sprintf("reach.m:max:%ds", window)
		sub := b.redis.Subscribe(ctx, first, second)
		if _, err := sub.Receive(ctx); err != nil { // The first subscription; the second comes with it.
			return err
		}
		messages := sub.Channel()
		await := func(channel string, from time.Time) (time.Duration, error) {
			for {
				select {
				case m := <-messages:
					if m.Channel == channel {
						return time.Since(from), nil
					}
				case <-time.After(time.Minute):
					return 0, fmt.Errorf("no result of %s came for a minute", channel)
				case <-ctx.Done():
					return 0, ctx.Err()
				}
			}
		}
		began := time.Now()
		if etag, err = b.request(ctx, http.MethodPatch, path+"/widgets", etag, map[string]any{"add": []any{map[string]any{"metric_name": "reach.m", "aggregation": "avg", "window_seconds": window}}}, &d); err != nil {
			return err
		}
		took, err := await(first, began)
		if err != nil {
			return err
		}
		added = append(added, took)
		id := d.Widgets[len(d.Widgets)-1].ID
		began = time.Now()
		if etag, err = b.request(ctx, http.MethodPatch, path+"/widgets", etag, map[string]any{id: map[string]any{"aggregation": "max"}}, &d); err != nil {
			return err
		}
		if took, err = await(second, began); err != nil {
			return err
		}
		changed = append(changed, took)
		began = time.Now()
		if etag, err = b.request(ctx, http.MethodPatch, path+"/widgets", etag, map[string]any{id: nil}, &d); err != nil {
			return err
		}
		wg.Go(func() {
			var last time.Duration
			end := time.After(silence)
			for {
				select {
				case <-messages:
					last = time.Since(began)
					continue
				case <-end:
				case <-ctx.Done():
				}
				break
			}
			_ = sub.Close() // Nobody reads it any more.
			mu.Lock()
			defer mu.Unlock()
			removed = append(removed, last)
		})
	}
	wg.Wait()
	b.print("added, until its first result:    %s", spread(added))
	b.print("changed, until its first result:  %s", spread(changed))
	b.print("removed, until its last result:   %s", spread(removed))
	_, err = b.request(ctx, http.MethodDelete, path, etag, nil, nil)
	stop()
	if e := <-sent; err == nil {
		err = e
	}
	return err
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
