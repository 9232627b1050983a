package stream

import (
	"math"
	"time"

	"pulseboard/gateway/rooms"
	"pulseboard/wire"
)

// optionsOf returns what a hello asks for.
func optionsOf(m *wire.ClientMessage) rooms.Options {
	o := rooms.Options{Resume: m.Resume, Choice: rooms.Choice{}}
	for name, values := range m.Vars {
		o.Choice.Add(name, values...)
	}
	o.Every, _ = interval(m.MaxHz)
	if m.Points >= 1 && m.Points < wire.HistoryLength {
		o.Points = m.Points
	}
	return o
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
