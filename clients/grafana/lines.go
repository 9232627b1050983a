package grafana

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metricsql"

	"pulseboard/metric"
)

// labels are what the queries of a dashboard tell of the labels of metrics: whether series differ by it, or it is only
// known that some value of it is not wanted.
type labels map[string]map[string]bool

func (l labels) add(name string, parts bool, more ...string) {
	if l[name] == nil {
		l[name] = make(map[string]bool)
	}
	for _, label := range more {
		if label != "le" && label != "__name__" && metric.ValidTagKey(label) {
			l[name][label] = l[name][label] || parts
		}
	}
}

// of are the labels that may part the series of s, as far as is known.
func (l labels) of(s *series) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(l[s.metric])), func(label string) bool { return slices.Contains(s.fixed, label) })
}

// surely are those of which series differ.
func (l labels) surely(s *series) []string {
	return slices.DeleteFunc(l.of(s), func(label string) bool { return !l[s.metric][label] })
}

var valuesOf = regexp.MustCompile(`(?s)^\s*label_values\((.+),\s*([A-Za-z_][A-Za-z0-9_]*)\s*\)\s*$`)

// learn takes in what a query tells. What a join or label_replace() makes of labels is not known.
func (l labels) learn(e metricsql.Expr, legend string) {
	plain, names := true, []string{}
	metricsql.VisitAll(e, func(e metricsql.Expr) {
		switch e := e.(type) {
		case *metricsql.MetricExpr:
			names = append(names, l.selector(e))
		case *metricsql.BinaryOpExpr:
			plain = plain && e.JoinModifier.Op == ""
		case *metricsql.FuncExpr:
			plain = plain && !strings.HasPrefix(strings.ToLower(e.Name), "label_")
		}
	})
	if !plain {
		return
	}
	grouped := false
	metricsql.VisitAll(e, func(e metricsql.Expr) {
		a, ok := e.(*metricsql.AggrFuncExpr)
		if !ok {
			return
		}
		grouped = grouped || !strings.HasSuffix(strings.ToLower(a.Name), "k")
		metricsql.VisitAll(a, func(e metricsql.Expr) {
			if m, ok := e.(*metricsql.MetricExpr); ok {
				l.add(l.selector(m), true, a.Modifier.Args...)
			}
		})
	})
	if !grouped && len(names) == 1 {
		l.add(names[0], true, legendLabels(legend)...)
	}
}

// selector takes in the labels of one, and returns its metric.
func (l labels) selector(e *metricsql.MetricExpr) (name string) {
	for _, filters := range e.LabelFilterss {
		for _, f := range filters {
			if f.Label == "__name__" && !f.IsRegexp {
				name = f.Value
			}
		}
		for _, f := range filters {
			l.add(name, !f.IsNegative, f.Label)
		}
	}
	return name
}

// finish decides what the query leaves to Grafana: which lines there are.
func (t *translation) finish(s series) (translated, error) {
	out := translated{factor: s.factor, top: s.top}
	switch s.kind {
	case gauge:
		t.lastValue(&s)
		s.over = "last"
	case increase:
		of := map[bool]metric.Aggregation{false: "increase", true: "rate"}[s.perSec]
		if s.over == metric.Avg {
			of += "_avg"
		}
		s.over = of
	case overTime, percentile:
	}
	q := metric.Query{Metric: s.metric, Aggregation: s.over, WindowSeconds: s.window, DelaySeconds: t.options.Delay}
	if late := min(t.options.Arrival[s.metric], metric.MaxDelaySeconds); late > q.DelaySeconds {
		q.DelaySeconds = late
		t.note("windows wait %d s: the events come so long after their time", late)
	}
	q.GroupBy = t.groups(&s)
	if len(q.GroupBy) > metric.MaxGroupBy {
		return out, fmt.Errorf("it is grouped by %d labels (%s): at most %d", len(q.GroupBy), strings.Join(q.GroupBy, ", "), metric.MaxGroupBy)
	}
	var err error
	if q.Filter, err = metric.NewFilter(s.filter...); err != nil {
		return out, err
	}
	out.query = q
	return out, q.Validate()
}

var legendLabel = regexp.MustCompile(`\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}`)

func legendLabels(legend string) (names []string) {
	for _, m := range legendLabel.FindAllStringSubmatch(legend, -1) {
		names = append(names, m[1])
	}
	return names
}

// parting are the labels that part the lines of what is not aggregated: those that the legend names, those that
// variables choose by, and what else is known of the metric: of one that arrives all its tags.
func (t *translation) parting(s *series) (all []string) {
	for _, l := range slices.Concat(legendLabels(t.legend), s.chosen, t.labels.of(s), t.options.Tags[s.metric]) {
		if !slices.Contains(all, l) && !slices.Contains(s.fixed, l) && l != "le" && metric.ValidTagKey(l) {
			all = append(all, l)
		}
	}
	_, buckets := observed(s.metric, bucketSuffix)
	if distribution := s.kind == percentile || s.over == metric.Histogram; buckets && !distribution && !slices.Contains(s.fixed, "le") {
		all = append([]string{"le"}, all...)
	}
	return all
}

// partedByAll reports whether each line is one series for sure.
func (t *translation) partedByAll(s *series, groups []string) bool {
	tags, known := t.options.Tags[s.metric]
	return known && !slices.ContainsFunc(tags, func(l string) bool { return l != "le" && !slices.Contains(groups, l) && !slices.Contains(s.fixed, l) })
}

// groups are the labels that part the lines: those of by and those that variables choose by.
func (t *translation) groups(s *series) []string {
	if !s.grouped {
		groups := t.parting(s)
		if len(groups) > metric.MaxGroupBy {
			t.needs("the lines are not parted by %s: at most %d tags", strings.Join(groups[metric.MaxGroupBy:], ", "), metric.MaxGroupBy)
			groups = groups[:metric.MaxGroupBy]
		}
		if !t.partedByAll(s, groups) {
			t.needs("no further labels part the series: Prometheus shows a line for each combination of all labels, here those of one line are taken together")
		}
		return groups
	}
	groups := slices.Clone(s.by)
	for _, l := range s.chosen {
		if slices.Contains(groups, l) {
			continue
		}
		groups = append(groups, l)
		if t.several(l) {
			t.needs("one value is chosen of each variable: Grafana adds up several, here each has a line, as without a choice")
		} else {
			t.note("a line for each %s, until a value is chosen", l)
		}
	}
	return groups
}

// several reports whether a variable that chooses by a label can have several values at once.
func (t *translation) several(label string) bool {
	for _, v := range t.variables {
		if v.tag == label && !v.several {
			return false
		}
	}
	return true
}

// span is a number of seconds as people say it.
func span(seconds int) string {
	switch {
	case seconds == 3600:
		return "h"
	case seconds%3600 == 0:
		return fmt.Sprintf("%d h", seconds/3600)
	case seconds == 60:
		return "min"
	case seconds%60 == 0:
		return fmt.Sprintf("%d min", seconds/60)
	}
	return strconv.Itoa(seconds) + " s"
}
