package sources

import "sync"

// Progress is how far the key groups of a run have been evaluated, by which
// the source bounds what lies between it and them. On Prism all of them are in
// this process; elsewhere a process knows those that it runs.
type Progress struct {
	mu      sync.Mutex
	ends    map[int]int64
	changed chan struct{} // Holds a token when something was reported.
}

var progress sync.Map // Run → *Progress.

// ProgressOf returns the progress of a run.
func ProgressOf(run string) *Progress {
	p, _ := progress.LoadOrStore(run, &Progress{ends: make(map[int]int64), changed: make(chan struct{}, 1)})
	return p.(*Progress)
}

// Report says that a key group has been evaluated up to end, epoch ms.
func (p *Progress) Report(keyGroup int, end int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends[keyGroup] = end
	select {
	case p.changed <- struct{}{}:
	default: // The source has been told already.
	}
}

// Slowest returns the end of the key group that is furthest behind, false before any reported.
func (p *Progress) Slowest() (end int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.ends {
		if !ok || e < end {
			end, ok = e, true
		}
	}
	return end, ok
}
