// Package health answers whether a process can do its work.
//
//	/healthz   it serves: 200 as long as it answers at all. Kubernetes' liveness.
//	/readyz    all that it needs to answer is there: 200, else 503. Kubernetes' readiness.
//
// Checks run by themselves, each every few seconds, and the routes answer with the
// newest results: a flood of requests costs nothing of what is checked. Neither route
// needs a token, so no result holds a secret.
package health

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"pulseboard/internal/clock"
	"pulseboard/internal/service"
)

// Check is one thing that a process needs.
type Check struct {
	// Name is short and steady: people and programs look for it.
	Name string
	// Every is the time between two probes; 0 = 2 s.
	Every time.Duration
	// Timeout is how long a probe may take; 0 = 3 s.
	Timeout time.Duration
	// Probe returns why it is not well. /readyz shows the error to anybody.
	Probe func(context.Context) error
	// Measure, in place of Probe, also returns how well it is.
	Measure func(context.Context) (well string, err error)
}

func (c *Check) run(ctx context.Context) (well string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if c.Measure != nil {
		return c.Measure(ctx)
	}
	return "", c.Probe(ctx)
}

const (
	defaultEvery   = 2 * time.Second
	defaultTimeout = 3 * time.Second
	// retryAfter is the header of a 503, in seconds.
	retryAfter = "5"
)

var errStarting = errors.New("it was not checked yet")

// state is what is known of a check.
type state struct {
	Check

	mu      sync.Mutex
	well    string
	err     error
	since   time.Time // Of err being nil or not.
	checked time.Time
}

// Set is the checks of a process.
type Set struct {
	log   *slog.Logger
	ready *prometheus.GaugeVec
	all   []*state
	now   func() time.Time
}

// New returns the checks of a process. reg nil = no metrics.
func New(reg prometheus.Registerer, log *slog.Logger, checks ...Check) *Set {
	s := &Set{log: log, now: time.Now, ready: promauto.With(reg).NewGaugeVec(prometheus.GaugeOpts{
		Name: "pulseboard_ready", Help: "1 while a check of /readyz is well, by check. Normal: 1.",
	}, []string{"check"})}
	s.Add(checks...)
	return s
}

// Add adds checks; before Run and before the routes are served.
func (s *Set) Add(checks ...Check) {
	for _, c := range checks {
		c.Every, c.Timeout = cmp.Or(c.Every, defaultEvery), cmp.Or(c.Timeout, defaultTimeout)
		s.all = append(s.all, &state{Check: c, err: errStarting, since: s.now()})
		s.ready.WithLabelValues(c.Name).Set(0)
	}
}

// Run probes until ctx ends, then returns nil.
func (s *Set) Run(ctx context.Context) error {
	var probes sync.WaitGroup
	for _, c := range s.all {
		probes.Go(func() { s.follow(ctx, c) })
	}
	probes.Wait()
	return nil
}

func (s *Set) follow(ctx context.Context, c *state) {
	for range clock.Every(ctx, c.Every) {
		if well, err := c.run(ctx); ctx.Err() == nil {
			s.found(c, well, err)
		}
	}
}

// found notes what a probe found, and logs when that is something else.
func (s *Set) found(c *state, well string, err error) {
	now := s.now()
	c.mu.Lock()
	before, since := c.err, c.since
	c.checked = now
	if (err == nil) != (before == nil) {
		c.since = now
	}
	c.well, c.err = well, err
	c.mu.Unlock()
	value := 1.0
	if err != nil {
		value = 0
	}
	s.ready.WithLabelValues(c.Name).Set(value)
	switch {
	case err != nil && before == nil:
		s.log.Warn("not ready", "check", c.Name, "error", err)
	case err != nil && errors.Is(before, errStarting):
		s.log.Info("not ready yet", "check", c.Name, "error", err)
	case err == nil && before != nil && !errors.Is(before, errStarting):
		s.log.Info("ready again", "check", c.Name, "after", now.Sub(since).Round(time.Second).String())
	}
}

// result is a check as /readyz shows it.
type result struct {
	OK     bool      `json:"ok"`
	Detail string    `json:"detail,omitempty"`
	Since  time.Time `json:"since"` // It is so.
}

func (c *state) result(now time.Time) result {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := result{OK: c.err == nil, Detail: c.well, Since: c.since.UTC().Truncate(time.Millisecond)}
	if c.err != nil {
		r.Detail = c.err.Error()
	}
	// A probe that hangs in spite of its limit counts as a failure.
	if silent := now.Sub(c.checked); !c.checked.IsZero() && silent > 2*(c.Every+c.Timeout) {
		r.OK, r.Since = false, c.checked.UTC().Truncate(time.Millisecond)
		r.Detail = fmt.Sprintf("the check itself does not end: for %v nothing is known", silent.Round(time.Second))
	}
	return r
}

// ready is the body of a 200; notReady that of a 503, a problem document.
type ready struct {
	Ready  bool              `json:"ready"`
	Checks map[string]result `json:"checks"`
}

type notReady struct {
	service.Problem
	ready
}

// ServeHTTP answers /readyz.
func (s *Set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !service.Reads(w, r) {
		return
	}
	checks, bad := make(map[string]result, len(s.all)), ""
	now := s.now()
	for _, c := range s.all {
		found := c.result(now)
		checks[c.Name] = found
		if !found.OK && bad == "" {
			bad = c.Name + ": " + found.Detail
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	if bad == "" {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(ready{true, checks}) // A client that is gone cannot be told.
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Retry-After", retryAfter)
	w.WriteHeader(http.StatusServiceUnavailable)
	_ = json.NewEncoder(w).Encode(notReady{service.NewProblem(http.StatusServiceUnavailable, bad), ready{false, checks}})
}
