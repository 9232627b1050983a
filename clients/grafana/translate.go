package grafana

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metricsql"

	"pulseboard/metric"
)

// Options say what the files of Grafana do not.
type Options struct {
	Window       int // Seconds of the window where a query has none, or Grafana chooses it.
	SendInterval int // Seconds between two events of one series.
	Delay        int // Seconds that windows wait for events that come late.
	MaxWindow    int // Longest window of the pipeline in seconds.
	SliceMs      int64
}

// lookback is how many seconds old the sample may be that Prometheus takes for the value of a series.
const lookback = 300

// translation turns one query into one of ours.
type translation struct {
	options     Options
	variables   map[string]*variable
	minInterval int // Seconds, of the panel or query; 0 = none.
	timeRange   int // Seconds, of the dashboard; 0 = unknown.
	legend      string
	heatmap     bool // The panel is one.

	notes []string
}

func (t *translation) note(format string, args ...any) {
	if n := fmt.Sprintf(format, args...); !slices.Contains(t.notes, n) {
		t.notes = append(t.notes, n)
	}
}

// translated is a query of ours whose values are those of Grafana divided by Factor.
type translated struct {
	query  metric.Query
	factor float64 // Of a constant in the query.
	per    int     // Seconds, of a number of observations: Grafana shows it per second, we per window.
}

// kind is what a query computes of one series before any aggregation.
type kind int

const (
	gauge      kind = iota // Its last value.
	increase               // How much a counter grew in a window.
	overTime               // An aggregation of ours over a window.
	percentile             // A percentile over a window.
)

// series is a query while it is translated, from the inside out.
type series struct {
	kind    kind
	metric  string
	suffix  string // "_sum", "_count" or "_bucket", of the series of a histogram.
	filter  []metric.Term
	chosen  []string // Labels that variables choose by.
	over    metric.Aggregation
	window  int
	perSec  bool
	by      []string
	grouped bool   // An aggregation over series has been seen.
	last    string // A function that changes too much to be left out within another.
	factor  float64
}

const maxExpr = 16 << 10

var withTemplate = regexp.MustCompile(`(?i)\bwith\s*\(`)

// translate returns the reason as an error when the query cannot be mapped.
func (t *translation) translate(expr string) (translated, error) {
	switch {
	case strings.TrimSpace(expr) == "":
		return translated{}, errors.New("the query is empty")
	case len(expr) > maxExpr:
		return translated{}, fmt.Errorf("the query has %d bytes: at most %d are read", len(expr), maxExpr)
	case withTemplate.MatchString(expr):
		return translated{}, errors.New("WITH templates are not read")
	}
	text, err := t.substitute(expr)
	if err != nil {
		return translated{}, err
	}
	parsed, err := metricsql.Parse(text)
	if err != nil {
		return translated{}, fmt.Errorf("it cannot be read: %w", err)
	}
	if t.heatmap {
		if s, ok := t.heatMap(parsed); ok {
			return t.finish(s)
		}
	}
	s, err := t.expr(parsed)
	if err != nil {
		return translated{}, err
	}
	return t.finish(s)
}

func (t *translation) expr(e metricsql.Expr) (series, error) {
	switch e := e.(type) {
	case *metricsql.MetricExpr:
		return t.selector(e)
	case *metricsql.RollupExpr:
		if err := rangeFault(e); err != nil {
			return series{}, err
		}
		return series{}, errors.New("a range that no function takes")
	case *metricsql.FuncExpr:
		return t.function(e)
	case *metricsql.AggrFuncExpr:
		return t.aggregate(e)
	case *metricsql.BinaryOpExpr:
		return t.binary(e)
	case *metricsql.NumberExpr:
		return series{}, errors.New("it is a constant")
	}
	return series{}, fmt.Errorf("%.80s is no query of a metric", e.AppendString(nil))
}

