package sources

import (
	"context"
	"fmt"
	"time"
)

// startAt returns the offset of the first record at or after startMs, and from
// when on every record is read: 0 when that is since the partition's first.
func (b *broker) startAt(ctx context.Context, partition int32, startMs int64) (start, since int64, err error) {
	first, err := b.offset(ctx, partition, fromStart)
	if err != nil || startMs == 0 && first == 0 {
		return first, 0, err
	}
	if start, err = b.offset(ctx, partition, max(startMs, 0)); err != nil {
		return 0, 0, err
	}
	switch {
	case start < 0:
		start, err = b.offset(ctx, partition, toEnd)
		if start == 0 {
			return 0, 0, err
		}
		return start, startMs, err
	case start == 0:
		return 0, 0, nil
	case start > first:
		// Older records are there, and not needed.
		start, err = b.batchAt(ctx, partition, start, startMs)
		return start, startMs, err
	}
	// Retention took the older ones: covered from the first that is left.
	since, err = b.timeOf(ctx, partition, start)
	return start, max(since, startMs), err
}

// timeOf returns when the record at an offset came, which must be there: its timestamp,
// or where its producer's clock is ahead of ours, that of the next whose is not.
func (b *broker) timeOf(ctx context.Context, partition int32, offset int64) (int64, error) {
	res, err := b.fetch(ctx, partition, offset, maxWait)
	if err != nil {
		return 0, err
	}
	if len(res.records) == 0 {
		return 0, fmt.Errorf("there is no record at offset %d of %s/%d", offset, b.topic, partition)
	}
	now := time.Now()
	for _, rec := range res.records {
		if !rec.isAhead(0, now) {
			return rec.Timestamp.UnixMilli(), nil
		}
	}
	return now.UnixMilli(), nil
}
