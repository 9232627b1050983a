package sinks

import (
	"time"

	"pulseboard/results"
)

// pace is how fast histories are written: in steps that grow while Redis is quick
// and shrink when it is slow, and after a failure not before a pause, which doubles
// each time and halves with each history that is whole.
type pace struct {
	results   int // In a step.
	pause     time.Duration
	notBefore time.Time
}

const (
	firstStep  = 32
	mostStep   = 500
	mostBytes  = 1 << 20 // Of a step.
	quick      = 25 * time.Millisecond
	slow       = 100 * time.Millisecond
	firstPause = 500 * time.Millisecond
	mostPause  = 30 * time.Second
)

func newPace() pace { return pace{results: firstStep} }

// step returns how many results may be written next, at least one.
func (p *pace) step(pubs []results.Publication) int {
	n := min(p.results, len(pubs))
	for i, bytes := 0, 0; i < n; i++ {
		if bytes += size(pubs[i]); bytes > mostBytes {
			return max(i, 1)
		}
	}
	return n
}

// took takes note of how long n results took.
func (p *pace) took(d time.Duration, n int) {
	switch {
	case d > slow:
		p.results = max(n/2, 1)
	case d < quick && n == p.results:
		p.results = min(2*n, mostStep)
	}
}

// badly is called when a backfill has failed.
func (p *pace) badly() {
	p.results = max(p.results/4, 1)
	p.pause = min(max(2*p.pause, firstPause), mostPause)
	p.notBefore = time.Now().Add(p.pause)
}

// well is called when a backfill is whole.
func (p *pace) well() { p.pause /= 2 }

// size is about how many bytes a result is in Redis.
func size(p results.Publication) int {
	const head, series = 250, 100
	return len(p.Result.Due) * (head + series*len(p.Result.Series))
}

func sizeOf(pubs []results.Publication) (n int) {
	for _, p := range pubs {
		n += size(p)
	}
	return n
}
