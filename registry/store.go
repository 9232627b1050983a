package registry

import (
	"context"
	"fmt"
	"log/slog"
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

// Store is the registry in one Redis. It may be used concurrently.
type Store struct {
	client *redis.Client
	log    *slog.Logger
}

// Option changes how a Store works.
type Option func(*Store)

// WithLog sets where faults are reported that are no error of a call: entries
// that cannot be read, Redis away and back. Default: slog.Default().
func WithLog(log *slog.Logger) Option { return func(s *Store) { s.log = log } }

// Open connects to the Redis at addr, which is host:port or a redis:// URL,
// and fails when it does not answer within 3 s.
func Open(ctx context.Context, addr string, opts ...Option) (*Store, error) {
	o, err := clientOptions(addr)
	if err != nil {
		return nil, err
	}
	// What go-redis prints by itself is what our callers report with more context.
	logging.Disable()
	s := &Store{client: redis.NewClient(o), log: slog.Default()}
	for _, opt := range opts {
		opt(s)
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := s.client.Ping(ctx).Err(); err != nil {
		_ = s.client.Close() // Nothing was written.
		return nil, fmt.Errorf("cannot reach Redis at %s: %w; start it or pass another address with --redis", o.Addr, err)
	}
	return s, nil
}

func clientOptions(addr string) (*redis.Options, error) {
	o := &redis.Options{Addr: addr}
	if strings.Contains(addr, "://") {
		var err error
		if o, err = redis.ParseURL(addr); err != nil {
			// The error of a URL quotes it, and a URL may hold a password.
			return nil, fmt.Errorf("cannot read the Redis URL: it must look like redis://[user:password@]host:port[/db]; correct it with --redis")
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

// Close ends the connections.
func (s *Store) Close() error { return s.client.Close() }
