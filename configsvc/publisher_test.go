package configsvc

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/internal/host"
	"pulseboard/internal/redisconn"
	"pulseboard/registry"
	"pulseboard/wire"
)

// limit is how long a test waits for what must happen; passing tests wait for milliseconds.
const limit = 2 * time.Minute

// running is a whole service on a Redis of its own.
type running struct {
	*Service
	srv   *httptest.Server
	redis *miniredis.Miniredis
	store *registry.Store
	sets  chan registry.Set
	reg   *prometheus.Registry
	stop  func()
}

// start runs a service; stop ends it and waits for it.
func start(t *testing.T, path string, m *miniredis.Miniredis) *running {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	reg, err := registry.Open(t.Context(), redisconn.At(m.Addr()), registry.WithLog(quiet))
	if err != nil {
		t.Fatal(err)
	}
	store, metrics := openTestSQLite(t, path), prometheus.NewRegistry()
	reconciler, err := reg.NewReconciler(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	svc, err := New(Config{Store: store, Registry: reconciler, Rules: Rules{SliceMs: 250}, Shared: host.Shared{Metrics: metrics, Log: quiet}})
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Service: svc, srv: httptest.NewServer(svc.Handler()), redis: m, store: reg, sets: make(chan registry.Set, 1000), reg: metrics}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- svc.Run(ctx) }()
	go func() { ended <- reg.Watch(ctx, 5*time.Millisecond, func(s registry.Set) { r.sets <- s }) }()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		r.srv.Close()
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		_ = reg.Close()
		_ = store.Close()
	}
	t.Cleanup(r.stop)
	return r
}

// await waits until the query set has exactly these keys.
func (r *running) await(t *testing.T, keys ...string) {
	t.Helper()
	deadline := time.After(limit)
	for {
		select {
		case s := <-r.sets:
			var got []string
			for k := range s.Entries {
				got = append(got, k)
			}
			slices.Sort(got)
			slices.Sort(keys)
			if slices.Equal(got, keys) {
				return
			}
		case <-deadline:
			t.Fatalf("the query set never was %q", keys)
		}
	}
}

func TestChangesReachRedis(t *testing.T) {
	r := start(t, newDB(t), miniredis.RunT(t))
	id := do(t, r.srv, "POST", "/dashboards", oneWidget).dashboard(t).ID
	r.await(t, "m:avg:60s")
	do(t, r.srv, "PATCH", "/dashboards/"+id+"/widgets", `{"add":[{"metric_name":"n","aggregation":"max","window_seconds":5,"refresh_interval_seconds":0.5}]}`, "If-Match", "*")
	r.await(t, "m:avg:60s", "n:max:5s")
	do(t, r.srv, "PUT", "/dashboards/"+id, `{"widgets":[]}`, "If-Match", "*")
	r.await(t)
	do(t, r.srv, "PATCH", "/dashboards/"+id, oneWidget, "If-Match", "*")
	r.await(t, "m:avg:60s")
	do(t, r.srv, "DELETE", "/dashboards/"+id, "", "If-Match", "*")
	r.await(t)
}

// An edit is in Redis when it is answered, as the view of the document.
func TestAnEditIsAnsweredOnceItIsPublished(t *testing.T) {
	r := start(t, newDB(t), miniredis.RunT(t))
	r.await(t)
	made := do(t, r.srv, "POST", "/dashboards", oneWidget).dashboard(t)
	for version := int64(1); version < 20; version++ {
		v, ok, err := r.store.LoadView(t.Context(), made.ID)
		want := wire.View{Version: version, Widgets: []wire.WidgetView{{
			ID: idA, Key: "m:avg:60s", KeyID: "9qggpZPeAJYrzr5v", RefreshMs: 1000, WindowMs: 60_000, History: true,
		}}}
		if !ok || err != nil || !reflect.DeepEqual(v, want) {
			t.Fatalf("Redis has %+v, %v, %v; want %+v", v, ok, err, want)
		}
		do(t, r.srv, "PATCH", "/dashboards/"+made.ID, fmt.Sprintf(`{"title":"%d"}`, version), "If-Match", "*")
	}
}

// countingStore counts how often what has changed is read back.
type countingStore struct {
	*Store
	reads atomic.Int64
}

