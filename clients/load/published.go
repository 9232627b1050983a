package load

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// stream is what all clients together saw of one metric key at one refresh
// interval: the window ends that the pipeline published.
type stream struct {
	key       string
	refreshMs int64
	delayMs   int64        // How long after its end a window is due.
	base      int64        // The first end that is kept in mind.
	newest    atomic.Int64 // Marked last: nearly every mark is of an end that another client had.

	mu     sync.Mutex
	ends   []uint64 // A bit for each end from base on.
	frozen bool
}

// The longest run, and the oldest point of a snapshot, that a stream keeps in mind.
const maxEnds = 1 << 22

// mark notes that end was published, and reports false for ends that do not count:
// those before base, and those that came when the run was over. Ends off the grid
// are not for here.
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

// freeze ends the marking: what no client had by now is nobody's loss.
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

// widget is one of a layout.
type widget struct {
	id, keyID string
	stream    *stream
}

// layout is the widgets of a dashboard as its clients were told; all clients that
// were told the same share it.
type layout struct {
	widgets []widget
}
