package transforms

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"pulseboard/aggregate"
	"pulseboard/catalog"
	"pulseboard/metric"
	"pulseboard/results"
	"pulseboard/wire"
)

// keyGroup is the working form of one key group: the slices of its series, and
// how far each of its queries has been evaluated. It is plain Go; SlideFn is
// the adapter to Beam.
//
//	partials ─▶ add ─▶ pending ─┐
//	timer   ─▶ advance ────────┴▶ store ─▶ results of active queries ─▶ Beam ─▶ sink
//	new queries ─▶ prepare, in a goroutine of its own: trees and history ─▶ sink; then the query is active
type keyGroup struct {
	id      int
	options SlideOptions
	groups  *Groups
	epoch   uint64 // Another one for each working form of a key group.

	mu        sync.Mutex // Guards what follows.
	store     *aggregate.Store
	observer  *catalog.Observer         // Of the store.
	pending   map[int64]aggregate.Table // By the end of their slice of pipeline time.
	said      map[int64]said            // Of metrics, the same way.
	end       int64                     // Evaluated up to here, epoch ms.
	fresh     bool                      // No timer has fired yet: end is only where the first partial lies.
	since     int64                     // Covered since, epoch ms.
	queries   *Queries
	progress  map[string]*progress // By metric key, of active queries.
	announced map[string]int64     // By metric key, the newest end that was announced.
	preparing bool                 // A goroutine makes queries active.
	abandoned bool                 // Another one has taken its place.
	advanced  time.Time            // When advance was called last.
	armed     int64                // For when its timer is set.
	head      head                 // As the state that this is a cache of has it; see durable.go.
	late      aggregate.Table      // What came after the history that should have had it, since the newest one.

	publishing sync.WaitGroup // Histories that are on their way, without the lock.
}

// progress is how far one query has been evaluated.
type progress struct {
	last    int64 // The newest window end so far; 0 = none.
	series  []string
	tags    []metric.Tags
	version string
}

func newKeyGroup(id int, o SlideOptions, g *Groups, budget *aggregate.Budget) *keyGroup {
	observer := catalog.NewObserver(max(catalog.MaxTags, catalog.MaxValues), o.SliceMs)
	return &keyGroup{
		id: id, options: o, groups: g, epoch: rand.Uint64(),
		observer: observer,
		store: aggregate.NewStore(aggregate.Options{
			Retain: o.RetainMs / o.SliceMs, SliceMs: o.SliceMs, SeriesPerMetric: o.SeriesPerMetric, Budget: budget, Observer: observer,
		}),
		pending: make(map[int64]aggregate.Table), said: make(map[int64]said), progress: make(map[string]*progress),
		announced: make(map[string]int64), queries: new(Queries), head: head{packed: nothingPacked},
	}
}

// add takes over the partial of the slice of pipeline time that ends at end.
// Partials wait until the evaluation gets to them, so that each window sees
// exactly the events before its end, also when many slices are passed at once.
func (k *keyGroup) add(end int64, p Partial) {
	k.since = max(k.since, p.CoveredSince)
	if k.end == 0 || k.fresh && end <= k.end {
		// The first partials may come in any order, when the watermark passes several slices at once.
		k.end, k.fresh = end-k.options.SliceMs, true
	}
	if end <= k.end {
		// Cannot happen while the timer's instant is right; if it does, nothing is lost.
		latePartials.Inc()
		k.take(p.Table)
		k.tell(end, p.Said)
		k.arrived(end)
		return
	}
	if len(p.Said) > 0 {
		k.said[end] = k.said[end].merge(p.Said)
	}
	if t := k.pending[end]; t != nil {
		t.Merge(p.Table)
		return
	}
	k.pending[end] = p.Table
}

// tell tells the store what was said of metrics in the slice that ends at end, once it has the events of that.
func (k *keyGroup) tell(end int64, s said) {
	for name, abouts := range s {
		for _, a := range abouts {
			k.store.Say(name, a.Unit, a.Help, end/k.options.SliceMs)
		}
	}
	delete(k.said, end)
}

// take adds a table to the store, which must not be used any more then.
func (k *keyGroup) take(t aggregate.Table) {
	k.store.Merge(t)
	k.keepLate(t)
}

