package transforms

import (
	"sync"
	"sync/atomic"

	"pulseboard/aggregate"
)

// live is what the workers of a run share in this process.
type live struct {
	queries atomic.Pointer[Queries]
	refill  atomic.Uint64 // Goes up when all histories must be written anew.

	mu        sync.Mutex
	closed    bool
	builders  sync.WaitGroup
	publisher func(Evaluation)
	resume    Resume
	budget    *aggregate.Budget
}

// Resume is what Redis held when a run began, so that it goes on from there.
type Resume struct {
	Ends    map[string]int64 // The newest window end by metric key, epoch ms.
	Whole   map[string]bool  // Whether the result of that end was complete.
	BeganMs int64            // When the run began, by the wall clock.
}

var runs sync.Map // Run → *live.

func liveOf(run string) *live {
	l, _ := runs.LoadOrStore(run, new(live))
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

// Refill makes every key group of a run emit its histories again, because Redis
// lost some. It returns the number that evaluations carry which know of it.
func Refill(run string) uint64 { return liveOf(run).refill.Add(1) }

// SetPublisher says where the results of new queries go, which do not wait for a timer.
func SetPublisher(run string, publish func(Evaluation)) {
	l := liveOf(run)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.publisher = publish
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
	l.closed = true
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
	if !l.closed {
		l.builders.Go(f)
	}
	return !l.closed
}

func (l *live) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *live) publish(e Evaluation) {
	l.mu.Lock()
	publish := l.publisher
	l.mu.Unlock()
	if publish != nil {
		publish(e)
	}
}

// resumeAt is the newest window end of a key that Redis had when the run began.
func (l *live) resumeAt(key string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.resume.Ends[key]
}

// holds reports whether a window is of the time before the run began, of a key
// that readers know a whole result of: half of one must not follow it.
func (l *live) holds(key string, end int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return end < l.resume.BeganMs && l.resume.Whole[key]
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
