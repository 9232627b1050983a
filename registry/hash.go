package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// names are the Redis names of one of the two hashes.
type names struct {
	hash, version, changed string
}

func (s *Store) queryNames() names { return s.names("queries") }

func (s *Store) dashboardNames() names { return s.names("dashboards") }

func (s *Store) names(name string) names {
	return names{s.client.Key(name), s.client.Key(name + ":version"), s.client.Channel(name + ":changed")}
}

// snapshot is a hash as Redis has it at one moment. Version 0 means that it
// was never published, or that Redis was emptied since.
type snapshot struct {
	fields  map[string]string
	version int64
}

func (s *Store) read(ctx context.Context, n names) (snapshot, error) {
	var version *redis.StringCmd
	var fields *redis.MapStringStringCmd
	_, err := s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		version = p.Get(ctx, n.version)
		fields = p.HGetAll(ctx, n.hash)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return snapshot{}, fmt.Errorf("cannot read %q from Redis: %w", n.hash, err)
	}
	v, err := version.Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return snapshot{}, fmt.Errorf("cannot read %q from Redis: %w", n.version, err)
	}
	return snapshot{fields: fields.Val(), version: v}, nil
}

// How often replace begins again when another config service writes at the
// same moment. What it publishes comes from the same database.
const replaceAttempts = 5

// replace makes the hash equal to want in one transaction and returns the
// version that it has then. messages says what to publish, given the fields
// that differ and the new version. Nothing is written when Redis equals want already.
// An owner is checked in the same transaction.
func (s *Store) replace(ctx context.Context, owner string, n names, want map[string]string, messages func(differing []string, version int64) []string) (version int64, err error) {
	attempt := func(tx *redis.Tx) error {
		free, err := s.owned(ctx, tx, owner)
		if err != nil {
			return err
		}
		have, err := tx.HGetAll(ctx, n.hash).Result()
		if err != nil {
			return err
		}
		version, err = tx.Get(ctx, n.version).Int64()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		set, del := difference(have, want)
		if len(set) == 0 && len(del) == 0 && version > 0 && !free {
			return nil
		}
		version++
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			if free {
				p.Set(ctx, s.ownerKey(), owner, 0)
			}
			write(ctx, p, n, set, del, version, messages)
			return nil
		})
		return err
	}
	for range replaceAttempts {
		// The keys are watched, so that the version in the message is the one that INCR gives.
		if err = s.client.Watch(ctx, attempt, n.hash, n.version, s.ownerKey()); !errors.Is(err, redis.TxFailedErr) {
			break
		}
	}
	if err != nil {
		return 0, fmt.Errorf("cannot publish %q to Redis: %w", n.hash, err)
	}
	return version, nil
}

func difference(have, want map[string]string) (set map[string]string, del []string) {
	set = make(map[string]string)
	for k, v := range want {
		if h, ok := have[k]; !ok || h != v {
			set[k] = v
		}
	}
	for k := range have {
		if _, ok := want[k]; !ok {
			del = append(del, k)
		}
	}
	slices.Sort(del)
	return set, del
}

func versionMessage(_ []string, version int64) []string {
	return []string{strconv.FormatInt(version, 10)}
}

func idMessages(differing []string, _ int64) []string { return differing }
