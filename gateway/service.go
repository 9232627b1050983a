package gateway

import (
	"cmp"
	"context"
	_ "embed" // For the API's description.
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"pulseboard/gateway/feeds"
	"pulseboard/gateway/rooms"
	"pulseboard/gateway/stream"
	"pulseboard/internal/auth"
	"pulseboard/internal/health"
	"pulseboard/internal/host"
	"pulseboard/internal/httpapi"
	"pulseboard/internal/service"
	"pulseboard/limits"
	"pulseboard/results"
	"pulseboard/wire"
)

//go:embed openapi.yaml
var openapi []byte

// Dashboards are the views that the config service publishes, and what the pipeline reports of
// them; it is what registry.Store offers.
type Dashboards interface {
	rooms.Views
	// LoadLimits returns which queries the pipeline does not compute.
	LoadLimits(ctx context.Context) ([]limits.Report, error)
}

// Config is what the gateway needs.
type Config struct {
	host.Shared
	stream.Options

	// Results is where results are read. The caller closes it after Run has returned.
	Results *results.Store
	// Dashboards is where views are read.
	Dashboards Dashboards
	// Page answers everything that is no API; nil = 404.
	Page http.Handler
	// Slice is the pipeline's slice: no result comes more often. 0 = 1 s.
	Slice time.Duration

	now      func() time.Time // Tests bring their own clock,
	maxFrame int              // and shorter frames.
}

func (c Config) withDefaults() (Config, error) {
	c.Heartbeat, c.HelloTimeout = cmp.Or(c.Heartbeat, 5*time.Second), cmp.Or(c.HelloTimeout, 20*time.Second)
	c.Slice, c.MaxConnections, c.maxFrame = cmp.Or(c.Slice, time.Second), cmp.Or(c.MaxConnections, 20_000), cmp.Or(c.maxFrame, wire.MaxFrame)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.now == nil {
		c.now = time.Now
	}
	switch {
	case c.Results == nil || c.Dashboards == nil:
		return c, errors.New("cannot make the gateway: it needs results and dashboards")
	case c.Heartbeat < 10*time.Millisecond || c.HelloTimeout < 0:
		return c, fmt.Errorf("the heartbeat is %v and the time for a hello %v: they must be at least 10 ms and above 0", c.Heartbeat, c.HelloTimeout)
	case c.Slice < time.Millisecond:
		return c, fmt.Errorf("the slice is %v: it must be at least 1 ms", c.Slice)
	case c.MaxConnections < 0 || c.MaxPerAddress < 0:
		return c, fmt.Errorf("at most %d connections, %d of an address: both must be at least 1", c.MaxConnections, c.MaxPerAddress)
	}
	return c, nil
}

// Service is the gateway.
type Service struct {
	feeds   *feeds.Set
	rooms   *rooms.Set
	streams *stream.Streams
	handler http.Handler
}

// New returns a gateway that serves as soon as Handler is used. Run must be
// called: it ends what the clients started.
func New(cfg Config) (*Service, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Service{feeds: feeds.New(feeds.Config{
		Results: cfg.Results, Limits: cfg.Dashboards.LoadLimits, Slice: cfg.Slice, Now: cfg.now, Metrics: cfg.Metrics, Log: cfg.Log,
	})}
	s.rooms = rooms.New(rooms.Config{
		Views: cfg.Dashboards, Feeds: s.feeds, FullFrame: cfg.maxFrame - wire.MessageEnd, Now: cfg.now, Log: cfg.Log,
	})
	s.streams = stream.New(stream.Config{Shared: cfg.Shared, Options: cfg.Options, Rooms: s.rooms, Now: cfg.now})
	s.handler = s.routes(cfg)
	return s, nil
}

func (s *Service) routes(cfg Config) http.Handler {
	page := cfg.Page
	if page == nil {
		page = service.Nothing("/openapi.yaml lists what there is")
	}
	r := httpapi.New(httpapi.Config{Name: "the gateway", Log: cfg.Log, NotFound: page})
	r.GET("/stream/:id", s.streams.Open)
	r.GET("/stream/:id/events", s.streams.OpenEvents)
	snapshots := &snapshots{views: cfg.Dashboards, feeds: s.feeds, given: stream.SnapshotsGiven(cfg.Metrics, "http"), log: cfg.Log}
	httpapi.Read(r, "/dashboards/:id/widgets/:wid/snapshot", httpapi.Admit(cfg.Guard, auth.View), snapshots.get)
	httpapi.Document(r, openapi)
	return r
}

// Handler serves streams, snapshots, /openapi.yaml and the page.
func (s *Service) Handler() http.Handler { return s.handler }

// Run follows dashboards and states until ctx ends. Then it sends the clients
// away, waits for them, and returns nil.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { s.feeds.Run(ctx) })
	wg.Go(func() { s.rooms.Run(ctx) })
	s.streams.Run(ctx)
	wg.Wait()
	s.rooms.Close()
	s.feeds.Close()
	return nil
}

// Checks are what the gateway needs to take streams. Redis and the pipeline are
// not among it: without them a gateway tells its pages that values are old, and a
// balancer that took all gateways away would leave the pages without that.
func (s *Service) Checks() []health.Check {
	return []health.Check{{Name: "streams", Every: time.Second, Probe: func(context.Context) error { return s.streams.Admits() }}}
}