// rangeFault says why e has no counterpart, unless it is selector[range].
func rangeFault(e *metricsql.RollupExpr) error {
	_, isSelector := e.Expr.(*metricsql.MetricExpr)
	switch {
	case e.Offset != nil:
		return errors.New("offset: windows end now, not in the past")
	case e.At != nil:
		return errors.New("@: windows end now, not at a fixed time")
	case !isSelector || e.Step != nil || e.InheritStep:
		return errors.New("a subquery: there are no windows over windows")
	case e.Window == nil:
		return errors.New("a function without a range")
	}
	return nil
}

func (t *translation) selector(e *metricsql.MetricExpr) (series, error) {
	s := series{factor: 1}
	if len(e.LabelFilterss) != 1 {
		return s, errors.New("matchers with or, or no matchers at all")
	}
	byLabel := make(map[string]*conditions)
	for _, f := range e.LabelFilterss[0] {
		m := matcher{f.Label, f.Value, f.IsNegative, f.IsRegexp}
		if m.label == "__name__" {
			if m.negative || m.regexp || s.metric != "" {
				return s, fmt.Errorf("the metric is chosen by %s: a widget has one metric", m)
			}
			s.metric = m.value
			continue
		}
		if err := metric.ValidateTagKey(m.label); err != nil {
			return s, err
		}
		if strings.Contains(m.value, varBegin) {
			if err := t.choice(&s, m); err != nil {
				return s, err
			}
			continue
		}
		if byLabel[m.label] == nil {
			byLabel[m.label] = &conditions{}
		}
		note, err := byLabel[m.label].add(m)
		if err != nil {
			return s, fmt.Errorf("%s: %w", m, err)
		}
		if note != "" {
			t.note("%s", note)
		}
	}
	if s.metric == "" {
		return s, errors.New("it names no metric")
	}
	for _, label := range slices.Sorted(maps.Keys(byLabel)) {
		terms, err := byLabel[label].terms(label)
		if err != nil {
			return s, fmt.Errorf("the matchers of %s: %w", label, err)
		}
		s.filter = append(s.filter, terms...)
	}
	return s, nil
}

// choice is a matcher with a variable: it chooses among the series of a widget
// that is grouped by the label, since variables are no filters with us.
func (t *translation) choice(s *series, m matcher) error {
	shown := strings.NewReplacer(varBegin, "$", varEnd, "").Replace(m.value)
	if m.negative {
		return fmt.Errorf("%s leaves out what the variable %s chooses", m.label, shown)
	}
	if !slices.Contains(s.chosen, m.label) {
		s.chosen = append(s.chosen, m.label)
	}
	name := strings.TrimSuffix(strings.TrimPrefix(strings.Trim(m.value, "^$()"), varBegin), varEnd)
	v := t.variables[name]
	switch {
	case v == nil:
		t.note("%s is compared with %q: all values of %s are shown instead", m.label, shown, m.label)
	case v.tag == "" || v.tag == m.label:
		v.tag = m.label
	default:
		t.note("$%s chooses by %s, not also by %s: all values of %s are shown", name, v.tag, m.label, m.label)
	}
	return nil
}

// ranged reads selector[range], the argument of most functions.
func (t *translation) ranged(e metricsql.Expr) (series, error) {
	switch e := e.(type) {
	case *metricsql.MetricExpr:
		s, err := t.selector(e)
		t.note("the window is %d s, since the query has none", t.options.Window)
		s.window = t.options.Window
		return s, err
	case *metricsql.RollupExpr:
		if err := rangeFault(e); err != nil {
			return series{}, err
		}
		s, err := t.selector(e.Expr.(*metricsql.MetricExpr))
		if err != nil {
			return s, err
		}
		s.window, err = t.windowSeconds(e.Window)
		return s, err
	}
	return series{}, errors.New("a function over a window of something that is no plain series")
}

func (t *translation) windowSeconds(window *metricsql.DurationExpr) (int, error) {
	ms, err := window.NonNegativeDuration(0)
	switch {
	case err != nil || ms <= 0:
		return 0, errors.New("a range that is no time")
	case ms > int64(t.options.MaxWindow)*1000:
		return 0, fmt.Errorf("a window of %d s: at most %d where the pipeline runs on Prism, 86400 on Flink (--max-window)", (ms+999)/1000, t.options.MaxWindow)
	case ms%1000 != 0:
		t.note("the window is raised from %d ms to whole seconds", ms)
	}
	return int((ms + 999) / 1000), nil
}

