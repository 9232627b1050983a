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

// Result is the entry, nil where it cannot be read.
func (t Tip) Result() *wire.Result {
	if r, err := wire.DecodeResult(t.text); err == nil {
		return r
	}
	return nil
}

// Oldest returns the window end of the oldest entry of each history, epoch ms, 0 when
// there is none, in one round trip.
func (s *Store) Oldest(ctx context.Context, streams []Stream) ([]int64, error) {
	entries, err := s.first(ctx, streams, func(p redis.Pipeliner, name string) *redis.XMessageSliceCmd {
		return p.XRangeN(ctx, name, "-", "+", 1)
	})
	ends := make([]int64, len(entries))
	for i, e := range entries {
		ends[i] = endOf(e)
	}
	return ends, err
}

// Newest returns the newest entry of each history, in one round trip.
func (s *Store) Newest(ctx context.Context, streams []Stream) ([]Tip, error) {
	entries, err := s.first(ctx, streams, func(p redis.Pipeliner, name string) *redis.XMessageSliceCmd {
		return p.XRevRangeN(ctx, name, "+", "-", 1)
	})
	tips := make([]Tip, len(entries))
	for i, e := range entries {
		text, _ := e.Values[wire.HistoryField].(string)
		tips[i] = Tip{WindowEnd: endOf(e), text: text}
	}
	return tips, err
}

// first returns the first entry that read finds of each history, one without an id where there is none.
func (s *Store) first(ctx context.Context, streams []Stream, read func(redis.Pipeliner, string) *redis.XMessageSliceCmd) ([]redis.XMessage, error) {
	pipe := s.client.Pipeline()
	answers := make([]*redis.XMessageSliceCmd, len(streams))
	for i, st := range streams {
		answers[i] = read(pipe, s.historyKey(st.Key, st.RefreshMs))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("cannot read %d histories: %w", len(streams), err)
	}
	entries := make([]redis.XMessage, len(streams))
	for i, a := range answers {
		if found := a.Val(); len(found) > 0 {
			entries[i] = found[0]
		}
	}
	return entries, nil
}

// endOf is the window end of an entry, epoch ms.
func endOf(e redis.XMessage) int64 {
	end, _ := wire.ParseHistoryID(e.ID) // Redis has no other ids.
	return end
}

// Drop deletes histories that nobody wants any more. Redis frees their memory
// beside its other work.
func (s *Store) Drop(ctx context.Context, streams []Stream) error {
	for some := range slices.Chunk(streams, chunk) {
		names := make([]string, len(some))
		for i, st := range some {
			names[i] = s.historyKey(st.Key, st.RefreshMs)
		}
		if err := s.client.Unlink(ctx, names...).Err(); err != nil {
			return fmt.Errorf("cannot delete %d histories: %w", len(streams), err)
		}
	}
	return nil
}
