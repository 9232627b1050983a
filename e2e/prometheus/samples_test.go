package prometheus

import (
	"math"
	"math/rand/v2"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"pulseboard/metric"
)

// samples are the series of the metrics of a board.
type samples struct {
	rand     *rand.Rand
	series   map[string][]labels.Labels // By metric.
	counters map[string]bool
	seconds  map[string]int  // How long back windows of a metric reach.
	observed map[string]bool // Histograms of classic buckets, of which we are told the observations too.
	queried  map[string][][]*labels.Matcher
	labels   map[string]map[string]*pool // By metric and label.
}

// pool are values of a label. weak = queries only tell of values that they do not want.
type pool struct {
	values []string
	weak   bool
}

var bounds = []float64{0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 100}

// tags are those of all metrics, as the catalogue of what arrives has them.
func (s *samples) tags() map[string][]string {
	all := make(map[string][]string)
	for name, series := range s.series {
		keys := make(map[string]bool)
		for _, ls := range series {
			ls.Range(func(l labels.Label) { keys[l.Name] = true })
		}
		all[name] = sortedKeys(keys)
		for _, suffix := range []string{"_sum", "_count", "_bucket"} {
			if s.observed[name] {
				all[name+suffix] = all[name]
			}
		}
	}
	return all
}

// samples makes series for all queries that are mapped, of which further gives each a twin with another label.
func (b *board) samples(r *rand.Rand, further bool) *samples {
	s := &samples{
		rand: r, series: make(map[string][]labels.Labels), counters: make(map[string]bool), seconds: make(map[string]int),
		observed: make(map[string]bool), queried: make(map[string][][]*labels.Matcher), labels: make(map[string]map[string]*pool),
	}
	for _, q := range b.asked {
		if q.expr != nil {
			s.learn(b, q)
		}
	}
	for _, suffix := range []string{"_sum", "_count"} { // They have the labels of the buckets.
		for name := range s.observed {
			s.sameLabels(name+"_bucket", name+suffix)
		}
	}
	for name := range s.queried {
		for _, matchers := range s.queried[name] {
			for range 4 {
				s.add(name, matchers, further)
			}
		}
		for range 3 {
			s.add(name, nil, further)
		}
	}
	for name := range s.observed {
		all := slices.Concat(s.series[name+"_bucket"], s.series[name+"_sum"], s.series[name+"_count"])
		slices.SortFunc(all, labels.Compare)
		all = slices.CompactFunc(all, labels.Equal)
		s.series[name+"_bucket"], s.series[name+"_sum"], s.series[name+"_count"] = nil, nil, nil
		s.series[name] = all
	}
	return s
}

// of are the series of a metric, of which some are told as observations.
func (s *samples) of(name string) []labels.Labels {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && s.observed[base] {
			return s.series[base]
		}
	}
	return s.series[name]
}

// learn takes in the metrics, labels and values of a query.
func (s *samples) learn(b *board, q *asked) {
	var names []string
	grouped := false
	base, buckets := strings.CutSuffix(q.query.Metric, "_bucket")
	native := slices.ContainsFunc(q.target.RightIf, func(c string) bool { return strings.Contains(c, "native histogram") })
	if buckets || native && !strings.Contains(q.expr.String(), q.query.Metric+"{") {
		s.observed[base] = true
	}
	parser.Inspect(q.expr, func(n parser.Node, path []parser.Node) error {
		if a, ok := n.(*parser.AggregateExpr); ok {
			grouped = grouped || a.Op != parser.TOPK && a.Op != parser.BOTTOMK
		}
		v, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		names = append(names, v.Name)
		s.seconds[v.Name] = max(s.seconds[v.Name], q.query.WindowSeconds)
		for _, p := range path {
			switch p := p.(type) {
			case *parser.Call:
				s.counters[v.Name] = s.counters[v.Name] || slices.Contains([]string{"rate", "irate", "increase"}, p.Func.Name)
			case *parser.AggregateExpr:
				for _, l := range p.Grouping {
					s.pool(v.Name, l).weak = false
				}
			}
		}
		matchers := slices.DeleteFunc(b.matchersOf(v, nil), func(m *labels.Matcher) bool { return m.Name == "__name__" })
		s.queried[v.Name] = append(s.queried[v.Name], matchers)
		for _, m := range matchers {
			p := s.pool(v.Name, m.Name)
			p.weak = p.weak && (m.Type == labels.MatchNotEqual || m.Type == labels.MatchNotRegexp)
			p.values = append(p.values, valuesOf(m)...)
		}
		return nil
	})
	if !grouped && len(names) == 1 {
		for _, m := range legendLabel.FindAllStringSubmatch(b.legends[q.target.Expr], -1) {
			s.pool(names[0], m[1]).weak = false
		}
	}
	for name := range strings.FieldsSeq(strings.Join(names, " ")) {
		if strings.HasSuffix(name, "_total") {
			s.counters[name] = true
		}
	}
}

func (s *samples) pool(name, label string) *pool {
	if s.labels[name] == nil {
		s.labels[name] = make(map[string]*pool)
	}
	p := s.labels[name][label]
	if p == nil {
		p = &pool{weak: true}
		s.labels[name][label] = p
	}
	return p
}

func (s *samples) sameLabels(a, b string) {
	for _, from := range []string{a, b} {
		for label, p := range s.labels[from] {
			for _, to := range []string{a, b} {
				if s.queried[to] != nil {
					q := s.pool(to, label)
					q.values, q.weak = append(q.values, p.values...), q.weak && p.weak
				}
			}
		}
	}
}

