package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"pulseboard/internal/health"
	"pulseboard/registry"
	"pulseboard/results"
)

// watchResults adds the checks that Redis answers and that results come, over
// connections of their own.
func (a *app) watchResults(ctx context.Context) error {
	reg, err := registry.Open(ctx, a.redis, registry.WithLog(a.Log("checks")))
	if err != nil {
		return err
	}
	a.Cleanup(ctx, "registry of the checks", reg.Close)
	res, err := results.Open(ctx, a.redis)
	if err != nil {
		return err
	}
	a.Cleanup(ctx, "results of the checks", res.Close)
	a.Ready.Add(redisCheck(res), health.Check{Name: "results", Every: resultsEvery, Measure: (&newest{queries: reg, histories: res, slice: a.options.slice, now: time.Now}).measure})
	return nil
}

// redisCheck is the check that Redis answers. A gateway of its own is ready without
// (docs/adr/0021-what-was-committed-stands-elsewhere-too.md); this program is all there is.
func redisCheck(s *results.Store) health.Check {
	return health.Check{Name: "redis", Probe: func(ctx context.Context) error {
		if err := s.Ping(ctx); err != nil {
			return fmt.Errorf("Redis does not answer: %w", err) //nolint:staticcheck // A name begins the text.
		}
		return nil
	}}
}

// Where results are looked for.
type (
	queries interface {
		Load(ctx context.Context) (registry.Set, error)
	}
	histories interface {
		Newest(ctx context.Context, streams []results.Stream) ([]results.Tip, error)
	}
)

const (
	// resultsEvery is how often the newest results are looked at.
	resultsEvery = 2 * time.Second
	// resultsLooked is how many histories a look reads, others each time: there may be ten thousand.
	resultsLooked = 64
	// resultsGrace is what a result may be late beyond two refresh intervals; pages call it stale then.
	resultsGrace = time.Second
	// resultsQuick is the oldest that results may be that tell whether they come at all.
	resultsQuick = time.Minute
)

// newest is the check that results come: whatever stands still on the way from
// Kafka to Redis, it shows here.
type newest struct {
	queries   queries
	histories histories
	slice     time.Duration
	now       func() time.Time

	next int // Where the next look begins among all histories.
}

// history is one that should grow, and how old its newest result may be.
type history struct {
	results.Stream

	allowed time.Duration
}

func (n *newest) measure(ctx context.Context) (well string, err error) {
	set, err := n.queries.Load(ctx)
	if err != nil {
		return "", fmt.Errorf("what should be computed cannot be read from Redis: %w", err)
	}
	all := n.all(set)
	look := all
	if len(all) > resultsLooked {
		n.next %= len(all)
		look = slices.Concat(all[n.next:], all[:n.next])[:resultsLooked]
		n.next += resultsLooked
	}
	streams := make([]results.Stream, 0, len(look))
	for _, h := range look {
		streams = append(streams, h.Stream)
	}
	tips, err := n.histories.Newest(ctx, streams)
	if err != nil {
		return "", err
	}
	return n.judge(look, tips)
}

// all lists the histories of a query set, in the same order each time.
func (n *newest) all(set registry.Set) (all []history) {
	for key, e := range set.Entries {
		for _, refresh := range e.RefreshMs {
			every := max(n.slice, time.Duration(refresh)*time.Millisecond)
			delay := time.Duration(e.Query.DelaySeconds) * time.Second
			all = append(all, history{results.Stream{Key: key, RefreshMs: refresh}, 2*every + resultsGrace + delay})
		}
	}
	slices.SortFunc(all, func(a, b history) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.RefreshMs, b.RefreshMs))
	})
	return all
}

// judge is content when most histories are as new as they should be: of a single
// one that is not, its widgets tell. Those that grow seldom are counted only where
// there are no others.
func (n *newest) judge(look []history, tips []results.Tip) (well string, err error) {
	now := n.now()
	var end int64
	var all, quick tally
	for i, tip := range tips {
		if tip.WindowEnd == 0 {
			continue // Its query is new.
		}
		end = max(end, tip.WindowEnd)
		age := now.Sub(time.UnixMilli(tip.WindowEnd))
		late := age.Abs() > look[i].allowed
		all.add(late)
		if look[i].allowed <= resultsQuick {
			quick.add(late)
		}
	}
	if quick != (tally{}) {
		all = quick
	}
	age := now.Sub(time.UnixMilli(end)).Seconds()
	switch {
	case len(look) == 0:
		return "no query is computed", nil
	case end == 0:
		return "", fmt.Errorf("there is no result yet, of none of the %d queries that were looked at", len(look))
	case all.late == 0 || all.late < all.onTime:
		return fmt.Sprintf("the newest window ended %.1f s ago", max(0, age)), nil
	case age < 0:
		return "", fmt.Errorf("the newest window ends %.0f s from now: a clock was set back", -age)
	}
	return "", fmt.Errorf("%d of %d histories get no results: the newest window ended %.0f s ago", all.late, all.late+all.onTime, age)
}

// tally is how many histories are as new as they should be.
type tally struct{ onTime, late int }

func (c *tally) add(late bool) {
	if late {
		c.late++
	} else {
		c.onTime++
	}
}
