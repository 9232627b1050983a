package results

import (
	"context"
	"fmt"
)

// Drop deletes histories that nobody wants any more. Redis frees their memory
// beside its other work.
func (s *Store) Drop(ctx context.Context, streams []Stream) error {
	for len(streams) > 0 {
		n := min(len(streams), chunk)
		keys := make([]string, n)
		for i, st := range streams[:n] {
			keys[i] = s.historyKey(st.Key, st.RefreshMs)
		}
		if err := s.client.Unlink(ctx, keys...).Err(); err != nil {
			return fmt.Errorf("cannot delete %d histories: %w", len(streams), err)
		}
		streams = streams[n:]
	}
	return nil
}
