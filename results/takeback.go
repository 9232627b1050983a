package results

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Now is the time of Redis' clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	now, err := s.client.Time(ctx).Result()
	if err != nil {
		return now, fmt.Errorf("cannot ask Redis for its time: %w", err)
	}
	return now, nil
}

// MaxAhead is how far a window end may be ahead of the clocks: what lies further ahead was
// published by a clock that was wrong.
const MaxAhead = maxSkew * time.Millisecond

// TakeBack removes the results of a history whose window ends after a time, and returns
// how many those were. Redis takes no end that is older than one that was there, so what
// stays is written anew, in one transaction.
func (s *Store) TakeBack(ctx context.Context, st Stream, after time.Time) (taken int, err error) {
	name, limit := s.historyKey(st.Key, st.RefreshMs), strconv.FormatInt(after.UnixMilli(), 10)
	err = s.client.Watch(ctx, func(tx *redis.Tx) error {
		entries, err := tx.XRange(ctx, name, "-", "+").Result()
		if err != nil {
			return err
		}
		keep := entries
		if i := slices.IndexFunc(entries, func(e redis.XMessage) bool { return endOf(e) > after.UnixMilli() }); i >= 0 {
			keep = entries[:i]
		}
		if taken = len(entries) - len(keep); taken == 0 {
			return nil
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Unlink(ctx, name)
			for _, e := range keep {
				p.XAdd(ctx, &redis.XAddArgs{Stream: name, ID: e.ID, Values: e.Values})
			}
			if len(keep) > 0 {
				p.PExpire(ctx, name, expiry(st.RefreshMs))
			}
			return nil
		})
		return err
	}, name)
	if err != nil {
		return 0, fmt.Errorf("cannot take back what the history of %q has of the time after %s: %w", st.Key, limit, err)
	}
	return taken, nil
}
