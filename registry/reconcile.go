package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"pulseboard/wire"
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

// version is how often a hash was published; 0 = never, or Redis lost it.
func (s *Store) version(ctx context.Context, n names) (int64, error) {
	version, err := s.client.Get(ctx, n.version).Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("cannot read %q from Redis: %w", n.version, err)
	}
	return version, nil
}

// Reconciler keeps the query set and the dashboards in Redis equal to what its
// owner desires. What changed is written alone as long as nobody else has written:
// the counter beside each hash shows that. Else, and from time to time, everything
// is compared. One goroutine uses it.
type Reconciler struct {
	store *Store
	owner string
	// versions of both hashes as this reconciler left them; 0 = not known.
	versions [2]int64
	wholeAt  time.Time // When everything is compared again.
}

// Desired is what a hash must hold.
type Desired struct {
	Fields map[string]string
	// Changed names the fields that may differ since the last Sync that succeeded,
	// deleted ones too.
	Changed []string
}

// Reading everything costs O(fields). What makes sure of everything by reading it,
// although nothing says that it must, does so at most 1/wholeShare of the time.
const wholeShare = 100

// NewReconciler returns a reconciler whose first Sync compares everything. It fails
// with an *OwnerError when Redis belongs to another installation.
func (s *Store) NewReconciler(ctx context.Context, installation string) (*Reconciler, error) {
	if err := s.claim(ctx, installation); err != nil {
		return nil, err
	}
	return &Reconciler{store: s, owner: installation}, nil
}

// Sync makes the query set equal to queries, whose fields are metric keys and values
// those of wire.EncodeQuery, and the dashboards equal to dashboards, values of wire.EncodeView by
// id: both or neither. It fails with an *OwnerError when another installation took Redis over.
func (r *Reconciler) Sync(ctx context.Context, queries, dashboards Desired) error {
	desired := [2]Desired{queries, dashboards}
	began := time.Now()
	if began.Before(r.wholeAt) {
		if done, err := r.writeChanged(ctx, desired); done || err != nil {
			return err
		}
	}
	r.versions = [2]int64{}
	versions, err := r.store.replace(ctx, r.owner, desired[:], r.names()...)
	if err != nil {
		return err
	}
	copy(r.versions[:], versions)
	now := time.Now()
	r.wholeAt = now.Add(wholeShare * now.Sub(began))
	return nil
}

func (r *Reconciler) names() []names {
	return []names{r.store.queryNames(), r.store.dashboardNames()}
}

var errOthers = errors.New("somebody else has written")

// writeChanged writes the fields that changed; done is false when somebody else has
// written since, or Redis was emptied.
func (r *Reconciler) writeChanged(ctx context.Context, desired [2]Desired) (done bool, err error) {
	both := r.names()
	versions := r.versions
	attempt := func(tx *redis.Tx) error {
		free, has, err := r.store.stand(ctx, tx, r.owner, both)
		if err != nil {
			return err
		}
		if free || has[0] != versions[0] || has[1] != versions[1] || min(has[0], has[1]) == 0 {
			return errOthers
		}
		var changes [2]change
		for i, d := range desired {
			for _, name := range d.Changed {
				changes[i].take(name, d.Fields)
			}
		}
		return r.store.write(ctx, tx, "", both, changes[:], versions[:])
	}
	switch err := r.store.client.Watch(ctx, attempt, r.store.ownerKey(), both[0].version, both[1].version); {
	case errors.Is(err, errOthers), errors.Is(err, redis.TxFailedErr):
		return false, nil
	case err != nil:
		// Whether it was written is not known.
		r.versions = [2]int64{}
		return false, fmt.Errorf("cannot publish dashboards to Redis: %w", err)
	}
	r.versions = versions
	return true, nil
}

// stand reads whether the registry has no owner yet, and the versions of hashes, 0
// where there is none. It fails with an *OwnerError when it belongs to another.
func (s *Store) stand(ctx context.Context, c redis.Cmdable, owner string, hashes []names) (free bool, versions []int64, err error) {
	keys := []string{s.ownerKey()}
	for _, n := range hashes {
		keys = append(keys, n.version)
	}
	texts, err := c.MGet(ctx, keys...).Result()
	if err != nil {
		return false, nil, err
	}
	has, owned := texts[0].(string)
	if owned && owner != "" && has != owner {
		return false, nil, s.ownerError(has)
	}
	for i := range hashes {
		text, _ := texts[i+1].(string)
		v, _ := strconv.ParseInt(text, 10, 64) // What is no number was never published.
		versions = append(versions, v)
	}
	return !owned && owner != "", versions, nil
}

