package sources

import (
	"context"
	"slices"
	"time"
)

// startAt returns the offset of the first record at or after startMs, 0 = of all, and from when on every
// record from there on is read, epoch ms: 0 when that is since the first of the partition.
func startAt(ctx context.Context, log partitionLog, limits clockLimits, startMs int64) (start, coveredSince int64, err error) {
	first, err := log.offsetAt(ctx, fromStart)
	if err != nil || startMs == 0 && first == 0 {
		return first, 0, err
	}
	// The end is asked for before the offset: a record that comes between the two lies behind this end, and is read.
	end, err := log.offsetAt(ctx, toEnd)
	if err != nil {
		return 0, 0, err
	}
	if start, err = log.offsetAt(ctx, max(startMs, 0)); err != nil {
		return 0, 0, err
	}
	switch {
	case start < 0 && end > 0:
		return end, startMs, nil
	case start <= 0:
		return 0, 0, nil
	case start > first: // The log holds older records, which are not needed.
		if start, err = batchAt(ctx, log, start, startMs); err != nil {
			return 0, 0, err
		}
		if first == 0 {
			return start, startMs, nil
		}
	}
	// Retention deleted everything before the first record that is left.
	coveredSince, err = timeAt(ctx, log, limits, first)
	return start, max(coveredSince, startMs), err
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
func timeAt(ctx context.Context, log partitionLog, limits clockLimits, offset int64) (ms int64, err error) {
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
			case limits.isOldAhead(rec) || len(times) == sample:
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
