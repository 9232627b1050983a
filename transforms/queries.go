package transforms

import (
	"slices"
	"sync"
	"sync/atomic"

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
	byGroup [][]*query
}

type query struct {
	key       string
	metric    string
	selector  string
	grouped   bool
	windowMs  int64
	delayMs   int64
	refreshMs []int64 // Rising.
	spanMs    int64   // How far back the selector must reach, over all queries that share it.
	extract   aggregate.Extract
	match     aggregate.Match
}

// Compile sorts demands by key group. One that breaks a rule is left out and
// returned among the bad ones: it must not hurt the others.
func Compile(demands []Demand, sliceMs int64, keyGroups int) (qs *Queries, bad []error) {
	qs = &Queries{byGroup: make([][]*query, keyGroups)}
	spans := make(map[string]int64)
	for _, d := range demands {
		q := d.Query.Normal()
		extract, ok := aggregate.Extractor(string(q.Aggregation))
		if err := q.Validate(); err != nil || !ok {
			bad = append(bad, err)
			continue
		}
		c := &query{
			key: q.Key(), metric: q.Metric, selector: q.Selector(), grouped: len(q.GroupBy) > 0,
			windowMs: int64(q.WindowSeconds) * 1000, delayMs: int64(q.DelaySeconds) * 1000,
			extract: extract, match: matcher(q),
		}
		for _, r := range d.RefreshMs {
			// A refresh is a multiple of the slice; a shorter or odd one is raised.
			c.refreshMs = append(c.refreshMs, max(sliceMs, (r+sliceMs-1)/sliceMs*sliceMs))
		}
		if len(c.refreshMs) == 0 {
			continue
		}
		slices.Sort(c.refreshMs)
		c.refreshMs = slices.Compact(c.refreshMs)
		spans[c.selector] = max(spans[c.selector], c.windowMs+c.delayMs)
		g := KeyGroup(q.Metric, keyGroups)
		qs.byGroup[g] = append(qs.byGroup[g], c)
	}
	for _, group := range qs.byGroup {
		slices.SortFunc(group, func(a, b *query) int { return compare(a.key, b.key) })
		for _, q := range group {
			q.spanMs = spans[q.selector]
		}
	}
	return qs, bad
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func matcher(q metric.Query) aggregate.Match {
	return func(key string) (string, bool) {
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

// live is what the workers of a run share: the queries, and a count that goes
// up when all histories must be written anew.
type live struct {
	queries atomic.Pointer[Queries]
	refill  atomic.Uint64
}

var runs sync.Map // Run → *live.

func liveOf(run string) *live {
	l, _ := runs.LoadOrStore(run, new(live))
	return l.(*live)
}

// SetQueries gives the workers of a run, in this process, a new set. A side
// input cannot carry it: Prism refuses unbounded ones in the global window.
func SetQueries(run string, qs *Queries) { liveOf(run).queries.Store(qs) }

// Refill makes every key group of a run emit its histories again, because Redis
// lost some. It returns the number that evaluations carry which know of it.
func Refill(run string) uint64 { return liveOf(run).refill.Add(1) }

// Close forgets what this process keeps for a run.
func Close(run string) {
	runs.Delete(run)
	keyGroups.Range(func(id, _ any) bool {
		if id.(keyGroupID).run == run {
			keyGroups.Delete(id)
		}
		return true
	})
}
