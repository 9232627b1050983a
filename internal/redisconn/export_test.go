package redisconn

import (
	"context"
	"time"
)

// ListenWithin is Listen with another time after which Redis is asked whether it is there.
func (c *Client) ListenWithin(ctx context.Context, silence time.Duration, message func(channel, payload string), missed func(), channels ...string) *Listener {
	return c.listen(ctx, silence, message, missed, channels)
}
