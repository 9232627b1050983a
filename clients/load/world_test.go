package load_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kfake"

	"pulseboard/clients/load"
	"pulseboard/configsvc"
	"pulseboard/gateway"
	"pulseboard/ingest"
	"pulseboard/internal/auth"
	"pulseboard/internal/host"
	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/redisconn"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/wire"
)

const slice = 100 * time.Millisecond

// world is the three services in this process, and who writes results for the
// pipeline: one for each query and refresh interval at each of its ends.
type world struct {
	t       *testing.T
	ingest  string // URLs.
	config  string
	gateway string
	address string // Of the gateway.
	store   *results.Store
	boards  *registry.Store
	guard   *auth.Guard
	// leaveOut says that the pipeline does not publish a result.
	leaveOut func(key string, end int64) bool

	mu     sync.Mutex
	stopGW func()
}

func newWorld(t *testing.T, guard *auth.Guard, leaveOut func(key string, end int64) bool) *world {
	t.Helper()
	w := &world{t: t, guard: guard, leaveOut: leaveOut}
	log := slog.New(slog.DiscardHandler)
	redis := miniredis.RunT(t)
	var err error
	if w.store, err = results.Open(t.Context(), redisconn.At(redis.Addr())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	if w.boards, err = registry.Open(t.Context(), redisconn.At(redis.Addr()), registry.WithLog(log)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.boards.Close() })
	w.startConfig(log)
	w.startIngest(log)
	w.address = "127.0.0.1:0"
	w.startGateway()
	t.Cleanup(w.stopGateway)
	w.startPipeline()
	return w
}

// runs starts run and ends it with the test.
func (w *world) runs(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
}

func (w *world) startConfig(log *slog.Logger) {
	store, err := configsvc.OpenStore(w.t.Context(), configsvc.SQLite(filepath.Join(w.t.TempDir(), "p.db")))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = store.Close() })
	reconciler, err := w.boards.NewReconciler(w.t.Context(), "test")
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := configsvc.New(configsvc.Config{
		Store: store, Registry: reconciler, Rules: configsvc.Rules{SliceMs: slice.Milliseconds(), MaxWindowSeconds: 3600}, Shared: host.Shared{Guard: w.guard, Log: log},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.runs(s.Run)
	server := httptest.NewServer(s.Handler())
	w.t.Cleanup(server.Close)
	w.config = server.URL
}

func (w *world) startIngest(log *slog.Logger) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(cluster.Close)
	s, err := ingest.New(ingest.Config{Kafka: kafkaconn.At(cluster.ListenAddrs()...), Shared: host.Shared{Guard: w.guard, Log: log}})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := s.EnsureTopics(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.runs(s.Run)
	server := httptest.NewServer(s.Handler())
	w.t.Cleanup(server.Close)
	w.ingest = server.URL
}

// startGateway starts one, on the address of the one before.
func (w *world) startGateway() {
	g, err := gateway.New(gateway.Config{Results: w.store, Dashboards: w.boards, Slice: slice, Shared: host.Shared{Guard: w.guard, Log: slog.New(slog.DiscardHandler)}})
	if err != nil {
		w.t.Fatal(err)
	}
	ln, err := new(net.ListenConfig).Listen(w.t.Context(), "tcp", w.address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.address = ln.Addr().String()
	w.gateway = "http://" + w.address
	server := &http.Server{Handler: g.Handler(), ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(ln) // It is closed.
	}()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopGW = func() {
		_ = ln.Close() // Nobody new.
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
		_ = server.Close() // The rest.
		<-served
	}
}

func (w *world) stopGateway() {
	w.mu.Lock()
	stop := w.stopGW
	w.stopGW = nil
	w.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// startPipeline publishes a result for each query at each of its ends.
func (w *world) startPipeline() {
	w.runs(func(ctx context.Context) error {
		prev := make(map[string]int64)
		for end := time.Now().Truncate(slice).Add(slice); ; end = end.Add(slice) {
			t := time.NewTimer(time.Until(end))
			select {
			case <-ctx.Done():
				t.Stop()
				return nil
			case <-t.C:
			}
			set, err := w.boards.Load(ctx)
			if err != nil {
				continue // The test is over.
			}
			var pubs []results.Publication
			for key, e := range set.Entries {
				if r := w.result(key, e, end.UnixMilli(), prev); r != nil {
					pubs = append(pubs, results.Publication{Result: r, Announce: true})
				}
			}
			if _, err := w.store.Publish(ctx, pubs); err != nil && ctx.Err() == nil {
				return err
			}
		}
	})
}

func (w *world) result(key string, e wire.QueryEntry, end int64, prev map[string]int64) *wire.Result {
	var due []int64
	for _, refresh := range e.RefreshMs {
		if end%refresh == 0 {
			due = append(due, refresh)
		}
	}
	if len(due) == 0 || w.leaveOut != nil && w.leaveOut(key, end) {
		return nil
	}
	value, newest := float64(end), end-1
	r := &wire.Result{
		Key: key, WindowStart: end - int64(e.Query.WindowSeconds)*1000, WindowEnd: end, PrevEnd: prev[key], Due: due, NewestEvent: &newest,
		Complete: true, Matched: 1, SeriesVersion: "1", Series: []wire.SeriesValue{{Value: &value, Count: 1}},
	}
	prev[key] = end
	return r
}

// plan is a small load on the world.
func (w *world) plan() load.Config {
	return load.Config{
		Ingest: w.ingest, Service: w.config, Gateways: []string{w.gateway}, Run: "test",
		Rate: 2000, Batch: 50, Metrics: 4, Series: 3, Tags: 3, Senders: 8,
		Connections: 40, Dashboards: 4, Widgets: 5, WindowSeconds: 5, Refresh: slice, ConnectRate: 1000, Handshakes: 16,
		For: time.Second, Warmup: 300 * time.Millisecond,
	}
}

// run makes a load; the services are given by name, so that a test puts itself between.
func (w *world) run(c load.Config) *load.Report {
	w.t.Helper()
	r, err := load.Run(w.t.Context(), c, io.Discard)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}
