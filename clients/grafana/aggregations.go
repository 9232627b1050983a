package grafana

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/VictoriaMetrics/metricsql"

	"pulseboard/metric"
)

// aggregate is an aggregation over series.
func (t *translation) aggregate(e *metricsql.AggrFuncExpr) (series, error) {
	name := strings.ToLower(e.Name)
	args := e.Args
	var p metric.Aggregation
	switch name {
	case "sum", "avg", "max", "min", "count":
	case "quantile":
		if len(args) != 2 {
			return series{}, errors.New("quantile() takes two arguments")
		}
		var err error
		if p, err = percentileOf(args[0]); err != nil {
			return series{}, err
		}
		args = args[1:]
	case "topk", "bottomk":
		return t.selection(e, name)
	default:
		return series{}, fmt.Errorf("%s() over series has no counterpart", name)
	}
	if len(args) != 1 || e.Limit != 0 {
		return series{}, fmt.Errorf("%s() of several things, or with a limit", name)
	}
	s, err := t.expr(args[0])
	if err != nil {
		return s, err
	}
	by, err := t.groupsOf(&s, e.Modifier)
	if err != nil {
		return s, err
	}
	return t.over(s, name, p, by)
}

// selection is topk(k, q) or bottomk: the query, of which the widget shows as many series where that is the same.
func (t *translation) selection(e *metricsql.AggrFuncExpr, name string) (series, error) {
	if len(e.Args) != 2 || e.Modifier.Op != "" || e.Limit != 0 {
		return series{}, fmt.Errorf("%s() takes two arguments, and here no by", name)
	}
	s, err := t.expr(e.Args[1])
	if err != nil {
		return s, err
	}
	k, ok := e.Args[0].(*metricsql.NumberExpr)
	if name == "topk" && ok && k.N >= 1 && k.N <= maxShown {
		s.top = int(k.N)
		t.note("topk() is how many series the widget shows, the greatest of them")
	} else {
		t.note("all series are shown, up to the widget's limit, not only those of %s()", name)
	}
	s.last = name
	return s, nil
}

// maxShown is how many series a widget can show.
const maxShown = 100

// groupsOf are the labels that a sum by (…) or without (…) of s is parted by.
func (t *translation) groupsOf(s *series, m metricsql.ModifierExpr) ([]string, error) {
	by := m.Args
	if strings.ToLower(m.Op) == "without" {
		by = s.by
		if !s.grouped {
			if by = t.parting(s); !t.partedByAll(s, by) {
				t.needs("no further labels part the series: without (…) names those that do not part lines, a widget those that do")
			}
		}
		by = slices.DeleteFunc(slices.Clone(by), func(l string) bool { return slices.Contains(m.Args, l) })
	}
	if t.heatmap && slices.Contains(by, "le") {
		return nil, errors.New("by (le): a heat map shows the distribution of sum by (le) (…), not parted by other labels")
	}
	for _, l := range by {
		if err := metric.ValidateTagKey(l); err != nil {
			return nil, err
		}
	}
	return by, nil
}

// over makes one aggregation over events of one over time and one over series.
func (t *translation) over(s series, name string, p metric.Aggregation, by []string) (series, error) {
	a := metric.Aggregation(name)
	if a == metric.Count {
		s.factor = 1
	}
	var err error
	switch {
	case s.last == "topk" || s.last == "bottomk":
		t.needs("%s() keeps all series: those that it leaves out are aggregated too", s.last)
		s.last, s.top = "", 0
		return t.over(s, name, p, by)
	case s.last != "":
		err = fmt.Errorf("%s() of %s(): it cannot be left out there", name, s.last)
	case s.grouped:
		by, err = t.overGroups(&s, a, by)
	default:
		err = t.overSeries(&s, a, p, by)
	}
	s.grouped, s.by = true, by
	return s, err
}

func (t *translation) overSeries(s *series, a, p metric.Aggregation, by []string) error {
	switch s.kind {
	case gauge:
		t.overGauge(s, a, p)
		return nil
	case increase:
		return t.overGrowth(s, a, by)
	case overTime, percentile:
	}
	return t.overWindows(s, a, by)
}

