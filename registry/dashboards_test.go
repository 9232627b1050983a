package registry

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

func docs(kv ...string) map[string][]byte {
	m := make(map[string][]byte)
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = []byte(kv[i+1])
	}
	return m
}

func TestDashboards(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	check := func(id, want string, wantOK bool) {
		t.Helper()
		doc, ok, err := s.LoadDashboard(t.Context(), id)
		if err != nil || ok != wantOK || string(doc) != want {
			t.Errorf("dashboard %s: %q, %v, %v; want %q, %v", id, doc, ok, err, want, wantOK)
		}
	}
	if _, _, err := s.LoadDashboard(t.Context(), "a"); !errors.Is(err, ErrNotPublished) {
		t.Errorf("error %v, want ErrNotPublished", err)
	}
	if err := s.PublishDashboards(t.Context(), docs("a", `{"version":1}`, "b", `{"version":5}`)); err != nil {
		t.Fatal(err)
	}
	check("a", `{"version":1}`, true)
	check("c", "", false)
	if err := s.PublishDashboards(t.Context(), docs("b", `{"version":6}`)); err != nil {
		t.Fatal(err)
	}
	check("a", "", false)
	check("b", `{"version":6}`, true)
	if err := s.PublishDashboards(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	check("b", "", false)
	m.FlushAll()
	if _, _, err := s.LoadDashboard(t.Context(), "b"); !errors.Is(err, ErrNotPublished) {
		t.Errorf("error %v after Redis was emptied, want ErrNotPublished", err)
	}
}

type change struct {
	ids []string
	all bool
}

func watchDashboards(t *testing.T, s *Store, every time.Duration) <-chan change {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	changes, ended := make(chan change, 1000), make(chan error, 1)
	go func() {
		ended <- s.WatchDashboards(ctx, every, func(ids []string, all bool) { changes <- change{slices.Clone(ids), all} })
	}()
	t.Cleanup(func() {
		cancel()
		if err := receive(t, ended); err != nil {
			t.Errorf("WatchDashboards ended with %v", err)
		}
	})
	return changes
}

func awaitAll(t *testing.T, changes <-chan change) {
	t.Helper()
	for !receive(t, changes).all {
	}
}

func TestWatchDashboardsNamesWhatChanged(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	changes := watchDashboards(t, s, time.Hour)
	// One "all" of the start and one of the subscription, which stands by then.
	awaitAll(t, changes)
	if err := s.PublishDashboards(t.Context(), docs("a", "1")); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		docs map[string][]byte
		ids  []string
	}{
		{docs("a", "1", "b", "1", "c", "1"), []string{"b", "c"}},
		{docs("a", "2", "c", "1"), []string{"a", "b"}},
		{nil, []string{"a", "c"}},
	} {
		if err := s.PublishDashboards(t.Context(), step.docs); err != nil {
			t.Fatal(err)
		}
		missing := map[string]bool{}
		for _, id := range step.ids {
			missing[id] = true
		}
		for len(missing) > 0 {
			c := receive(t, changes)
			if c.all {
				missing = nil
			}
			for _, id := range c.ids {
				delete(missing, id)
			}
		}
	}
}

func TestWatchDashboardsPollsForWhatItMissed(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	if err := s.PublishDashboards(t.Context(), docs("a", "1")); err != nil {
		t.Fatal(err)
	}
	changes := watchDashboards(t, s, 5*time.Millisecond)
	awaitAll(t, changes)
	for range 3 {
		// A publication whose messages were lost.
		m.HSet("dashboards", "a", "2")
		if _, err := m.Incr("dashboards:version", 1); err != nil {
			t.Fatal(err)
		}
		awaitAll(t, changes)
	}
}

func TestWatchDashboardsAfterRedisWasAway(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	if err := s.PublishDashboards(t.Context(), docs("a", "1")); err != nil {
		t.Fatal(err)
	}
	changes := watchDashboards(t, s, time.Hour) // Only the new subscription can tell.
	awaitAll(t, changes)
	m.Close()
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	// Redis lost all and was filled anew, up to the same version.
	m.FlushAll()
	if err := s.PublishDashboards(t.Context(), docs("a", "2")); err != nil {
		t.Fatal(err)
	}
	// By the new subscription, or by name where that stood before the publication.
	for {
		if c := receive(t, changes); c.all || slices.Contains(c.ids, "a") {
			break
		}
	}
	doc, ok, err := s.LoadDashboard(t.Context(), "a")
	if err != nil || !ok || string(doc) != "2" {
		t.Errorf("dashboard %q, %v, %v", doc, ok, err)
	}
}

func TestDifference(t *testing.T) {
	set, del := difference(
		map[string]string{"same": "1", "changed": "1", "gone": "1", "empty": ""},
		map[string]string{"same": "1", "changed": "2", "new": "", "empty": ""},
	)
	if !maps.Equal(set, map[string]string{"changed": "2", "new": ""}) || !slices.Equal(del, []string{"gone"}) {
		t.Errorf("set %v, del %v", set, del)
	}
}

// A look that failed is repeated for the same reason: a subscription whose look
// met a dead connection would otherwise be forgotten.
func TestFailedLookIsRepeatedWithItsOccasion(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	ctx, cancel := context.WithCancel(t.Context())
	again := make(chan occasion, 100)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		failed := false
		s.follow(ctx, time.Hour, "channel", func(_ context.Context, why occasion) error {
			if why.subscribed && !failed {
				failed = true
				return errors.New("the connection is dead")
			}
			if failed {
				again <- why
			}
			return nil
		})
	}()
	if why := receive(t, again); !why.subscribed {
		t.Errorf("the next look is for %+v", why)
	}
	cancel()
	receive(t, ended)
}
