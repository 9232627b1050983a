package grafana

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
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
	// Tags are all tags of metrics that are known to arrive, those with the most values first; nil = nothing is known.
	Tags map[string][]string
	// Arrival is how many seconds after their time the events of such metrics come: their windows wait as long, if not longer.
	Arrival map[string]int
	// Units are those that senders name for such metrics: widgets have them where their panels have none.
	Units    map[string]string
	IDOfFile bool // The id is made of the file's name too, where another file has the uid.
}

// lookback is how many seconds old the sample may be that Prometheus takes for the value of a series.
const lookback = 300

// translation turns one query into one of ours.
type translation struct {
	options     Options
	variables   map[string]*variable
	labels      labels
	minInterval int // Seconds, of the panel or query; 0 = none.
	timeRange   int // Seconds, of the dashboard; 0 = unknown.
	legend      string
	heatmap     bool // The panel is one.

	notes   []string // What differs, but not in the values.
	rightIf []string // What must hold so that the values are those of Prometheus.
}

func (t *translation) note(format string, args ...any) { t.notes = once(t.notes, format, args) }

// needs tells a condition of the values; it completes "right if".
func (t *translation) needs(format string, args ...any) { t.rightIf = once(t.rightIf, format, args) }

func once(texts []string, format string, args []any) []string {
	if n := fmt.Sprintf(format, args...); !slices.Contains(texts, n) {
		texts = append(texts, n)
	}
	return texts
}

// translated is a query of ours whose values are those of Grafana divided by factor.
type translated struct {
	query  metric.Query
	factor float64 // Of a constant in the query.
	top    int     // How many series are shown; 0 = those that the widget shows.
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
	filter  []metric.Term
	fixed   []string // Labels that have one value.
	chosen  []string // Labels that variables choose by.
	over    metric.Aggregation
	window  int
	perSec  bool
	by      []string
	grouped bool   // An aggregation over series has been seen.
	last    string // A function that changes too much to be left out within another.
	top     int
	factor  float64
}

const maxExpr = 16 << 10

// errFormula is of what needs a calculation between queries, or with constants.
type errFormula struct{ what string }

func (e errFormula) Error() string { return e.what + ", which waits for formulas" }

var withTemplate = regexp.MustCompile(`(?i)\bwith\s*\(`)

// translate returns the reason as an error when the query cannot be mapped.
func (t *translation) translate(expr string) (translated, error) {
	parsed, err := t.parse(expr)
	if err != nil {
		return translated{}, err
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

func (t *translation) parse(expr string) (metricsql.Expr, error) {
	switch {
	case strings.TrimSpace(expr) == "":
		return nil, errors.New("the query is empty")
	case len(expr) > maxExpr:
		return nil, fmt.Errorf("the query has %d bytes: at most %d are read", len(expr), maxExpr)
	case withTemplate.MatchString(expr):
		return nil, errors.New("WITH templates are not read")
	}
	text, err := t.substitute(expr)
	if err != nil {
		return nil, err
	}
	parsed, err := metricsql.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	return parsed, nil
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
