// Package redisconn opens connections to Redis the same way for all that speak to it.
package redisconn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Time limits. Redis answers within a millisecond; a second of silence means
// that it is away, and callers try again by themselves.
const (
	openTimeout  = 3 * time.Second
	dialTimeout  = time.Second
	replyTimeout = 2 * time.Second
)

// Open connects to the Redis at addr, which is host:port or a redis:// URL,
// and fails when it does not answer within 3 s.
func Open(ctx context.Context, addr string) (*redis.Client, error) {
	o, err := options(addr)
	if err != nil {
		return nil, err
	}
	// What go-redis prints by itself is what our callers report with more context.
	logging.Disable()
	c := redis.NewClient(o)
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := c.Ping(ctx).Err(); err != nil {
		_ = c.Close() // Nothing was written.
		return nil, fmt.Errorf("cannot reach Redis at %s: %w; start it or pass another address with --redis", o.Addr, err)
	}
	return c, nil
}

func options(addr string) (*redis.Options, error) {
	o := &redis.Options{Addr: addr}
	if strings.Contains(addr, "://") {
		var err error
		if o, err = redis.ParseURL(addr); err != nil {
			// The error of a URL quotes it, and a URL may hold a password.
			return nil, errors.New("cannot read the Redis URL: it must look like redis://[user:password@]host:port[/db]; correct it with --redis")
		}
	}
	o.DialTimeout = dialTimeout
	o.DialerRetries = 1
	o.ReadTimeout = replyTimeout
	o.WriteTimeout = replyTimeout
	o.ContextTimeoutEnabled = true
	o.MaxRetries = 1
	// Valkey, KeyDB and Dragonfly refuse the command that this feature sends.
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o, nil
}
