package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// many makes dashboards with different queries and measures what they cost.
func (b *bench) many(ctx context.Context) error {
	began := time.Now()
	ids, etags := make([]string, b.dashboards), make([]string, b.dashboards)
	first := make([]string, b.dashboards) // A widget of each.
	var made []time.Duration
	for n := range b.dashboards {
		widgets := make([]any, 0, b.widgets)
		for i := range b.widgets {
			k := n*b.widgets + i
			widgets = append(widgets, map[string]any{
				"metric_name": fmt.Sprintf("many.m%04d", k%1000), "aggregation": "avg", "window_seconds": 10 + k/1000,
				"filter": map[string]any{"region": "eu"}, "group_by": []string{"host"},
				"display_config": map[string]any{"title": fmt.Sprintf("Widget %d of the dashboard", i), "unit": "ms"},
			})
		}
		var d document
		at := time.Now()
		etag, err := b.request(ctx, http.MethodPost, "/dashboards", "", map[string]any{"title": fmt.Sprintf("Many %04d", n), "tags": []string{"many", fmt.Sprint("t", n%10)}, "widgets": widgets}, &d)
		if err != nil {
			return err
		}
		made = append(made, time.Since(at))
		ids[n], etags[n], first[n] = d.ID, etag, d.Widgets[0].ID
	}
	b.print("%d dashboards of %d widgets made in %v; each: %s", b.dashboards, b.widgets, time.Since(began).Round(time.Millisecond), spread(made))
	if err := b.lists(ctx); err != nil {
		return err
	}
	var gets []time.Duration
	for i := range 1000 {
		at := time.Now()
		if _, err := b.request(ctx, http.MethodGet, "/dashboards/"+ids[i*7%len(ids)], "", nil, nil); err != nil {
			return err
		}
		gets = append(gets, time.Since(at))
	}
	b.print("get:   %s", spread(gets))
	for _, editors := range []int{1, 8} {
		if err := b.patches(ctx, editors, ids, etags, first); err != nil {
			return err
		}
	}
	return b.rebuild(ctx)
}

func (b *bench) lists(ctx context.Context) error {
	for _, query := range []string{"", "&query=many+02", "&tag=t3"} {
		var times []time.Duration
		for range 20 {
			next := ""
			for {
				var page struct {
					Next *string `json:"next"`
				}
				at := time.Now()
				if _, err := b.request(ctx, http.MethodGet, "/dashboards?limit=50"+query+"&cursor="+next, "", nil, &page); err != nil {
					return err
				}
				times = append(times, time.Since(at))
				if page.Next == nil {
					break
				}
				next = *page.Next
			}
		}
		b.print("list, pages of 50%s:  %s", query, spread(times))
	}
	return nil
}

// patches changes a widget of each dashboard.
func (b *bench) patches(ctx context.Context, editors int, ids, etags, first []string) error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var times []time.Duration
	var fault error
	for e := range editors {
		wg.Go(func() {
			for n := e; n < len(ids); n += editors {
				at := time.Now()
				etag, err := b.request(ctx, http.MethodPatch, "/dashboards/"+ids[n]+"/widgets", etags[n], map[string]any{first[n]: map[string]any{"window_seconds": 100 + editors}}, nil)
				took := time.Since(at)
				mu.Lock()
				if err != nil {
					fault = err
				}
				etags[n] = etag
				times = append(times, took)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if fault != nil {
		return fault
	}
	b.print("patch of a widget, %d at once:  %s", editors, spread(times))
	return nil
}

// rebuild empties Redis and waits until it holds as much as before.
func (b *bench) rebuild(ctx context.Context) error {
	size := func() (queries, dashboards int64, err error) {
		if queries, err = b.redis.HLen(ctx, "queries").Result(); err != nil {
			return 0, 0, err
		}
		dashboards, err = b.redis.HLen(ctx, "dashboards").Result()
		return queries, dashboards, err
	}
	queries, dashboards, err := size()
	if err != nil {
		return err
	}
	bytes := func(key string) int64 { return b.redis.MemoryUsage(ctx, key, 0).Val() }
	b.print("registry: %d queries, %.1f MB; %d dashboards, %.1f MB in Redis", queries, float64(bytes("queries"))/1e6, dashboards, float64(bytes("dashboards"))/1e6)
	var times []time.Duration
	for range 10 {
		at := time.Now()
		if err := b.redis.FlushAll(ctx).Err(); err != nil {
			return err
		}
		for {
			q, d, err := size()
			if err != nil {
				return err
			}
			if q == queries && d == dashboards {
				break
			}
			<-time.After(5 * time.Millisecond)
		}
		times = append(times, time.Since(at))
	}
	b.print("Redis emptied, until the registry is whole:  %s", spread(times))
	return nil
}
