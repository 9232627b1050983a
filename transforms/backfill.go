package transforms

import (
	"context"
	"errors"
	"slices"

	"pulseboard/aggregate"
	"pulseboard/results"
	"pulseboard/wire"
)

// BackfillSink is where a backfill writes the results of a metric key that its histories in Redis lack.
type BackfillSink interface {
	// Tips returns the newest window end that Redis has, epoch ms, 0 = none, by refresh interval.
	Tips(ctx context.Context, key string, refreshMs []int64) (map[int64]int64, error)
	// Write writes results of the key, in the order of their ends; it returns when they are written.
	Write(ctx context.Context, pubs []results.Publication) error
	// Done is called when nothing is missing: from now on the results of the key go to Redis again. It is called
	// under the lock of the key group, before a newer end can be emitted: with that, Redis would refuse older ones.
	Done(key string)
}

// ErrNotReady says that the histories of a key cannot be computed yet: its query is being prepared, or its key group begins anew.
var ErrNotReady = errors.New("the query is not ready yet")

// Histories returns the metric keys that are computed in this process, and their
// refresh intervals, ms.
func (g *Groups) Histories() map[string][]int64 {
	histories := make(map[string][]int64)
	for _, k := range g.all() {
		k.mu.Lock()
		for _, q := range k.queries.byGroup[k.id] {
			histories[q.key] = q.refreshMs
		}
		k.mu.Unlock()
	}
	return histories
}

// Backfill writes what the histories of a key lack, from the newest end that Redis
// has, as far as slices are held. It returns ErrNotReady, or the error of the sink or of ctx; then it may be
// called again, and goes on where it stopped.
func (g *Groups) Backfill(ctx context.Context, key string, to BackfillSink) error {
	for _, k := range g.all() {
		k.mu.Lock()
		q := k.query(key)
		k.mu.Unlock()
		if q != nil {
			return k.backfill(ctx, key, to)
		}
	}
	to.Done(key) // No query has it any more.
	return nil
}

// query returns the query of a key, nil when it is not wanted here.
func (k *keyGroup) query(key string) *query {
	k.follow()
	for _, q := range k.queries.byGroup[k.id] {
		if q.key == key {
			return q
		}
	}
	return nil
}

// A round computes as many windows as have about so many values together: what it
// holds is bounded, and each round reads all slices of the metric.
const (
	roundValues  = 500_000
	firstWindows = 60
)

func (k *keyGroup) backfill(ctx context.Context, key string, to BackfillSink) error {
	var refresh []int64
	var tips map[int64]int64
	names := new(progress)
	windows := firstWindows
	for ctx.Err() == nil {
		k.mu.Lock()
		q := k.query(key)
		switch {
		case k.abandoned || q != nil && k.progress[key] == nil:
			k.mu.Unlock()
			return ErrNotReady
		case q == nil:
			to.Done(key)
			k.mu.Unlock()
			return nil
		case !slices.Equal(refresh, q.refreshMs):
			k.mu.Unlock()
			var err error
			refresh = q.refreshMs
			if tips, err = to.Tips(ctx, key, refresh); err != nil {
				return err
			}
			continue
		}
		missing := k.past(q, tips)
		if len(missing.ends) == 0 {
			to.Done(key)
			k.mu.Unlock()
			return nil
		}
		missing.first(windows)
		build := k.build(q)
		k.mu.Unlock()
		runBuild(ctx, build, []past{missing})
		k.mu.Lock()
		matched := k.store.Adopt(build).Matched()
		if matched == 0 && begun(tips, refresh, missing.at-q.delayMs) {
			k.mu.Unlock()
			continue
		}
		pubs, groups := k.results(&missing, names, tips, matched)
		k.mu.Unlock()
		if len(pubs) > 0 {
			if err := to.Write(ctx, pubs); err != nil {
				return err
			}
		}
		for i, end := range missing.ends {
			for _, r := range missing.due[i] {
				tips[r] = end
			}
		}
		windows = min(max(roundValues/max(groups, 1), firstWindows/3), wire.HistoryLength)
	}
	return ctx.Err()
}

// begun says that histories that do not exist yet begin at a time: while no series matches, they have no past.
// It reports whether there was one.
func begun(tips map[int64]int64, refreshMs []int64, at int64) (changed bool) {
	for _, r := range refreshMs {
		if tips[r] == 0 {
			tips[r], changed = at, true
		}
	}
	return changed
}

// first keeps the first n windows.
func (p *past) first(n int) {
	n = min(n, len(p.ends))
	p.ends, p.due, p.windows = p.ends[:n], p.due[:n], p.windows[:n]
}

// results makes the results of windows that were computed; names is kept from
// round to round. groups is the most that one of them has.
func (k *keyGroup) results(p *past, names *progress, tips map[int64]int64, matched int) (pubs []results.Publication, groups int) {
	for i, end := range p.ends {
		if names.last == 0 {
			names.last = before(p.query, end, tips)
		}
		due := p.due[i]
		if !k.covers(p.query, end) {
			if due = k.groups.resume.takeIncomplete(p.query.key, due, end); len(due) == 0 {
				continue // As in evaluate.
			}
		}
		r := k.result(p.query, names, end, due, &p.windows[i], matched)
		names.last = end
		groups = max(groups, len(r.Series))
		pubs = append(pubs, results.Publication{Result: r})
	}
	evaluated.Add(float64(len(pubs)))
	return pubs, groups
}

// before returns the end that comes before another, 0 when Redis has none.
func before(q *query, end int64, tips map[int64]int64) (last int64) {
	for _, r := range q.refreshMs {
		if tips[r] > 0 {
			last = max(last, aggregate.Div(end-1, r)*r)
		}
	}
	return last
}
