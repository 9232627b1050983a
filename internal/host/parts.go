package host

import (
	"context"
	"fmt"
	"log/slog"
)

// parts are stopped in the reverse of the order in which they were started: what
// takes requests first, what keeps their results last.
type parts struct {
	log     *slog.Logger
	fail    context.CancelCauseFunc
	running []part
}

type part struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
}

// Start runs a part of the process until all parts after it have ended. An error
// that it returns earlier ends the process.
func (p *parts) Start(ctx context.Context, name string, run func(context.Context) error) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	started := part{name, cancel, make(chan struct{})}
	p.running = append(p.running, started)
	go func() {
		defer close(started.done)
		if err := run(own); err != nil && own.Err() == nil {
			p.fail(fmt.Errorf("%s: %w", name, err))
		}
	}()
}

// Cleanup calls release once all that was started later has ended.
func (p *parts) Cleanup(ctx context.Context, name string, release func() error) {
	p.Start(ctx, name, func(ctx context.Context) error {
		<-ctx.Done()
		if err := release(); err != nil {
			p.log.Warn("it ended with an error", "part", name, "error", err)
		}
		return nil
	})
}

func (p *parts) stop() {
	for i := len(p.running) - 1; i >= 0; i-- {
		p.running[i].cancel()
		<-p.running[i].done
		p.log.Debug("ended", "part", p.running[i].name)
	}
}
