package pipeline

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/limits"
	"pulseboard/metric"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/transforms"
	"pulseboard/wire"
)

// governor decides which queries a process computes, and nobody else does: it
// follows the registry, measures how wide each query is, cuts those that their
// dashboard, metric or token has no budget for (docs/adr/0017), and deletes from
// Redis what is not computed any more.
//
//	registry ─ set ─▶ step ─ queries ─▶ transforms
//	transforms ─ widths ─▶ │ ├─ UNLINK ─▶ histories
//	                       └── report ─▶ Redis ─▶ gateways, GET /limits
//
// All of it is done by one goroutine, so that no history is deleted of a query
// that is just being computed again.
type governor struct {
	c       *Config
	run     string
	groups  *transforms.Groups // That compute the queries.
	queries *registry.Store
	results *results.Store
	budgets limits.Budgets

	set     registry.Set
	counted map[string]transforms.Width // By selector.
	silent  map[string]bool             // Metrics without series.
	cut     map[string]limits.Cut       // By metric key.
	active  map[string]wire.QueryEntry
	trees   float64
	// leftover are histories that were deleted once: what was on its way then may have come after.
	leftover   map[results.Stream]time.Time
	freeAt     time.Time // When memory is to be given back; zero = it is.
	reported   limits.Report
	reportedAt time.Time
	failing    bool // Redis did not take the last report.
}

const (
	governEvery = time.Second
	countShare  = 2                       // Counting takes so much of a processor: one of so many.
	countSpan   = 50 * time.Millisecond   // At a time.
	recount     = 1.25                    // A metric that has changed by this factor is counted again.
	againAfter  = 3 * time.Second         // When histories are deleted a second time.
	reportEvery = 5 * time.Second         // Of the half minute that a report is believed.
	freeBytes   = 64 << 20                // Trees that are gone, for which memory is given back to the machine.
	freeAfter   = 1500 * time.Millisecond // Until the timers and builds have let go of them.
)

func newGovernor(ctx context.Context, c *Config, run string, set registry.Set, groups *transforms.Groups) (*governor, error) {
	queries, err := registry.Open(ctx, c.Redis, registry.WithLog(c.Log))
	if err != nil {
		return nil, err
	}
	store, err := results.Open(ctx, c.Redis)
	if err != nil {
		return nil, errors.Join(err, queries.Close())
	}
	memory, err := store.Memory(ctx)
	if err != nil {
		c.Log.Warn("Redis does not say how much memory it may take: histories have budgets as if it were 2 GiB", "error", err)
	}
	g := &governor{
		c: c, run: run, groups: groups, queries: queries, results: store, set: set,
		budgets: limits.NewBudgets(c.StateBytes, memory.Limit, runtime.GOMAXPROCS(0), c.BudgetShare),
		counted: make(map[string]transforms.Width), cut: make(map[string]limits.Cut),
		active: make(map[string]wire.QueryEntry), leftover: make(map[results.Stream]time.Time),
	}
	// What was cut stays so until it is known how wide it is: nothing is held yet.
	last, err := queries.LastCut(ctx)
	if err != nil {
		c.Log.Warn("what was cut before is not known", "error", err)
	}
	for _, cut := range last {
		if _, wanted := set.Entries[cut.Key]; wanted {
			g.cut[cut.Key] = cut
		}
	}
	g.use(g.entries(g.cut))
	return g, nil
}

// start follows the registry until ctx ends.
func (g *governor) start(ctx context.Context, wg *sync.WaitGroup) {
	sets := make(chan registry.Set, 1)
	wg.Go(func() {
		// Watch returns when ctx ends, and only then.
		_ = g.queries.Watch(ctx, pollQueries, func(set registry.Set) {
			select {
			case <-sets: // Nobody needs the older one.
			default:
			}
			sets <- set
		})
	})
	wg.Go(func() {
		defer g.end(ctx)
		g.sweep(ctx)
		for wait := time.Duration(0); ; {
			t := time.NewTimer(wait)
			select {
			case <-ctx.Done():
				t.Stop()
				return
			case g.set = <-sets:
				t.Stop()
			case <-t.C:
			}
			wait = g.step(ctx, time.Now())
		}
	})
}

func (g *governor) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = g.queries.DropLimits(ctx, g.run)                  // Else it expires.
	_ = errors.Join(g.results.Close(), g.queries.Close()) // Nothing is buffered in them.
}

