package setting

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"pulseboard/metric"
)

const (
	refreshMs     = 1000
	windowSeconds = 60
	groupTag      = "host"
)

// dashboard is one document and the queries of its widgets.
type dashboard struct {
	id       string
	document []byte
	queries  []metric.Query
}

// What of a widget the gateway reads, and as much besides as the config service
// writes for every widget.
type widget struct {
	ID          string             `json:"widget_id"`
	Dashboard   string             `json:"dashboard_id"`
	Metric      string             `json:"metric_name"`
	Aggregation metric.Aggregation `json:"aggregation"`
	Window      int                `json:"window_seconds"`
	Refresh     int                `json:"refresh_interval_seconds"`
	Delay       int                `json:"delay_seconds"`
	GroupBy     []string           `json:"group_by,omitempty"`
	Display     display            `json:"display_config"`
}

type display struct {
	Chart    string         `json:"chart"`
	Title    string         `json:"title"`
	Position map[string]int `json:"position"`
}

// charts are those of an ordinary dashboard; which it is decides what a slow
// client is owed.
func charts() []string { return []string{"line", "stat", "line", "gauge", "line"} }

// stableID is the same in every run, so that a list of ids can be kept.
func stableID(name string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("pulseboard/bench/fanout/"+name)).String()
}

func makeDashboards(c Config) []dashboard {
	out := make([]dashboard, 0, c.Dashboards)
	for i := range c.Dashboards {
		b := dashboard{id: stableID(fmt.Sprint(i))}
		widgets := make([]widget, 0, c.Widgets)
		for j := range c.Widgets {
			q := metric.Query{Metric: fmt.Sprintf("fanout.d%03d.w%02d", i, j), Aggregation: metric.Avg, WindowSeconds: windowSeconds}
			if c.Series > 1 {
				q.GroupBy = []string{groupTag}
			}
			b.queries = append(b.queries, q)
			widgets = append(widgets, widget{
				ID: stableID(fmt.Sprintf("%d/%d", i, j)), Dashboard: b.id, Metric: q.Metric, Aggregation: q.Aggregation,
				Window: q.WindowSeconds, Refresh: refreshMs / 1000, GroupBy: q.GroupBy,
				Display: display{
					Chart: charts()[j%len(charts())], Title: fmt.Sprintf("Widget %d", j+1),
					Position: map[string]int{"x": j % 4 * 6, "y": j / 4 * 4, "w": 6, "h": 4},
				},
			})
		}
		// Nothing in it can fail to encode.
		b.document, _ = json.Marshal(map[string]any{"dashboard_id": b.id, "title": fmt.Sprintf("Fan-out %d", i+1), "version": 1, "tags": []string{"fanout"}, "widgets": widgets})
		out = append(out, b)
	}
	return out
}
