package main

import (
	"context"
	"fmt"
	"log/slog"
)

// group runs components that are stopped in the reverse of the order in which
// they were started: what takes requests first, what keeps them last.
type group struct {
	log     *slog.Logger
	fail    context.CancelCauseFunc
	running []component
}

type component struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
}

// start runs a component until stop. When it ends with an error before, the whole ends.
func (g *group) start(ctx context.Context, name string, run func(context.Context) error) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := component{name, cancel, make(chan struct{})}
	g.running = append(g.running, c)
	go func() {
		defer close(c.done)
		if err := run(own); err != nil && own.Err() == nil {
			g.fail(fmt.Errorf("%s: %w", name, err))
		}
	}()
}

// cleanup runs when its turn comes in stop.
func (g *group) cleanup(ctx context.Context, name string, release func()) {
	g.start(ctx, name, func(ctx context.Context) error {
		<-ctx.Done()
		release()
		return nil
	})
}

func (g *group) stop() {
	for i := len(g.running) - 1; i >= 0; i-- {
		c := g.running[i]
		c.cancel()
		<-c.done
		g.log.Debug("ended", "part", c.name)
	}
}
