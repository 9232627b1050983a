package setting

import (
	"fmt"

	"github.com/google/uuid"

	"pulseboard/metric"
	"pulseboard/wire"
)

const (
	refreshMs     = 1000
	windowSeconds = 60
	groupTag      = "host"
)

// dashboard is the view of one and the queries of its widgets.
type dashboard struct {
	id      string
	view    wire.View
	queries []metric.Query
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
		b := dashboard{id: stableID(fmt.Sprint(i)), view: wire.View{Version: 1}}
		for j := range c.Widgets {
			q := metric.Query{Metric: fmt.Sprintf("fanout.d%03d.w%02d", i, j), Aggregation: metric.Avg, WindowSeconds: windowSeconds}
			if c.Series > 1 {
				q.GroupBy = []string{groupTag}
			}
			b.queries = append(b.queries, q)
			history := charts()[j%len(charts())] != "gauge"
			b.view.Widgets = append(b.view.Widgets, wire.NewWidgetView(stableID(fmt.Sprintf("%d/%d", i, j)), q, refreshMs, history))
		}
		out = append(out, b)
	}
	return out
}
