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
	topic   topic
	options *Options
	shard   Shard
	say     *slog.Logger // Names the topic.
}

// assignment is a partition that is to be read.
type assignment struct {
	Offset // Where it begins.

	end          int64 // The read ends before this offset; -1 = never.
	coveredSince int64 // See Position.CoveredSince; 0 = the partition sets no limit.
	last         bool  // Of those that the shard begins with, it is the last one.
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
		if err != nil || d.options.ToEnd {
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
			if a.Next, a.coveredSince, err = startAt(ctx, log, d.options); err != nil {
				return nil, err
			}
			if a.coveredSince > 0 {
				a.coveredSince += d.options.MaxFutureMs
			}
		}
		if d.options.ToEnd {
			if a.end, err = log.offsetAt(ctx, toEnd); err != nil {
				return nil, err
			}
		}
		first = append(first, a)
	}
	return first, nil
}

// startAt returns the offset of the first record at or after Options.StartMs, and from when on every
// record from there on is read, epoch ms: 0 when that is since the first of the partition.
func startAt(ctx context.Context, log partitionLog, o *Options) (start, coveredSince int64, err error) {
	first, err := log.offsetAt(ctx, fromStart)
	if err != nil || o.StartMs == 0 && first == 0 {
		return first, 0, err
	}
	// The end is asked for before the offset: a record that comes between the two lies behind this end, and is read.
	end, err := log.offsetAt(ctx, toEnd)
	if err != nil {
		return 0, 0, err
	}
	if start, err = log.offsetAt(ctx, max(o.StartMs, 0)); err != nil {
		return 0, 0, err
	}
	switch {
	case start < 0 && end > 0:
		return end, o.StartMs, nil
	case start <= 0:
		return 0, 0, nil
	case start > first: // The log holds older records, which are not needed.
		if start, err = batchAt(ctx, log, start, o.StartMs); err != nil {
			return 0, 0, err
		}
		if first == 0 {
			return start, o.StartMs, nil
		}
	}
	// Retention deleted everything before the first record that is left.
	coveredSince, err = timeAt(ctx, log, o, first)
	return start, max(coveredSince, o.StartMs), err
}

// batchAt moves an offset back over records that came at or after ms too: the embedded
// broker finds records within a batch by the timestamps of producers.
func batchAt(ctx context.Context, log partitionLog, offset, ms int64) (int64, error) {
	for offset > 0 {
		res, err := log.fetch(ctx, offset-1, maxWait, anything)
		if err != nil {
			return 0, err
		}
		if len(res.records) == 0 || res.records[0].Offset != offset-1 || !res.records[0].byBroker || res.records[0].Timestamp.UnixMilli() < ms {
			return offset, nil
		}
		offset = res.first
	}
	return offset, nil
}

// sample is of how many producers' timestamps timeAt takes the median: up to four of them may be wrong.
const sample = 9

// timeAt returns the time of the log at an offset, epoch ms: the timestamp of the record there
// if the broker set it. Those of producers may be anything: the median of the first that are not ahead counts.
func timeAt(ctx context.Context, log partitionLog, o *Options, offset int64) (ms int64, err error) {
	end, err := log.offsetAt(ctx, toEnd)
	if err != nil {
		return 0, err
	}
	var times []int64
	for from := offset; from < end && len(times) < sample; {
		res, err := log.fetch(ctx, from, maxWait, anything)
		if err != nil {
			return 0, err
		}
		for _, rec := range res.records {
			switch {
			case o.isOldAhead(rec) || len(times) == sample:
			case rec.byBroker && len(times) == 0:
				return rec.Timestamp.UnixMilli(), nil
			default:
				times = append(times, rec.Timestamp.UnixMilli())
			}
		}
		from = max(res.next, from+1)
	}
	if len(times) == 0 {
		return time.Now().UnixMilli(), nil // No timestamp there counts, and everything before it is gone.
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}
