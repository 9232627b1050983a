package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"pulseboard/internal/health"
	"pulseboard/internal/host"
	"pulseboard/limits"
	"pulseboard/results"
	"pulseboard/wire"
)

// Dashboards are the views that the config service publishes; it is what
// registry.Store offers.
type Dashboards interface {
	// LoadView returns the view of a dashboard; ok is false when there is none.
	LoadView(ctx context.Context, id string) (v wire.View, ok bool, err error)
	// WatchViews calls changed with the ids that may have changed, or with
	// all, until ctx ends.
	WatchViews(ctx context.Context, every time.Duration, changed func(ids []string, all bool)) error
	// LoadLimits returns which queries the pipeline does not compute.
	LoadLimits(ctx context.Context) ([]limits.Report, error)
}

// Config is what the gateway needs.
type Config struct {
	host.Shared

	// Results is where results are read. The caller closes it after Run has returned.
	Results *results.Store
	// Dashboards is where views are read.
	Dashboards Dashboards
	// Page answers everything that is no API; nil = 404.
	Page http.Handler
	// Build names the page: one that is open and was built otherwise loads itself
	// anew. "" = nobody is told.
	Build string
	// MaxConnections is how many streams may be open; more are answered 503. 0 = 20,000.
	MaxConnections int
	// MaxPerAddress is how many of them one address may have; more are answered
	// 429. 0 = a quarter of MaxConnections, and all but an eighth for an address
	// that many may share: this machine's, or a trusted proxy's that names nobody.
	MaxPerAddress int
	// Heartbeat is the longest silence of a stream. 0 = 5 s.
	Heartbeat time.Duration
	// HelloTimeout is how long a client may take to say hello, of which a round
	// trip passes before it can: seconds over a bad link. 0 = 20 s.
	HelloTimeout time.Duration
	// Slice is the pipeline's slice: no result comes more often. 0 = 1 s.
	Slice time.Duration

	now      func() time.Time // Tests bring their own clock,
	maxFrame int              // and shorter frames.
}

func (c Config) withDefaults() (Config, error) {
	defaults := []struct {
		value *time.Duration
		other time.Duration
	}{{&c.Heartbeat, 5 * time.Second}, {&c.HelloTimeout, 20 * time.Second}, {&c.Slice, time.Second}}
	for _, d := range defaults {
		if *d.value == 0 {
			*d.value = d.other
		}
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 20_000
	}
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.now == nil {
		c.now = time.Now
	}
	if c.maxFrame == 0 {
		c.maxFrame = wire.MaxFrame
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
	hub     *hub
	handler http.Handler
}

// New returns a gateway that serves as soon as Handler is used. Run must be
// called: it ends what the clients started.
func New(cfg Config) (*Service, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, fmt.Errorf("cannot register the metrics of the gateway: %w", err)
	}
	m.limit.Set(float64(cfg.MaxConnections))
	h := newHub(cfg, m)
	if cfg.Metrics != nil {
		if err := cfg.Metrics.Register(feedStates{h}); err != nil {
			h.cancel()
			return nil, fmt.Errorf("cannot register the metrics of the gateway: %w", err)
		}
	}
	return &Service{hub: h, handler: routes(h, cfg)}, nil
}

// Handler serves streams, snapshots, /openapi.yaml and the page.
func (s *Service) Handler() http.Handler { return s.handler }

// Run follows dashboards and states until ctx ends. Then it sends the clients
// away, waits for them, and returns nil.
func (s *Service) Run(ctx context.Context) error {
	s.hub.run(ctx)
	return nil
}

// Checks are what the gateway needs to take streams. Redis and the pipeline are
// not among it: without them a gateway tells its pages that values are old, and a
// balancer that took all gateways away would leave the pages without that.
func (s *Service) Checks() []health.Check {
	return []health.Check{{Name: "streams", Every: time.Second, Probe: func(context.Context) error {
		return s.hub.takesStreams()
	}}}
}

// takesStreams says why a new stream would be refused.
func (h *hub) takesStreams() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closing:
		return errors.New("the gateway is ending")
	case h.admission.taken >= h.admission.most:
		return fmt.Errorf("the gateway has %d streams open, all that it may have: see --max-connections", h.admission.most)
	}
	return nil
}
