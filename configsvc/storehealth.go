package configsvc

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"pulseboard/internal/health"
)

// Checks are what the store needs.
func (s *Store) Checks() []health.Check {
	checks := []health.Check{{Name: "database", Probe: s.probe}}
	if s.path == "" {
		return checks
	}
	pages := &pageCheck{path: s.path, now: time.Now}
	return append(checks,
		health.Disk("disk", filepath.Dir(s.path)),
		health.Check{Name: "database-pages", Timeout: pagesTimeout, Probe: pages.probe})
}

// probe reads from the database; that the last commit could not be marked is an error too.
func (s *Store) probe(ctx context.Context) error {
	if _, err := s.Revision(ctx); err != nil {
		return fmt.Errorf("the database does not answer: %w", oneLine(err))
	}
	if err := s.unmarked.Load(); err != nil {
		return fmt.Errorf("edits are stored, but their loss would go unnoticed: %w", *err)
	}
	return nil
}

const (
	pagesTimeout = 5 * time.Minute
	// pagesShare: looking at all pages takes a hundredth of the time of one core.
	pagesShare = 100
)

// pageCheck reads all pages of a SQLite database now and then, so that a damaged page is
// found before it is needed.
type pageCheck struct {
	path string
	now  func() time.Time

	mu   sync.Mutex
	next time.Time
	last error
}

func (p *pageCheck) probe(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	began := p.now()
	if began.Before(p.next) {
		return p.last
	}
	_, p.last = inspectSQLite(ctx, p.path, "quick_check")
	p.next = p.now().Add(pagesShare * p.now().Sub(began))
	return p.last
}
