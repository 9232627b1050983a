package results

import (
	"context"

	"pulseboard/internal/redisconn"
)

// Subscribe begins to listen to results, without any metric key. handler gets
// each message, and resync is called when messages may have been missed; neither may block.
func (s *Store) Subscribe(ctx context.Context, handler func(key, payload string), resync func()) *redisconn.Listener {
	return s.client.Listen(ctx, handler, resync)
}
