package catalog

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"pulseboard/internal/redisconn"
)

// Names in Redis.
const (
	hashKey    = "catalog"
	versionKey = "catalog:version"
	aliveKey   = "catalog:alive"
	sweeperKey = "catalog:sweeper"
)

// Store is the catalog in one Redis. It may be used concurrently.
type Store struct{ client *redisconn.Client }

// Open connects to a Redis.
func Open(ctx context.Context, at redisconn.Endpoint) (*Store, error) {
	c, err := redisconn.Open(ctx, at)
	if err != nil {
		return nil, err
	}
	return &Store{c}, nil
}

// Close ends the connections.
func (s *Store) Close() error { return s.client.Close() }

// State is what a writer must know before it writes.
type State struct {
	Mark    string    // Another one than last time = Redis was emptied since.
	Metrics int       // Entries, also stale ones.
	Now     time.Time // By the clock of Redis, the one for all writers and readers.
}

// writeTimeout is how long Redis may take for what a writer asks or writes at once.
const writeTimeout = 2 * time.Second

// State asks Redis, and leaves a mark there when there is none.
func (s *Store) State(ctx context.Context) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	pipe := s.client.Pipeline()
	// Of several writers that find none, one leaves its own, and all see that.
	pipe.SetNX(ctx, s.client.Key(aliveKey), rand.Text(), 0)
	mark, n, now := pipe.Get(ctx, s.client.Key(aliveKey)), pipe.HLen(ctx, s.client.Key(hashKey)), pipe.Time(ctx)
	if _, err := pipe.Exec(ctx); err != nil {
		return State{}, fmt.Errorf("cannot read the state of %q in Redis: %w", hashKey, err)
	}
	return State{mark.Val(), int(n.Val()), now.Val()}, nil
}

// Write sets entries, encoded, by metric, and removes others.
func (s *Store) Write(ctx context.Context, set map[string][]byte, remove []string) error {
	if len(set) == 0 && len(remove) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	pipe := s.client.Pipeline()
	if len(set) > 0 {
		fields := make([]any, 0, 2*len(set))
		for _, metric := range slices.Sorted(maps.Keys(set)) {
			fields = append(fields, metric, set[metric])
		}
		pipe.HSet(ctx, s.client.Key(hashKey), fields...)
	}
	if len(remove) > 0 {
		pipe.HDel(ctx, s.client.Key(hashKey), remove...)
	}
	pipe.Incr(ctx, s.client.Key(versionKey))
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("cannot write %d entries of %q to Redis: %w", len(set)+len(remove), hashKey, err)
	}
	return nil
}

// Sweep removes entries that nobody refreshed since a time: whoever wrote them
// died, or holds the metric no more. Of all processes that call it, one does it,
// once a minute. An entry that is refreshed at this very moment may go too: its
// writer writes it again within a minute.
func (s *Store) Sweep(ctx context.Context, before time.Time) (removed int, err error) {
	// A little less than the minute after which its callers call again.
	mine, err := s.client.SetNX(ctx, s.client.Key(sweeperKey), rand.Text(), 55*time.Second).Result()
	if err != nil {
		return 0, fmt.Errorf("cannot take %q in Redis: %w", sweeperKey, err)
	}
	if !mine {
		return 0, nil
	}
	var old []string
	err = s.scan(ctx, func(metric, text string) {
		var e struct {
			Updated int64 `json:"updated"`
		}
		// What cannot be read nobody refreshes either.
		if json.Unmarshal([]byte(text), &e) != nil || e.Updated < before.UnixMilli() {
			old = append(old, metric)
		}
	})
	for chunk := range slices.Chunk(old, scanCount) {
		if err != nil {
			break
		}
		if err = s.Write(ctx, nil, chunk); err == nil {
			removed += len(chunk)
		}
	}
	return removed, err
}

// How many entries Redis gives at once: it does nothing else meanwhile.
const scanCount = 500

func (s *Store) scan(ctx context.Context, visit func(metric, text string)) error {
	for cursor := uint64(0); ; {
		kvs, next, err := s.client.HScan(ctx, s.client.Key(hashKey), cursor, "", scanCount).Result()
		if err != nil {
			return fmt.Errorf("cannot read %q from Redis: %w", hashKey, err)
		}
		for i := 0; i+1 < len(kvs); i += 2 {
			visit(kvs[i], kvs[i+1]) // Some may come twice.
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// version counts the writes; 0 = there is no catalog.
func (s *Store) version(ctx context.Context) (version int64, now time.Time, err error) {
	pipe := s.client.Pipeline()
	v, t := pipe.Get(ctx, s.client.Key(versionKey)), pipe.Time(ctx)
	if _, err = pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return 0, now, fmt.Errorf("cannot read %q from Redis: %w", versionKey, err)
	}
	if version, err = v.Int64(); err != nil && !errors.Is(err, redis.Nil) {
		return 0, now, fmt.Errorf("cannot read %q from Redis: %w", versionKey, err)
	}
	return version, t.Val(), nil
}
