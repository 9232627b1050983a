package transforms

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"sync"

	"pulseboard/aggregate"
	"pulseboard/metric"
	"pulseboard/results"
)

// keyGroup is the working form of one key group: the slices of its series, and
// how far each of its queries has been evaluated. It is plain Go; SlideFn is
// the adapter to Beam.
type keyGroup struct {
	id       int
	options  SlideOptions
	store    *aggregate.Store
	pending  map[int64]aggregate.Table // By the end of their slice of pipeline time.
	end      int64                     // Evaluated up to here, epoch ms.
	since    int64                     // Covered since, epoch ms.
	queries  *Queries
	refill   uint64
	progress map[string]*progress // By metric key.
}

// progress is how far one query has been evaluated.
type progress struct {
	last    int64 // The newest window end so far; 0 = none.
	series  []string
	tags    []metric.Tags
	version string
}

func newKeyGroup(id int, o SlideOptions) *keyGroup {
	return &keyGroup{
		id: id, options: o, store: aggregate.NewStore(o.RetainMs / o.SliceMs),
		pending: make(map[int64]aggregate.Table), progress: make(map[string]*progress),
	}
}

// add takes over the packet of the slice of pipeline time that ends at end.
// Packets wait until the evaluation gets to them, so that each window sees
// exactly the events before its end, also when many slices are passed at once.
func (k *keyGroup) add(end int64, p Packet) {
	k.since = max(k.since, p.CoveredSince)
	if k.end == 0 {
		k.end = end - k.options.SliceMs
	}
	if end <= k.end {
		// Cannot happen while the timer's instant is right; if it does, nothing is lost.
		latePackets.Inc()
		k.store.Merge(p.Table)
		return
	}
	if t := k.pending[end]; t != nil {
		t.Merge(p.Table)
		return
	}
	k.pending[end] = p.Table
}

// advance evaluates all windows that are due up to to. Of each query the newest
// result is announced, the others go into its history only.
func (k *keyGroup) advance(to int64, l *live) Evaluation {
	k.follow(l)
	var out []results.Publication
	newest := make(map[string]int, 8)
	for k.end < to {
		k.end += k.options.SliceMs
		if t, ok := k.pending[k.end]; ok {
			k.store.Merge(t)
			delete(k.pending, k.end)
		}
		for _, q := range k.queries.byGroup[k.id] {
			out = k.evaluate(q, out, newest)
		}
	}
	for _, i := range newest {
		out[i].Announce = true
	}
	evaluated.Add(float64(len(out)))
	return Evaluation{Publications: out, Refill: k.refill}
}

// follow takes over a changed set of queries.
func (k *keyGroup) follow(l *live) {
	qs := l.queries.Load()
	if qs == nil {
		qs = &Queries{byGroup: make([][]*query, k.options.KeyGroups)}
	}
	if n := l.refill.Load(); n != k.refill {
		k.refill = n
		clear(k.progress)
	}
	if qs == k.queries {
		return
	}
	type selectorID struct{ metric, id string }
	used := make(map[selectorID]bool)
	keys := make(map[string]bool)
	for _, q := range qs.byGroup[k.id] {
		used[selectorID{q.metric, q.selector}] = true
		keys[q.key] = true
	}
	if k.queries != nil {
		for _, q := range k.queries.byGroup[k.id] {
			if !used[selectorID{q.metric, q.selector}] {
				k.store.Drop(q.metric, q.selector)
			}
			if !keys[q.key] {
				delete(k.progress, q.key)
			}
		}
	}
	k.queries = qs
}

// evaluate appends the result of q for the window whose time has come with the
// slice that ends at k.end, if one has. newest keeps where the newest result of
// each key stands.
func (k *keyGroup) evaluate(q *query, out []results.Publication, newest map[string]int) []results.Publication {
	end := k.end - q.delayMs
	due := q.due(end)
	p := k.progress[q.key]
	if len(due) == 0 && p != nil {
		return out
	}
	sel := k.store.Selector(q.metric, q.selector, (q.spanMs+k.options.AheadMs)/k.options.SliceMs+2, q.match)
	if p == nil {
		p = new(progress)
		k.progress[q.key] = p
		out = k.fillBack(q, sel, p, end, out)
	}
	if len(due) == 0 {
		return out
	}
	var groups []windowOf
	from, to := floorDiv(end-q.windowMs, k.options.SliceMs), end/k.options.SliceMs
	sel.Window(from, to, func(group string, a aggregate.Acc) { groups = append(groups, windowOf{group, a}) })
	newest[q.key] = len(out)
	return append(out, results.Publication{Result: k.result(q, sel, p, end, due, groups)})
}

// How many points a history holds.
const historyLength = 600

