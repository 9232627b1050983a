package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Dashboards that are made carry this tag, so that those of a killed run can be found.
const dashboardTag = "pulseboard:load"

// dashboards are those that were made, and are to be deleted.
type dashboards struct {
	api    *api
	config *Config

	mu  sync.Mutex
	ids []string
}

type madeDashboard struct {
	ID      string `json:"dashboard_id"`
	Widgets []struct {
		ID string `json:"widget_id"`
	} `json:"widgets"`
	Warnings []struct {
		Detail string `json:"detail"`
	} `json:"warnings"`
}

// post makes one.
func (d *dashboards) post(ctx context.Context, title string, widgets []map[string]any) (madeDashboard, error) {
	var made madeDashboard
	err := d.api.do(ctx, "the config service", http.MethodPost, d.config.Service+"/dashboards",
		map[string]any{"title": title, "tags": []string{dashboardTag}, "widgets": widgets}, &made)
	if err != nil {
		return made, err
	}
	if made.ID == "" || len(made.Widgets) != len(widgets) {
		return made, fmt.Errorf("the answer to POST %s/dashboards is no dashboard: is this the config service?", d.config.Service)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ids = append(d.ids, made.ID)
	if len(made.Warnings) > 0 {
		return made, fmt.Errorf("the config service would not make the dashboards as asked for: %s", made.Warnings[0].Detail)
	}
	return made, nil
}

// aggregations are those of the widgets.
func aggregations() []string { return []string{"count", "sum", "avg", "max", "min"} }

// metricKeys is how many different queries the dashboards ask.
func (c *Config) metricKeys() int {
	return min(c.Dashboards*c.Widgets, c.Metrics*len(aggregations()))
}

// makeLoad makes the dashboards that the clients look at: their widgets go through
// all metrics, then through the aggregations, so that each refresh has a result.
func (d *dashboards) makeLoad(ctx context.Context) ([]string, error) {
	c := d.config
	ids := make([]string, c.Dashboards)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for n := range ids {
		group.Go(func() error {
			widgets := make([]map[string]any, c.Widgets)
			for w := range widgets {
				i := n*c.Widgets + w
				widgets[w] = map[string]any{
					"metric_name": c.metricName(i % c.Metrics), "aggregation": aggregations()[i/c.Metrics%len(aggregations())],
					"window_seconds": c.WindowSeconds, "refresh_interval_seconds": c.Refresh.Seconds(),
				}
			}
			made, err := d.post(ctx, fmt.Sprintf("Load %s, %d of %d", c.Run, n+1, c.Dashboards), widgets)
			ids[n] = made.ID
			return err
		})
	}
	return ids, group.Wait()
}

// Widgets of a dashboard for a check: count and sum of each metric.
const metricsACheck = maxWidgets / 2

// makeCheck makes the dashboards that the check reads and returns, for each
// metric, where its count and its sum are.
func (d *dashboards) makeCheck(ctx context.Context, windowSeconds int) ([][2]string, error) {
	c := d.config
	paths := make([][2]string, c.Metrics)
	for begin := 0; begin < c.Metrics; begin += metricsACheck {
		var widgets []map[string]any
		end := min(begin+metricsACheck, c.Metrics)
		for m := begin; m < end; m++ {
			for _, a := range []string{"count", "sum"} {
				widgets = append(widgets, map[string]any{
					"metric_name": c.metricName(m), "aggregation": a, "window_seconds": windowSeconds,
					"refresh_interval_seconds": c.Refresh.Seconds(),
				})
			}
		}
		made, err := d.post(ctx, "Load "+c.Run+", check", widgets)
		if err != nil {
			var refused *refusal
			if errors.As(err, &refused) && refused.status == http.StatusUnprocessableEntity {
				err = fmt.Errorf("cannot check a run so long, whose window must be %d s: %w; shorten --for or leave --check out", windowSeconds, err)
			}
			return nil, err
		}
		for i, w := range made.Widgets {
			paths[begin+i/2][i%2] = "/dashboards/" + made.ID + "/widgets/" + w.ID + "/snapshot"
		}
	}
	return paths, nil
}

// remove deletes all that were made; what it cannot delete is named.
func (d *dashboards) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	d.mu.Lock()
	ids := d.ids
	d.ids = nil
	d.mu.Unlock()
	errs := make([]error, len(ids))
	var group errgroup.Group
	group.SetLimit(4)
	for i, id := range ids {
		group.Go(func() error {
			err := d.api.do(ctx, "the config service", http.MethodDelete, d.config.Service+"/dashboards/"+id, nil, nil)
			var refused *refusal
			if !errors.As(err, &refused) || refused.status != http.StatusNotFound {
				errs[i] = err // Somebody else has deleted the others.
			}
			return nil
		})
	}
	_ = group.Wait() // They are in errs.
	left := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(left) > 0 {
		return fmt.Errorf("%d dashboards with the tag %s could not be deleted: %w", len(left), dashboardTag, left[0])
	}
	return nil
}