func (t *translation) function(e *metricsql.FuncExpr) (series, error) {
	name := strings.ToLower(e.Name)
	arg := func(i int) (series, error) {
		if len(e.Args) != i+1 {
			return series{}, fmt.Errorf("%s() with %d arguments", name, len(e.Args))
		}
		return t.ranged(e.Args[i])
	}
	switch name {
	case "rate", "irate", "increase":
		s, err := arg(0)
		if err != nil {
			return s, err
		}
		return t.growth(s, name), nil
	case "avg_over_time", "max_over_time", "min_over_time", "sum_over_time", "count_over_time", "stddev_over_time":
		s, err := arg(0)
		s.kind, s.over = overTime, metric.Aggregation(strings.TrimSuffix(name, "_over_time"))
		return s, err
	case "last_over_time":
		return arg(0)
	case "quantile_over_time":
		s, err := arg(1)
		if err != nil {
			return s, err
		}
		s.kind = percentile
		s.over, err = percentileOf(e.Args[0])
		return s, err
	case "histogram_quantile":
		return t.quantile(e)
	case "histogram_avg":
		if len(e.Args) != 1 {
			return series{}, fmt.Errorf("%s() takes one argument", name)
		}
		s, err := t.distribution(e.Args[0])
		if err != nil {
			return s, fmt.Errorf("%s() of %w", name, err)
		}
		s.kind, s.over, s.perSec, s.suffix = overTime, metric.Avg, false, ""
		return s, nil
	case "sort", "sort_desc", "round", "floor", "ceil":
		if len(e.Args) == 0 {
			break
		}
		t.note("%s() is left out: series are in the order of their tags, values are not rounded", name)
		s, err := t.expr(e.Args[0])
		if !strings.HasPrefix(name, "sort") {
			s.last = name
		}
		return s, err
	}
	return series{}, fmt.Errorf("%s() has no counterpart", name)
}

func percentileOf(e metricsql.Expr) (metric.Aggregation, error) {
	n, ok := e.(*metricsql.NumberExpr)
	if !ok || !(n.N >= 0 && n.N <= 1) {
		return "", errors.New("a quantile that is no number from 0 to 1")
	}
	a := metric.Aggregation("p" + strconv.FormatFloat(math.Round(n.N*1e8)/1e6, 'f', -1, 64))
	return a, a.Validate()
}

// growth is by how much a counter grew in a window, or the observations of a histogram.
func (t *translation) growth(s series, function string) series {
	s.kind, s.perSec = increase, function != "increase"
	for _, suffix := range []string{"_sum", "_count", "_bucket"} {
		if base, ok := strings.CutSuffix(s.metric, suffix); ok && base != "" {
			s.metric, s.suffix = base, suffix
		}
	}
	two := min(2*t.options.SendInterval, t.options.MaxWindow)
	switch {
	case function == "irate" && s.window > two:
		t.note("irate() follows the last two samples of %s; here the window is %s, two times --send-interval", span(s.window), span(two))
		s.window = two
	case s.window < two:
		t.note("the window of %s is shorter than two times --send-interval, %s: it is 0 where no event falls into it", span(s.window), span(t.options.SendInterval))
	}
	return s
}

// quantile is histogram_quantile(φ, …) of a distribution.
func (t *translation) quantile(e *metricsql.FuncExpr) (series, error) {
	if len(e.Args) != 2 {
		return series{}, errors.New("histogram_quantile() takes two arguments")
	}
	p, err := percentileOf(e.Args[0])
	if err != nil {
		return series{}, err
	}
	s, err := t.distribution(e.Args[1])
	if err != nil {
		return s, fmt.Errorf("histogram_quantile() of %w", err)
	}
	s.kind, s.over, s.perSec, s.suffix = percentile, p, false, ""
	return s, nil
}