// fillBack appends the history of a query that is new here: its windows before
// end, from the slices that are there. A chart is so full at once.
func (k *keyGroup) fillBack(q *query, sel *aggregate.Selector, p *progress, end int64, out []results.Publication) []results.Publication {
	oldest, ok := k.store.Oldest(q.metric)
	if !ok || sel.Matched() == 0 {
		return out
	}
	due := make(map[int64][]int64)
	for _, r := range q.refreshMs {
		e := floorDiv(end-1, r) * r
		for n := 0; n < historyLength && e > oldest*k.options.SliceMs && e > k.since; n++ {
			due[e] = append(due[e], r)
			e -= r
		}
	}
	ends := make([]int64, 0, len(due))
	for e := range due {
		ends = append(ends, e)
	}
	slices.Sort(ends)
	windows := make([]aggregate.Range, 0, len(ends))
	for _, e := range ends {
		windows = append(windows, aggregate.Range{From: floorDiv(e-q.windowMs, k.options.SliceMs), To: e / k.options.SliceMs})
	}
	groups := make([][]windowOf, len(ends))
	k.store.History(q.metric, sel, windows, func(group string, accs []aggregate.Acc) {
		for i := range accs {
			groups[i] = append(groups[i], windowOf{group, accs[i]})
		}
	})
	for i, e := range ends {
		out = append(out, results.Publication{Result: k.result(q, sel, p, e, due[e], groups[i])})
	}
	return out
}

// windowOf is the accumulator of one group over one window.
type windowOf struct {
	group string
	acc   aggregate.Acc
}

func (k *keyGroup) result(q *query, sel *aggregate.Selector, p *progress, end int64, due []int64, groups []windowOf) *metric.Result {
	start := end - q.windowMs
	r := &metric.Result{
		Key: q.key, WindowStart: start, WindowEnd: end, PrevEnd: p.last, Due: due,
		Complete: k.since == 0 || start >= k.since, Matched: sel.Matched(), Series: []metric.SeriesValue{},
	}
	p.last = end
	if r.Matched > 0 && len(groups) == 0 && !q.grouped {
		groups = []windowOf{{}} // Its series was forgotten; the sum of nothing is still 0.
	}
	for i := range groups {
		if a := &groups[i].acc; a.Count > 0 && (r.NewestEvent == nil || a.Newest > *r.NewestEvent) {
			r.NewestEvent = &a.Newest
		}
	}
	groups, r.Truncated = topN(groups, q.extract)
	p.name(groups)
	r.SeriesVersion = p.version
	for i := range groups {
		v := metric.SeriesValue{Tags: p.tags[i], Count: groups[i].acc.Count}
		if x, ok := q.extract(&groups[i].acc); ok {
			v.Value = metric.Finite(x)
		}
		r.Series = append(r.Series, v)
	}
	return r
}

// topN keeps the groups with the highest values, absent ones last, ties by
// tags. What is kept stays in the order of the tags, so that the list of series
// changes only when its members do.
func topN(groups []windowOf, extract aggregate.Extract) (kept []windowOf, truncated int) {
	if len(groups) <= metric.MaxSeries {
		return groups, 0
	}
	order := make([]int, len(groups))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		x, xOK := extract(&groups[i].acc)
		y, yOK := extract(&groups[j].acc)
		switch {
		case xOK != yOK && xOK, xOK && yOK && x > y:
			return -1
		case xOK != yOK, xOK && yOK && x < y:
			return 1
		}
		return 0
	})
	order = order[:metric.MaxSeries]
	slices.Sort(order)
	kept = make([]windowOf, 0, len(order))
	for _, i := range order {
		kept = append(kept, groups[i])
	}
	return kept, len(groups) - len(kept)
}

// name sets the tags and the version of the list of series, when it has changed.
func (p *progress) name(groups []windowOf) {
	if p.version != "" && slices.EqualFunc(p.series, groups, func(s string, g windowOf) bool { return s == g.group }) {
		return
	}
	h := fnv.New64a()
	p.series, p.tags = nil, nil
	for _, g := range groups {
		// The key was written by AppendKey, so it parses.
		tags, _ := metric.ParseTagsKey(g.group)
		if tags == nil {
			tags = metric.Tags{}
		}
		p.series = append(p.series, g.group)
		p.tags = append(p.tags, tags)
		_, _ = fmt.Fprintf(h, "%d:%s", len(g.group), g.group) // A hash takes everything.
	}
	p.version = strconv.FormatUint(h.Sum64(), 36)
}

type keyGroupID struct {
	run string
	id  int64
}

// keyGroups are kept for the whole process: the SDK may call any DoFn instance
// next, and user state costs a request per access.
var keyGroups sync.Map // keyGroupID → *sharedKeyGroup.

type sharedKeyGroup struct {
	sync.Mutex
	*keyGroup
}

func sharedGroup(id int64, o SlideOptions) *sharedKeyGroup {
	if g, ok := keyGroups.Load(keyGroupID{o.Run, id}); ok {
		return g.(*sharedKeyGroup)
	}
	g, _ := keyGroups.LoadOrStore(keyGroupID{o.Run, id}, &sharedKeyGroup{keyGroup: newKeyGroup(int(id), o)})
	return g.(*sharedKeyGroup)
}
