package registry

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/metric"
	"pulseboard/wire"
)

// views are dashboards of these versions, by id.
func views(kv ...any) map[string]wire.View {
	m := make(map[string]wire.View)
	for i := 0; i < len(kv); i += 2 {
		m[kv[i].(string)] = wire.View{Version: int64(kv[i+1].(int))}
	}
	return m
}

func TestViews(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	check := func(id string, want wire.View, wantOK bool) {
		t.Helper()
		v, ok, err := s.LoadView(t.Context(), id)
		if err != nil || ok != wantOK || !reflect.DeepEqual(v, want) {
			t.Errorf("dashboard %s: %+v, %v, %v; want %+v, %v", id, v, ok, err, want, wantOK)
		}
	}
	full := wire.View{Version: 5, Variables: []wire.Variable{{Name: "host", Tag: "h"}}, Widgets: []wire.WidgetView{
		wire.NewWidgetView("w", metric.Query{Metric: "m", Aggregation: metric.Avg, WindowSeconds: 60, DelaySeconds: 3, GroupBy: []string{"h", "a"}}, 250, true),
		wire.NewWidgetView("x", metric.Query{Metric: "m", Aggregation: metric.Avg, WindowSeconds: 60}, 1000, false),
	}}
	if _, _, err := s.LoadView(t.Context(), "a"); !errors.Is(err, ErrNotPublished) {
		t.Errorf("error %v, want ErrNotPublished", err)
	}
	if err := s.PublishViews(t.Context(), map[string]wire.View{"a": {Version: 1}, "b": full}); err != nil {
		t.Fatal(err)
	}
	check("a", wire.View{Version: 1}, true)
	check("b", full, true)
	check("c", wire.View{}, false)
	if w := full.Widgets[0]; w.Key != "m:avg:60s delay 3s by (a, h)" || w.WindowMs != 60_000 || w.DelayMs != 3000 || !slices.Equal(w.GroupBy, []string{"a", "h"}) || len(w.KeyID) != 16 {
		t.Errorf("the view of a widget is %+v", w)
	}
	if err := s.PublishViews(t.Context(), views("b", 6)); err != nil {
		t.Fatal(err)
	}
	check("a", wire.View{}, false)
	check("b", wire.View{Version: 6}, true)
	if err := s.PublishViews(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	check("b", wire.View{}, false)
	m.FlushAll()
	if _, _, err := s.LoadView(t.Context(), "b"); !errors.Is(err, ErrNotPublished) {
		t.Errorf("error %v after Redis was emptied, want ErrNotPublished", err)
	}
}

// Whatever stands in Redis, it is an error or a view whose parts can be used, and
// which reads the same once it is written.
func FuzzView(f *testing.F) {
	for _, text := range []string{
		`{"version":7,"variables":[{"name":"host","tag":"host"}],"widgets":[{"id":"w","key":"m:sum:5s","key_id":"k","refresh_ms":250,"window_ms":5000,"delay_ms":3000,"group_by":["host"],"history":true}]}`,
		`{"widgets":[{}]}`, `{"widgets":[null]}`, `{"widgets":[{"id":"w","key":"m:sum:5s","key_id":"k","refresh_ms":0,"window_ms":5000}]}`, `{"variables":7}`, `[]`, `null`, ``,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := wire.DecodeView(text)
		if err != nil {
			return
		}
		for _, w := range v.Widgets {
			if w.ID == "" || w.Key == "" || w.RefreshMs <= 0 || w.WindowMs <= 0 || w.DelayMs < 0 {
				t.Errorf("%+v", w)
			}
		}
		again, err := wire.EncodeView(v)
		if err != nil {
			t.Fatal(err)
		}
		if w, err := wire.DecodeView(again); err != nil || !reflect.DeepEqual(len(w.Widgets), len(v.Widgets)) || w.Version != v.Version {
			t.Errorf("%+v is read as %+v, %v", v, w, err)
		}
	})
}

type seen struct {
	ids []string
	all bool
}

func watchViews(t *testing.T, s *Store, every time.Duration) <-chan seen {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	changes, ended := make(chan seen, 1000), make(chan error, 1)
	go func() {
		ended <- s.WatchViews(ctx, every, func(ids []string, all bool) { changes <- seen{slices.Clone(ids), all} })
	}()
	t.Cleanup(func() {
		cancel()
		if err := receive(t, ended); err != nil {
			t.Errorf("WatchViews ended with %v", err)
		}
	})
	return changes
}

func awaitAll(t *testing.T, changes <-chan seen) {
	t.Helper()
	for !receive(t, changes).all {
	}
}

func TestWatchViewsNamesWhatChanged(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	changes := watchViews(t, s, time.Hour)
	// One "all" of the start and one of the subscription, which stands by then.
	awaitAll(t, changes)
	if err := s.PublishViews(t.Context(), views("a", 1)); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		views map[string]wire.View
		ids   []string
	}{
		{views("a", 1, "b", 1, "c", 1), []string{"b", "c"}},
		{views("a", 2, "c", 1), []string{"a", "b"}},
		{nil, []string{"a", "c"}},
	} {
		if err := s.PublishViews(t.Context(), step.views); err != nil {
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

func TestWatchViewsPollsForWhatItMissed(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	if err := s.PublishViews(t.Context(), views("a", 1)); err != nil {
		t.Fatal(err)
	}
	changes := watchViews(t, s, 5*time.Millisecond)
	awaitAll(t, changes)
	for range 3 {
		// A publication whose messages were lost.
		m.HSet("dashboards", "a", `{"version":2}`)
		if _, err := m.Incr("dashboards:version", 1); err != nil {
			t.Fatal(err)
		}
		awaitAll(t, changes)
	}
}

func TestWatchViewsAfterRedisWasAway(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	if err := s.PublishViews(t.Context(), views("a", 1)); err != nil {
		t.Fatal(err)
	}
	changes := watchViews(t, s, time.Hour) // Only the new subscription can tell.
	awaitAll(t, changes)
	m.Close()
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	// Redis lost all and was filled anew, up to the same version.
	m.FlushAll()
	if err := s.PublishViews(t.Context(), views("a", 2)); err != nil {
		t.Fatal(err)
	}
	// By the new subscription, or by name where that stood before the publication.
	for {
		if c := receive(t, changes); c.all || slices.Contains(c.ids, "a") {
			break
		}
	}
	v, ok, err := s.LoadView(t.Context(), "a")
	if err != nil || !ok || v.Version != 2 {
		t.Errorf("dashboard %+v, %v, %v", v, ok, err)
	}
}

func TestDifference(t *testing.T) {
	c := difference(
		map[string]string{"same": "1", "changed": "1", "gone": "1", "empty": ""},
		map[string]string{"same": "1", "changed": "2", "new": "", "empty": ""},
	)
	if !maps.Equal(c.set, map[string]string{"changed": "2", "new": ""}) || !slices.Equal(c.deleted, []string{"gone"}) {
		t.Errorf("%+v", c)
	}
}

// A look that failed is repeated for the same reason: a subscription whose look
// met a dead connection would otherwise be forgotten.
func TestFailedLookIsRepeatedWithItsTrigger(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	ctx, cancel := context.WithCancel(t.Context())
	again := make(chan trigger, 100)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		failed := false
		s.follow(ctx, time.Hour, "channel", func(_ context.Context, why trigger) error {
			if why.all && !failed {
				failed = true
				return errors.New("the connection is dead")
			}
			if failed {
				again <- why
			}
			return nil
		})
	}()
	if why := receive(t, again); !why.all {
		t.Errorf("the next look is for %+v", why)
	}
	cancel()
	receive(t, ended)
}