// How often replace begins again when another config service writes at the
// same moment. What it publishes comes from the same database.
const replaceAttempts = 5

// replace makes each hash equal to what is desired, all in one transaction, and
// returns the versions that they have then. Nothing is written where Redis equals it
// already. An owner is checked, and set where there is none, in the same transaction.
func (s *Store) replace(ctx context.Context, owner string, desired []Desired, hashes ...names) (versions []int64, err error) {
	attempt := func(tx *redis.Tx) (err error) {
		var free bool
		if free, versions, err = s.stand(ctx, tx, owner, hashes); err != nil {
			return err
		}
		changes := make([]change, len(hashes))
		for i, n := range hashes {
			have, err := tx.HGetAll(ctx, n.hash).Result()
			if err != nil {
				return err
			}
			changes[i] = difference(have, desired[i].Fields)
		}
		if !free {
			return s.write(ctx, tx, "", hashes, changes, versions)
		}
		return s.write(ctx, tx, owner, hashes, changes, versions)
	}
	watched := []string{s.ownerKey()}
	for _, n := range hashes {
		watched = append(watched, n.hash, n.version)
	}
	for range replaceAttempts {
		// The keys are watched, so that the version in the notice is the one that INCR gives.
		if err = s.client.Watch(ctx, attempt, watched...); !errors.Is(err, redis.TxFailedErr) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot publish dashboards to Redis: %w", err)
	}
	return versions, nil
}

// write writes the changes of hashes that have some, or were never published, and who the owner is unless that
// is "", in one transaction. It raises the versions of the hashes.
func (s *Store) write(ctx context.Context, tx *redis.Tx, owner string, hashes []names, changes []change, versions []int64) error {
	_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
		if owner != "" {
			p.Set(ctx, s.ownerKey(), owner, 0)
		}
		for i, c := range changes {
			if len(c.set)+len(c.deleted) == 0 && versions[i] > 0 {
				continue
			}
			versions[i]++
			c.write(ctx, p, hashes[i], versions[i])
		}
		return nil
	})
	return err
}

// change is what a publication writes into a hash.
type change struct {
	set     map[string]string
	deleted []string
}

// take adds a field that may have changed.
func (c *change) take(name string, fields map[string]string) {
	text, ok := fields[name]
	if !ok {
		c.deleted = append(c.deleted, name)
		return
	}
	if c.set == nil {
		c.set = make(map[string]string)
	}
	c.set[name] = text
}

// write puts the change, the version that it makes and its notice into a transaction.
func (c *change) write(ctx context.Context, p redis.Pipeliner, n names, version int64) {
	if len(c.set) > 0 {
		p.HSet(ctx, n.hash, c.set)
	}
	if len(c.deleted) > 0 {
		p.HDel(ctx, n.hash, c.deleted...)
	}
	p.Incr(ctx, n.version)
	p.Publish(ctx, n.changed, wire.EncodeNotice(version, append(slices.Sorted(maps.Keys(c.set)), c.deleted...)))
}

// difference is the change that makes a hash with fields have one with fields want.
func difference(have, want map[string]string) (c change) {
	for name, text := range want {
		if h, ok := have[name]; !ok || h != text {
			c.take(name, want)
		}
	}
	for name := range have {
		if _, ok := want[name]; !ok {
			c.deleted = append(c.deleted, name)
		}
	}
	slices.Sort(c.deleted)
	return c
}

// Publish makes the query set in Redis equal to entries, by metric key, whoever
// owns it: for tests and benchmarks that have no config service.
func (s *Store) Publish(ctx context.Context, entries map[string]wire.QueryEntry) error {
	return publish(ctx, s, s.queryNames(), entries, wire.EncodeQuery)
}

// PublishViews is Publish for the dashboards, by id.
func (s *Store) PublishViews(ctx context.Context, views map[string]wire.View) error {
	return publish(ctx, s, s.dashboardNames(), views, func(_ string, v wire.View) (string, error) { return wire.EncodeView(v) })
}

func publish[V any](ctx context.Context, s *Store, n names, values map[string]V, encode func(string, V) (string, error)) error {
	fields := make(map[string]string, len(values))
	for name, v := range values {
		text, err := encode(name, v)
		if err != nil {
			return err
		}
		fields[name] = text
	}
	_, err := s.replace(ctx, "", []Desired{{Fields: fields}}, n)
	return err
}