// distribution is sum by (…) (rate(x[w])), or without the sum, of a native histogram x, which we have under its name,
// or by (le, …) of a classic one's x_bucket, in place of which we have the observations as events of x.
func (t *translation) distribution(e metricsql.Expr) (series, error) {
	var by []string
	sum, summed := e.(*metricsql.AggrFuncExpr)
	if summed {
		if op := strings.ToLower(sum.Modifier.Op); strings.ToLower(sum.Name) != "sum" || len(sum.Args) != 1 || op != "" && op != "by" || sum.Limit != 0 {
			return series{}, errors.New("something other than sum by (…)")
		}
		by, e = sum.Modifier.Args, sum.Args[0]
	}
	s, err := t.expr(e)
	parted := slices.Contains(by, "le")
	switch {
	case err != nil:
		return s, err
	case s.kind != increase || s.factor != 1 || s.grouped || s.suffix != "" && s.suffix != "_bucket":
		return s, errors.New("something other than the rate of a histogram")
	case s.suffix == "" && parted:
		return s, fmt.Errorf("%s by (le), which is no x_bucket", s.metric)
	case s.suffix != "" && summed && !parted:
		return s, errors.New("a sum of x_bucket without le")
	case s.suffix != "":
		t.note("right if your producers send each observation as an event of %s, in place of buckets", s.metric)
	}
	s.grouped = summed
	s.by = slices.DeleteFunc(slices.Clone(by), func(l string) bool { return l == "le" })
	return s, nil
}

// heatMap is the distribution that a heat map shows of a histogram's rate, not parted by other labels. False when
// the query is another one.
func (t *translation) heatMap(e metricsql.Expr) (series, bool) {
	notes := t.notes
	s, err := t.distribution(e)
	switch {
	case err != nil || len(s.by) > 0 || strings.HasSuffix(s.metric, "_total"):
		t.notes = notes
		return s, false
	case s.suffix == "":
		t.note("right if %s is a native histogram", s.metric)
	}
	if len(s.chosen) > 0 {
		t.note("all of %s together, whatever a variable chooses: a distribution is not grouped", strings.Join(s.chosen, ", "))
	}
	s.kind, s.over, s.perSec, s.suffix, s.chosen, s.grouped = overTime, metric.Histogram, false, "", nil, true
	return s, true
}

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
		if len(args) != 2 {
			return series{}, fmt.Errorf("%s() takes two arguments", name)
		}
		t.note("all series are shown, up to the widget's limit, not only those of %s()", name)
		s, err := t.expr(args[1])
		s.last = name
		return s, err
	default:
		return series{}, fmt.Errorf("%s() over series has no counterpart", name)
	}
	switch op := strings.ToLower(e.Modifier.Op); {
	case len(args) != 1 || e.Limit != 0:
		return series{}, fmt.Errorf("%s() of several things, or with a limit", name)
	case op == "without":
		return series{}, errors.New("without (…): a widget names the tags that it groups by, not the others")
	}
	s, err := t.expr(args[0])
	if err != nil {
		return s, err
	}
	if slices.Contains(e.Modifier.Args, "le") {
		return s, errors.New("by (le): there are no buckets, since events have the values themselves")
	}
	for _, l := range e.Modifier.Args {
		if err := metric.ValidateTagKey(l); err != nil {
			return s, err
		}
	}
	if err := t.over(&s, name, p); err != nil {
		return s, err
	}
	s.grouped, s.by = true, e.Modifier.Args
	return s, nil
}

// over makes one aggregation over events of one over time and one over series.
func (t *translation) over(s *series, name string, p metric.Aggregation) error {
	a := metric.Aggregation(name)
	if a == metric.Count {
		s.factor = 1
	}
	switch {
	case s.last != "":
		return fmt.Errorf("%s() of %s(): it cannot be left out there", name, s.last)
	case s.grouped:
		return overGroups(s, a)
	case s.kind == gauge:
		t.overGauge(s, a, p)
		return nil
	case s.kind == increase && a == metric.Sum:
		return nil
	case s.kind == increase:
		return fmt.Errorf("%s() of a rate: it needs the rate of each series by itself", name)
	case s.kind == overTime:
		return t.overWindows(s, a)
	}
	return fmt.Errorf("%s() of a percentile: percentiles cannot be aggregated", name)
}