// keepLate keeps what a table has of slices that are in a history already.
func (k *keyGroup) keepLate(t aggregate.Table) {
	if !k.options.Durable {
		return
	}
	for slice, row := range t {
		if slice <= k.head.packed {
			if k.late == nil {
				k.late = aggregate.Table{}
			}
			k.late.Merge(aggregate.Table{slice: row})
		}
	}
}

// advance evaluates all windows that are due up to to. Of each query the newest
// result is announced, the others go into its history only.
func (k *keyGroup) advance(to int64) Evaluation {
	k.follow()
	k.activate()
	k.advanced, k.fresh = time.Now(), false
	var out []results.Publication
	for k.end < to {
		k.end += k.options.SliceMs
		if t, ok := k.pending[k.end]; ok {
			k.observer.Arrive(k.end/k.options.SliceMs - 1)
			k.take(t)
			k.observer.Arrive(-1)
			delete(k.pending, k.end)
		}
		k.tell(k.end, k.said[k.end])
		k.arrived(k.end)
		k.store.Pass(aggregate.Div(k.end, k.options.SliceMs) - 1)
		for _, q := range k.queries.byGroup[k.id] {
			if p := k.progress[q.key]; p != nil {
				k.evaluate(q, p, k.end-q.delayMs, &out)
			}
		}
	}
	for metric, n := range k.store.TakeOther() {
		otherEvents.add(metric, n)
	}
	countFaults(k.store.TakeCounterFaults())
	k.startPreparing()
	return k.evaluation(out)
}

// arrived says that the partials of a slice are under way no more.
func (k *keyGroup) arrived(end int64) {
	if k.options.PartialBytes > 0 {
		k.groups.progress.Arrived(k.id, end)
	}
}

// evaluation announces the newest result of each key, unless that end was announced before: for another
// refresh interval, or before Redis was emptied. pubs are in the order of their window ends.
func (k *keyGroup) evaluation(pubs []results.Publication) Evaluation {
	newest := make(map[string]*results.Publication, 8)
	for i := range pubs {
		newest[pubs[i].Result.Key] = &pubs[i]
	}
	for key, p := range newest {
		p.Announce = p.Result.WindowEnd > max(k.announced[key], k.groups.resume.Keys[key].End)
		k.announced[key] = max(k.announced[key], p.Result.WindowEnd)
	}
	evaluated.Add(float64(len(pubs)))
	return Evaluation{Publications: pubs}
}

// follow takes over a changed set of queries.
func (k *keyGroup) follow() {
	qs := k.groups.queries.Load()
	if qs == k.queries {
		return
	}
	used := make(map[string]bool) // Selectors.
	keys := make(map[string]*query)
	for _, q := range qs.byGroup[k.id] {
		used[q.selector] = true
		keys[q.key] = q
	}
	gone := make(map[string][]string) // By metric: each is walked once, for timers wait.
	for _, old := range k.queries.byGroup[k.id] {
		if !used[old.selector] {
			gone[old.metric] = append(gone[old.metric], old.selector)
		}
		if keys[old.key] == nil {
			delete(k.announced, old.key)
		}
		// With another refresh interval it has another history to be filled.
		if q := keys[old.key]; q == nil || !slices.Equal(q.refreshMs, old.refreshMs) {
			delete(k.progress, old.key)
		}
	}
	for metric, ids := range gone {
		k.store.Drop(metric, ids...)
	}
	k.queries = qs
}

// activate makes new queries active at once whose metric has no slices yet: at a
// start that is all of them. There is nothing to build, and no end may be missed.
func (k *keyGroup) activate() {
	for _, q := range k.queries.byGroup[k.id] {
		if k.progress[q.key] != nil || k.store.SeriesOf(q.metric) > 0 {
			continue
		}
		b := k.build(q)
		b.Run(nil, nil)
		k.store.Adopt(b)
		k.progress[q.key] = &progress{last: k.groups.resume.Keys[q.key].From}
	}
}

// How many slices may pass while a query is prepared without its windows losing their beginning.
const slackSlices = 32

