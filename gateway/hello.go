package gateway

import (
	"math"
	"time"

	"pulseboard/wire"
)

// hello is what a client asked for at its beginning.
type hello struct {
	resume map[string]wire.ResumePoint
	every  time.Duration // At least this long between update frames; 0 = each.
	points int           // So many points has a snapshot at most that begins anew; 0 = all that there are.
	choice choice
}

func newHello(m *wire.ClientMessage) hello {
	h := hello{resume: m.Resume, choice: choice{}}
	for name, values := range m.Vars {
		h.choice.add(name, values...)
	}
	h.every, _ = interval(m.MaxHz)
	if m.Points >= 1 && m.Points < wire.HistoryLength {
		h.points = m.Points
	}
	return h
}

// interval is the time between frames at a rate; false when that is none.
func interval(hz float64) (every time.Duration, ok bool) {
	// A day is as good as never; faster than any slice is each.
	const longest = 24 * time.Hour
	switch {
	case math.IsNaN(hz), hz <= 0:
		return 0, false
	case 1/hz > longest.Seconds():
		return longest, true
	}
	return time.Duration(float64(time.Second) / hz), true
}