// overGroups is an aggregation of one that has an aggregation over series already. Over groups that are one each it is
// these; a sum of sums or the highest of the highest are those of all.
func (t *translation) overGroups(s *series, a metric.Aggregation, by []string) ([]string, error) {
	within := func(l string) bool { return slices.Contains(by, l) || slices.Contains(s.fixed, l) }
	extreme := a == metric.Max || a == metric.Min
	base := metric.Aggregation(strings.TrimPrefix(string(s.over), "last_"))
	kept := slices.DeleteFunc(slices.Clone(s.by), func(l string) bool { return !slices.Contains(by, l) })
	switch alone := !slices.ContainsFunc(s.by, func(l string) bool { return !within(l) }); {
	case alone && (a == metric.Sum || a == metric.Avg || extreme),
		s.kind == overTime && a == base && (a == metric.Sum || extreme),
		a == metric.Sum && (base == metric.Count || s.kind == increase && s.over == ""):
		return kept, nil
	case a == metric.Count && s.over == lastCount:
		return kept, t.single(s, s.by, "count() of groups")
	case a == metric.Count || s.over == lastCount:
		return nil, fmt.Errorf("%s() of an aggregation: a widget has one", a)
	}
	// Such as sum(max by (pod) (x)), which takes one of each pod where there may be several.
	if err := t.single(s, s.by, string(a)+"() of another aggregation"); err != nil {
		return nil, err
	}
	if base != s.over {
		s.kind = gauge
	}
	return kept, t.overSeries(s, a, "", by)
}

const lastCount metric.Aggregation = "last_count"

// single makes it a condition that each group is one series. It is an error where that is known not to be so.
func (t *translation) single(s *series, by []string, what string) error {
	others := slices.DeleteFunc(t.labels.surely(s), func(l string) bool { return slices.Contains(by, l) || slices.Contains(s.chosen, l) })
	if len(others) > 0 {
		return fmt.Errorf("%s: a widget has one aggregation, and %s has several series for each line, by %s", what, s.metric, strings.Join(others, ", "))
	}
	if !t.partedByAll(s, slices.Concat(by, s.chosen)) {
		t.needs("each line is one series: of several, %s is another", what)
	}
	return nil
}

// overGauge is an aggregation of the last values of series.
func (t *translation) overGauge(s *series, a, p metric.Aggregation) {
	s.kind = overTime
	if a == "quantile" {
		s.kind, s.over, s.window = percentile, p, t.options.Window
		t.needs("quantiles over the events of a window will do, in place of the last value of each series")
		return
	}
	t.lastValue(s)
	s.over = "last_" + a
}

// lastValue gives what has no range the window in which Prometheus looks for the value of a series.
func (t *translation) lastValue(s *series) {
	if s.window == 0 {
		s.window = min(lookback, t.options.MaxWindow)
	}
}

// overGrowth is an aggregation over series of by how much counters grew.
func (t *translation) overGrowth(s *series, a metric.Aggregation, by []string) error {
	switch a {
	case metric.Sum:
		return nil
	case metric.Avg:
		s.over = a
		return nil
	case metric.Count: // Those that have a rate have an event in the window.
		s.kind, s.over = overTime, lastCount
		return nil
	}
	return t.single(s, by, string(a)+"() of a rate")
}

// overWindows is an aggregation over series of one over time.
func (t *translation) overWindows(s *series, a metric.Aggregation, by []string) error {
	sum := a == metric.Sum && (s.over == metric.Sum || s.over == metric.Count)
	switch {
	case sum, s.kind == overTime && a == s.over && (a == metric.Max || a == metric.Min):
		return nil
	case a == metric.Avg && s.over == metric.Avg:
		t.needs("the series send at the same pace: each event counts the same, in place of each series")
		return nil
	case a == metric.Count:
		s.kind, s.over = overTime, lastCount
		return nil
	}
	return t.single(s, by, fmt.Sprintf("%s() of another aggregation over time", a))
}