func (k *keyGroup) build(q *query) *aggregate.Build {
	span := (q.spanMs+k.options.AheadMs)/k.options.SliceMs + 2 + slackSlices
	keep := (q.windowMs + wire.HistoryLength*slices.Max(q.refreshMs)) / k.options.SliceMs
	return k.store.Build(q.metric, q.selector, span, keep, q.allNeeds, q.match)
}

// evaluate adds the result of q for the window that ends at end, if it is due.
func (k *keyGroup) evaluate(q *query, p *progress, end int64, out *[]results.Publication) {
	due := q.due(end)
	if len(due) == 0 || end <= p.last {
		return // Redis had it before the restart.
	}
	if due = k.groups.resume.lacking(q.key, due, end); len(due) == 0 {
		p.last = end
		return
	}
	sel := k.store.Selector(q.metric, q.selector)
	if sel == nil {
		return
	}
	var w windowValues
	in := q.slices(end)
	sel.Window(in, q.needs, func(group string, a *aggregate.Acc) { w.take(q, group, a) })
	r := k.result(q, p, end, due, &w, sel.Matched())
	reaches := k.store.Reaches(sel, in.From)
	r.Complete = r.Complete && reaches
	// Half of a window is no news to who knows whole ones. A percentile that nobody had asked
	// for when its events came is not half of one: left out, it would be a gap.
	if !reaches || !k.covers(q, end) {
		if r.Due = k.groups.resume.takeIncomplete(q.key, due, end); len(r.Due) == 0 {
			return
		}
	}
	p.last = end
	*out = append(*out, results.Publication{Result: r})
}

// covers reports whether every event of a query's window that ends at end was read, and is still held.
func (k *keyGroup) covers(q *query, end int64) bool {
	start := end - max(q.reachMs, k.joinReachMs(q))
	return (k.since == 0 || start >= k.since) && aggregate.Div(start, k.options.SliceMs) >= k.store.Horizon(q.metric)
}

// joinReachMs is how far before their ends the windows of a query hang on events since its metric has cumulative
// histograms; 0 = it has none.
func (k *keyGroup) joinReachMs(q *query) int64 {
	if !k.store.JoinsHistograms(q.metric) {
		return 0
	}
	return q.joinMs
}

func (k *keyGroup) result(q *query, p *progress, end int64, due []int64, w *windowValues, matched int) *wire.Result {
	w.merge(q)
	start := end - q.windowMs
	r := &wire.Result{
		Key: q.key, WindowStart: start, WindowEnd: end, PrevEnd: p.last, Due: due,
		Complete: k.covers(q, end) && !w.lacking, Matched: matched, Series: []wire.SeriesValue{}, UnknownStarts: w.unknownStarts,
		Error: w.error, ReachMs: k.joinReachMs(q),
	}
	if matched > 0 && len(w.values) == 0 && !q.grouped {
		w.add(q, "", new(aggregate.Acc)) // Its series was forgotten; the sum of nothing is still 0.
	}
	if w.count > 0 {
		r.NewestEvent = &w.newest
	}
	w.finish()
	r.Truncated = w.truncated
	p.name(w.values)
	r.SeriesVersion = p.version
	for i, v := range w.values {
		s := wire.SeriesValue{Tags: p.tags[i], Count: v.count}
		switch {
		case v.bins != nil:
			s.Bins = wire.NewBins(v.bins)
		case v.ok:
			s.Value = wire.Finite(v.x)
		}
		r.Series = append(r.Series, s)
	}
	return r
}

// name sets the tags and the version of the list of series, when it has changed.
func (p *progress) name(groups []groupValue) {
	if p.version != "" && slices.EqualFunc(p.series, groups, func(s string, g groupValue) bool { return s == g.group }) {
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

// abandon ends a working form and returns the newest end of each key that it announced. The
// histories that it had on their way are there then: those of the form that takes its
// place would overtake them, and Redis would refuse them and announce nothing.
func (k *keyGroup) abandon() map[string]int64 {
	k.mu.Lock()
	k.abandoned = true
	k.store.Close()
	announced := maps.Clone(k.announced)
	k.mu.Unlock()
	k.publishing.Wait()
	return announced
}
