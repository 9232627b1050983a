package sources

import "sync"

// Progress is how far the key groups of a run have been evaluated, by which the source bounds what
// lies between it and them, in time and in bytes. It knows the key groups of this process: on Prism all of the run.
// Ends are epoch ms.
type Progress struct {
	mu      sync.Mutex
	ends    map[int]int64
	due     map[int]int64 // When their timers fire.
	packets map[packetID]int64
	bytes   int64         // Of these.
	changed chan struct{} // Holds a token when something was reported.
}

// packetID names what was emitted for a key group and the slice of pipeline time that ends at end.
type packetID struct {
	keyGroup int
	end      int64
}

func newProgress() *Progress {
	return &Progress{ends: make(map[int]int64), due: make(map[int]int64), packets: make(map[packetID]int64), changed: make(chan struct{}, 1)}
}

// Report is called when a key group has been evaluated up to end; its next timer fires at due.
func (p *Progress) Report(keyGroup int, end, due int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends[keyGroup], p.due[keyGroup] = end, due
	select {
	case p.changed <- struct{}{}:
	default: // The read loop has a token.
	}
}

// Slowest returns the end of the key group that is furthest behind; ok is false before any reported.
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

// Due returns when the first timer of a key group fires; ok is false before any reported.
func (p *Progress) Due() (due int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return least(p.due)
}

// packetCopies is how many times a packet that is on its way is in memory: as the runner's
// own, in messages and decoded (measured, docs/adr/0016).
const packetCopies = 3

// Emitted is called when a packet of so many bytes is on its way to a key group.
func (p *Progress) Emitted(keyGroup int, end, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.packets[packetID{keyGroup, end}] += packetCopies * bytes
	p.bytes += packetCopies * bytes
}

// Arrived is called when the packets of a slice have been added to what the key group holds.
func (p *Progress) Arrived(keyGroup int, end int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := packetID{keyGroup, end}
	p.bytes -= p.packets[id]
	delete(p.packets, id)
}

// UnderWay returns how many bytes the packets that are on their way take in memory.
func (p *Progress) UnderWay() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes
}
