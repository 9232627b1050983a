package results

import (
	"context"
	"sync/atomic"

	"pulseboard/internal/redisconn"
	"pulseboard/wire"
)

// Store is the results in one Redis. It may be used concurrently.
type Store struct {
	client *redisconn.Client
	lease  *Lease                 // The right to write; nil = none is needed.
	writes atomic.Pointer[writes] // What this process has written.
}

// Open connects to a Redis.
func Open(ctx context.Context, at redisconn.Endpoint) (*Store, error) {
	c, err := redisconn.Open(ctx, at)
	if err != nil {
		return nil, err
	}
	s := &Store{client: c}
	s.Doubt()
	return s, nil
}

// Close ends the connections.
func (s *Store) Close() error { return s.client.Close() }

// Ping returns an error when Redis does not answer.
func (s *Store) Ping(ctx context.Context) error { return s.client.Ping(ctx).Err() }

// Subscribe begins to listen to results, without any metric key. handler gets
// each message, and resync is called when messages may have been missed; neither may block.
func (s *Store) Subscribe(ctx context.Context, handler func(key, payload string), resync func()) *redisconn.Listener {
	return s.client.Listen(ctx, handler, resync)
}

// historyKey is the stream of a metric key's results at one refresh interval.
func (s *Store) historyKey(key string, refreshMs int64) string {
	return s.client.Key(wire.HistoryName(key, refreshMs))
}
