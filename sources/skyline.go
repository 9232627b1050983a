package sources

import (
	"cmp"
	"slices"
	"time"

	"pulseboard/internal/clock"
)

// tolerance is how far apart timestamps must be for the clock of a broker to be doubted, ms. When a read
// begins, records that are further ahead of now than clocks differ are doubted too.
const (
	tolerance = 5000
	differ    = int64(clock.Tolerance / time.Millisecond)
)

// skyline is the timestamps that brokers set in a part of the log, ahead of where it is read.
type skyline struct {
	end  int64 // The offset up to which it is known.
	runs []run
}

// run is successive records whose timestamps lie within the same second. Times are epoch ms.
type run struct {
	first    int64 // Offset of the first one.
	at, last int64 // Timestamps of the first and the last one.
	records  int64
}

func (s *skyline) add(first, at, records int64) {
	if n := len(s.runs); n > 0 && s.runs[n-1].at/1000 == at/1000 && max(at-s.runs[n-1].last, s.runs[n-1].last-at) <= differ {
		s.runs[n-1].last = at
		s.runs[n-1].records += records
		return
	}
	s.runs = append(s.runs, run{first, at, at, records})
}

// stretch is a part of the log that was taken while the broker's clock was ahead.
type stretch struct {
	until int64 // The offset behind it.
	right int64 // The timestamp there, epoch ms.
}

// longestStretch is how long a clock may have been ahead for forthAndBack to find it, ms.
const longestStretch = 3_600_000

// forthAndBack finds the end of the stretch that may begin at an offset, where the log's time jumped
// forward by forth ms: there the time jumps back by about as much. The two differ by the pauses in which no
// record came. A stretch of at most within ms needs a similar jump only, since time hardly goes back otherwise;
// a longer one needs jumps that are at least twice as long as any pause between them.
func (s *skyline) forthAndBack(offset, forth, within int64) (found stretch, ok bool) {
	begin, _ := slices.BinarySearchFunc(s.runs, offset, func(r run, offset int64) int { return cmp.Compare(r.first, offset) })
	for i, pause := begin+1, int64(0); i < len(s.runs); i++ {
		before, r := s.runs[i-1], s.runs[i]
		took, back := before.last-s.runs[begin].at, before.last-r.at
		switch {
		case took > longestStretch:
			return stretch{}, false
		case back <= differ:
			pause = max(pause, -back)
		case took <= within:
			return stretch{r.first, r.at}, back <= forth+differ && forth-back <= max(differ, back/2)
		default:
			return stretch{r.first, r.at}, max(back-forth, forth-back) <= max(differ, 2*pause) && forth >= 2*pause
		}
	}
	return stretch{}, false
}

// isOutvoted reports whether, at some place after an offset, more of the records since then have
// timestamps before limit than from it on.
func (s *skyline) isOutvoted(offset, limit int64) bool {
	votes := int64(0)
	for _, r := range s.runs {
		switch {
		case r.first < offset:
		case r.at < limit:
			votes -= r.records
		default:
			votes += r.records
		}
		if votes < 0 {
			return true
		}
	}
	return false
}

// goesOn returns the first timestamp behind an offset that is in [from, limit), 0 when none is.
func (s *skyline) goesOn(offset, from, limit int64) int64 {
	for _, r := range s.runs {
		if r.first > offset && r.at >= from && r.at < limit {
			return r.at
		}
	}
	return 0
}
