package grafana

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/VictoriaMetrics/metricsql"

	"pulseboard/metric"
)

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
		if err := t.matcher(&s, byLabel, m); err != nil {
			return s, err
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
		if len(terms) == 1 && (terms[0].Op == metric.NotExists || terms[0].Op == metric.In && len(terms[0].Values) == 1) {
			s.fixed = append(s.fixed, label)
		}
	}
	return s, nil
}

// matcher takes in one that is not of the metric's name.
func (t *translation) matcher(s *series, byLabel map[string]*conditions, m matcher) error {
	if err := metric.ValidateTagKey(m.label); err != nil {
		return err
	}
	rest := m
	if strings.Contains(m.value, varBegin) {
		var err error
		if rest, err = t.choice(s, m); err != nil || rest.value == "" {
			return err
		}
	}
	if byLabel[m.label] == nil {
		byLabel[m.label] = &conditions{}
	}
	if err := byLabel[m.label].add(rest); err != nil {
		return fmt.Errorf("%s: %w", m, err)
	}
	return nil
}

var marked = regexp.MustCompile(varBegin + `(\w+)` + varEnd)

// choice is a matcher with a variable: it chooses among the series of a widget
// that is grouped by the label, since variables are no filters with us. What
// holds whatever the variable is remains a matcher.
func (t *translation) choice(s *series, m matcher) (rest matcher, err error) {
	shown := strings.NewReplacer(varBegin, "$", varEnd, "").Replace(m.value)
	if m.negative {
		return m, fmt.Errorf("%s leaves out what the variable %s chooses", m.label, shown)
	}
	name := strings.TrimSuffix(strings.TrimPrefix(strings.Trim(m.value, "^$()"), varBegin), varEnd)
	v := t.variables[name]
	switch {
	case v == nil: // Several variables, or one within a text: nothing that a tag could be.
		t.needs("all values of %s are wanted, of those that fit %q: no variable of ours chooses among them", m.label, shown)
		return matcher{m.label, withAnything(m), false, true}, nil
	case v.tag == "" || v.tag == m.label:
		v.tag = m.label
	default:
		t.needs("all values of %s are wanted: $%s chooses by %s", m.label, name, v.tag)
		return matcher{}, nil
	}
	if !slices.Contains(s.chosen, m.label) {
		s.chosen = append(s.chosen, m.label)
	}
	return matcher{}, nil
}

// withAnything is the regular expression of a matcher in which anything stands for its variables.
func withAnything(m matcher) string {
	if m.regexp {
		return marked.ReplaceAllLiteralString(m.value, ".*")
	}
	var b strings.Builder
	at := 0
	for _, i := range marked.FindAllStringIndex(m.value, -1) {
		b.WriteString(regexp.QuoteMeta(m.value[at:i[0]]) + ".*")
		at = i[1]
	}
	return b.String() + regexp.QuoteMeta(m.value[at:])
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
		t.needs("a window of whole seconds will do: it is raised from %d ms", ms)
	}
	return int((ms + 999) / 1000), nil
}
