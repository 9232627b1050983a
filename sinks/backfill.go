package sinks

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"pulseboard/internal/clock"
	"pulseboard/results"
	"pulseboard/transforms"
)

// backfillAll writes what the histories of the keys that are behind lack, one after the other, while Redis
// takes it.
func (p *Publisher) backfillAll(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-p.wake:
		case <-ctx.Done():
			return
		}
		for _, key := range p.next() {
			if ctx.Err() != nil || !p.ready(ctx) {
				break
			}
			err := p.histories.Backfill(ctx, key, backfilling{p})
			backfillBytes.Set(0)
			switch {
			case err == nil:
				backfills.WithLabelValues("whole").Inc()
				p.pace.well()
				continue
			case errors.Is(err, transforms.ErrNotReady):
				continue // Another look.
			case ctx.Err() != nil:
				return
			}
			backfills.WithLabelValues("failed").Inc()
			p.mu.Lock()
			p.fault(err)
			p.mu.Unlock()
			p.pace.badly()
			break
		}
	}
}

// next returns the keys that are behind, small ones first: of a Redis that is
// nearly full most keys so get their results.
func (p *Publisher) next() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away || time.Now().Before(p.pace.notBefore) {
		return nil
	}
	return slices.SortedFunc(maps.Keys(p.behind), func(a, b string) int {
		return cmp.Or(cmp.Compare(p.behind[a].series, p.behind[b].series), cmp.Compare(a, b))
	})
}

// ready asks a Redis that was full whether it takes anything, before windows are computed in vain.
func (p *Publisher) ready(ctx context.Context) bool {
	p.mu.Lock()
	away, full := p.away, p.full
	p.mu.Unlock()
	if away || !full {
		return !away
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	return p.store.Room(ctx) == nil
}

// backfilling is the publisher as a backfill sees it.
type backfilling struct{ *Publisher }

// Tips implements transforms.BackfillSink.
func (b backfilling) Tips(ctx context.Context, key string, refreshMs []int64) (map[int64]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	b.mu.Lock()
	anew := b.fallBehind(key).anew
	b.mu.Unlock()
	streams := make([]results.Stream, 0, len(refreshMs))
	for _, ms := range refreshMs {
		streams = append(streams, results.Stream{Key: key, RefreshMs: ms})
	}
	if anew {
		if err := b.store.Drop(ctx, streams); err != nil {
			return nil, err
		}
		b.mu.Lock()
		b.fallBehind(key).anew = false
		b.mu.Unlock()
	}
	newest, err := b.store.Newest(ctx, streams)
	if err != nil {
		return nil, err
	}
	tips := make(map[int64]int64, len(newest))
	for i, t := range newest {
		tips[refreshMs[i]] = t.WindowEnd
	}
	return tips, nil
}

// Write implements transforms.BackfillSink: in steps, with rests between them, and after the results of bundles.
func (b backfilling) Write(ctx context.Context, pubs []results.Publication) error {
	b.announce(pubs)
	for len(pubs) > 0 {
		backfillBytes.Set(float64(sizeOf(pubs)))
		if err := b.giveWay(ctx); err != nil {
			return err
		}
		n := b.pace.step(pubs)
		began := time.Now()
		err := b.write(ctx, pubs[:n])
		if b.pace.took(time.Since(began), n); err != nil {
			return err
		}
		pubs = pubs[n:]
		if !clock.Sleep(ctx, time.Since(began)) {
			return ctx.Err()
		}
	}
	return nil
}

// announce makes the newest result be announced, if one up to it should have been and was not.
func (b backfilling) announce(pubs []results.Publication) {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := &pubs[len(pubs)-1]
	if b := b.behind[last.Result.Key]; b != nil && b.missed > 0 && b.missed <= last.Result.WindowEnd {
		last.Announce = true
		b.missed = 0
	}
}

// giveWay waits while bundles are being written, but not for ever.
func (b backfilling) giveWay(ctx context.Context) error {
	const most, look = 500 * time.Millisecond, 2 * time.Millisecond
	for until := time.Now().Add(most); time.Now().Before(until); {
		b.mu.Lock()
		busy := b.writing > 0
		b.mu.Unlock()
		if !busy || !clock.Sleep(ctx, look) {
			break
		}
	}
	return ctx.Err()
}

// Done implements transforms.BackfillSink.
func (b backfilling) Done(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.behind, key)
	keysBehind.Set(float64(len(b.behind)))
	if len(b.behind) > 0 {
		return
	}
	if b.full {
		b.full = false
		redisFull.Set(0)
	}
	b.log.Info("all histories in Redis are whole again")
}

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
