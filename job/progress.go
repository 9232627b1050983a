package job

import "sync"

// Progress is the backpressure of a run in one process: how far its key groups have been evaluated, and what is on its
// way to them. The source bounds what lies between it and them, in time and in bytes. On Prism all key groups are in this
// process; elsewhere a process knows those that it runs. Times are pipeline time, epoch ms.
type Progress struct {
	mu       sync.Mutex
	ends     map[int]int64 // By key group: evaluated up to here.
	due      map[int]int64 // By key group: for when its timer is set.
	partials map[partialID]int64
	bytes    int64         // Of all partials.
	changed  chan struct{} // Holds a token when something was reported.
}

// partialID names the partial aggregates of a key group for the slice of pipeline time that ends at end.
type partialID struct {
	keyGroup int
	end      int64
}

// NewProgress returns that of a run of which no key group has been evaluated.
func NewProgress() *Progress {
	return &Progress{
		ends: make(map[int]int64), due: make(map[int]int64), partials: make(map[partialID]int64), changed: make(chan struct{}, 1),
	}
}

// Changed holds a token when something was reported since it was last taken out.
func (p *Progress) Changed() <-chan struct{} { return p.changed }

// Report notes that a key group has been evaluated up to end, and that its timer is set for due.
func (p *Progress) Report(keyGroup int, end, due int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends[keyGroup], p.due[keyGroup] = end, due
	select {
	case p.changed <- struct{}{}:
	default: // There is a token already.
	}
}

// Slowest returns the end of the key group that is furthest behind, false before any reported.
func (p *Progress) Slowest() (end int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return least(p.ends)
}

func least(ends map[int]int64) (end int64, ok bool) {
	for _, e := range ends {
		if !ok || e < end {
			end, ok = e, true
		}
	}
	return end, ok
}

// Due returns for when the first timer is set, false before any is: however much is on its way, the source must come so
// far, or that timer, which would free it, never fires.
func (p *Progress) Due() (due int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return least(p.due)
}

// Emitted notes that a partial of so many bytes, for the slice that ends at end, is on its way to a key group.
func (p *Progress) Emitted(keyGroup int, end, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.partials[partialID{keyGroup, end}] += bytes
	p.bytes += bytes
}

// Arrived notes that the partials of a slice have been added to what the key group holds.
func (p *Progress) Arrived(keyGroup int, end int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := partialID{keyGroup, end}
	p.bytes -= p.partials[id]
	delete(p.partials, id)
}

// UnderWay returns how many bytes the partials take that are on their way.
func (p *Progress) UnderWay() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes
}