// sweep deletes the histories that a process has left which is gone.
func (g *governor) sweep(ctx context.Context) {
	if g.set.Version == 0 {
		return // Nobody has said yet what is wanted.
	}
	streams, err := g.results.Streams(ctx)
	if err != nil {
		g.c.Log.Warn("histories of queries that are gone stay until they expire", "error", err)
		return
	}
	g.drop(ctx, slices.DeleteFunc(streams, func(s results.Stream) bool {
		e, ok := g.active[s.Key]
		return ok && slices.Contains(e.RefreshMs, s.RefreshMs)
	}))
}

// step measures, decides, enforces and tells. It returns when to do so again.
func (g *governor) step(ctx context.Context, now time.Time) (wait time.Duration) {
	wait = governEvery
	queries, unknown := g.measure()
	if began := time.Now(); len(unknown) > 0 {
		for _, q := range unknown {
			g.counted[q.Selector()] = g.groups.CountWidth(q, g.c.KeyGroups)
			if time.Since(began) > countSpan {
				break
			}
		}
		wait = min(wait, (countShare-1)*time.Since(began)+time.Millisecond)
		queries, _ = g.measure()
	}
	d := limits.Decide(queries, g.budgets, g.cut)
	known := make(map[string]bool, len(queries))
	for _, q := range queries {
		known[q.Key] = true
	}
	for key, c := range d.Cut {
		if c.SinceMs == 0 {
			c.SinceMs = now.UnixMilli()
			d.Cut[key] = c
		}
	}
	// What was cut, and has not been looked at again, stays cut.
	for key, c := range g.cut {
		if _, wanted := g.set.Entries[key]; wanted && !known[key] {
			d.Cut[key] = c
		}
	}
	g.cut = d.Cut
	next := g.entries(g.cut)
	g.postpone(next, known)
	if !maps.EqualFunc(next, g.active, func(a, b wire.QueryEntry) bool { return slices.Equal(a.RefreshMs, b.RefreshMs) }) {
		gone := g.use(next)
		g.drop(ctx, gone)
		for _, s := range gone {
			g.leftover[s] = now.Add(againAfter)
		}
	}
	g.dropAgain(ctx, now)
	g.free(d.Used, now)
	g.report(ctx, d.Used, now)
	return wait
}

// idleSelectors is how many selectors of a metric without series are computed from its first event on.
const idleSelectors = 20

// postpone takes new queries away of which it is not known what they would cost. Of a
// metric without series all seem to cost nothing, and each new series would go through
// all of their selectors at once, while the timers wait: so a few are computed, as most
// metrics have, and the others once there are series to count. Until then there is nothing to see.
func (g *governor) postpone(next map[string]wire.QueryEntry, known map[string]bool) {
	selectors := make(map[string]map[string]bool) // By metric.
	use := func(q metric.Query) {
		if selectors[q.Metric] == nil {
			selectors[q.Metric] = make(map[string]bool)
		}
		selectors[q.Metric][q.Selector()] = true
	}
	var anew []string
	for key, e := range next {
		if _, was := g.active[key]; was {
			use(e.Query)
		} else {
			anew = append(anew, key)
		}
	}
	slices.Sort(anew)
	for _, key := range anew {
		q := next[key].Query
		of := selectors[q.Metric]
		if !known[key] || g.silent[q.Metric] && len(of) >= idleSelectors && !of[q.Selector()] {
			delete(next, key)
			continue
		}
		use(q)
	}
}

// entries are those of the set that are not cut.
func (g *governor) entries(cut map[string]limits.Cut) map[string]wire.QueryEntry {
	out := make(map[string]wire.QueryEntry, len(g.set.Entries))
	for key, e := range g.set.Entries {
		if _, is := cut[key]; !is {
			out[key] = e
		}
	}
	return out
}

// measure returns the queries whose width is known, and one of each other selector.
func (g *governor) measure() (known []limits.Query, unknown []metric.Query) {
	keys := slices.Sorted(maps.Keys(g.set.Entries))
	qs := make([]metric.Query, len(keys))
	for i, key := range keys {
		qs[i] = g.set.Entries[key].Query
	}
	used, missing := make(map[string]bool), make(map[string]bool) // Selectors.
	g.silent = make(map[string]bool)
	for i, w := range g.groups.Widths(qs, g.c.KeyGroups) {
		s := qs[i].Selector()
		used[s] = true
		g.silent[qs[i].Metric] = w.Series == 0
		if !w.Known {
			c, counted := g.counted[s]
			if ratio := float64(w.Series+10) / float64(c.Series+10); !counted || ratio > recount || ratio < 1/recount {
				if !missing[s] {
					missing[s] = true
					unknown = append(unknown, qs[i])
				}
				if !counted {
					continue
				}
			}
			w = c
		}
		e := g.set.Entries[keys[i]]
		known = append(known, limits.NewQuery(e.Query, e.RefreshMs, e.Owners, w.Size, g.c.Slice.Milliseconds()))
	}
	maps.DeleteFunc(g.counted, func(s string, _ transforms.Width) bool { return !used[s] })
	return known, unknown
}

