package registry

import (
	"context"
	"log/slog"

	"pulseboard/internal/redisconn"
)

// Store is the registry in one Redis. It may be used concurrently.
type Store struct {
	client *redisconn.Client
	log    *slog.Logger
}

// Option changes how a Store works.
type Option func(*Store)

// WithLog sets where faults are reported that are no error of a call: entries
// that cannot be read, Redis away and back. Default: slog.Default().
func WithLog(log *slog.Logger) Option { return func(s *Store) { s.log = log } }

// Open connects to a Redis, and fails when it does not answer within 3 s.
func Open(ctx context.Context, at redisconn.Endpoint, opts ...Option) (*Store, error) {
	client, err := redisconn.Open(ctx, at)
	if err != nil {
		return nil, err
	}
	s := &Store{client: client, log: slog.Default()}
	for _, opt := range opts {
		opt(s)
	}
	return s, nil
}

// Close ends the connections.
func (s *Store) Close() error { return s.client.Close() }
