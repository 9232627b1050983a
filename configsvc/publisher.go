package configsvc

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"pulseboard/registry"
)

// Registry is where the query set and the views of dashboards are published. A
// *registry.Reconciler is one.
type Registry interface {
	Sync(ctx context.Context, queries, dashboards registry.Desired) error
}

// How often the publisher checks that Redis and the database are as it left them,
// how long it waits after failures, and how long an edit waits to be published.
const (
	repairEvery    = time.Second
	firstRetry     = 100 * time.Millisecond
	lastRetry      = 2 * time.Second
	publishTimeout = 500 * time.Millisecond
)

// changeReader is what the publisher reads of a Store.
type changeReader interface {
	Revision(ctx context.Context) (int64, error)
	Changes(ctx context.Context, after int64) (Changes, error)
}

// publisher keeps Redis equal to the database.
type publisher struct {
	store    changeReader
	registry Registry
	metrics  *metrics
	log      *slog.Logger
	// wakeup holds a token while a commit waits to be published.
	wakeup chan struct{}

	mu        sync.Mutex
	running   bool
	committed []Changes       // By this process, not derived yet.
	waiting   []chan struct{} // Closed after the next attempt to publish.

	derived *derived
}

// take gets each change that this process commits. Its author calls awaitPublished or
// wake afterwards.
func (p *publisher) take(c Changes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running { // Else the start reads everything.
		p.committed = append(p.committed, c)
	}
}

// wake makes run publish soon.
func (p *publisher) wake() {
	select {
	case p.wakeup <- struct{}{}:
	default: // The attempt that takes the token publishes this commit too.
	}
}

// awaitPublished waits until the caller's commit is published, at most publishTimeout:
// after the answer a client finds the dashboard everywhere. While Redis cannot be
// written it returns after the next attempt.
func (p *publisher) awaitPublished(ctx context.Context) {
	done := make(chan struct{})
	p.mu.Lock()
	if !p.running {
		p.mu.Unlock()
		return
	}
	p.waiting = append(p.waiting, done)
	p.mu.Unlock()
	p.wake()
	t := time.NewTimer(publishTimeout)
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

// run publishes after each commit, and checks every second. It returns when ctx ends.
func (p *publisher) run(ctx context.Context) {
	p.setRunning(true)
	defer p.setRunning(false)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var retry time.Duration
	for {
		check := false
		select {
		case <-ctx.Done():
			return
		case <-p.wakeup:
		case <-timer.C:
			check = true
		}
		err := p.attempt(ctx, check)
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

// attempt publishes, and ends the waiting of awaitPublished, also after a failure.
func (p *publisher) attempt(ctx context.Context, check bool) error {
	p.mu.Lock()
	waiting, committed := p.waiting, p.committed
	p.waiting, p.committed = nil, nil
	p.mu.Unlock()
	err := p.publish(ctx, committed, check)
	for _, done := range waiting {
		close(done)
	}
	return err
}

func (p *publisher) publish(ctx context.Context, committed []Changes, check bool) error {
	known, err := p.derive(committed)
	if err != nil {
		return err
	}
	if check || !known {
		if err := p.follow(ctx); err != nil {
			return err
		}
	}
	queries, dashboards := p.derived.desired()
	if err := p.registry.Sync(ctx, queries, dashboards); err != nil {
		return err
	}
	p.derived.done()
	return nil
}

// derive applies the changes of this process; known is false when the database has
// changes of other processes between them.
func (p *publisher) derive(committed []Changes) (known bool, err error) {
	slices.SortFunc(committed, func(a, b Changes) int { return cmp.Compare(a.Revision, b.Revision) })
	for _, c := range committed {
		if c.Revision != p.derived.revision+1 {
			return false, nil
		}
		if err := p.apply(c); err != nil {
			return false, err
		}
	}
	return true, nil
}

// follow applies what else has changed in the database: all of it at the start, later
// the changes of other processes and of restores.
func (p *publisher) follow(ctx context.Context) error {
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
	return p.apply(changes)
}

func (p *publisher) apply(c Changes) error {
	left, err := p.derived.apply(c)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		p.log.Warn("widgets have no query: their window is beyond the limit of this pipeline", "count", len(left), "first", left[0])
	}
	p.metrics.dashboards.Set(float64(len(p.derived.demands)))
	p.metrics.widgets.Set(float64(p.derived.widgets))
	p.metrics.queries.Set(float64(len(p.derived.uses)))
	p.metrics.shortestWindow.Set(float64(p.derived.shortestWindow()))
	return nil
}
