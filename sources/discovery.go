package sources

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"pulseboard/internal/clock"
)

// discovery finds the partitions of a shard, and where each is to be read from.
type discovery struct {
	topic       topic
	say         *slog.Logger // Names the topic.
	shard       Shard
	startMs     int64 // See Options.
	toEnd       bool
	maxFutureMs int64
	limits      clockLimits
}

// assignment is a partition that is to be read.
type assignment struct {
	Offset // Where it begins.

	end          int64 // The read ends before this offset; -1 = never.
	coveredSince int64 // See Position.CoveredSince; 0 = the partition sets no limit.
	last         bool  // Of those that the shard begins with, it is the last one.
}

func newDiscovery(t topic, o *Options, shard Shard, say *slog.Logger) *discovery {
	return &discovery{topic: t, say: say, shard: shard, startMs: o.StartMs, toEnd: o.ToEnd, maxFutureMs: o.MaxFutureMs, limits: o.clockLimits()}
}

// discoverEvery is how often partitions are counted: a new one is read from its beginning.
const discoverEvery = 5 * time.Second

// run hands over the partitions of the shard, first those at the position or the start time, later
// those that are added to the topic, until ctx ends.
func (d *discovery) run(ctx context.Context, pos Position, found chan<- assignment) {
	hand := func(a assignment) bool {
		select {
		case found <- a:
			return true
		case <-ctx.Done():
			return false
		}
	}
	known := make(map[int32]bool)
	first := d.awaitStart(ctx, pos)
	for i, a := range first {
		known[a.Partition] = true
		a.last = i == len(first)-1
		if !hand(a) {
			return
		}
	}
	for clock.Sleep(ctx, discoverEvery) {
		ids, err := d.topic.partitions(ctx)
		if err != nil || d.toEnd {
			continue // The fetchers report what is wrong with the broker.
		}
		for _, id := range ids {
			if !d.shard.owns(id) || known[id] {
				continue
			}
			known[id] = true
			if !hand(assignment{Offset: Offset{Partition: id}, end: -1}) {
				return
			}
		}
	}
}

// awaitStart is lookUp, tried until it succeeds or ctx ends.
func (d *discovery) awaitStart(ctx context.Context, pos Position) []assignment {
	for delay := 50 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		first, err := d.lookUp(ctx, pos)
		if err == nil && len(first) > 0 {
			return first
		}
		if err == nil {
			err = errors.New("the topic has no partition for this shard yet")
		}
		if ctx.Err() == nil {
			readErrors.WithLabelValues("start").Inc()
			d.say.Warn("cannot look up where to begin reading; trying again", "error", err)
		}
		if !clock.Sleep(ctx, delay) {
			return nil
		}
	}
}

// lookUp returns where each partition of the shard is read from.
func (d *discovery) lookUp(ctx context.Context, pos Position) (first []assignment, err error) {
	ids, err := d.topic.partitions(ctx)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if !d.shard.owns(id) {
			continue
		}
		log := d.topic.log(id)
		a := assignment{Offset: Offset{Partition: id, From: -1}, end: -1, coveredSince: pos.CoveredSince}
		if i := slices.IndexFunc(pos.Next, func(o Offset) bool { return o.Partition == id }); i >= 0 {
			a.Offset = pos.Next[i]
		} else if !pos.Started {
			if a.Next, a.coveredSince, err = startAt(ctx, log, d.limits, d.startMs); err != nil {
				return nil, err
			}
			if a.coveredSince > 0 {
				a.coveredSince += d.maxFutureMs
			}
		}
		if d.toEnd {
			if a.end, err = log.offsetAt(ctx, toEnd); err != nil {
				return nil, err
			}
		}
		first = append(first, a)
	}
	return first, nil
}
