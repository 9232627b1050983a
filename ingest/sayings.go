package ingest

import (
	"hash/maphash"
	"sync"

	"pulseboard/wire"
)

// sayings is what this node has written in the minute under way of what senders say of metrics: they say it with each event, and once in a
// minute is enough. It holds a bounded number of hashes.
type sayings struct {
	seed maphash.Seed

	mu      sync.Mutex
	minute  int64 // Since 1970.
	written map[uint64]struct{}
}

// mostSayings is how many are known. Of more, some are written more than once in a minute.
const mostSayings = 100_000

func newSayings() *sayings {
	return &sayings{seed: maphash.MakeSeed(), written: make(map[uint64]struct{})}
}

// due reports of each saying of a request whether it is to be written now.
func (s *sayings) due(now int64, said []wire.Said, due []bool) []bool {
	due = due[:0]
	if len(said) == 0 {
		return due
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if minute := now / 60_000; minute != s.minute || len(s.written) >= mostSayings {
		clear(s.written)
		s.minute = minute
	}
	var h maphash.Hash
	h.SetSeed(s.seed)
	for i := range said {
		h.Reset()
		_, _ = h.WriteString(said[i].Metric) // It never fails.
		_ = h.WriteByte(0)
		_, _ = h.Write(said[i].Unit)
		_ = h.WriteByte(0)
		_, _ = h.Write(said[i].Help)
		sum := h.Sum64()
		_, known := s.written[sum]
		if !known {
			s.written[sum] = struct{}{}
		}
		due = append(due, !known)
	}
	return due
}
