package results

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// markKey is gone when Redis was emptied.
const markKey = "results:alive"

// Mark returns a text that stays the same while Redis holds what was written
// since the last call, and leaves one there when there is none.
func (s *Store) Mark(ctx context.Context) (string, error) {
	// Asked first: a full Redis refuses to set what is there already, too.
	found, err := s.client.Get(ctx, s.client.Key(markKey)).Result()
	if !errors.Is(err, redis.Nil) {
		return found, err
	}
	mark := rand.Text()
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

// Memory is what Redis says of its memory.
type Memory struct {
	Limit  int64  // Bytes; 0 = none.
	Policy string // What it does when it is full; "" when it does not say.
}

// Evicts reports whether Redis forgets parts of histories when it is full, which nobody can tell from results that never came.
func (m Memory) Evicts() bool { return m.Limit > 0 && m.Policy != "" && m.Policy != "noeviction" }

// Memory asks Redis about its memory.
func (s *Store) Memory(ctx context.Context) (m Memory, err error) {
	sections, err := s.client.InfoMap(ctx, "memory").Result()
	if err != nil {
		return m, fmt.Errorf("cannot ask Redis about its memory: %w", err)
	}
	m.Limit, _ = strconv.ParseInt(sections["Memory"]["maxmemory"], 10, 64) // Others than Redis may not say.
	m.Policy = sections["Memory"]["maxmemory_policy"]
	return m, nil
}
