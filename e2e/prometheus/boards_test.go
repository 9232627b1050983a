package prometheus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"pulseboard/aggregate"
	"pulseboard/clients/grafana"
	"pulseboard/metric"
)

// sendInterval is how many seconds lie between two samples of a series.
const sendInterval = 15

// board is a dashboard of Grafana's: what the importer makes of it, and what Prometheus is asked in its place.
type board struct {
	name    string
	report  grafana.Report
	chosen  map[string]string // The tag that a variable chooses by.
	values  map[string]string // What stands for a variable that does not choose.
	legends map[string]string // By expr.
	asked   []*asked          // Queries that are mapped.
}

// asked is a query of a panel.
type asked struct {
	target grafana.Target
	query  metric.Query
	expr   parser.Expr // Of which the variables are still names.
}

// outcome is how one compares.
type outcome string

const (
	equal       outcome = "equal"
	mean        outcome = "equal to rate over two intervals, in place of irate"
	notCompared outcome = "not compared"
	noData      outcome = "without data in both"
	unreadable  outcome = "not read by Prometheus"
	wrong       outcome = "wrong"
)

// importBoard imports one. tags are those of the metrics that arrive, nil = nothing is known.
func importBoard(t *testing.T, path string, tags map[string][]string) *board {
	t.Helper()
	input, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d, report, err := grafana.Convert(filepath.Base(path), input, grafana.Options{Window: 60, SendInterval: sendInterval, MaxWindow: 3600, SliceMs: sliceMs, Tags: tags})
	if err != nil {
		t.Fatal(err)
	}
	b := &board{name: filepath.Base(path), report: report, chosen: make(map[string]string), values: make(map[string]string), legends: make(map[string]string)}
	for _, v := range d.Variables {
		b.chosen[v.Name] = v.Tag
	}
	b.readGrafana(t, input)
	for _, p := range report.Panels {
		for _, target := range p.Targets {
			if target.MetricKey == "" {
				continue
			}
			q, err := metric.ParseKey(target.MetricKey)
			if err != nil {
				t.Fatal(err)
			}
			b.asked = append(b.asked, &asked{target: target, query: q, expr: b.parse(target.Expr, q.WindowSeconds)})
		}
	}
	return b
}

// readGrafana reads the values of variables and the legends, of the classic form.
func (b *board) readGrafana(t *testing.T, input []byte) {
	t.Helper()
	type panel struct {
		Targets []struct{ Expr, LegendFormat string }
		Panels  []panel
	}
	var root struct {
		Templating struct {
			List []struct {
				Name, Type string
				Query      any
				Current    struct{ Value any }
			}
		}
		Panels    []panel
		Dashboard json.RawMessage
	}
	if err := json.Unmarshal(bytes.TrimPrefix(input, []byte("\xef\xbb\xbf")), &root); err != nil {
		t.Fatal(err)
	}
	if root.Dashboard != nil {
		b.readGrafana(t, root.Dashboard)
	}
	for _, v := range root.Templating.List {
		text, _ := v.Query.(string)
		current, _ := v.Current.Value.(string)
		switch v.Type {
		case "constant":
			b.values[v.Name] = text
		case "textbox", "custom":
			b.values[v.Name] = current
		}
	}
	var read func(panels []panel)
	read = func(panels []panel) {
		for _, p := range panels {
			for _, target := range p.Targets {
				b.legends[target.Expr] += " " + target.LegendFormat
			}
			read(p.Panels)
		}
	}
	read(root.Panels)
}

var (
	aRange      = regexp.MustCompile(`\[\s*(?:\$\w+|\$\{\w+\}|\[\[\w+\]\])\s*\]`)
	aHistogram  = regexp.MustCompile(`histogram_\w+\(`)
	legendLabel = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)
	aVariable   = regexp.MustCompile(`\$(\w+)|\$\{(\w+)(?:[:.]\w+)?\}|\[\[(\w+)(?::\w+)?\]\]`)
)

