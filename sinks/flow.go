package sinks

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"pulseboard/results"
)

// flow bounds how many bytes of results are on their way to Redis, of all who write, so that Redis answers what it is sent
// soon, also a slow one. A write that took too long would be sent again, and be all the slower for that. The bound
// grows while Redis is quick by what it has taken, and halves while it is slow.
type flow struct {
	under *semaphore.Weighted // In parts of the bound.

	mu     sync.Mutex
	bound  int       // Bytes.
	halved time.Time // When it was halved last: what was sent before then says no more of it.
}

const (
	firstBound = 256 << 10
	leastBound = 16 << 10
	mostBound  = 1 << 20
	mostStep   = 500 // Results.
	parts      = 1 << 16

	quick = 25 * time.Millisecond
	slow  = 250 * time.Millisecond
)

func newFlow() *flow { return &flow{under: semaphore.NewWeighted(parts), bound: firstBound} }

// step waits until as many of the first results as may be sent together, at least one, may be, and returns how many
// these are. sent must be called once they are, with how long that took. It fails when ctx ends.
func (f *flow) step(ctx context.Context, pubs []results.Publication) (n int, sent func(took time.Duration), err error) {
	f.mu.Lock()
	bound := f.bound
	f.mu.Unlock()
	bytes := 0
	for n < min(len(pubs), mostStep) && (n == 0 || bytes+size(pubs[n]) <= bound) {
		bytes += size(pubs[n])
		n++
	}
	if ctx.Err() != nil {
		return 0, nil, ctx.Err() // Acquire might not look.
	}
	part := int64(min(parts, parts*bytes/bound))
	if err := f.under.Acquire(ctx, part); err != nil {
		return 0, nil, err
	}
	began := time.Now()
	return n, func(took time.Duration) {
		f.under.Release(part)
		f.took(began, took, bytes)
	}, nil
}

// took takes note of how long so many bytes took.
func (f *flow) took(began time.Time, took time.Duration, bytes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case took > slow && began.After(f.halved):
		f.bound, f.halved = max(f.bound/2, leastBound), time.Now()
	case took < quick:
		f.bound = min(f.bound+bytes, mostBound)
	}
}

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
