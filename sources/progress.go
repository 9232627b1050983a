package sources

import (
	"math"
	"sync"
)

// Progress is how far the key groups of a run have been evaluated, by which
// the source bounds what lies between it and them: in time, and in bytes. On Prism
// all of them are in this process; elsewhere a process knows those that it runs.
type Progress struct {
	mu      sync.Mutex
	ends    map[int]int64
	due     map[int]int64 // For when their timers are set.
	packets map[packetID]int64
	bytes   int64         // Of these.
	changed chan struct{} // Holds a token when something was reported.
}

// packetID is what was emitted for a key group and a slice of pipeline time, by its end.
type packetID struct {
	keyGroup int
	end      int64
}

var progress sync.Map // Run → *Progress.

// ProgressOf returns the progress of a run.
func ProgressOf(run string) *Progress {
	p, _ := progress.LoadOrStore(run, &Progress{
		ends: make(map[int]int64), due: make(map[int]int64), packets: make(map[packetID]int64), changed: make(chan struct{}, 1),
	})
	return p.(*Progress)
}

// Report says that a key group has been evaluated up to end, epoch ms, and that its timer is set for due.
func (p *Progress) Report(keyGroup int, end, due int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends[keyGroup], p.due[keyGroup] = end, due
	select {
	case p.changed <- struct{}{}:
	default: // The source has been told already.
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

// Due returns for when the first timer is set: however much is under way, the
// source must come so far, or that timer would never fire.
func (p *Progress) Due() (due int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return least(p.due)
}

// A packet that is under way stands in memory so many times, as the runner's
// own, in its messages and decoded. Measured, see docs/adr/0016.
const packetCopies = 3

// Emitted says that a packet of so many bytes is on its way to a key group.
func (p *Progress) Emitted(keyGroup int, end, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.packets[packetID{keyGroup, end}] += packetCopies * bytes
	p.bytes += packetCopies * bytes
}

// Arrived says that the packets of a slice have been added to what the key group holds.
func (p *Progress) Arrived(keyGroup int, end int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := packetID{keyGroup, end}
	p.bytes -= p.packets[id]
	delete(p.packets, id)
}

// UnderWay returns how many bytes the packets take that are on their way.
func (p *Progress) UnderWay() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes
}

// lead is the pipeline time up to which may be read, as far as the key groups of
// this process say: not too far ahead of the slowest, since all that lies between
// is held in memory; and with too many bytes of it only as far as the first timer.
func (r *reader) lead() int64 {
	if r.options.MaxLeadMs == 0 {
		return math.MaxInt64
	}
	slowest, ok := r.progress.Slowest()
	if !ok {
		slowest = r.origin
	}
	limit := slowest + r.options.MaxLeadMs
	if r.options.PacketBytes > 0 && r.progress.UnderWay() > r.options.PacketBytes {
		due, ok := r.progress.Due()
		if !ok {
			due = r.origin + 2*r.options.SliceMs // The first packets set the first timers.
		}
		limit = min(limit, due)
	}
	return limit
}
