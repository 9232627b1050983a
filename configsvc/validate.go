package configsvc

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"pulseboard/catalog"
	"pulseboard/metric"
)

// ValidateDashboard answers POST /dashboards/validate.
func (a api) ValidateDashboard(c *gin.Context) {
	d, warnings, ok := a.draft(c)
	if !ok {
		return
	}
	warnings = append(append([]Warning{}, warnings...), a.advise(d)...)
	c.JSON(http.StatusOK, Validation{Dashboard: d, Warnings: warnings, Cost: a.cost(d)})
}

// advise warns of widgets that show something else than who chose the aggregation will think, as far as the catalog can tell.
func (a api) advise(d Dashboard) (warnings []Warning) {
	for i, w := range d.Widgets {
		q := w.Query()
		m, known := a.metrics.Metric(q.Metric)
		if !known || m.Stale {
			continue
		}
		warn := func(member, format string, args ...any) {
			warnings = append(warnings, Warning{Pointer: under(underIndex("/widgets", i), member), Detail: fmt.Sprintf(format, args...)})
		}
		if q.DelaySeconds < m.Arrival && m.Arrival > 1 { // A second is what the border of a slice makes of any age.
			warn("delay_seconds", "events of %s come up to %d s after their time: with a delay of %d s each window lacks its newest when it is published; use %d", q.Metric, m.Arrival, q.DelaySeconds, m.Arrival)
		}
		if len(m.Kinds) > 1 {
			warn("metric_name", "events of %s are of several kinds, %s: no aggregation is right for all of them", q.Metric, strings.Join(m.Kinds, ", "))
		}
		if len(m.Units) > 1 {
			warn("metric_name", "senders name several units for %s, %s: their values do not belong together", q.Metric, strings.Join(m.Units, ", "))
		}
		switch {
		case q.Aggregation == "last":
			if n := groups(q, m); len(q.Filter) == 0 && m.Series > n {
				warn("aggregation", "%s has %d series, and last is the value of the one that had an event last, of %d groups: use last_sum, last_avg, last_min or last_max, or group by more tags", q.Metric, m.Series, n)
			}
		case q.Aggregation.Grows():
			if every := 60 * int64(m.Series) / max(1, m.LastMinute); m.LastMinute > 0 && int64(q.WindowSeconds) < 2*every {
				warn("window_seconds", "a series of %s has an event about every %d s: in a window of %d s the value will jump; use %d s or more", q.Metric, every, q.WindowSeconds, 2*every)
			}
		}
	}
	return warnings
}

// cost is what the pipeline does for a dashboard.
func (a api) cost(d Dashboard) Cost {
	out := Cost{UnknownMetrics: []string{}, Widgets: make([]WidgetCost, 0, len(d.Widgets))}
	keys, metrics := make(map[string]bool), make(map[string]bool)
	results := make(map[want]bool)
	for _, w := range d.Widgets {
		q := w.Query()
		key := q.Key()
		wc := WidgetCost{WidgetID: w.ID, MetricKey: key, New: !a.publisher.derived.has(key), Slices: w.WindowSeconds * 1000 / int(a.rules.SliceMs)}
		m, known := a.metrics.Metric(q.Metric)
		if known {
			wc.Series, wc.Groups = &m.Series, new(groups(q, m))
		}
		if !metrics[q.Metric] {
			metrics[q.Metric] = true
			out.Series += m.Series
			if !known {
				out.UnknownMetrics = append(out.UnknownMetrics, q.Metric)
			}
		}
		if !keys[key] {
			keys[key] = true
			if wc.New {
				out.NewQueries++
			}
		}
		ms := a.rules.raise(w.RefreshMs())
		if r := (want{key, ms, q.WindowSeconds}); !results[r] {
			results[r] = true
			out.ResultsPerSecond += 1000 / float64(ms)
		}
		out.Slices = max(out.Slices, wc.Slices)
		out.Widgets = append(out.Widgets, wc)
	}
	out.Queries, out.Metrics = len(keys), len(metrics)
	out.Budgets = a.budgetCosts(d)
	slices.Sort(out.UnknownMetrics)
	return out
}

// groups is how many series a result has at most: one for each combination of
// the values of the group_by tags that the filter lets through, and not more
// than there are series.
func groups(q metric.Query, m catalog.Entry) int {
	n := 1
	for _, tag := range q.GroupBy {
		i := slices.IndexFunc(m.Tags, func(t catalog.Tag) bool { return t.Key == tag })
		if i < 0 {
			continue // All lack it: one value, the empty one.
		}
		values := m.Tags[i].More
		for _, v := range m.Tags[i].Values {
			if lets(q.Filter, tag, v) {
				values++
			}
		}
		// Some series may lack the tag.
		if lets(q.Filter, tag, "") {
			values++
		}
		n *= max(1, values)
		if n >= m.Series {
			return max(1, m.Series)
		}
	}
	return n
}

// lets reports whether a filter lets series with this value of one tag through.
func lets(f metric.Filter, tag, value string) bool {
	tags := metric.Tags{}
	if value != "" {
		tags = metric.Tags{{Key: tag, Value: value}}
	}
	for _, t := range f {
		if t.Tag == tag && !t.Match(tags) {
			return false
		}
	}
	return true
}
