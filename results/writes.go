package results

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// writes counts in Redis what one process has written there, after each of its writes. A
// Redis whose count is behind what it has acknowledged is another than that one, and
// lacks entries: a replica that was promoted before it had them, or one that was
// started from an older file. It must not get newer entries first, or it would refuse
// those that are missing.
//
// A count of its own for each process: those of others would hide that one is missing.
type writes struct {
	key   string
	acked atomic.Int64
}

const (
	writesPrefix = "results:writes:"
	// writesExpire is how long the count of a process that is gone stays.
	writesExpire = time.Hour
)

// ErrWentBack says that Redis lacks what it has acknowledged, or may lack it.
var ErrWentBack = errors.New("Redis lacks something that it had acknowledged: it was emptied, a replica that lagged was promoted, or an older file was loaded") //nolint:staticcheck // Its name.

// begin asks the server at the other end of a connection for its time, whether it has
// what was acknowledged, and whether this pipeline is the one that writes.
func (s *Store) begin(ctx context.Context, conn *redis.Conn, w *writes) (now time.Time, err error) {
	before := w.acked.Load()
	pipe := conn.Pipeline()
	clock, count, lease := pipe.Time(ctx), pipe.Get(ctx, w.key), pipe.Get(ctx, s.leaseKey())
	if _, err = pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return now, err
	}
	has, err := count.Int64()
	switch {
	case errors.Is(err, redis.Nil):
		// Right before the first write.
	case err != nil:
		return now, fmt.Errorf("cannot read %q: %w", w.key, err)
	}
	if has < before {
		return now, ErrWentBack
	}
	return clock.Val(), s.mayWrite(clock.Val(), readLease(lease))
}

// end counts, after what was written in a pipeline.
func (w *writes) end(ctx context.Context, pipe redis.Pipeliner) (count *redis.IntCmd) {
	count = pipe.Incr(ctx, w.key)
	pipe.PExpire(ctx, w.key, writesExpire)
	return count
}

// Doubt begins to count anew, after a fault, when another server may answer: the caller
// compares what histories have with what was acknowledged. What is being written
// meanwhile is answered with ErrWentBack.
func (s *Store) Doubt() { s.writes.Store(&writes{key: s.client.Key(writesPrefix + rand.Text())}) }