// parse is nil when Prometheus does not read it.
func (b *board) parse(text string, window int) parser.Expr {
	text = aRange.ReplaceAllString(text, fmt.Sprintf("[%ds]", window))
	text = aVariable.ReplaceAllStringFunc(text, func(v string) string {
		if value, ok := b.values[variableIn(v)]; ok && b.chosen[variableIn(v)] == "" {
			return value
		}
		return v
	})
	e, err := parser.NewParser(parser.Options{EnableExperimentalFunctions: true}).ParseExpr(text)
	if err != nil {
		return nil
	}
	return e
}

func variableIn(text string) string { return strings.Trim(text, "${}[]") }

// matchersOf are those of a selector in which variables have values; a variable that chooses nothing is anything.
func (b *board) matchersOf(s *parser.VectorSelector, values map[string]string) (all []*labels.Matcher) {
	for _, m := range s.LabelMatchers {
		if !aVariable.MatchString(m.Value) {
			all = append(all, m)
			continue
		}
		name := variableIn(strings.Split(strings.Trim(m.Value, "^$()"), ":")[0])
		if m.Value[0] == '$' || m.Value[0] == '[' {
			name = variableIn(m.Value)
		}
		if v, ok := values[name]; ok && b.chosen[name] == m.Name {
			all = append(all, labels.MustNewMatcher(labels.MatchEqual, m.Name, v))
			continue
		}
		pattern := aVariable.ReplaceAllLiteralString(m.Value, ".*")
		if m.Type == labels.MatchEqual {
			pattern = ""
			for i, part := range aVariable.Split(m.Value, -1) {
				if i > 0 {
					pattern += ".*"
				}
				pattern += regexp.QuoteMeta(part)
			}
		}
		all = append(all, labels.MustNewMatcher(labels.MatchRegexp, m.Name, pattern))
	}
	return all
}

// promQL is a query in which variables have values, in the words of our definitions: rate and increase are anchored,
// irate is the rate over two intervals, and what a condition of the importer leaves out is left out.
func (b *board) promQL(q *asked, values map[string]string) string {
	says := func(part string) bool {
		return slices.ContainsFunc(q.target.RightIf, func(c string) bool { return strings.Contains(c, part) })
	}
	e := q.expr
	if says("is sent: where") {
		e = leftOfOr(e)
	}
	// Parsed anew, since the tree is changed.
	e, err := parser.NewParser(parser.Options{EnableExperimentalFunctions: true}).ParseExpr(e.String())
	if err != nil {
		panic(err)
	}
	parser.Inspect(e, func(n parser.Node, path []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			n.LabelMatchers = b.matchersOf(n, values)
		case *parser.AggregateExpr:
			if k, ok := n.Param.(*parser.NumberLiteral); ok && says("keeps all series") {
				k.Val = 1000
			}
		case *parser.Call:
			m, ok := anyMatrix(n)
			if !ok {
				break
			}
			if n.Func.Name == "irate" && !hasOr(path) {
				n.Func = parser.Functions["rate"]
				m.Range = min(m.Range, 2*sendInterval*time.Second)
			}
			if n.Func.Name == "rate" || n.Func.Name == "increase" {
				m.VectorSelector.(*parser.VectorSelector).Anchored = true
			}
		}
		return nil
	})
	return e.String()
}

func anyMatrix(c *parser.Call) (*parser.MatrixSelector, bool) {
	for _, a := range c.Args {
		if m, ok := a.(*parser.MatrixSelector); ok {
			return m, true
		}
	}
	return nil, false
}

func hasOr(path []parser.Node) bool {
	return slices.ContainsFunc(path, func(n parser.Node) bool {
		b, ok := n.(*parser.BinaryExpr)
		return ok && b.Op == parser.LOR
	})
}

// leftOfOr leaves the other sides of or out.
func leftOfOr(e parser.Expr) parser.Expr {
	switch e := e.(type) {
	case *parser.BinaryExpr:
		if e.Op == parser.LOR {
			return leftOfOr(e.LHS)
		}
		e.LHS, e.RHS = leftOfOr(e.LHS), leftOfOr(e.RHS)
	case *parser.ParenExpr:
		e.Expr = leftOfOr(e.Expr)
	case *parser.AggregateExpr:
		e.Expr = leftOfOr(e.Expr)
	case *parser.Call:
		for i := range e.Args {
			e.Args[i] = leftOfOr(e.Args[i])
		}
	}
	return e
}

