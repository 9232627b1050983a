package configsvc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"pulseboard/internal/audit"
	"pulseboard/internal/auth"
	"pulseboard/internal/bodies"
	"pulseboard/internal/clock"
	"pulseboard/internal/health"
	"pulseboard/internal/host"
	"pulseboard/internal/service"
	"pulseboard/limits"
	"pulseboard/metric"
)

// Config is what the service needs.
type Config struct {
	host.Shared
	Rules

	// Store keeps the dashboards. The caller closes it after Run has returned.
	Store *Store
	// Registry is where queries and dashboards are published.
	Registry Registry
	// Catalog holds the metrics that arrive; nil = none are known.
	Catalog Catalog
	// Limits reads the budgets of the pipeline; nil = none are known.
	Limits LimitsReader
	// EditRate is how many edits a second one token, or one address where there are
	// none, may make, with ten seconds' worth at once; more are answered 429. 0 = no bound.
	EditRate float64
}

func (c Config) withDefaults() (Config, error) {
	c.Rules = c.Rules.withDefaults()
	if c.Catalog == nil {
		c.Catalog = unknown{}
	}
	c.Log = cmp.Or(c.Log, slog.Default())
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

// DefaultEditRate is in edits a second: enough for dashboards that are applied from files.
const DefaultEditRate = 20

// Service is the config service.
type Service struct {
	store     *Store
	rules     Rules
	publisher *publisher
	rates     *rates
	limits    LimitsReader
	reports   atomic.Pointer[[]limits.Report] // Of the pipeline; nil = none was read yet.
	metrics   Catalog
	docs      []byte
	guard     *auth.Guard
	audit     *audit.Log
	bodies    *bodies.Budget
	proxies   service.Proxies
	handler   http.Handler
	log       *slog.Logger
}

// New returns a service that does nothing before Run and Handler are used.
func New(cfg Config) (*Service, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	m := newMetrics(cfg.Metrics)
	s := &Service{
		rates: &rates{perSecond: cfg.EditRate, of: make(map[string]*rate.Limiter)}, limits: cfg.Limits, store: cfg.Store, rules: cfg.Rules, metrics: cfg.Catalog,
		guard: cfg.Guard, audit: cfg.Audit, log: cfg.Log, bodies: bodies.New(maxBodies, nil), proxies: cfg.Proxies,
	}
	if s.docs, err = docsPage(); err != nil {
		return nil, err
	}
	s.publisher = &publisher{
		store: cfg.Store, registry: cfg.Registry, derived: newDerived(cfg.Rules), metrics: m, log: cfg.Log,
		wakeup: make(chan struct{}, 1),
	}
	cfg.Store.OnChange = s.publisher.take
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

// Checks are those of the database. Redis is not among them: without it the API
// works, and the publisher catches up.
func (s *Service) Checks() []health.Check { return s.store.Checks() }

const expireEvery = time.Hour

// expire removes the versions of dashboards that were deleted long ago, every hour.
func (s *Service) expire(ctx context.Context) {
	for range clock.Every(ctx, expireEvery) {
		if err := s.store.Expire(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.log.Warn("versions of deleted dashboards stay for another hour", "error", err)
		}
	}
}

// Seed adds a dashboard unless its id was ever used: one that was deleted or changed
// stays as it is.
func (s *Service) Seed(ctx context.Context, d Dashboard) (created bool, err error) {
	if created, err = s.store.CreateFirst(ctx, d); created {
		s.publisher.wake()
	}
	return created, err
}
