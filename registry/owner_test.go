package registry

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

func newReconciler(t *testing.T, s *Store, installation string) *Reconciler {
	t.Helper()
	r, err := s.NewReconciler(t.Context(), installation)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Two installations never write into one registry: not at the start, and not when
// Redis was emptied between them at any moment.
func TestARegistryHasOneOwner(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	ours := newReconciler(t, s, "ours")
	newReconciler(t, s, "ours") // Another config service of the same database.
	_, err := s.NewReconciler(t.Context(), "theirs")
	if _, ok := errors.AsType[*OwnerError](err); !ok || !strings.Contains(err.Error(), "--redis-prefix") || !strings.Contains(err.Error(), "redis-cli DEL 'installation'") {
		t.Fatalf("the error is %v", err)
	}
	want := map[string]string{"d": "1"}
	sync := func(r *Reconciler, id string) error {
		return r.Sync(t.Context(), Desired{}, Desired{Fields: want, Changed: []string{id}})
	}
	if err := sync(ours, "d"); err != nil {
		t.Fatal(err)
	}
	// Redis is emptied, and another installation that runs takes it before us.
	for range 2 {
		m.FlushAll()
		theirs := newReconciler(t, s, "theirs")
		want["d"] = "2"
		if err := theirs.Sync(t.Context(), Desired{}, Desired{Fields: map[string]string{"e": "theirs"}}); err != nil {
			t.Fatal(err)
		}
		if _, ok := errors.AsType[*OwnerError](sync(ours, "d")); !ok {
			t.Errorf("the error is %v", err)
		}
		if has := hash(m, "dashboards"); !maps.Equal(has, map[string]string{"e": "theirs"}) {
			t.Errorf("Redis has %v", has)
		}
		// They are gone, and somebody has said so.
		m.Del("installation")
		if err := sync(ours, "d"); err != nil {
			t.Fatal(err)
		}
		if has := hash(m, "dashboards"); !maps.Equal(has, want) {
			t.Errorf("Redis has %v, want %v", has, want)
		}
		if _, ok := errors.AsType[*OwnerError](theirs.Sync(t.Context(), Desired{}, Desired{})); !ok {
			t.Error("the others write again")
		}
	}
	// The mark alone is gone: it is set again, although nothing else is to be written.
	m.Del("installation")
	if err := sync(ours, "d"); err != nil {
		t.Fatal(err)
	}
	if owner, err := m.Get("installation"); err != nil || owner != "ours" {
		t.Errorf("the owner is %q, %v", owner, err)
	}
}
