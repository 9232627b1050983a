package results

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"pulseboard/metric"
)

// History returns the results of a metric key at one refresh interval whose
// window end is after a given one, epoch ms, oldest first: the newest limit of
// them when there are more.
func (s *Store) History(ctx context.Context, key string, refreshMs, after int64, limit int) ([]*metric.Result, error) {
	from := "-"
	if after > 0 {
		from = "(" + strconv.FormatInt(after, 10) + "-0"
	}
	entries, err := s.client.XRevRangeN(ctx, historyKey(key, refreshMs), "+", from, int64(limit)).Result()
	if err != nil {
		return nil, fmt.Errorf("cannot read the history of %q: %w", key, err)
	}
	out := make([]*metric.Result, 0, len(entries))
	for _, e := range entries {
		text, _ := e.Values["r"].(string)
		r, err := metric.DecodeResult([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("cannot read entry %s of the history of %q: %w", e.ID, key, err)
		}
		out = append(out, r)
	}
	slices.Reverse(out)
	return out, nil
}
