package transforms

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"pulseboard/aggregate"
	"pulseboard/results"
)

// live is what the workers of a run share in this process.
type live struct {
	queries atomic.Pointer[Queries]

	mu       sync.Mutex
	ctx      context.Context //nolint:containedctx // Of the run: what waits in it must end with it.
	end      context.CancelFunc
	builders sync.WaitGroup
	sink     Sink
	resume   Resume
	budget   *aggregate.Budget
}

// Resume is what Redis held when a run began, so that it goes on from there.
type Resume struct {
	Ends    map[string]int64         // The newest window end by metric key, epoch ms: readers were told up to there.
	From    map[string]int64         // By metric key: up to there no history lacks anything.
	Tips    map[results.Stream]int64 // The newest window end of each history.
	Whole   map[results.Stream]bool  // Whether the newest result of a history was complete.
	BeganMs int64                    // When the run began, by the wall clock.
	Anew    map[string]bool          // By metric key: its histories are to be written again, as far back as they reach.
	ClockMs int64                    // How far the clock of this machine was behind that of Redis.
}

var runs sync.Map // Run → *live.

func newLive() *live {
	ctx, end := context.WithCancel(context.Background())
	return &live{ctx: ctx, end: end}
}

func liveOf(run string) *live {
	l, _ := runs.LoadOrStore(run, newLive())
	return l.(*live)
}

// SetQueries gives the workers of a run, in this process, a new set. A side
// input cannot carry it: Prism refuses unbounded ones in the global window. New
// queries are prepared at once, without waiting for the end of a slice.
func SetQueries(run string, qs *Queries) {
	liveOf(run).queries.Store(qs)
	for _, k := range groupsOf(run) {
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
	// now it answers true: the sink has the history written by Refill, later.
	Behind(key string) bool
}

// SetSink says where the results of new queries go.
func SetSink(run string, sink Sink) {
	l := liveOf(run)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sink = sink
}

// SetResume must be called before the run begins.
func SetResume(run string, r Resume) {
	l := liveOf(run)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resume = r
}

// Close ends what this process keeps for a run.
func Close(run string) {
	l := liveOf(run)
	l.mu.Lock()
	l.end()
	l.mu.Unlock()
	l.builders.Wait()
	runs.Delete(run)
	for _, k := range groupsOf(run) {
		keyGroups.Delete(keyGroupID{run, int64(k.id)})
	}
}

// spawn runs f in a goroutine, unless the run has ended.
func (l *live) spawn(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isClosed() {
		return false
	}
	l.builders.Go(f)
	return true
}

func (l *live) isClosed() bool { return l.ctx.Err() != nil }

func (l *live) to() Sink {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sink
}

func (l *live) publish(e Evaluation) {
	if sink := l.to(); sink != nil {
		sink.Publish(e)
	}
}

// behind reports whether the history of a key is better written later.
func (l *live) behind(key string) bool {
	sink := l.to()
	return sink != nil && sink.Behind(key)
}

// resumeAt is the newest window end of a key that Redis had when the run began.
func (l *live) resumeAt(key string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.resume.Ends[key]
}

// resumeFrom is the end of a key up to which no history lacked anything then.
func (l *live) resumeFrom(key string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.resume.From[key]
}

// lacking returns the refresh intervals, of those that are due, whose histories had no such end
// when the run began: a process may have been killed while it wrote one of several.
func (l *live) lacking(key string, due []int64, end int64) []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if end > l.resume.Ends[key] {
		return due
	}
	return slices.DeleteFunc(slices.Clone(due), func(r int64) bool { return end <= l.resume.Tips[results.Stream{Key: key, RefreshMs: r}] })
}

// takeHalf returns the refresh intervals, of those that are due, whose histories may get
// half of a window: it must not follow a whole one of the time before the run began. A
// history that did not end with a whole one then, or was not there, would have a gap without it.
func (l *live) takeHalf(key string, due []int64, end int64) []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if end >= l.resume.BeganMs {
		return due
	}
	return slices.DeleteFunc(slices.Clone(due), func(r int64) bool { return l.resume.Whole[results.Stream{Key: key, RefreshMs: r}] })
}

// budgetOf returns the budget of the run; 0 = none.
func (l *live) budgetOf(o *SlideOptions) *aggregate.Budget {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.budget == nil && o.StateBytes > 0 {
		l.budget = aggregate.NewBudget(o.StateBytes, o.KeyGroups, max(o.LeadMs/o.SliceMs, 2*JumpSlices)+4)
		for part, limit := range map[string]int64{"series": o.StateBytes, "packets": o.PacketBytes, "reading": o.ReadBytes, "ids": o.IDBytes} {
			stateLimit.WithLabelValues(part).Set(float64(limit))
		}
	}
	return l.budget
}
