package results

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Lease is the right to write results, which one pipeline has at a time. Two of
// them would write the same numbers as long as they read the same log with the same
// settings, which is not certain; and with two logs none of the numbers is right.
type Lease struct {
	Holder string `json:"holder"` // All processes of a job, and those that take the place of ones that ended, are one.
	Host   string `json:"host"`   // For people: where it was submitted, or runs.
	Log    string `json:"log"`    // What is aggregated: id of the Kafka cluster, topic.
	Until  int64  `json:"until"`  // Epoch ms by the clock of Redis; beyond it another may take the lease.
}

// How long a lease lasts that nobody renews. Its holder renews it many times in between.
const leaseTime = 5 * time.Second

// AwaitLease is how long one waits for the lease of a pipeline that may have ended just now.
const AwaitLease = 2 * leaseTime

// HeldError says that another pipeline writes the results.
type HeldError struct{ By Lease }

func (e *HeldError) Error() string {
	return fmt.Sprintf("another pipeline, of %s, writes the results of this installation: end that one, or give this one's installation its own --redis-prefix", e.By.Host)
}

// LogError says that the results are those of another log.
type LogError struct {
	By    Lease
	Own   string // The log of this pipeline.
	Redis string // Where it is.
	Key   string // What says whose results they are.
}

func (e *LogError) Error() string {
	return fmt.Sprintf("the results in Redis at %s are those of the log %q, and this pipeline reads %q: correct --kafka or --topic, or give its installation its own --redis-prefix; "+
		"if Kafka was made anew, delete the key that says so: redis-cli DEL '%s'", e.Redis, e.By.Log, e.Own, e.Key)
}

// IsHeld reports whether an error says that another pipeline may write, and this one not.
func IsHeld(err error) bool {
	_, held := errors.AsType[*HeldError](err)
	_, log := errors.AsType[*LogError](err)
	return held || log
}

// WriteAs makes the store write only while it has the lease. It is called before anything else.
func (s *Store) WriteAs(l Lease) { s.lease = &l }

func (s *Store) leaseKey() string { return s.client.Key("pipeline") }

// Hold takes the lease, or renews it when half of it is over. It fails with a
// *HeldError or *LogError while another has it.
func (s *Store) Hold(ctx context.Context) error {
	if s.lease == nil {
		return nil
	}
	mine := false
	take := func(tx *redis.Tx) error {
		now, has, err := s.mayTake(ctx, tx)
		if err != nil {
			return err
		}
		if mine = has != nil && has.Holder == s.lease.Holder; mine && leftOf(has, now) > leaseTime/2 {
			return nil
		}
		l := *s.lease
		l.Until = now.Add(leaseTime).UnixMilli()
		return s.writeLease(ctx, tx, l)
	}
	switch err := s.client.Watch(ctx, take, s.leaseKey()); {
	case errors.Is(err, redis.TxFailedErr):
		// Another process was faster: of this job, and all is well, or of another.
		_, _, err = s.mayTake(ctx, s.client)
		return err
	case mine && isFull(err):
		return nil // Nobody else can take it from such a Redis either.
	default:
		return err
	}
}

// Release gives the lease back, so that the next need not wait.
func (s *Store) Release(ctx context.Context) error {
	if s.lease == nil {
		return nil
	}
	err := s.client.Watch(ctx, func(tx *redis.Tx) error {
		_, has, err := s.askLease(ctx, tx)
		if err != nil || has == nil || has.Holder != s.lease.Holder {
			return err
		}
		has.Until = 0 // Whose log it is stays known.
		return s.writeLease(ctx, tx, *has)
	}, s.leaseKey())
	if errors.Is(err, redis.TxFailedErr) {
		return nil // It is another's by now.
	}
	return err
}

// writeLease writes it, if nobody else has since it was read.
func (s *Store) writeLease(ctx context.Context, tx *redis.Tx, l Lease) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Set(ctx, s.leaseKey(), text, 0).Err() })
	return err
}

// mayTake is askLease, with the error that this pipeline may not have it.
func (s *Store) mayTake(ctx context.Context, c redis.Cmdable) (now time.Time, has *Lease, err error) {
	if now, has, err = s.askLease(ctx, c); err == nil {
		err = s.refuse(now, has)
	}
	return now, has, err
}

// askLease returns the lease, nil when there is none, and the time by Redis.
func (s *Store) askLease(ctx context.Context, c redis.Cmdable) (now time.Time, l *Lease, err error) {
	pipe := c.Pipeline()
	at, has := pipe.Time(ctx), pipe.Get(ctx, s.leaseKey())
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return now, nil, err
	}
	return at.Val(), readLease(has), nil
}

// readLease is nil when there is none, or none that this program wrote.
func readLease(answer *redis.StringCmd) *Lease {
	l := new(Lease)
	if text, err := answer.Bytes(); err != nil || json.Unmarshal(text, l) != nil {
		return nil
	}
	return l
}

// leftOf is how long a lease lasts. What lies further ahead than any lease was given by a clock that has been set back since.
func leftOf(l *Lease, now time.Time) time.Duration {
	left := time.UnixMilli(l.Until).Sub(now)
	if left > 2*leaseTime {
		return 0
	}
	return left
}

// refuse is why this pipeline may not write, nil if it may, or may take the lease.
func (s *Store) refuse(now time.Time, has *Lease) error {
	switch {
	case has == nil:
		return nil
	case has.Log != s.lease.Log:
		at := s.client.Endpoint()
		return &LogError{By: *has, Own: s.lease.Log, Redis: at.String(), Key: s.leaseKey()}
	case has.Holder != s.lease.Holder && leftOf(has, now) > 0:
		return &HeldError{By: *has}
	}
	return nil
}

// mayWrite is why this store may not write, nil if it has the lease, or needs none.
func (s *Store) mayWrite(now time.Time, has *Lease) error {
	if s.lease == nil {
		return nil
	}
	err := s.refuse(now, has)
	if err == nil && (has == nil || has.Holder != s.lease.Holder) {
		err = errNotHeld
	}
	return err
}

// errNotHeld is for a Redis that was emptied, or a lease that ended: it is taken with the next look.
var errNotHeld = errors.New("nobody has the right to write results: it is taken soon")
