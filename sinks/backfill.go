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
				p.pauses.well()
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
			p.pauses.badly()
			break
		}
	}
}

// next returns the keys that are behind, small ones first: of a Redis that is
// nearly full most keys so get their results.
func (p *Publisher) next() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away || time.Now().Before(p.pauses.notBefore) {
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
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	return p.store.Room(ctx) == nil
}

// backfilling is the publisher as a backfill sees it.
type backfilling struct{ *Publisher }

// Tips implements transforms.BackfillSink.
func (b backfilling) Tips(ctx context.Context, key string, refreshMs []int64) (map[int64]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
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
		n, sent, err := b.flow.step(ctx, pubs)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := b.write(ctx, pubs[:n], sent); err != nil {
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

// pauses are those of the backfiller: after a failure, doubled each time and halved with each history that is whole.
type pauses struct {
	pause     time.Duration
	notBefore time.Time
}

const (
	firstPause = 500 * time.Millisecond
	mostPause  = 30 * time.Second
)

// badly is called when a backfill has failed.
func (p *pauses) badly() {
	p.pause = min(max(2*p.pause, firstPause), mostPause)
	p.notBefore = time.Now().Add(p.pause)
}

// well is called when a backfill is whole.
func (p *pauses) well() { p.pause /= 2 }