// add adds a series that fits the matchers, unless it is there already.
func (s *samples) add(name string, matchers []*labels.Matcher, further bool) {
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, label := range sortedKeys(s.labels[name]) {
		if label == "le" || label == "__name__" {
			continue
		}
		p := s.labels[name][label]
		candidates := slices.Concat(p.values, []string{"v1", "v2", "v3"})
		if p.weak {
			candidates = []string{"kept"}
			if further {
				candidates = append(candidates, p.values...)
			}
		}
		candidates = slices.DeleteFunc(candidates, func(v string) bool {
			return v == "" || slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return m.Name == label && !m.Matches(v) })
		})
		if len(candidates) == 0 {
			return
		}
		b.Set(label, candidates[s.rand.IntN(len(candidates))])
	}
	all := []labels.Labels{b.Labels()}
	if further {
		b.Set("further", "f"+strconv.Itoa(s.rand.IntN(3)))
		all = append(all, b.Labels())
	}
	for _, ls := range all {
		if !slices.ContainsFunc(s.series[name], func(o labels.Labels) bool { return labels.Equal(o, ls) }) {
			s.series[name] = append(s.series[name], ls)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// valuesOf are some values that a matcher is about.
func valuesOf(m *labels.Matcher) (values []string) {
	if m.Type == labels.MatchEqual || m.Type == labels.MatchNotEqual {
		return []string{m.Value}
	}
	re, err := syntax.Parse(m.Value, syntax.Perl)
	if err != nil || strings.Trim(m.Value, ".*+") == "" {
		return nil
	}
	r := rand.New(rand.NewPCG(uint64(len(m.Value)), 3))
	for range 12 {
		text := textOf(re, r)
		values = append(values, text, text+"0", "0"+text) // The latter mostly do not match.
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// textOf is a text that a regular expression matches.
func textOf(re *syntax.Regexp, r *rand.Rand) string {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		i := 2 * r.IntN(len(re.Rune)/2)
		return string(re.Rune[i] + r.Int32N(min(re.Rune[i+1]-re.Rune[i], 20)+1))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return string(rune('a' + r.IntN(26)))
	case syntax.OpCapture:
		return textOf(re.Sub[0], r)
	case syntax.OpQuest, syntax.OpStar, syntax.OpPlus, syntax.OpRepeat:
		least, most := 0, 2
		switch re.Op {
		case syntax.OpQuest:
			most = 1
		case syntax.OpPlus:
			least = 1
		case syntax.OpRepeat:
			least, most = re.Min, max(re.Max, re.Min)
		}
		text := ""
		for range least + r.IntN(most-least+1) {
			text += textOf(re.Sub[0], r)
		}
		return text
	case syntax.OpAlternate:
		return textOf(re.Sub[r.IntN(len(re.Sub))], r)
	case syntax.OpConcat:
		text := ""
		for _, sub := range re.Sub {
			text += textOf(sub, r)
		}
		return text
	}
	return ""
}

// tell tells both of all samples, each sendInterval, up to ends.
func (s *samples) tell(t *testing.T, side *beside) {
	t.Helper()
	for _, name := range sortedKeys(s.series) {
		seconds := s.seconds[name]
		if s.observed[name] {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				seconds = max(seconds, s.seconds[name+suffix])
			}
		}
		from := ends - int64(seconds+500)*1000
		for _, ls := range s.series[name] {
			at := from + s.rand.Int64N(sendInterval*1000)
			if s.observed[name] {
				s.histogram(t, side, name, ls, at)
				continue
			}
			var told []metric.Event
			for value := float64(s.rand.IntN(1000)); at < ends; at += sendInterval * 1000 {
				kind := metric.Gauge
				switch {
				case !s.counters[name]:
					value = float64(s.rand.IntN(2000)-200) / 4
				case s.rand.IntN(60) == 0:
					kind, value = metric.Cumulative, float64(s.rand.IntN(10))
				default:
					kind, value = metric.Cumulative, value+float64(s.rand.IntN(40))
				}
				told = append(told, metric.Event{Metric: name, Tags: tagsOf(ls), Time: at, Kind: kind, Value: value, Point: true})
			}
			side.must(t, told, told)
		}
	}
}

// histogram tells both of the buckets, the sum and the count of observations, and us of these too.
func (s *samples) histogram(t *testing.T, side *beside, name string, ls labels.Labels, at int64) {
	t.Helper()
	var ours, both []metric.Event
	counts, sum, count := make([]float64, len(bounds)+1), 0.0, 0.0
	for ; at < ends; at += sendInterval * 1000 {
		for range 20 + s.rand.IntN(20) {
			v := math.Round(math.Exp(s.rand.NormFloat64())*256) / 256 // So that sums are exact.
			i, _ := slices.BinarySearch(bounds, v)
			counts[i]++
			sum, count = sum+v, count+1
			ours = append(ours, metric.Event{Metric: name, Tags: tagsOf(ls), Time: at, Value: v})
		}
		cumulative := func(suffix string, tags metric.Tags, v float64) metric.Event {
			return metric.Event{Metric: name + suffix, Tags: tags, Time: at, Kind: metric.Cumulative, Value: v, Point: true}
		}
		both = append(both, cumulative("_sum", tagsOf(ls), sum), cumulative("_count", tagsOf(ls), count))
		below := 0.0
		for i, n := range counts {
			below += n
			le := "+Inf"
			if i < len(bounds) {
				le = strconv.FormatFloat(bounds[i], 'g', -1, 64)
			}
			both = append(both, cumulative("_bucket", tagsOf(labels.NewBuilder(ls).Set("le", le).Labels()), below))
		}
	}
	side.must(t, slices.Concat(ours, both), both)
}

func tagsOf(ls labels.Labels) metric.Tags {
	m := ls.Map()
	for k, v := range m {
		if v == "" {
			delete(m, k)
		}
	}
	return metric.NewTags(m)
}
