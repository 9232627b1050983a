package grafana

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metricsql"

	"pulseboard/metric"
)

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
		return t.histogramAvg(e)
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
	case "clamp", "clamp_max", "clamp_min", "abs", "time", "scalar", "vector", "sqrt", "ln", "log2", "log10", "exp", "sgn":
		return series{}, errFormula{name + "()"}
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

// growth is by how much a counter grew in a window.
func (t *translation) growth(s series, function string) series {
	s.kind, s.perSec = increase, function != "increase"
	two := min(2*t.options.SendInterval, t.options.MaxWindow)
	switch {
	case function == "irate":
		if s.window > two {
			s.window = two
		}
		t.needs("the mean of %s, two times --send-interval, will do: irate() is of the last two samples", span(s.window))
	case s.window < two:
		t.needs("events come twice in each window: one of %s is shorter than two times --send-interval, %s", span(s.window), span(t.options.SendInterval))
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
	s.kind, s.over, s.perSec = percentile, p, false
	return s, nil
}

func (t *translation) histogramAvg(e *metricsql.FuncExpr) (series, error) {
	if len(e.Args) != 1 {
		return series{}, errors.New("histogram_avg() takes one argument")
	}
	s, err := t.distribution(e.Args[0])
	if err != nil {
		return s, fmt.Errorf("histogram_avg() of %w", err)
	}
	s.kind, s.over, s.perSec = overTime, metric.Avg, false
	return s, nil
}

// Suffixes of the series of a classic histogram.
const bucketSuffix, sumSuffix, countSuffix = "_bucket", "_sum", "_count"

// observed names the observations of a classic histogram, by one of its series.
func observed(name, suffix string) (base string, ok bool) {
	base, ok = strings.CutSuffix(name, suffix)
	return base, ok && base != ""
}

// distribution is sum by (…) (rate(x[w])), or without the sum, of a native histogram x, or by (le, …) of a classic one's
// x_bucket: percentiles and distributions of these counters are those of the histogram.
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
	if err != nil {
		return s, err
	}
	_, classic := observed(s.metric, bucketSuffix)
	_, isSum := observed(s.metric, sumSuffix)
	_, isCount := observed(s.metric, countSuffix)
	parted := slices.Contains(by, "le")
	switch {
	case s.kind != increase || s.factor != 1 || s.grouped || isSum || isCount:
		return s, errors.New("something other than the rate of a histogram")
	case !classic && parted:
		return s, fmt.Errorf("%s by (le), which is no x_bucket", s.metric)
	case classic && summed && !parted:
		return s, errors.New("a sum of x_bucket without le")
	}
	s.grouped = summed
	s.by = slices.DeleteFunc(slices.Clone(by), func(l string) bool { return l == "le" })
	return s, nil
}

// heatMap is the distribution that a heat map shows of a histogram's rate, not parted by other labels. False when
// the query is another one.
func (t *translation) heatMap(e metricsql.Expr) (series, bool) {
	notes, rightIf := t.notes, t.rightIf
	s, err := t.distribution(e)
	if err != nil || len(s.by) > 0 || strings.HasSuffix(s.metric, "_total") {
		t.notes, t.rightIf = notes, rightIf
		return s, false
	}
	if _, classic := observed(s.metric, bucketSuffix); !classic {
		t.needs("%s comes as a native histogram", s.metric)
	}
	if len(s.chosen) > 0 {
		t.needs("all of %s are wanted together: a distribution is not grouped", strings.Join(s.chosen, ", "))
	}
	s.kind, s.over, s.perSec, s.chosen, s.grouped = overTime, metric.Histogram, false, nil, true
	return s, true
}
