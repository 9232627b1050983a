package sinks

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"pulseboard/internal/clock"
	"pulseboard/results"
	"pulseboard/transforms"
)

// refillAll refills the keys that are behind, one after the other, while Redis
// takes it.
func (p *publisher) refillAll(ctx context.Context) {
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
			err := transforms.Refill(ctx, p.run, key, refilling{p})
			refillBytes.Set(0)
			switch {
			case err == nil:
				refills.WithLabelValues("whole").Inc()
				p.pace.well()
				continue
			case errors.Is(err, transforms.ErrNotReady):
				continue // Another look.
			case ctx.Err() != nil:
				return
			}
			refills.WithLabelValues("failed").Inc()
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
func (p *publisher) next() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away || time.Now().Before(p.pace.notBefore) {
		return nil
	}
	keys := make([]string, 0, len(p.behind))
	for key := range p.behind {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if d := p.behind[a].series - p.behind[b].series; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return keys
}

// ready asks a Redis that was full whether it takes anything, before windows are computed in vain.
func (p *publisher) ready(ctx context.Context) bool {
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

// refilling is the publisher as a refill sees it.
type refilling struct{ *publisher }

// Tips implements transforms.Refilling.
func (r refilling) Tips(ctx context.Context, key string, refreshMs []int64) (map[int64]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	r.mu.Lock()
	anew := r.fallBehind(key).anew
	r.mu.Unlock()
	if anew {
		if err := r.store.Forget(ctx, key, refreshMs); err != nil {
			return nil, err
		}
		r.mu.Lock()
		r.fallBehind(key).anew = false
		r.mu.Unlock()
	}
	streams := make([]results.Stream, 0, len(refreshMs))
	for _, ms := range refreshMs {
		streams = append(streams, results.Stream{Key: key, RefreshMs: ms})
	}
	newest, err := r.store.Newest(ctx, streams)
	if err != nil {
		return nil, err
	}
	tips := make(map[int64]int64, len(newest))
	for i, t := range newest {
		tips[refreshMs[i]] = t.WindowEnd
	}
	return tips, nil
}

// Write implements transforms.Refilling: in steps, with rests between them, and after the results of bundles.
func (r refilling) Write(ctx context.Context, pubs []results.Publication) error {
	r.announce(pubs)
	for len(pubs) > 0 {
		refillBytes.Set(float64(sizeOf(pubs)))
		if err := r.giveWay(ctx); err != nil {
			return err
		}
		n := r.pace.step(pubs)
		began := time.Now()
		err := r.write(ctx, pubs[:n])
		if r.pace.took(time.Since(began), n); err != nil {
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
func (r refilling) announce(pubs []results.Publication) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := &pubs[len(pubs)-1]
	if b := r.behind[last.Result.Key]; b != nil && b.missed > 0 && b.missed <= last.Result.WindowEnd {
		last.Announce = true
		b.missed = 0
	}
}

// giveWay waits while bundles are being written, but not for ever.
func (r refilling) giveWay(ctx context.Context) error {
	const most, look = 500 * time.Millisecond, 2 * time.Millisecond
	for until := time.Now().Add(most); time.Now().Before(until); {
		r.mu.Lock()
		busy := r.writing > 0
		r.mu.Unlock()
		if !busy {
			return ctx.Err()
		}
		if !clock.Sleep(ctx, look) {
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// Done implements transforms.Refilling.
func (r refilling) Done(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.behind, key)
	keysBehind.Set(float64(len(r.behind)))
	if len(r.behind) > 0 {
		return
	}
	if r.full {
		r.full = false
		redisFull.Set(0)
	}
	r.log.Info("all histories in Redis are whole again")
}
