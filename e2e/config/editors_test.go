package config

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"pulseboard/e2e/testenv"
)

const (
	editors    = 6
	dashboards = 3
	perKill    = 40 // Accepted edits between two kills, on average.
)

// accepted is an edit that was answered with 2xx.
type accepted struct {
	dashboard string
	base      string // The If-Match that it was sent with; "" for a creation.
	version   int64  // That it made; 0 = not told (a deletion).
	token     string // What the document of that version holds; "" = nothing new.
	adds      bool   // It leaves all that was there.
}

// edits is what the editors did, and what they were told.
type edits struct {
	mu       sync.Mutex
	accepted []accepted
	refused  int
	unknown  int
	count    atomic.Int64
}

func (e *edits) accept(a accepted) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.accepted = append(e.accepted, a)
	e.count.Add(1)
}

// told counts an answer that is no 2xx; false when it is none that may come.
func (e *edits) told(status int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch status {
	case 0:
		e.unknown++
	case http.StatusPreconditionFailed:
		e.refused++
	case http.StatusNotFound, http.StatusConflict: // Deleted, or created again, by another.
	default:
		return false
	}
	return true
}

func newWidget(token string, r *rand.Rand) map[string]any {
	return map[string]any{
		"metric_name": fmt.Sprintf("m%d", r.IntN(4)), "aggregation": []string{"avg", "max", "count"}[r.IntN(3)], "window_seconds": 1 + r.IntN(3),
		"refresh_interval_seconds": 1 + r.IntN(2), "display_config": map[string]any{"title": token},
	}
}

func id(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// edit makes one random edit of a random dashboard, as a person would: from what was read.
func (e *edits) edit(ctx context.Context, s *server, r *rand.Rand, token string) {
	path := "/dashboards/" + id(r.IntN(dashboards))
	read := s.do(ctx, http.MethodGet, path, "", nil)
	kind := r.IntN(20)
	match := read.etag
	if r.IntN(8) == 0 {
		match = "*"
	}
	done := accepted{dashboard: path, base: match, token: token}
	var a answer
	switch {
	case read.status == 0:
		<-time.After(2 * time.Millisecond) // It is being started again.
		return
	case read.status == http.StatusNotFound && kind < 10:
		done.base = ""
		a = s.do(ctx, http.MethodPost, "/dashboards", "", map[string]any{"dashboard_id": path[len("/dashboards/"):], "widgets": []any{newWidget(token, r)}})
	case read.status == http.StatusNotFound:
		versions := s.do(ctx, http.MethodGet, path+"/versions?limit=2", "", nil)
		var page struct{ Versions []struct{ Version int64 } }
		if versions.status != http.StatusOK || json.Unmarshal(versions.body, &page) != nil || len(page.Versions) < 2 {
			return
		}
		done.base, done.token = versions.etag, ""
		a = s.do(ctx, http.MethodPost, fmt.Sprintf("%s/versions/%d/restore", path, page.Versions[1].Version), versions.etag, nil)
	case kind == 0:
		done.token = ""
		a = s.do(ctx, http.MethodDelete, path, match, nil)
	case kind < 4: // The document as it was read, with one widget more; the oldest go.
		d, err := read.dashboard()
		if err != nil {
			s.t.Error(err)
			return
		}
		widgets := []any{}
		for _, w := range d.Widgets[max(0, len(d.Widgets)-10):] {
			widgets = append(widgets, map[string]any{
				"widget_id": w.ID, "metric_name": w.Metric, "aggregation": w.Agg, "window_seconds": w.Window,
				"refresh_interval_seconds": w.Refresh, "display_config": map[string]any{"title": w.Display.Title},
			})
		}
		a = s.do(ctx, http.MethodPut, path, match, map[string]any{"widgets": append(widgets, newWidget(token, r))})
	case kind < 7:
		done.adds = true
		a = s.do(ctx, http.MethodPatch, path, match, map[string]any{"title": token})
	default:
		done.adds = true
		a = s.do(ctx, http.MethodPatch, path+"/widgets", match, map[string]any{"add": []any{newWidget(token, r)}})
	}
	if a.status >= 200 && a.status < 300 {
		if a.status != http.StatusNoContent {
			d, err := a.dashboard()
			if err != nil {
				s.t.Error(err)
			}
			done.version = d.Version
		}
		e.accept(done)
	} else if !e.told(a.status) {
		s.t.Errorf("an edit of %s was answered with %d %s", path, a.status, a.body)
	}
}

func (d dashboard) tokens() map[string]bool {
	out := map[string]bool{d.Title: true}
	for _, w := range d.Widgets {
		out[w.Display.Title] = true
	}
	return out
}

// Editors meet on a few dashboards while the service is killed and Redis is
// emptied: what was accepted is in the history, built on what it was made for,
// and in the end Redis is what the database says.
func TestEditorsLoseNothing(t *testing.T) {
	databases(t, func(t *testing.T, database string) {
		t.Helper()
		seed, kills := uint64(time.Now().UnixNano()), 6
		if text := os.Getenv("CONFIG_SEED"); text != "" {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			seed = n
		}
		if text := os.Getenv("CONFIG_KILLS"); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			kills = n
		}
		t.Logf("CONFIG_SEED=%d", seed)
		addr := testenv.Redis(t)
		client := redis.NewClient(&redis.Options{Addr: addr})
		defer client.Close() //nolint:errcheck // Nothing is under way.
		s := startServer(t, database, addr)

		var e edits
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for n := range editors {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(n)))
				for i := 0; ctx.Err() == nil; i++ {
					e.edit(context.WithoutCancel(ctx), s, r, fmt.Sprintf("%d-%d", n, i))
				}
			})
		}
		r := rand.New(rand.NewPCG(seed, 1000))
		killed, emptied := 0, 0
		for killed < kills {
			goal := e.count.Load() + 1 + r.Int64N(perKill)
			testenv.Until(t, "more edits are accepted", testenv.That(func() bool { return e.count.Load() >= goal }))
			if r.IntN(2) == 0 {
				if err := client.FlushAll(ctx).Err(); err != nil {
					t.Fatal(err)
				}
				emptied++
				continue
			}
			s.restart()
			killed++
		}
		stop()
		wg.Wait()
		quiet := time.Now()

		t.Logf("%d edits were accepted, %d lost the race (412), of %d no answer came; %d kills, Redis emptied %d times",
			len(e.accepted), e.refused, e.unknown, killed, emptied)
		if e.refused == 0 {
			t.Error("no editor lost a race: the test lost its point")
		}
		awaitRedis(t, s, client)
		t.Logf("Redis was what the database says %v after the last edit", time.Since(quiet).Round(time.Millisecond))
		e.check(t, s)
	})
}

