package sources

import (
	"sync"

	"pulseboard/metric"
)

// spares is memory of responses that have been emitted, for others: memory that was just in use is near to the processor,
// and no garbage. It is safe for concurrent use.
type spares struct{ pool sync.Pool }

// memory is what the records of one response are in, and their events.
type memory struct {
	records []Record
	events  []metric.Event
	of      *spares
}

// take returns memory that is free, for n records at least.
func (s *spares) take(n int) *memory {
	m, _ := s.pool.Get().(*memory)
	if m == nil {
		m = &memory{of: s}
	}
	if cap(m.records) < n {
		m.records = make([]Record, 0, n+n/4)
	}
	return m
}

// release makes the memory free of a response that had so many events. Nothing may hold its records, or events of them.
func (m *memory) release(events int) {
	clear(m.records[:cap(m.records)]) // They keep what was fetched.
	if cap(m.events) < events {
		m.events = make([]metric.Event, 0, events+events/4)
	}
	m.of.pool.Put(m)
}
