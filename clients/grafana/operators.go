package grafana

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/VictoriaMetrics/metricsql"

	"pulseboard/metric"
)

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
	case op == "-" && leftNumber && left.N == 0:
		return t.scaled(e.Right, -1)
	case op == "/" && !leftNumber:
		return t.quotient(e)
	case op == "or":
		return t.fallback(e)
	case slices.Contains([]string{"==", "!=", ">", "<", ">=", "<="}, op):
		return series{}, errFormula{"a comparison with " + op}
	case slices.Contains([]string{"and", "unless"}, op) || e.JoinModifier.Op != "" || e.GroupModifier.Op != "":
		return series{}, errFormula{"a join with " + op}
	case leftNumber || rightNumber:
		return series{}, errFormula{"a calculation with " + op + " and a constant"}
	}
	return series{}, betweenQueries(op)
}

func betweenQueries(op string) error {
	return errFormula{"a calculation with " + op + " between two queries"}
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
	if err != nil {
		return s, err
	}
	s.factor *= factor
	switch {
	case s.factor < 0 && !math.IsInf(s.factor, 0):
		return s, fmt.Errorf("its sign (a factor of %v): values are shown as they are", s.factor)
	case !(s.factor > 0) || math.IsInf(s.factor, 0):
		return s, errors.New("a factor that is no number above 0")
	}
	return s, nil
}

// fallback is the left side of an or. Its right side is what boards show of the same metric where the left one has no
// value, which ours has as long as the series lives, or of another metric, or 0.
func (t *translation) fallback(e *metricsql.BinaryOpExpr) (series, error) {
	other := *t
	s, err := t.expr(e.Left)
	if err != nil {
		return s, err
	}
	_, sent := t.options.Tags[s.metric]
	if isZero(e.Right) && sent {
		t.note("or vector(0) is left out: where no series lives there is no value in place of 0")
		return s, nil
	}
	if isZero(e.Right) {
		t.needs("%s is sent: where no series of it lives there is no value in place of 0", s.metric)
		return s, nil
	}
	other.notes, other.rightIf = slices.Clone(other.notes), slices.Clone(other.rightIf)
	r, err := other.expr(e.Right)
	switch same := err == nil && s.comesFrom(&r); {
	case same && s.window > 0 && s.window < 2*t.options.SendInterval && s.window < r.window:
		// Mostly empty, so that the other side is what is seen.
		t.notes, t.rightIf = other.notes, other.rightIf
		t.note("the window of %s is shorter than two times --send-interval: the other side of or is shown, of the same metric", span(s.window))
		return r, nil
	case same:
		t.note("or … of the same metric is left out: there is a value as long as series live")
		return s, nil
	}
	if sent {
		t.note("%s is sent: the other side of or is left out", s.metric)
	} else {
		t.needs("%s is sent: where it is not, the other side of or is not shown", s.metric)
	}
	return s, nil
}

// comesFrom reports whether o is of the same series as s, in the same groups and scale.
func (s *series) comesFrom(o *series) bool {
	return s.metric == o.metric && sameFilter(s.filter, o.filter) && slices.Equal(s.by, o.by) && s.grouped == o.grouped &&
		slices.Equal(s.chosen, o.chosen) && s.factor == o.factor
}

func sameFilter(a, b []metric.Term) bool {
	x, errX := metric.NewFilter(a...)
	y, errY := metric.NewFilter(b...)
	return errX == nil && errY == nil && metric.Query{Filter: x}.Selector() == metric.Query{Filter: y}.Selector()
}

// quotient is rate(x_sum) / rate(x_count), the average of a histogram.
func (t *translation) quotient(e *metricsql.BinaryOpExpr) (series, error) {
	failed := betweenQueries("/")
	if e.GroupModifier.Op != "" || e.JoinModifier.Op != "" {
		failed = errFormula{"a join with /"}
	}
	notes, rightIf := t.notes, t.rightIf
	sum, err := t.expr(e.Left)
	if err != nil {
		return sum, failed
	}
	number, err := t.expr(e.Right)
	if err != nil {
		return sum, failed
	}
	base, isSum := observed(sum.metric, sumSuffix)
	of, isCount := observed(number.metric, countSuffix)
	sum.metric, number.metric = base, of
	same := isSum && isCount && sum.kind == increase && number.kind == increase && sum.comesFrom(&number) && sum.factor == 1 &&
		sum.window == number.window && sum.perSec == number.perSec && sum.over == number.over && e.GroupModifier.Op == "" && e.JoinModifier.Op == ""
	if !same {
		t.notes, t.rightIf = notes, rightIf
		return sum, failed
	}
	t.needs("%s comes as a native histogram, or each observation as an event of it, in place of its sum and count", base)
	sum.kind, sum.over, sum.perSec = overTime, metric.Avg, false
	return sum, nil
}