// check compares what editors were told with the history.
func (e *edits) check(t *testing.T, s *server) {
	t.Helper()
	documents := map[string]map[int64]dashboard{}
	for n := range dashboards {
		path := "/dashboards/" + id(n)
		versions, err := all[struct {
			Version int64
			Action  string
		}](s, path+"/versions", "versions")
		if err != nil {
			t.Fatal(err)
		}
		documents[path] = map[int64]dashboard{}
		for i, v := range versions {
			if want := int64(len(versions) - i); v.Version != want {
				t.Fatalf("%s: the history has version %d where %d belongs", path, v.Version, want)
			}
			if v.Action == "deleted" {
				continue
			}
			d, err := s.get(fmt.Sprintf("%s/versions/%d", path, v.Version)).dashboard()
			if err != nil {
				t.Fatal(err)
			}
			documents[path][v.Version] = d
		}
	}
	winners := map[string]accepted{}
	for _, a := range e.accepted {
		if a.base != "*" && a.base != "" {
			key := a.dashboard + a.base
			if other, ok := winners[key]; ok {
				t.Errorf("two edits of %s %s were accepted: %+v and %+v", a.dashboard, a.base, other, a)
			}
			winners[key] = a
		}
		if a.version == 0 {
			continue
		}
		d, ok := documents[a.dashboard][a.version]
		if !ok || a.token != "" && !d.tokens()[a.token] {
			t.Errorf("the accepted edit %+v is not in the history: %+v", a, d)
			continue
		}
		if a.base != "*" && a.base != "" && a.base != fmt.Sprintf(`"%d"`, a.version-1) {
			t.Errorf("%+v was made for %s and became version %d", a, a.base, a.version)
		}
		before, ok := documents[a.dashboard][a.version-1]
		if !ok || !a.adds {
			continue
		}
		tokens := d.tokens()
		for _, w := range before.Widgets {
			if !tokens[w.Display.Title] {
				t.Errorf("%+v lost the widget %q of the version before", a, w.Display.Title)
			}
		}
	}
}

// awaitRedis waits until Redis holds what the dashboards of the API say, and nothing else.
func awaitRedis(t *testing.T, s *server, client *redis.Client) {
	t.Helper()
	summaries, err := all[dashboard](s, "/dashboards", "dashboards")
	if err != nil {
		t.Fatal(err)
	}
	wantViews := map[string]string{}
	refresh := map[string]map[int64]bool{}
	for _, summary := range summaries {
		a := s.get("/dashboards/" + summary.ID)
		d, err := a.dashboard()
		if err != nil {
			t.Fatal(err)
		}
		var shown []string
		for _, w := range d.Widgets {
			key := fmt.Sprintf("%s:%s:%ds", w.Metric, w.Agg, w.Window)
			if refresh[key] == nil {
				refresh[key] = map[int64]bool{}
			}
			refresh[key][int64(w.Refresh*1000)] = true
			shown = append(shown, fmt.Sprint(w.ID, key, w.Refresh*1000, w.Window*1000))
		}
		wantViews[d.ID] = fmt.Sprint(d.Version, shown)
	}
	wantQueries := map[string]string{}
	for key, set := range refresh {
		wantQueries[key] = fmt.Sprint(slices.Sorted(maps.Keys(set)))
	}
	var queries map[string]string
	testenv.Until(t, "Redis is what the database says", testenv.That(func() bool {
		views := viewsIn(t, client)
		texts, err := client.HGetAll(t.Context(), "queries").Result()
		if err != nil {
			t.Fatal(err)
		}
		queries = map[string]string{}
		for key, text := range texts {
			var q struct {
				Refresh []int64 `json:"refresh_ms"`
			}
			if err := json.Unmarshal([]byte(text), &q); err != nil {
				t.Fatal(err)
			}
			queries[key] = fmt.Sprint(q.Refresh)
		}
		return maps.Equal(views, wantViews) && maps.Equal(queries, wantQueries)
	}))
}

// viewsIn reads the views of dashboards in Redis, by id.
func viewsIn(t *testing.T, client *redis.Client) map[string]string {
	t.Helper()
	texts, err := client.HGetAll(t.Context(), "dashboards").Result()
	if err != nil {
		t.Fatal(err)
	}
	views := map[string]string{}
	for id, text := range texts {
		var v struct {
			Version int64 `json:"version"`
			Widgets []struct {
				ID      string  `json:"id"`
				Key     string  `json:"key"`
				Refresh float64 `json:"refresh_ms"`
				Window  int     `json:"window_ms"`
			} `json:"widgets"`
		}
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		var shown []string
		for _, w := range v.Widgets {
			shown = append(shown, fmt.Sprint(w.ID, w.Key, w.Refresh, w.Window))
		}
		views[id] = fmt.Sprint(v.Version, shown)
	}
	return views
}
