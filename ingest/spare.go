package ingest

import (
	"runtime"
	"sync"

	"pulseboard/wire"
)

// spare keeps decoders from one request to the next, since they know the names and tags of those before. The one that came
// back last goes first: where few requests are decoded at a time, few decoders learn.
type spare[D interface{ Forget() }] struct {
	fresh func(*wire.Room) D
	most  int

	mu  sync.Mutex
	all []D
}

// newSpare returns a spare of as many decoders as can work at a time.
func newSpare[D interface{ Forget() }](decoder func(*wire.Room) D) *spare[D] {
	return &spare[D]{fresh: decoder, most: runtime.GOMAXPROCS(0)}
}

// take returns a decoder, one of those that were put back or a new one that remembers as much as there is room for.
func (s *spare[D]) take(r *wire.Room) D {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := len(s.all) - 1; last >= 0 {
		d := s.all[last]
		s.all = s.all[:last]
		return d
	}
	return s.fresh(r)
}

func (s *spare[D]) put(d D) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == s.most {
		d.Forget()
		return
	}
	s.all = append(s.all, d)
}