// compare compares a query for some windows and choices of variables.
func (b *board) compare(t *testing.T, side *beside, s *samples, q *asked, r *rand.Rand) (outcome, string) {
	t.Helper()
	says := func(part string) bool {
		return slices.ContainsFunc(q.target.RightIf, func(c string) bool { return strings.Contains(c, part) })
	}
	if q.expr == nil {
		return unreadable, ""
	}
	result := equal
	switch {
	case says("quantiles over the events"), !s.observed[q.query.Metric] && (says("native histogram") || aHistogram.MatchString(q.target.Expr) && !strings.HasSuffix(q.query.Metric, "_bucket")):
		return notCompared, ""
	case says("irate() is of the last two"):
		result = mean
	}
	found := false
	for range 3 {
		values := b.choose(s, q, r)
		end := ends - 1000*r.Int64N(90)
		text := b.promQL(q, values)
		theirs, err := side.vector(t, text, end-1, aggregate.Lookback*time.Millisecond)
		if err != nil {
			return wrong, fmt.Sprintf("%s: %v", text, err)
		}
		if q.query.Aggregation.IsDistribution() {
			theirs = slices.DeleteFunc(theirs, func(v labelled) bool { return v.labels.Get("le") != "+Inf" })
		}
		ours := side.ours(t, q.query, end)
		if fault := b.differ(s, q, values, ours, theirs); fault != "" {
			return wrong, fmt.Sprintf("%s until %d, %v: %s\n  ours   %v\n  theirs %v of %s", q.query.Key(), end, values, fault, ours, theirs, text)
		}
		found = found || len(theirs) > 0
	}
	if !found {
		return noData, b.promQL(q, b.choose(s, q, r))
	}
	return result, ""
}

// choose chooses a value of each variable, those of some series of the query's metric.
func (b *board) choose(s *samples, q *asked, r *rand.Rand) map[string]string {
	values := make(map[string]string)
	if q.query.Aggregation.IsDistribution() {
		return values // All together.
	}
	var first *parser.VectorSelector
	parser.Inspect(q.expr, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok && first == nil {
			first = v
		}
		return nil
	})
	var fit []labels.Labels
	for _, ls := range s.of(first.Name) {
		if !slices.ContainsFunc(b.matchersOf(first, nil), func(m *labels.Matcher) bool { return m.Name != "__name__" && !m.Matches(ls.Get(m.Name)) }) {
			fit = append(fit, ls)
		}
	}
	if len(fit) == 0 {
		return values
	}
	one := fit[r.IntN(len(fit))]
	for name, tag := range b.chosen {
		if v := one.Get(tag); v != "" {
			values[name] = v
		}
	}
	return values
}

// differ says what is wrong with ours. Groups that a variable does not choose are not looked at.
func (b *board) differ(s *samples, q *asked, values map[string]string, ours map[string]answer, theirs []labelled) string {
	chosen := make(map[string]string)
	for name, v := range values {
		if slices.ContainsFunc(aVariable.FindAllString(q.target.Expr, -1), func(x string) bool { return variableIn(x) == name }) {
			chosen[b.chosen[name]] = v
		}
	}
	want := make(map[string]labelled)
	for _, v := range theirs {
		key := groupOf(q.query.GroupBy, func(tag string) string {
			if v.labels.Has(tag) || chosen[tag] == "" {
				return v.labels.Get(tag)
			}
			return chosen[tag]
		})
		if other, twice := want[key]; twice {
			return fmt.Sprintf("%v and %v are one line %q", other.labels, v.labels, key)
		}
		want[key] = v
	}
	top := strings.HasPrefix(strings.TrimSpace(q.target.Expr), "topk") || strings.HasPrefix(strings.TrimSpace(q.target.Expr), "bottomk")
	for key, a := range ours {
		for i, part := range strings.Split(key, separator) {
			if i < len(q.query.GroupBy) && chosen[q.query.GroupBy[i]] != "" && part != chosen[q.query.GroupBy[i]] {
				delete(ours, key)
			}
		}
		if _, there := want[key]; !there && (top || a.count == 0 && a.value == 0) {
			delete(ours, key)
		}
	}
	for key, v := range want {
		a, there := ours[key]
		if !there {
			return fmt.Sprintf("line %q is not there", key)
		}
		if fault := s.unlike(q, a.value, v.value); fault != "" {
			return fmt.Sprintf("line %q: %s", key, fault)
		}
	}
	if len(ours) != len(want) {
		return fmt.Sprintf("%d lines in place of %d", len(ours), len(want))
	}
	return ""
}

