package transforms

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"pulseboard/aggregate"
	"pulseboard/job"
)

// Groups are the key groups of a run that this process evaluates, and what they share. The DoFns find them with job.Of:
// the SDK may call any DoFn instance next, and user state costs a request per access, so key groups outlive both.
type Groups struct {
	progress *job.Progress
	resume   Resume
	queries  atomic.Pointer[Queries]
	ctx      context.Context // Of the run: what waits in it must end with it.
	end      context.CancelFunc
	builders sync.WaitGroup
	sink     Sink
	parcels  parcels

	mu     sync.Mutex
	budget *aggregate.Budget
	open   map[int64]*keyGroup
}

// Resume is what Redis held when a run began, so that it goes on from there.
type Resume struct {
	BeganMs int64              // When the run began, by the wall clock.
	ClockMs int64              // How far the clock of this machine was behind that of Redis.
	Keys    map[string]Resumed // By metric key; of keys that no query had, only their End.
}

// Resumed is where the histories of a metric key ended. Ends are window ends, epoch ms; 0 = none.
type Resumed struct {
	End  int64         // The newest one: it was announced.
	From int64         // Up to here no history lacks anything.
	Anew bool          // The histories are to be written again, as far back as they reach.
	Tips map[int64]Tip // By refresh interval, ms.

	ReachMs int64 // How far before their ends its windows hung on events, where the query does not say it; 0 = it does.
}

// Tip is the newest entry of a history.
type Tip struct {
	End   int64
	Whole bool // Its result was complete.
}

// lacking returns the refresh intervals, of those that are due, whose histories had no such end
// when the run began: a process may have been killed while it wrote one of several.
func (r *Resume) lacking(key string, due []int64, end int64) []int64 {
	k := r.Keys[key]
	if end > k.End {
		return due
	}
	return slices.DeleteFunc(slices.Clone(due), func(ms int64) bool { return end <= k.Tips[ms].End })
}

// takeIncomplete returns the refresh intervals, of those that are due, whose histories may get an incomplete
// result for this end: it must not follow a complete one of the time before the run began. A history that
// did not end with a complete one then, or did not exist, would have a gap without it: a restored key group may
// begin in the middle of its first window.
func (r *Resume) takeIncomplete(key string, due []int64, end int64) []int64 {
	if end >= r.BeganMs {
		return due
	}
	k := r.Keys[key]
	return slices.DeleteFunc(slices.Clone(due), func(ms int64) bool { return k.Tips[ms].Whole })
}

// NewGroups returns the key groups of a run that goes on where resume says. They tell progress how far they are.
func NewGroups(progress *job.Progress, resume Resume) *Groups {
	ctx, end := context.WithCancel(context.Background())
	g := &Groups{progress: progress, resume: resume, ctx: ctx, end: end, open: make(map[int64]*keyGroup)}
	g.queries.Store(new(Queries))
	return g
}

// SetQueries gives the key groups a new set. A side
// input cannot carry it: Prism refuses unbounded ones in the global window. New
// queries are prepared at once, without waiting for the end of a slice.
func (g *Groups) SetQueries(qs *Queries) {
	g.queries.Store(qs)
	for _, k := range g.all() {
		k.mu.Lock()
		if k.end != 0 {
			k.follow()
			k.startPreparing()
		}
		k.mu.Unlock()
	}
}

// Sink takes the results that do not wait for a timer.
type Sink interface {
	// Publish takes the results of new queries.
	Publish(Evaluation)
	// Behind is asked before the history of a new query is computed. When Redis takes nothing
	// now it answers true: the sink has the history written by Backfill, later.
	Behind(key string) bool
}

// PublishTo sets where the results of new queries go. It comes before any DoFn of the run.
func (g *Groups) PublishTo(sink Sink) { g.sink = sink }

// Close waits for the goroutines of the key groups, and lets go of what these hold.
func (g *Groups) Close() error {
	g.mu.Lock()
	g.end()
	g.mu.Unlock()
	g.builders.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.open)
	g.parcels.clear()
	return nil
}

// of returns a key group, new when this process has not had it yet.
func (g *Groups) of(id int64, o SlideOptions) *keyGroup {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := g.open[id]
	if k == nil {
		k = g.build(id, o)
	}
	return k
}

// find returns a key group, nil when this process has not had it.
func (g *Groups) find(id int64) *keyGroup {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open[id]
}

// replace puts an empty working form in the place of one that is not trusted.
func (g *Groups) replace(id int64, o SlideOptions) *keyGroup {
	g.mu.Lock()
	old := g.open[id]
	k := g.build(id, o)
	g.mu.Unlock()
	if old != nil {
		// What was announced stays so, whatever the state goes back to.
		announced := old.abandon()
		k.mu.Lock()
		defer k.mu.Unlock()
		maps.Copy(k.announced, announced)
	}
	return k
}

// build makes a key group, in the place of any that is there. It must be called with the lock.
func (g *Groups) build(id int64, o SlideOptions) *keyGroup {
	k := newKeyGroup(int(id), o, g, g.budgetOf(&o))
	g.open[id] = k
	return k
}

// all returns the key groups of this process, rising.
func (g *Groups) all() []*keyGroup {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.SortedFunc(maps.Values(g.open), func(a, b *keyGroup) int { return cmp.Compare(a.id, b.id) })
}

// spawn runs f in a goroutine, unless the run has ended.
func (g *Groups) spawn(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isClosed() {
		return false
	}
	g.builders.Go(f)
	return true
}

func (g *Groups) isClosed() bool { return g.ctx.Err() != nil }

// budgetOf returns the budget that all key groups share; nil = no limit. It must be called with the lock.
func (g *Groups) budgetOf(o *SlideOptions) *aggregate.Budget {
	if g.budget == nil && o.StateBytes > 0 {
		g.budget = aggregate.NewBudget(o.StateBytes, o.KeyGroups, max(o.LeadMs/o.SliceMs, 2*JumpSlices)+4)
		for part, limit := range map[string]int64{"series": o.StateBytes, "partials": o.PartialBytes, "reading": o.ReadBytes, "ids": o.IDBytes} {
			stateLimit.WithLabelValues(part).Set(float64(limit))
		}
	}
	return g.budget
}