// overGroups is an aggregation of one that has an aggregation over series already:
// a sum of sums or the highest of the highest are those of all.
func overGroups(s *series, a metric.Aggregation) error {
	same := (a == s.over || "last_"+a == s.over) && (a == metric.Sum || a == metric.Max || a == metric.Min)
	sumOfCounts := a == metric.Sum && s.over == metric.Count
	if s.kind == overTime && (same || sumOfCounts) || s.kind == increase && a == metric.Sum {
		return nil
	}
	return fmt.Errorf("%s() of an aggregation: a widget has one", a)
}

// overGauge is an aggregation of the last values of series.
func (t *translation) overGauge(s *series, a, p metric.Aggregation) {
	s.kind = overTime
	switch a {
	case metric.Count:
		s.over, s.window = a, t.options.SendInterval
		t.note("right while each series sends exactly one event in %d s (--send-interval), so that the window holds one of each", s.window)
	case "quantile":
		s.kind, s.over, s.window = percentile, p, t.options.Window
		t.note("over the events of %d s in place of the last value of each series", s.window)
	default:
		t.lastValue(s)
		s.over = "last_" + a
	}
}

// lastValue gives what has no range the window in which Prometheus looks for the value of a series.
func (t *translation) lastValue(s *series) {
	if s.window == 0 {
		s.window = min(lookback, t.options.MaxWindow)
	}
	if strings.HasSuffix(s.metric, "_total") {
		t.note("the running total of a counter: right if your producers send that, as events of kind cumulative")
	}
}

// overWindows is an aggregation over series of one over time.
func (t *translation) overWindows(s *series, a metric.Aggregation) error {
	switch {
	case a == metric.Avg && s.over == metric.Avg:
		t.note("each event counts the same, in place of each series")
		return nil
	case a == s.over && a != metric.Count, a == metric.Sum && s.over == metric.Count:
		return nil
	}
	return fmt.Errorf("%s() of %s_over_time(): a widget has one aggregation", a, s.over)
}

func (t *translation) binary(e *metricsql.BinaryOpExpr) (series, error) {
	left, leftNumber := e.Left.(*metricsql.NumberExpr)
	right, rightNumber := e.Right.(*metricsql.NumberExpr)
	op := strings.ToLower(e.Op)
	switch {
	case op == "*" && leftNumber:
		return t.scaled(e.Right, left.N)
	case op == "*" && rightNumber:
		return t.scaled(e.Left, right.N)
	case op == "/" && rightNumber:
		return t.scaled(e.Left, 1/right.N)
	case op == "/" && !leftNumber:
		return t.quotient(e)
	case op == "or" && isZero(e.Right):
		t.note("or vector(0) is left out: where no series lives there is no value")
		return t.expr(e.Left)
	case slices.Contains([]string{"==", "!=", ">", "<", ">=", "<="}, op):
		return series{}, fmt.Errorf("%s leaves out series by their values, which no filter does", op)
	case leftNumber || rightNumber:
		return series{}, fmt.Errorf("a constant with %s: only a factor can be left out and accounted for", op)
	}
	return series{}, fmt.Errorf("a calculation with %s between two queries: a widget has one", op)
}

// isZero is vector(0), what stands in for nothing.
func isZero(e metricsql.Expr) bool {
	f, ok := e.(*metricsql.FuncExpr)
	if !ok || strings.ToLower(f.Name) != "vector" || len(f.Args) != 1 {
		return false
	}
	n, ok := f.Args[0].(*metricsql.NumberExpr)
	return ok && n.N == 0
}

func (t *translation) scaled(e metricsql.Expr, factor float64) (series, error) {
	s, err := t.expr(e)
	s.factor *= factor
	if err == nil && (!(s.factor > 0) || math.IsInf(s.factor, 0)) {
		err = errors.New("a factor that is not above 0")
	}
	return s, err
}

