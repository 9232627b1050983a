package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"pulseboard/wire"
)

// Set is the query set at one moment. It must not be changed.
type Set struct {
	// Version counts publications; 0 = never published. It begins again when
	// Redis was emptied.
	Version int64
	// Entries by metric key.
	Entries map[string]wire.QueryEntry
	// Skipped are the hash fields that were left out because they cannot be
	// read or their key is not that of their query.
	Skipped []string
}

// Load returns the query set. One bad entry does not fail it: see Set.Skipped.
func (s *Store) Load(ctx context.Context) (Set, error) {
	var f followedSet
	if _, err := f.readAll(ctx, s); err != nil {
		return Set{}, err
	}
	return f.set, nil
}

// Watch calls apply with the query set at the start, and again whenever it has
// changed: on each notice, after each reconnection and at least every every.
// While Redis is unavailable, and after it was emptied until the config service has
// repaired it, the last set stays in force. Watch returns nil when ctx ends.
// apply is called from one goroutine.
func (s *Store) Watch(ctx context.Context, every time.Duration, apply func(Set)) error {
	var f followedSet
	s.follow(ctx, every, s.queryNames().changed, func(ctx context.Context, why trigger) error {
		skipped := len(f.set.Skipped)
		changed, err := f.look(ctx, s, why)
		if err != nil || !changed {
			return err
		}
		if n := len(f.set.Skipped); n > skipped {
			s.log.Warn("queries were left out of the set: unreadable, or not under their key", "count", n, "first", f.set.Skipped[0])
		}
		apply(f.set)
		return nil
	})
	return nil
}

// followedSet is the query set as one follower has it.
type followedSet struct {
	fields map[string]string // Of the hash; nil before the first read.
	set    Set
	// readAt is when everything is read again although no notice says so.
	readAt time.Time
}

// look takes over what a trigger says may have changed, and reports whether the
// set is another one.
func (f *followedSet) look(ctx context.Context, s *Store, why trigger) (changed bool, err error) {
	if why.continues(f.set.Version) {
		current, changed, err := f.readNamed(ctx, s, why)
		if current || err != nil {
			return changed, err
		}
	}
	if why.poll && !why.all && why.first == 0 && time.Now().Before(f.readAt) {
		version, err := s.version(ctx, s.queryNames())
		if err == nil && version == f.set.Version {
			return false, nil
		}
	}
	return f.readAll(ctx, s)
}

// readAll reads the whole hash. An emptied Redis changes nothing.
func (f *followedSet) readAll(ctx context.Context, s *Store) (changed bool, err error) {
	began := time.Now()
	n := s.queryNames()
	var version *redis.StringCmd
	var hash *redis.MapStringStringCmd
	_, err = s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		version = p.Get(ctx, n.version)
		hash = p.HGetAll(ctx, n.hash)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, fmt.Errorf("cannot read %q from Redis: %w", n.hash, err)
	}
	v, err := version.Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, fmt.Errorf("cannot read %q from Redis: %w", n.version, err)
	}
	fields := hash.Val()
	changed = f.fields == nil || v > 0 && !maps.Equal(fields, f.fields)
	f.set.Version = v
	if changed {
		f.fields, f.set = fields, Set{Version: v, Entries: make(map[string]wire.QueryEntry, len(fields))}
		for key, text := range fields {
			f.take(key, text)
		}
		slices.Sort(f.set.Skipped)
	}
	now := time.Now()
	f.readAt = now.Add(wholeShare * now.Sub(began))
	return changed, nil
}

// readNamed reads the fields that notices name; current is false when Redis is not
// at their version: it was emptied or has failed over.
func (f *followedSet) readNamed(ctx context.Context, s *Store, why trigger) (current, changed bool, err error) {
	if len(why.names) == 0 {
		f.set.Version = why.last
		return true, false, nil
	}
	n := s.queryNames()
	var version *redis.StringCmd
	var texts *redis.SliceCmd
	_, err = s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		version = p.Get(ctx, n.version)
		texts = p.HMGet(ctx, n.hash, why.names...)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, false, fmt.Errorf("cannot read %q from Redis: %w", n.hash, err)
	}
	if v, _ := version.Int64(); v < why.last { // Missing is 0.
		return false, false, nil
	}
	// Sets that were handed out must stay as they are.
	f.set = Set{Version: why.last, Entries: maps.Clone(f.set.Entries), Skipped: slices.Clone(f.set.Skipped)}
	for i, key := range why.names {
		text, has := texts.Val()[i].(string)
		if before, had := f.fields[key]; has == had && text == before {
			continue
		}
		changed = true
		f.forget(key)
		if has {
			f.fields[key] = text
			f.take(key, text)
		}
	}
	slices.Sort(f.set.Skipped)
	return true, changed, nil
}

func (f *followedSet) take(key, text string) {
	if e, err := wire.DecodeQuery(key, text); err == nil {
		f.set.Entries[key] = e
	} else {
		f.set.Skipped = append(f.set.Skipped, key)
	}
}

func (f *followedSet) forget(key string) {
	delete(f.fields, key)
	delete(f.set.Entries, key)
	f.set.Skipped = slices.DeleteFunc(f.set.Skipped, func(k string) bool { return k == key })
}
