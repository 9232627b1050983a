package reader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Pool is many connections to one server.
type Pool struct {
	Counts Counts

	mu      sync.Mutex
	conns   []*conn
	closing atomic.Bool
	wg      sync.WaitGroup
	lost    atomic.Int64
	fault   atomic.Pointer[error] // Of the first connection that was lost.
	ready   atomic.Int64          // Connections that had an update.
}

// Connect opens n connections, spread over the ids in turn, at so many a second.
// It returns when all have had an update.
func (p *Pool) Connect(ctx context.Context, addr string, proto Protocol, ids []string, n, rate int) error {
	opening, attempt := errgroup.WithContext(ctx)
	const atOnce = 64 // Handshakes.
	opening.SetLimit(atOnce)
	begun := time.Now()
	for i := range n {
		due := time.NewTimer(time.Until(begun.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		select {
		case <-due.C:
		case <-attempt.Done():
			due.Stop()
		}
		if attempt.Err() != nil {
			break
		}
		opening.Go(func() error { return p.open(attempt, addr, ids[i%len(ids)], proto) })
	}
	if err := opening.Wait(); err != nil {
		return err
	}
	return p.await(ctx, n)
}

func (p *Pool) open(ctx context.Context, addr, id string, proto Protocol) error {
	c, err := dial(ctx, addr, id, proto, &p.Counts)
	if err != nil {
		return err
	}
	c.first = func() { p.ready.Add(1) }
	p.mu.Lock()
	p.conns = append(p.conns, c)
	p.mu.Unlock()
	p.wg.Go(func() {
		err := c.take(time.Now().UnixMicro())
		if err == nil {
			err = c.read()
		}
		_ = c.net.Close() // It is of no use any more.
		if !p.closing.Load() {
			p.lost.Add(1)
			p.fault.CompareAndSwap(nil, &err)
		}
	})
	return nil
}

const firstUpdates = time.Minute // How long all connections may take to get one.

func (p *Pool) await(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, firstUpdates)
	defer cancel()
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for int(p.ready.Load()) < n {
		if err := p.Err(); err != nil {
			return err
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d connections have had no update: %w", n-int(p.ready.Load()), n, ctx.Err())
		}
	}
	return nil
}

// Err says that connections were lost, and why the first was.
func (p *Pool) Err() error {
	n := p.lost.Load()
	if n == 0 {
		return nil
	}
	err := errors.New("no reason is known yet")
	if f := p.fault.Load(); f != nil {
		err = *f
	}
	return fmt.Errorf("%d connections were lost: %w", n, err)
}

// Record counts the ends after from, up to to, from now on.
func (p *Pool) Record(from, to int64) *Recording {
	r := &Recording{From: from, To: to}
	p.Counts.recording.Store(r)
	return r
}

// Close ends all connections and waits for that.
func (p *Pool) Close() {
	p.closing.Store(true)
	p.mu.Lock()
	for _, c := range p.conns {
		_ = c.net.Close() // Nothing is owed to it.
	}
	p.mu.Unlock()
	p.wg.Wait()
}
