package results

import (
	"context"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"pulseboard/wire"
)

// Stream names one history: a metric key at one refresh interval.
type Stream struct {
	Key       string
	RefreshMs int64
}

// History returns the results of a metric key at one refresh interval whose
// window end is after a given one, epoch ms, oldest first: the newest limit of
// them when there are more. Entries that cannot be read are left out, so that
// one bad entry does not hide the others.
func (s *Store) History(ctx context.Context, key string, refreshMs, after int64, limit int) ([]*wire.Result, error) {
	from := "-"
	if after > 0 {
		from = "(" + wire.HistoryID(after)
	}
	entries, err := s.client.XRevRangeN(ctx, s.historyKey(key, refreshMs), "+", from, int64(limit)).Result()
	if err != nil {
		return nil, fmt.Errorf("cannot read the history of %q: %w", key, err)
	}
	out := make([]*wire.Result, 0, len(entries))
	for _, e := range slices.Backward(entries) {
		text, _ := e.Values[wire.HistoryField].(string)
		if r, err := wire.DecodeResult(text); err == nil {
			out = append(out, r)
		}
	}
	return out, nil
}

// Latest returns the newest result of a metric key at one refresh interval,
// nil when there is none.
func (s *Store) Latest(ctx context.Context, key string, refreshMs int64) (*wire.Result, error) {
	rs, err := s.History(ctx, key, refreshMs, 0, 1)
	if err != nil || len(rs) == 0 {
		return nil, err
	}
	return rs[0], nil
}

// Streams lists the histories that there are, also of refresh intervals that
// nobody wants any more. It looks through all keys: at a start only.
func (s *Store) Streams(ctx context.Context) ([]Stream, error) {
	var out []Stream
	keys := s.client.Scan(ctx, 0, s.client.Key(wire.HistoryPrefix)+"*", scanCount).Iterator()
	for keys.Next(ctx) {
		if key, refresh, ok := wire.ParseHistoryName(s.client.KeyName(keys.Val())); ok {
			out = append(out, Stream{Key: key, RefreshMs: refresh})
		}
	}
	if err := keys.Err(); err != nil {
		return nil, fmt.Errorf("cannot list the histories: %w", err)
	}
	return out, nil
}

const scanCount = 1000 // Keys that one request looks at.

// Tip is the newest entry of a history; its WindowEnd is 0 when there is none.
type Tip struct {
	WindowEnd int64 // Epoch ms.
	TakenBack bool  // Newer ones were, see TakeBack.
	text      string
}

// Complete reports whether the result says that it is.
func (t Tip) Complete() bool {
	r, err := wire.DecodeResult(t.text)
	return err == nil && r.Complete
}

// Oldest returns the window end of the oldest entry of each history, epoch ms, 0 when
// there is none, in one round trip.
func (s *Store) Oldest(ctx context.Context, streams []Stream) ([]int64, error) {
	pipe := s.client.Pipeline()
	answers := make([]*redis.XMessageSliceCmd, 0, len(streams))
	for _, st := range streams {
		answers = append(answers, pipe.XRangeN(ctx, s.historyKey(st.Key, st.RefreshMs), "-", "+", 1))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("cannot read the oldest window ends of %d histories: %w", len(streams), err)
	}
	ends := make([]int64, len(streams))
	for i, a := range answers {
		if entries := a.Val(); len(entries) > 0 {
			ends[i] = endOf(entries[0])
		}
	}
	return ends, nil
}

// endOf is the window end of an entry, epoch ms.
func endOf(e redis.XMessage) int64 {
	end, _ := wire.ParseHistoryID(e.ID) // Redis has no other ids.
	return end
}

// Newest returns the newest entry of each history, in one round trip.
func (s *Store) Newest(ctx context.Context, streams []Stream) ([]Tip, error) {
	if len(streams) == 0 {
		return nil, nil
	}
	pipe := s.client.Pipeline()
	answers := make([]*redis.XMessageSliceCmd, 0, len(streams))
	for _, st := range streams {
		answers = append(answers, pipe.XRevRangeN(ctx, s.historyKey(st.Key, st.RefreshMs), "+", "-", 1))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("cannot read the newest window ends of %d histories: %w", len(streams), err)
	}
	tips := make([]Tip, len(streams))
	for i, a := range answers {
		if entries := a.Val(); len(entries) > 0 {
			end, err := wire.ParseHistoryID(entries[0].ID)
			if err != nil {
				return nil, fmt.Errorf("cannot read the history of %q: %w", streams[i].Key, err)
			}
			result, _ := entries[0].Values[wire.HistoryField].(string)
			tips[i] = Tip{WindowEnd: end, text: result}
		}
	}
	return tips, nil
}
