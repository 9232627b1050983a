package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"pulseboard/bench/fanout/setting"
)

// killing is what came of kill -9 of the first gateway.
type killing struct {
	at      time.Time
	streams int                   // Open on all gateways before it.
	healthy time.Duration         // Until it answered again.
	back    map[int]time.Duration // Until so many percent of the streams were open again, on whichever gateway.
}

const (
	askEvery = 100 * time.Millisecond
	backTime = 5 * time.Minute // How long streams are waited for.
)

// kill does what --kill-after asks for.
func (b *bench) kill(ctx context.Context) error {
	if b.o.killAfter == 0 {
		return nil
	}
	if err := b.until(ctx, func(n int) bool { return n >= b.o.killConnections }); err != nil {
		return err
	}
	wait := time.NewTimer(b.o.killAfter)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	g := b.gateways[0]
	before, err := b.streams(ctx)
	if err != nil {
		return err
	}
	k := &killing{at: time.Now(), streams: before, back: map[int]time.Duration{}}
	if err := b.killAndStart(ctx, g, k); err != nil {
		return fmt.Errorf("cannot start %s again: %w", g.Name, err)
	}
	b.printf("%s  %s was killed with -9 and is back at %s after %v\n", time.Now().Format(time.TimeOnly), g.Name, g.Addr, k.healthy.Round(time.Millisecond))
	if err := b.write(b.report(false)); err != nil { // It has another process id.
		return err
	}
	if err := b.hold(ctx, 0); err != nil {
		return err
	}
	if before == 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, backTime)
	defer cancel()
	err = b.until(limited, func(n int) bool {
		took := time.Since(k.at)
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, percent := range percents() {
			if _, ok := k.back[percent]; !ok && n*100 >= before*percent {
				k.back[percent] = took
			}
		}
		return n >= before
	})
	if ctx.Err() == nil && limited.Err() != nil {
		b.printf("not all of %d streams came back within %v\n", before, backTime)
		err = nil
	}
	b.printf("%s\n", k)
	return err
}

func percents() []int { return []int{50, 99, 100} }

// String is for people.
func (k *killing) String() string {
	text := fmt.Sprintf("after kill -9 of a gateway: answering again after %v; of %d streams", k.healthy.Round(time.Millisecond), k.streams)
	for _, p := range percents() {
		if d, ok := k.back[p]; ok {
			text += fmt.Sprintf(" %d %% open again after %v,", p, d.Round(time.Millisecond))
		}
	}
	return strings.TrimSuffix(text, ",")
}

func (b *bench) killAndStart(ctx context.Context, g *setting.Process, k *killing) error {
	b.mu.Lock()
	b.killing, b.killed = true, k
	b.mu.Unlock()
	g.Kill()
	err := g.Restart(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	k.healthy = time.Since(k.at)
	b.killing = false
	close(b.changed)
	b.changed = make(chan struct{})
	return err
}

// until asks for the number of open streams until it is right.
func (b *bench) until(ctx context.Context, right func(streams int) bool) error {
	every := time.NewTicker(askEvery)
	defer every.Stop()
	for {
		n, err := b.streams(ctx)
		if err == nil && right(n) {
			return nil
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *bench) streams(ctx context.Context) (int, error) {
	n := 0
	for _, g := range b.gateways {
		m, err := g.Metrics(ctx)
		if err != nil {
			return 0, err
		}
		n += int(m[connectionsMetric])
	}
	return n, nil
}
