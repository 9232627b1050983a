package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// OwnerError says that the registry belongs to another installation, whose
// dashboards and queries would be mixed with those of this one.
type OwnerError struct {
	Redis  string // Where it is.
	Key    string // What says whose it is.
	Owner  string
	Prefix string // Of this installation.
}

func (e *OwnerError) Error() string {
	fix := "give this one its own keys there with --redis-prefix"
	if e.Prefix != "" {
		fix = fmt.Sprintf("give this one another --redis-prefix than %q", e.Prefix)
	}
	return fmt.Sprintf("Redis at %s belongs to another installation of Pulseboard, %s, whose database is another: %s, the same in all its services, "+
		"or another Redis; if that installation is gone for good and this one takes its place, delete the key that says so: redis-cli DEL '%s'", e.Redis, e.Owner, fix, e.Key)
}

// ownerKey is the key that says whose registry it is.
func (s *Store) ownerKey() string { return s.client.Key("installation") }

// owned reports whether the registry belongs to nobody yet, and fails with an
// *OwnerError when it belongs to another. Without an owner nothing is asked.
func (s *Store) owned(ctx context.Context, c redis.Cmdable, owner string) (free bool, err error) {
	if owner == "" {
		return false, nil
	}
	has, err := c.Get(ctx, s.ownerKey()).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return true, nil
	case err != nil:
		return false, err
	case has != owner:
		at := s.client.Endpoint()
		return false, &OwnerError{Redis: at.String(), Key: s.ownerKey(), Owner: has, Prefix: at.Prefix}
	}
	return false, nil
}

// claim makes the registry that of an installation, if it is nobody's.
func (s *Store) claim(ctx context.Context, installation string) error {
	free, err := s.owned(ctx, s.client, installation)
	if err == nil && free {
		// Of several that find it free one gets it, and all see that.
		if err = s.client.SetNX(ctx, s.ownerKey(), installation, 0).Err(); err == nil {
			_, err = s.owned(ctx, s.client, installation)
		}
	}
	if _, others := errors.AsType[*OwnerError](err); err != nil && !others {
		return fmt.Errorf("cannot see whose Redis it is: %w", err)
	}
	return err
}
