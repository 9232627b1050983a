package transforms

import (
	"cmp"
	"slices"

	"pulseboard/aggregate"
	"pulseboard/metric"
)

// Demand is a query and the refresh intervals, in ms, at which it is wanted.
type Demand struct {
	Query     metric.Query
	RefreshMs []int64
}

// Queries is an immutable compiled set of queries.
type Queries struct {
	byGroup map[int][]*query           // By key group.
	needs   map[string]aggregate.Needs // Of metrics, what their slices must hold.
}

type query struct {
	key       string
	metric    string
	selector  string
	grouped   bool
	sliceMs   int64
	windowMs  int64
	reachMs   int64 // See metric.Query.Reach,
	joinMs    int64 // and JoinReach.
	delayMs   int64
	refreshMs []int64 // Rising.
	spanMs    int64   // How far back the selector must reach, over all queries that share it.
	match     aggregate.Match
	buckets   bool // Of a classic histogram, see metric.Query.OfBuckets; rank is the percentile.
	rank      [2]uint64
	extract   aggregate.Extract
	bins      func(*aggregate.Acc) []aggregate.Bin // Nil = the values are numbers.
	fromZero  bool                                 // No start is unknown.
	needs     aggregate.Needs                      // The value is whole only if these hold every event.
	allNeeds  aggregate.Needs                      // Of all queries that share the selector.
}

// slices returns the slices of the window that ends at end.
func (q *query) slices(end int64) aggregate.Range {
	return aggregate.Range{From: aggregate.Div(end-q.windowMs, q.sliceMs), To: end / q.sliceMs}
}

// Compile sorts demands by key group. One that breaks a rule is left out and
// returned among the bad ones: it must not hurt the others.
func Compile(demands []Demand, sliceMs int64, keyGroups int) (qs *Queries, bad []error) {
	qs = &Queries{byGroup: make(map[int][]*query), needs: make(map[string]aggregate.Needs)}
	spans, needs := make(map[string]int64), make(map[string]aggregate.Needs)
	for _, d := range demands {
		q := d.Query.Normal()
		if err := q.Validate(); err != nil {
			bad = append(bad, err)
			continue
		}
		c := &query{
			key: q.Key(), metric: q.Metric, selector: q.Selector(), grouped: len(q.GroupBy) > 0,
			sliceMs: sliceMs, windowMs: int64(q.WindowSeconds) * 1000, reachMs: q.Reach().Milliseconds(), joinMs: q.JoinReach().Milliseconds(), delayMs: int64(q.DelaySeconds) * 1000,
			match: matcher(q), fromZero: q.First == metric.FirstCounts,
		}
		if inner, ok := q.OfBuckets(); ok {
			c.buckets, c.selector, c.match = true, inner.Selector(), matcher(inner)
			c.rank[0], c.rank[1], _ = q.Aggregation.Percentile()
		}
		a := aggregation(q)
		c.extract, c.needs, c.bins = a.Extract, a.Needs, a.Bins
		for _, r := range d.RefreshMs {
			// A refresh is a multiple of the slice; a shorter or odd one is raised.
			c.refreshMs = append(c.refreshMs, max(sliceMs, (r+sliceMs-1)/sliceMs*sliceMs))
		}
		if len(c.refreshMs) == 0 {
			continue
		}
		slices.Sort(c.refreshMs)
		c.refreshMs = slices.Compact(c.refreshMs)
		qs.needs[c.metric] |= c.needs
		spans[c.selector] = max(spans[c.selector], c.windowMs+c.delayMs)
		needs[c.selector] |= c.needs
		g := int(KeyGroup(q.Metric, keyGroups))
		qs.byGroup[g] = append(qs.byGroup[g], c)
	}
	for _, group := range qs.byGroup {
		slices.SortFunc(group, func(a, b *query) int { return cmp.Compare(a.key, b.key) })
		for _, q := range group {
			q.spanMs, q.allNeeds = spans[q.selector], needs[q.selector]
		}
	}
	return qs, bad
}

// aggregation returns what computes that of a valid query.
func aggregation(q metric.Query) aggregate.Aggregation {
	a := ofValues(q)
	if _, ok := q.OfBuckets(); ok {
		a.Needs |= aggregate.NeedGrowth
	}
	return a
}

func ofValues(q metric.Query) aggregate.Aggregation {
	if of, outOf, ok := q.Aggregation.Percentile(); ok {
		return aggregate.Aggregation{Name: string(q.Aggregation), Extract: aggregate.Percentile(of, outOf), Needs: aggregate.NeedSketch}
	}
	named, _ := aggregate.Named(string(q.Aggregation))
	named.Extract = named.Over(q.WindowSeconds, q.First == metric.FirstCounts)
	return named
}

// otherName stands for every tag of the series that a limit turned away.
const otherName = "__other__"

func matcher(q metric.Query) aggregate.Match {
	var others metric.Tags
	for _, g := range q.GroupBy { // They are sorted.
		others = append(others, metric.Tag{Key: g, Value: otherName})
	}
	other := string(others.AppendKey(nil))
	return func(key string) (string, bool) {
		if key == aggregate.Other {
			// Which tags they had is not known: they belong to what leaves none out.
			return other, len(q.Filter) == 0
		}
		tags, err := metric.ParseTagsKey(key)
		if err != nil || !q.Filter.Match(tags) {
			return "", false
		}
		return string(tags.Pick(q.GroupBy).AppendKey(nil)), true
	}
}

// due returns the refresh intervals that end is a multiple of.
func (q *query) due(end int64) []int64 {
	var due []int64
	for _, r := range q.refreshMs {
		if end%r == 0 {
			due = append(due, r)
		}
	}
	return due
}
