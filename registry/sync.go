package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// Mirror keeps the query set and the dashboards in Redis equal to what its
// owner says. What changed is written alone as long as nobody else has written:
// the counter beside each hash says so. Else, and from time to time, the whole
// is compared. One goroutine uses it.
type Mirror struct {
	store      *Store
	owner      string
	queries    side
	dashboards side
}

// Wanted is what a hash must hold.
type Wanted struct {
	Fields map[string]string
	// Changed names the fields that may differ since the last call that
	// succeeded, those that are gone too.
	Changed []string
}

// side is one of the two hashes.
type side struct {
	names    names
	messages func(differing []string, version int64) []string

	version int64     // As this mirror left it or saw it last; 0 = never.
	whole   time.Time // When the whole is compared again.
}

// Comparing the whole may take a hundredth of the time: that of ten queries
// each time it is asked, that of ten thousand every few seconds.
const wholeShare = 100

// NewMirror returns a mirror that compares all of both hashes the first time. It
// fails with an *OwnerError when Redis belongs to another installation.
func (s *Store) NewMirror(ctx context.Context, installation string) (*Mirror, error) {
	if err := s.claim(ctx, installation); err != nil {
		return nil, err
	}
	return &Mirror{
		store:      s,
		owner:      installation,
		queries:    side{names: s.queryNames(), messages: versionMessage},
		dashboards: side{names: s.dashboardNames(), messages: idMessages},
	}, nil
}

// EncodeEntry returns the field of an entry in the query set.
func EncodeEntry(key string, e Entry) (string, error) {
	if k := e.Query.Key(); k != key {
		return "", fmt.Errorf("cannot publish the query %q under the key %q", k, key)
	}
	b, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("cannot encode the query %q: %w", key, err)
	}
	return string(b), nil
}

// SyncQueries makes the query set equal to w, whose fields are metric keys and
// values those of EncodeEntry.
func (m *Mirror) SyncQueries(ctx context.Context, w Wanted) error {
	return m.store.sync(ctx, m.owner, &m.queries, w)
}

// SyncDashboards makes the dashboards equal to w, documents by id.
func (m *Mirror) SyncDashboards(ctx context.Context, w Wanted) error {
	return m.store.sync(ctx, m.owner, &m.dashboards, w)
}

func (s *Store) sync(ctx context.Context, owner string, d *side, w Wanted) error {
	began := time.Now()
	if began.Before(d.whole) {
		if done, err := s.syncChanged(ctx, owner, d, w); done || err != nil {
			return err
		}
	}
	version, err := s.replace(ctx, owner, d.names, w.Fields, d.messages)
	if err != nil {
		d.version = 0
		return err
	}
	d.version = version
	now := time.Now()
	d.whole = now.Add(wholeShare * now.Sub(began))
	return nil
}

// syncChanged writes the fields that changed; done is false when somebody else
// has written since, or Redis was emptied.
func (s *Store) syncChanged(ctx context.Context, owner string, d *side, w Wanted) (done bool, err error) {
	version := d.version
	attempt := func(tx *redis.Tx) error {
		if free, err := s.owned(ctx, tx, owner); err != nil {
			return err
		} else if free {
			return errOthers
		}
		has, err := tx.Get(ctx, d.names.version).Int64()
		if errors.Is(err, redis.Nil) || err == nil && (has != d.version || has == 0) {
			return errOthers
		}
		if err != nil || len(w.Changed) == 0 {
			return err
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			set := make(map[string]string, len(w.Changed))
			var del []string
			for _, name := range w.Changed {
				if v, ok := w.Fields[name]; ok {
					set[name] = v
				} else {
					del = append(del, name)
				}
			}
			version = has + 1
			write(ctx, p, d.names, set, del, version, d.messages)
			return nil
		})
		return err
	}
	switch err := s.client.Watch(ctx, attempt, d.names.version, s.ownerKey()); {
	case errors.Is(err, errOthers), errors.Is(err, redis.TxFailedErr):
		return false, nil
	case err != nil:
		// Whether it was written is not known.
		d.version = 0
		return false, fmt.Errorf("cannot publish %q to Redis: %w", d.names.hash, err)
	}
	d.version = version
	return true, nil
}

var errOthers = errors.New("somebody else has written")

// write puts a change into a transaction.
func write(ctx context.Context, p redis.Pipeliner, n names, set map[string]string, del []string, version int64, messages func([]string, int64) []string) {
	if len(set) > 0 {
		p.HSet(ctx, n.hash, set)
	}
	if len(del) > 0 {
		p.HDel(ctx, n.hash, del...)
	}
	p.Incr(ctx, n.version)
	differing := slices.Sorted(maps.Keys(set))
	for _, m := range messages(append(differing, del...), version) {
		p.Publish(ctx, n.changed, m)
	}
}