// use makes these the queries that are computed, and returns the histories that
// no query has any more.
func (g *governor) use(next map[string]wire.QueryEntry) (gone []results.Stream) {
	g.c.use(g.groups, next)
	for key, e := range g.active {
		for _, ms := range e.RefreshMs {
			if now, ok := next[key]; !ok || !slices.Contains(now.RefreshMs, ms) {
				gone = append(gone, results.Stream{Key: key, RefreshMs: ms})
			}
		}
	}
	g.active = next
	return gone
}

func (g *governor) drop(ctx context.Context, streams []results.Stream) {
	if len(streams) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := g.results.Drop(ctx, streams); err != nil {
		g.c.Log.Warn("histories of queries that are gone stay until they expire", "count", len(streams), "error", err)
		return
	}
	historiesDropped.Add(float64(len(streams)))
}

// dropAgain deletes what was on its way while its history was deleted.
func (g *governor) dropAgain(ctx context.Context, now time.Time) {
	var streams []results.Stream
	for s, at := range g.leftover {
		if e, ok := g.active[s.Key]; ok && slices.Contains(e.RefreshMs, s.RefreshMs) {
			delete(g.leftover, s)
		} else if now.After(at) {
			delete(g.leftover, s)
			streams = append(streams, s)
		}
	}
	g.drop(ctx, streams)
}

// free gives memory back to the machine once many trees are gone: the next
// collection of garbage would be when as much is in use again.
func (g *governor) free(used []limits.Use, now time.Time) {
	var trees float64
	for _, u := range used {
		if u.Scope == limits.Process && u.Resource == limits.Trees {
			trees = u.Used
		}
	}
	if g.trees-trees > freeBytes {
		g.freeAt = now.Add(freeAfter)
	}
	g.trees = trees
	if !g.freeAt.IsZero() && now.After(g.freeAt) {
		g.freeAt = time.Time{}
		debug.FreeOSMemory()
	}
}

// maxCutsReported bounds a report.
const maxCutsReported = 10_000

// report publishes what is cut and used, at once when another query is.
func (g *governor) report(ctx context.Context, used []limits.Use, now time.Time) {
	queriesCut.Set(float64(len(g.cut)))
	cuts := make([]limits.Cut, 0, len(g.cut))
	for _, key := range slices.Sorted(maps.Keys(g.cut)) {
		cuts = append(cuts, g.cut[key])
	}
	cuts = cuts[:min(len(cuts), maxCutsReported)]
	same := slices.EqualFunc(cuts, g.reported.Cut, func(a, b limits.Cut) bool { return a.Key == b.Key && a.Scope == b.Scope && a.Resource == b.Resource })
	if same && !g.failing && now.Sub(g.reportedAt) < reportEvery {
		return
	}
	r := limits.Report{Share: g.budgets.Share, Total: g.budgets.Total, Used: used, Cut: cuts}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := g.queries.SaveLimits(ctx, g.run, r); err != nil {
		if !g.failing && ctx.Err() == nil {
			g.c.Log.Warn("what was cut cannot be reported", "error", err)
		}
		g.failing = true
		return
	}
	if (len(cuts) == 0) != (len(g.reported.Cut) == 0) {
		g.c.Log.Warn("queries are beyond a budget and not computed", "count", len(cuts), "before", len(g.reported.Cut))
	}
	g.reported, g.reportedAt, g.failing = r, now, false
}

var (
	queriesCut = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_pipeline_queries_cut", Help: "Queries that are not computed because a dashboard, metric or token is beyond its budget; GET /limits names them. Normal: 0.",
	})
	historiesDropped = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_histories_dropped_total", Help: "Histories that were deleted from Redis because no query has them any more. Normal: as widgets are changed and deleted.",
	})
)

// Collectors returns the metrics of the governor.
func Collectors() []prometheus.Collector {
	return []prometheus.Collector{queriesCut, historiesDropped, takenBack}
}
