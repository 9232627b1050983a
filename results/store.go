package results

import (
	"context"
	"crypto/rand"
	"strconv"
	"sync/atomic"
	"time"

	"pulseboard/internal/redisconn"
)

// HistoryLength is how many results a history holds, about: Redis trims it by whole nodes.
const HistoryLength = 600

// Store is the results in one Redis. It may be used concurrently.
type Store struct {
	client *redisconn.Client
	lease  *Lease                 // Of who writes, nil = nobody asks.
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

// markKey is gone when Redis was emptied.
const markKey = "results:alive"

func newMark() string { return rand.Text() }

const historyPrefix = "history:"

// historyKey is the stream of a metric key's results at one refresh interval.
func (s *Store) historyKey(key string, refreshMs int64) string {
	return s.client.Key(historyPrefix + key + "@" + strconv.FormatInt(refreshMs, 10))
}

// expiry is how long a history outlives its last result.
func expiry(refreshMs int64) time.Duration {
	return max(time.Hour, 1200*time.Duration(refreshMs)*time.Millisecond)
}
