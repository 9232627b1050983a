package load

import (
	"maps"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pulseboard/metric"
)

// publications is all streams, by metric key and refresh interval.
type publications struct {
	base int64 // Epoch ms. Ends before it are not kept: snapshots hold older ones, on which no client has a claim.

	mu      sync.Mutex
	streams map[streamID]*stream
}

type streamID struct {
	key       string
	refreshMs int64
}

func newPublications() *publications {
	return &publications{base: time.Now().Add(-time.Hour).UnixMilli(), streams: make(map[streamID]*stream)}
}

func (p *publications) stream(key string, refreshMs int64) *stream {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := streamID{key, refreshMs}
	st := p.streams[id]
	if st == nil {
		st = &stream{key: key, refreshMs: refreshMs, base: p.base - p.base%refreshMs}
		if q, err := metric.ParseKey(key); err == nil {
			st.delayMs = int64(q.DelaySeconds) * 1000
		}
		p.streams[id] = st
	}
	return st
}

func (p *publications) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, st := range p.streams {
		st.freeze()
	}
}

// keys are the metric keys of all streams, sorted.
func (p *publications) keys() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	keys := make(map[string]struct{})
	for id := range p.streams {
		keys[id.key] = struct{}{}
	}
	return slices.Sorted(maps.Keys(keys))
}

// missing counts ends that were not published, after the end that each stream has in
// since, up to the cut; examples are a few of their keys.
func missing(since map[*stream]int64, cut int64) (ends int64, examples []string) {
	for st, after := range since {
		if n := st.gaps(after, cut-st.delayMs); n > 0 {
			ends += n
			examples = append(examples, st.key)
		}
	}
	slices.Sort(examples)
	return ends, examples[:min(3, len(examples))]
}

// stream is what all clients together saw of one metric key at one refresh
// interval: the window ends that the pipeline published.
type stream struct {
	key       string
	refreshMs int64
	delayMs   int64        // How long after its end a window is due.
	base      int64        // The first end that is kept.
	newest    atomic.Int64 // Marked last: nearly every mark is of an end that another client had.

	mu     sync.Mutex
	ends   []uint64 // A bit for each end from base on.
	frozen bool
}

// maxEnds is how many ends a stream keeps, from base on.
const maxEnds = 1 << 22

// mark notes that end was published, and reports false for ends that do not count:
// those before base, and those that came when the run was over. end must be a
// multiple of the refresh interval.
func (s *stream) mark(end int64) bool {
	if s.newest.Load() == end {
		return true
	}
	n := (end - s.base) / s.refreshMs
	if n < 0 || n >= maxEnds {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return int(n/64) < len(s.ends) && s.ends[n/64]&(1<<(n%64)) != 0
	}
	for int(n/64) >= len(s.ends) {
		s.ends = append(s.ends, 0)
	}
	s.ends[n/64] |= 1 << (n % 64)
	s.newest.Store(end)
	return true
}

// freeze ends the marking: an end that no client has by now is not one that
// others are missing.
func (s *stream) freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = true
}

// count returns how many ends were published in (after, upto].
func (s *stream) count(after, upto int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Floors, also of what lies before base.
	from := max(0, floor(after-s.base, s.refreshMs)+1)
	to := min(floor(upto-s.base, s.refreshMs), int64(len(s.ends))*64-1)
	n := 0
	for from <= to {
		word := s.ends[from/64] >> (from % 64)
		width := min(64-from%64, to-from+1)
		if width < 64 {
			word &= 1<<width - 1
		}
		n += bits.OnesCount64(word)
		from += width
	}
	return int64(n)
}

// gaps returns how many ends of the grid in (after, upto] were not published.
func (s *stream) gaps(after, upto int64) int64 {
	if upto <= after {
		return 0
	}
	return floor(upto, s.refreshMs) - floor(after, s.refreshMs) - s.count(after, upto)
}

// floor divides, rounding down.
func floor(v, by int64) int64 {
	q := v / by
	if v%by < 0 {
		q--
	}
	return q
}
