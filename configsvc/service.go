package configsvc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"pulseboard/internal/audit"
	"pulseboard/internal/auth"
	"pulseboard/internal/bodies"
	"pulseboard/internal/health"
	"pulseboard/internal/service"
	"pulseboard/limits"
	"pulseboard/metric"
)

// Config is what the service needs.
type Config struct {
	// Store keeps the dashboards. The caller closes it after Run has returned.
	Store Store
	// Registry is where queries and dashboards are published.
	Registry Registry
	// Catalog knows the metrics that arrive; nil = nothing is known of them.
	Catalog Catalog
	// Limits is what the pipeline says of its budgets; nil = nothing is known of them.
	Limits LimitsReader
	// SliceMs is the pipeline's slice in milliseconds: refresh intervals are
	// multiples of it. 0 = 1000.
	SliceMs int64
	// MaxWindowSeconds is the longest window that the pipeline serves. 0 = 86,400.
	MaxWindowSeconds int
	// Guard asks for tokens with the scope view to read and edit to change; nil =
	// everybody may do both.
	Guard *auth.Guard
	// Audit keeps a record of edits; nil = nobody does.
	Audit *audit.Log
	// TrustedProxies are the addresses or CIDR ranges of proxies whose X-Forwarded-For
	// says whose a request is; nil = none.
	TrustedProxies []string
	// EditRate is how many edits a second one token, or one address where there are
	// none, may make, with ten seconds' worth at once; more are answered 429. 0 = no bound.
	EditRate float64
	// Metrics is where the service registers its metrics; nil = nowhere.
	Metrics prometheus.Registerer
	// Log is where it reports; nil = slog.Default().
	Log *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.SliceMs == 0 {
		c.SliceMs = 1000
	}
	if c.MaxWindowSeconds == 0 {
		c.MaxWindowSeconds = metric.MaxWindowSeconds
	}
	if c.Catalog == nil {
		c.Catalog = unknown{}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	switch {
	case c.Store == nil || c.Registry == nil:
		return c, errors.New("cannot make the config service: it needs a store and a registry")
	case c.SliceMs < 1 || c.SliceMs > maxRefreshMs:
		return c, fmt.Errorf("the slice is %d ms: it must be 1 to %d", c.SliceMs, maxRefreshMs)
	case c.EditRate < 0:
		return c, fmt.Errorf("the rate of edits is %g a second: it must be at least 0", c.EditRate)
	case c.MaxWindowSeconds < 1 || c.MaxWindowSeconds > metric.MaxWindowSeconds:
		return c, fmt.Errorf("the longest window is %d s: it must be 1 to %d", c.MaxWindowSeconds, metric.MaxWindowSeconds)
	}
	return c, nil
}

// maxBodies is how many bytes the bodies of all requests under way may hold.
const maxBodies = 64 << 20

// DefaultEditRate is fast for people and fast enough for files.
const DefaultEditRate = 20

// Service is the config service.
type Service struct {
	store     Store
	rules     rules
	publisher *publisher
	rates     *rates
	limits    LimitsReader
	reports   atomic.Pointer[[]limits.Report] // What the pipeline says; nil = not known yet.
	metrics   Catalog
	docs      []byte
	guard     *auth.Guard
	audit     *audit.Log
	bodies    *bodies.Budget
	proxies   *service.Proxies
	handler   http.Handler
	log       *slog.Logger
}

// New returns a service that does nothing before Run and Handler are used.
func New(cfg Config) (*Service, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	proxies, err := service.ParseProxies(cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, fmt.Errorf("cannot register the metrics of the config service: %w", err)
	}
	r := rules{sliceMs: cfg.SliceMs, maxWindowSeconds: cfg.MaxWindowSeconds}
	s := &Service{
		rates: &rates{perSecond: cfg.EditRate, of: make(map[string]*rate.Limiter)}, limits: cfg.Limits, store: cfg.Store, rules: r, metrics: cfg.Catalog,
		guard: cfg.Guard, audit: cfg.Audit, log: cfg.Log, bodies: bodies.New(maxBodies, nil), proxies: proxies,
	}
	if s.docs, err = docsPage(); err != nil {
		return nil, err
	}
	s.publisher = &publisher{
		store: cfg.Store, registry: cfg.Registry, derived: newDerived(r), metrics: m, log: cfg.Log,
		wakeup: make(chan struct{}, 1),
	}
	cfg.Store.OnChange(s.publisher.take)
	s.handler = s.routes(m)
	return s, nil
}

// Handler serves the API of openapi.yaml, that file, and /docs.
func (s *Service) Handler() http.Handler { return s.handler }

// Run publishes queries and dashboards to Redis until ctx ends, then returns nil.
func (s *Service) Run(ctx context.Context) error {
	var expiring sync.WaitGroup
	expiring.Go(func() { s.expire(ctx) })
	expiring.Go(func() { s.followReports(ctx) })
	s.publisher.run(ctx)
	expiring.Wait()
	return nil
}

// Checks are what the service needs to answer at all. Redis is not among it:
// without it the API works, and the publisher catches up.
func (s *Service) Checks() []health.Check { return s.store.Checks() }

const expireEvery = time.Hour

// expire forgets now and then what is left of dashboards that were deleted.
func (s *Service) expire(ctx context.Context) {
	t := time.NewTicker(expireEvery)
	defer t.Stop()
	for {
		if err := s.store.Expire(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.log.Warn("versions of deleted dashboards stay for another hour", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Seed adds a dashboard to begin with, unless its id was ever used: one that
// people deleted or changed stays so.
func (s *Service) Seed(ctx context.Context, d Dashboard) (created bool, err error) {
	if created, err = s.store.CreateFirst(ctx, d); created {
		s.publisher.wake()
	}
	return created, err
}