// quotient is rate(x_sum) / rate(x_count), the average of a histogram.
func (t *translation) quotient(e *metricsql.BinaryOpExpr) (series, error) {
	failed := errors.New("a calculation with / between two queries: a widget has one")
	sum, err := t.expr(e.Left)
	if err != nil {
		return sum, failed
	}
	number, err := t.expr(e.Right)
	if err != nil || sum.suffix != "_sum" || number.suffix != "_count" {
		return sum, failed
	}
	a, errA := metric.NewFilter(sum.filter...)
	b, errB := metric.NewFilter(number.filter...)
	same := errA == nil && errB == nil && metric.Query{Filter: a}.Selector() == metric.Query{Filter: b}.Selector() &&
		sum.metric == number.metric && sum.window == number.window && sum.perSec == number.perSec && sum.grouped == number.grouped &&
		slices.Equal(sum.by, number.by) && slices.Equal(sum.chosen, number.chosen) && sum.factor == 1 && number.factor == 1 &&
		e.GroupModifier.Op == "" && e.JoinModifier.Op == ""
	if !same {
		return sum, failed
	}
	t.note("right if your producers send each observation as an event of %s, in place of its sum and count", sum.metric)
	sum.kind, sum.over, sum.perSec, sum.suffix = overTime, metric.Avg, false, ""
	return sum, nil
}

// finish decides what the query leaves to Grafana: which lines there are.
func (t *translation) finish(s series) (translated, error) {
	out := translated{factor: s.factor}
	if s.kind == gauge {
		t.lastValue(&s)
		s.over = "last"
	}
	if s.kind == increase {
		if err := t.grown(&s); err != nil {
			return out, err
		}
	}
	q := metric.Query{Metric: s.metric, Aggregation: s.over, WindowSeconds: s.window, DelaySeconds: t.options.Delay}
	if s.perSec && s.over == metric.Count {
		out.per = s.window
		t.note("per %s, where Grafana shows it per second; thresholds and bounds were converted", span(s.window))
	}
	if s.factor != 1 {
		t.note("shown without the factor %s of the query; thresholds and bounds were converted, the unit was left out", strconv.FormatFloat(s.factor, 'g', 6, 64))
	}
	q.GroupBy = t.groups(s)
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

// grown makes an aggregation of by how much a counter grew, or the sum or number of observations.
func (t *translation) grown(s *series) error {
	s.over = "increase"
	if s.perSec {
		s.over = "rate"
	}
	switch s.suffix {
	case "_bucket":
		return errors.New("buckets of a histogram: events have the values themselves; use histogram_quantile() for a percentile")
	case "_count":
		s.over = metric.Count
	case "":
		return nil
	}
	t.note("right if your producers send each observation as an event of %s, in place of its %s", s.metric, strings.TrimPrefix(s.suffix, "_"))
	return nil
}

var legendLabel = regexp.MustCompile(`\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}`)

// groups are the labels that part the lines: those of by, those that variables
// choose by, and without by those that the legend names.
func (t *translation) groups(s series) []string {
	var groups []string
	add := func(l string) {
		if !slices.Contains(groups, l) {
			groups = append(groups, l)
		}
	}
	for _, l := range s.by {
		add(l)
	}
	for _, l := range s.chosen {
		if s.grouped && !slices.Contains(groups, l) {
			t.note("one series for each %s, among which the variable chooses, in place of one over those chosen", l)
		}
		add(l)
	}
	if s.grouped {
		return groups
	}
	for _, m := range legendLabel.FindAllStringSubmatch(t.legend, -1) {
		if slices.Contains(groups, m[1]) || m[1] == "le" {
			continue
		}
		if len(groups) == metric.MaxGroupBy {
			t.note("not parted by %s: at most %d tags", m[1], metric.MaxGroupBy)
			continue
		}
		add(m[1])
	}
	if len(groups) == 0 {
		t.note("one series over all; Prometheus shows one for each combination of labels: name in group_by those that you want")
	} else {
		t.note("a series for each %s; Prometheus shows one for each combination of all labels", strings.Join(groups, ", "))
	}
	return groups
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
	return fmt.Sprintf("%d s", seconds)
}