// unlike compares a value, which may be without a factor, or not rounded.
func (s *samples) unlike(q *asked, ours, theirs float64) string {
	if q.target.Factor != 0 {
		ours *= q.target.Factor
	}
	slack := 1e-9 * (math.Abs(theirs) + 1e-6)
	says := func(texts []string, part string) bool {
		return slices.ContainsFunc(texts, func(c string) bool { return strings.Contains(c, part) })
	}
	switch {
	case says(q.target.Notes, "values are not rounded") && !says(q.target.Notes, "sort"):
		slack = 1
	case q.query.Aggregation.IsDistribution():
		theirs *= float64(q.query.WindowSeconds)
		if strings.Contains(q.target.Expr, "increase") {
			theirs /= float64(q.query.WindowSeconds)
		}
	}
	if math.Abs(ours-theirs) > slack {
		return fmt.Sprintf("%v in place of %v", ours, theirs)
	}
	return ""
}

// Each query that the importer maps gives what Prometheus gives of the original on the same samples: those that it calls
// right, whatever labels the series have, the others on samples that fulfil the conditions. Where it knows all labels, as of
// metrics that arrive, it calls more right.
func TestImportedBoards(t *testing.T) {
	paths, err := filepath.Glob("../../clients/grafana/testdata/*.json")
	if dir := os.Getenv("BOARDS"); dir != "" {
		paths, err = filepath.Glob(filepath.Join(dir, "*.json"))
	}
	if err != nil {
		t.Fatal(err)
	}
	total, all, right := make(map[outcome]int), 0, [2]int{}
	for _, path := range paths {
		if strings.Contains(path, "golden") {
			continue
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			b := importBoard(t, path, nil)
			n := b.compareAll(t, b.samples(rand.New(rand.NewPCG(7, 41)), false), false)
			s := b.samples(rand.New(rand.NewPCG(7, 41)), true)
			further := b.compareAll(t, s, true)
			known := importBoard(t, path, s.tags()).compareAll(t, s, true)
			queries := 0
			for _, m := range b.report.Verdict.Queries {
				queries += m
			}
			queries -= b.report.Verdict.Queries[grafana.Left]
			t.Logf("| %s | %d | %d | %v | right whatever labels there are: %v | where they are known: %v |", b.name, queries, len(b.asked), n, further, known)
			for o, m := range n {
				total[o] += m
			}
			all, right[0], right[1] = all+queries, right[0]+further[equal], right[1]+known[equal]
		})
	}
	t.Logf("of %d queries: %v; right whatever labels there are %d, where they are known %d", all, total, right[0], right[1])
}

// compareAll compares all queries on one set of samples, or only those that are right as they are.
func (b *board) compareAll(t *testing.T, s *samples, right bool) map[outcome]int {
	t.Helper()
	r := rand.New(rand.NewPCG(9, 41))
	side := newBeside(t)
	side.needs |= aggregate.NeedSketch | aggregate.NeedMoments
	s.tell(t, side)
	n := make(map[outcome]int)
	for _, q := range b.asked {
		if right && q.target.Outcome != grafana.Right {
			continue
		}
		o, text := b.compare(t, side, s, q, r)
		n[o]++
		switch o {
		case wrong:
			t.Errorf("%s %v: %s: %s", q.target.Outcome, q.target.RightIf, q.target.Expr, text)
		case noData, unreadable:
			if t.Logf("%s: %s: %s", o, q.target.Expr, text); os.Getenv("BOARDS") == "" {
				t.Fail() // Of our own boards all are compared.
			}
		}
	}
	return n
}
