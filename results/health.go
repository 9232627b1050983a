package results

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Mark returns a text that stays the same while Redis holds what was written
// since the last call, and leaves one there when there is none.
func (s *Store) Mark(ctx context.Context) (string, error) {
	// Asked first: a full Redis refuses to set what is there already, too.
	found, err := s.client.Get(ctx, s.client.Key(markKey)).Result()
	if !errors.Is(err, redis.Nil) {
		return found, err
	}
	mark := newMark()
	// Of several processes that find none, one leaves its own, and all see that.
	set := s.client.SetNX(ctx, s.client.Key(markKey), mark, 0)
	if set.Err() != nil {
		return "", set.Err()
	}
	if set.Val() {
		return mark, nil
	}
	return s.client.Get(ctx, s.client.Key(markKey)).Result()
}

// IsFull reports whether an error of this package says that Redis has no memory left.
func IsFull(err error) bool {
	if w, ok := errors.AsType[*WriteError](err); ok {
		return w.Full
	}
	return isFull(err)
}

// Room asks whether Redis takes anything.
func (s *Store) Room(ctx context.Context) error {
	const probe = "results:probe"
	return s.client.Set(ctx, s.client.Key(probe), "", 10*time.Second).Err()
}

// Forget deletes histories of a metric key.
func (s *Store) Forget(ctx context.Context, key string, refreshMs []int64) error {
	names := make([]string, 0, len(refreshMs))
	for _, r := range refreshMs {
		names = append(names, s.historyKey(key, r))
	}
	if err := s.client.Unlink(ctx, names...).Err(); err != nil {
		return fmt.Errorf("cannot delete the histories of %q: %w", key, err)
	}
	return nil
}

// Memory is what Redis says of its memory.
type Memory struct {
	Limit  int64  // Bytes; 0 = none.
	Used   int64  // Bytes.
	Policy string // What it does when it is full; "" when it does not say.
}

// Evicts reports whether Redis forgets parts of histories when it is full, which nobody can tell from results that never came.
func (m Memory) Evicts() bool { return m.Limit > 0 && m.Policy != "" && m.Policy != "noeviction" }

// Memory asks Redis about its memory.
func (s *Store) Memory(ctx context.Context) (m Memory, err error) {
	text, err := s.client.Info(ctx, "memory").Result()
	if err != nil {
		return m, fmt.Errorf("cannot ask Redis about its memory: %w", err)
	}
	for line := range strings.SplitSeq(text, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "maxmemory":
			m.Limit, err = strconv.ParseInt(value, 10, 64)
		case "used_memory":
			m.Used, err = strconv.ParseInt(value, 10, 64)
		case "maxmemory_policy":
			m.Policy = value
		}
		if err != nil {
			return m, fmt.Errorf("Redis says of its memory %q: %w", line, err) //nolint:staticcheck // Its name.
		}
	}
	return m, nil
}
