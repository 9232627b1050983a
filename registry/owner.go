package registry

import (
	"context"
	"errors"
	"fmt"
)

// OwnerError is the error of a registry that belongs to another installation, whose
// dashboards and queries would be mixed with those of this one.
type OwnerError struct {
	Redis  string // Where it is.
	Key    string // Holds the owner.
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

// ownerError says whose the registry is.
func (s *Store) ownerError(owner string) *OwnerError {
	at := s.client.Endpoint()
	return &OwnerError{Redis: at.String(), Key: s.ownerKey(), Owner: owner, Prefix: at.Prefix}
}

// claim makes the registry that of an installation, if it has no owner.
func (s *Store) claim(ctx context.Context, installation string) error {
	free, _, err := s.stand(ctx, s.client, installation, nil)
	if err == nil && free {
		// Of several that find it free one gets it, and all see that.
		if err = s.client.SetNX(ctx, s.ownerKey(), installation, 0).Err(); err == nil {
			_, _, err = s.stand(ctx, s.client, installation, nil)
		}
	}
	if _, others := errors.AsType[*OwnerError](err); err != nil && !others {
		return fmt.Errorf("cannot see whose Redis it is: %w", err)
	}
	return err
}