func (s *countingStore) Changes(ctx context.Context, after int64) (Changes, error) {
	s.reads.Add(1)
	return s.Store.Changes(ctx, after)
}

// Edits of this process are handed over and not read back; those of another process
// on the same database are read. Both make of Redis what the database says.
func TestEditsAreNotReadBack(t *testing.T) {
	path, m := newDB(t), miniredis.RunT(t)
	store := &countingStore{Store: openTestSQLite(t, path)}
	reg, err := registry.Open(t.Context(), redisconn.At(m.Addr()), registry.WithLog(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	reconciler, err := reg.NewReconciler(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	p := &publisher{store: store, registry: reconciler, derived: newDerived(testRules()), log: slog.New(slog.DiscardHandler), metrics: newMetrics(nil), wakeup: make(chan struct{}, 1), running: true}
	store.OnChange = p.take
	other := openTestSQLite(t, path)
	random := rand.New(rand.NewPCG(3, 5))
	versions := map[string]int64{}
	var theirs, reads int64
	for step := range 300 {
		s, foreign := store.Store, random.IntN(10) == 0
		if foreign {
			s = other
			theirs++
		}
		id := []string{idA, idB, idC}[random.IntN(3)]
		d := mustDecode(t, fmt.Sprintf(`{"dashboard_id":"%s","widgets":[{"metric_name":"m%d","aggregation":"avg","window_seconds":60}]}`, id, random.IntN(3)))
		var err error
		switch at := versions[id]; {
		case at > 0 && random.IntN(4) == 0:
			err = s.Delete(t.Context(), id, at, "")
			versions[id] = -at
		case at > 0:
			versions[id], err = s.Update(t.Context(), d, at, "ann")
		default:
			versions[id], err = s.Create(t.Context(), d, "ann")
		}
		if err != nil {
			t.Fatal(err)
		}
		if random.IntN(3) == 0 {
			continue // Several edits are published at once.
		}
		if err := p.attempt(t.Context(), step%2 == 0 || foreign); err != nil {
			t.Fatal(err)
		}
		all, err := store.Store.Changes(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		want := newDerived(testRules())
		if _, err := want.apply(all); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]map[string]string{"queries": want.queries, "dashboards": want.dashboards} {
			keys, _ := m.HKeys(name) // None when there is no such hash.
			has := map[string]string{}
			for _, k := range keys {
				has[k] = m.HGet(name, k)
			}
			if !maps.Equal(has, want) {
				t.Fatalf("step %d: Redis has the %s\n%v, want\n%v", step, name, has, want)
			}
		}
	}
	if reads = store.reads.Load(); reads > theirs+1 || theirs == 0 { // One is that of the start.
		t.Errorf("changes were read %d times; %d were made by another process", reads, theirs)
	}
}

func TestEmptiedRedisIsRepaired(t *testing.T) {
	r := start(t, newDB(t), miniredis.RunT(t))
	do(t, r.srv, "POST", "/dashboards", oneWidget)
	r.await(t, "m:avg:60s")
	r.redis.FlushAll()
	// The watch keeps its set, so that the repair itself is not seen there: look at Redis.
	reg := r.store
	timer := time.NewTicker(5 * time.Millisecond)
	defer timer.Stop()
	deadline := time.After(limit)
	for {
		set, err := reg.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		keys, _ := r.redis.HKeys("dashboards")
		if len(set.Entries) == 1 && len(keys) == 1 {
			return
		}
		select {
		case <-timer.C:
		case <-deadline:
			t.Fatalf("Redis was not repaired: %+v, dashboards %q", set, keys)
		}
	}
}

func TestAPIWorksWhileRedisIsAway(t *testing.T) {
	r := start(t, newDB(t), miniredis.RunT(t))
	id := do(t, r.srv, "POST", "/dashboards", oneWidget).dashboard(t).ID
	r.await(t, "m:avg:60s")
	r.redis.Close()
	if res := do(t, r.srv, "PATCH", "/dashboards/"+id+"/widgets", `{"`+idA+`":{"window_seconds":7}}`, "If-Match", `"1"`); res.status != 200 {
		t.Fatalf("%d %s", res.status, res.body)
	}
	if res := do(t, r.srv, "GET", "/dashboards/"+id, ""); res.status != 200 || res.dashboard(t).Version != 2 {
		t.Fatalf("%d %s", res.status, res.body)
	}
	for _, c := range r.Checks() {
		if err := c.Probe(t.Context()); err != nil {
			t.Errorf("not ready without Redis: %s: %v", c.Name, err)
		}
	}
	if err := r.redis.Restart(); err != nil {
		t.Fatal(err)
	}
	r.await(t, "m:avg:7s")
}

// Ended between commit and publication: the next start makes Redis equal the database.
func TestStartPublishesWhatWasMissed(t *testing.T) {
	path, m := newDB(t), miniredis.RunT(t)
	m.HSet("queries", "old:avg:60s", `{"query":{"metric_name":"old","aggregation":"avg","window_seconds":60},"refresh_ms":[1000]}`)
	m.HSet("dashboards", idB, "{}")
	_, api := newAPI(t, path, nil) // Does not publish.
	do(t, api, "POST", "/dashboards", oneWidget)
	api.Close()
	r := start(t, path, m)
	r.await(t, "m:avg:60s")
}

func TestSeed(t *testing.T) {
	path, m := newDB(t), miniredis.RunT(t)
	demo := mustDecode(t, `{"dashboard_id":"`+idC+`",`+oneWidget[1:])
	seed := func(r *running, want bool) {
		t.Helper()
		if created, err := r.Seed(t.Context(), demo); created != want || err != nil {
			t.Fatalf("created %v, %v; want %v", created, err, want)
		}
	}
	first := start(t, path, m)
	seed(first, true)
	first.await(t, "m:avg:60s")
	do(t, first.srv, "PATCH", "/dashboards/"+idC, `{"title":"mine"}`, "If-Match", "*")
	first.stop()

	second := start(t, path, m)
	seed(second, false)
	if d := do(t, second.srv, "GET", "/dashboards/"+idC, "").dashboard(t); d.Title != "mine" {
		t.Errorf("the seed overwrote %+v", d)
	}
	do(t, second.srv, "DELETE", "/dashboards/"+idC, "", "If-Match", "*")
	second.stop()

	third := start(t, path, m)
	seed(third, false)
	if res := do(t, third.srv, "GET", "/dashboards/"+idC, ""); res.status != 404 {
		t.Errorf("the deleted demo came back: %d", res.status)
	}
}

func TestPublisherMetrics(t *testing.T) {
	r := start(t, newDB(t), miniredis.RunT(t))
	do(t, r.srv, "POST", "/dashboards", oneWidget)
	r.await(t, "m:avg:60s")
	for _, name := range []string{"dashboards", "widgets", "queries"} {
		if got := gathered(t, r.reg, "pulseboard_configsvc_"+name)[""]; got != 1 {
			t.Errorf("%s: %v, want 1", name, got)
		}
	}
	if age, ok := gathered(t, r.reg, "pulseboard_configsvc_registry_age_seconds")[""]; !ok || age < 0 {
		t.Errorf("age %v, %v", age, ok)
	}
}

func TestProtocolExampleIsAccepted(t *testing.T) {
	const example = `{"title":"Web","tags":["team-a"],"variables":[{"name":"host","tag":"host"}],
	 "widgets":[{"metric_name":"http.latency","aggregation":"avg","window_seconds":60,"refresh_interval_seconds":1,"delay_seconds":0,
	  "filter":{"region":"eu"},"group_by":["host"],
	  "display_config":{"chart":"line","title":"p95 latency","unit":"ms","position":{"x":0,"y":0,"w":6,"h":4},"color_scheme":"okabe-ito","x_axis":{"label":""},
	   "y_axis":{"label":"latency","scale":"linear","min":null,"max":null},"thresholds":[{"at":200,"level":"warn"},{"at":500,"level":"crit"}],"limit":20}}]}`
	r := start(t, newDB(t), miniredis.RunT(t))
	res := do(t, r.srv, "POST", "/dashboards", example)
	if d := res.dashboard(t); res.status != 201 || len(d.Warnings) > 0 || !json.Valid(res.body) {
		t.Fatalf("%d %s", res.status, res.body)
	}
	r.await(t, `http.latency:avg:60s {region="eu"} by (host)`)
}
