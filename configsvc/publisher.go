package configsvc

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"pulseboard/registry"
)

// Registry is where the query set and the dashboards are published. A
// *registry.Mirror is one.
type Registry interface {
	SyncQueries(ctx context.Context, w registry.Wanted) error
	SyncDashboards(ctx context.Context, w registry.Wanted) error
}

// How often the publisher looks whether Redis and the database are as it left
// them, and how long it waits after failures.
const (
	repairEvery = time.Second
	firstRetry  = 100 * time.Millisecond
	lastRetry   = 2 * time.Second
	settleTime  = 500 * time.Millisecond
)

// publisher keeps Redis equal to the database.
type publisher struct {
	store    Store
	registry Registry
	metrics  *metrics
	log      *slog.Logger
	// changed holds a token while a commit waits to be published.
	changed chan struct{}

	mu      sync.Mutex
	running bool
	waiting []chan struct{} // Closed after the next attempt to publish.

	derived *derived
}

// wake makes run publish soon.
func (p *publisher) wake() {
	select {
	case p.changed <- struct{}{}:
	default: // It will see this commit too.
	}
}

// settle publishes the caller's commit and waits for it a moment: who was told
// that a dashboard is there finds it everywhere. Without Redis it does not wait.
func (p *publisher) settle(ctx context.Context) {
	done := make(chan struct{})
	p.mu.Lock()
	if !p.running {
		p.mu.Unlock()
		return
	}
	p.waiting = append(p.waiting, done)
	p.mu.Unlock()
	p.wake()
	t := time.NewTimer(settleTime)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-ctx.Done():
	}
}

func (p *publisher) setRunning(running bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = running
}

// attempt publishes and tells those who wait, also of a failure.
func (p *publisher) attempt(ctx context.Context) error {
	p.mu.Lock()
	waiting := p.waiting
	p.waiting = nil
	p.mu.Unlock()
	err := p.publish(ctx)
	for _, done := range waiting {
		close(done)
	}
	return err
}

// run publishes after each commit, and looks every second. It returns when ctx ends.
func (p *publisher) run(ctx context.Context) {
	p.setRunning(true)
	defer p.setRunning(false)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var retry time.Duration
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.changed:
		case <-timer.C:
		}
		err := p.attempt(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			p.metrics.publishFailures.Inc()
			if retry == 0 {
				p.log.Warn("dashboards cannot be published; edits are kept and published later", "error", err)
			}
			retry = min(max(2*retry, firstRetry), lastRetry)
			timer.Reset(retry)
			continue
		case retry > 0:
			p.log.Info("dashboards are published again")
			retry = 0
		}
		p.metrics.publishedNow()
		timer.Reset(repairEvery)
	}
}

func (p *publisher) publish(ctx context.Context) error {
	if err := p.derive(ctx); err != nil {
		return err
	}
	queries, dashboards := p.derived.wanted()
	// Queries first: the pipeline begins while the gateway still reads the document.
	if err := p.registry.SyncQueries(ctx, queries); err != nil {
		return err
	}
	if err := p.registry.SyncDashboards(ctx, dashboards); err != nil {
		return err
	}
	p.derived.done()
	return nil
}

// derive brings p.derived up to date when the database has changed.
func (p *publisher) derive(ctx context.Context) error {
	revision, err := p.store.Revision(ctx)
	if err != nil || revision == p.derived.revision {
		return err
	}
	if revision < p.derived.revision {
		// The database is an older one, from a backup.
		p.derived.reset()
	}
	changes, err := p.store.Changes(ctx, p.derived.revision)
	if err != nil {
		return err
	}
	left, err := p.derived.apply(changes)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		p.log.Warn("widgets have no query: their window is beyond the limit of this pipeline", "count", len(left), "first", left[0])
	}
	p.metrics.dashboards.Set(float64(len(p.derived.boards)))
	p.metrics.widgets.Set(float64(p.derived.widgets))
	p.metrics.queries.Set(float64(len(p.derived.uses)))
	p.metrics.shortestWindow.Set(float64(p.derived.shortestWindow()))
	return nil
}
