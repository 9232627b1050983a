package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"pulseboard/bench/fanout/proc"
	"pulseboard/bench/fanout/reader"
	"pulseboard/bench/fanout/setting"
)

// bench is the setting with its gateways.
//
//	serve ┬ Publisher.Run   results each second
//	      ├ observe         what the gateways use
//	      ├ kill            once, when asked
//	      └ guard           the end of a server is the end of all
type bench struct {
	o        options
	out      io.Writer
	setting  *setting.Setting
	gateways []*setting.Process
	held     []*reader.Pool // Of each gateway, with --hold.
	since    time.Time
	machine  proc.Machine // When it began.
	family   float64      // CPU of this process and its children, then.

	mu      sync.Mutex
	usages  [][]sample // By gateway.
	killed  *killing
	killing bool // A gateway is away because we killed it.
	changed chan struct{}
}

// sample is what a gateway has used at a moment.
type sample struct {
	at          time.Time
	pid         int
	usage       proc.Usage
	connections int
	frames      float64
}

func (b *bench) open(ctx context.Context) (err error) {
	b.changed = make(chan struct{})
	b.printf("filling the histories of %d metric keys with %d results each\n", b.o.Dashboards*b.o.Widgets, b.o.History)
	if b.setting, err = setting.Open(ctx, b.o.Config); err != nil {
		return err
	}
	for i := range b.o.gateways {
		p := b.setting.GatewayProgram(fmt.Sprintf("gateway %d", i+1), b.o.gateway, words(b.o.flags), words(b.o.env))
		g, err := setting.Start(ctx, p)
		b.gateways = append(b.gateways, g)
		b.held, b.usages = append(b.held, new(reader.Pool)), append(b.usages, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// serve publishes, and does the rest once everything is ready, until ctx ends
// or --for is over.
func (b *bench) serve(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.setting.Publisher().Run(ctx) })
	g.Go(func() error { return b.guard(ctx) })
	g.Go(func() error {
		if err := b.ready(ctx); err != nil {
			return err
		}
		g.Go(func() error { return b.observe(ctx) })
		g.Go(func() error { return b.kill(ctx) })
		if b.o.length > 0 {
			time.AfterFunc(b.o.length, stop)
		}
		return nil
	})
	err := g.Wait()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // It was stopped.
	}
	return err
}

// ready tells where everything is.
func (b *bench) ready(ctx context.Context) error {
	for i := range b.gateways {
		if err := b.hold(ctx, i); err != nil {
			return err
		}
	}
	b.mu.Lock()
	b.since, b.machine, b.family = time.Now(), proc.LookAtMachine(), proc.Family(os.Getpid())
	b.mu.Unlock()
	if err := b.writeIDs(); err != nil {
		return err
	}
	if err := b.write(b.report(false)); err != nil {
		return err
	}
	b.printf("redis      %s\n", b.setting.Redis())
	for _, g := range b.gateways {
		b.printf("%-10s http://%s  pid %d\n", g.Name, g.Addr, g.Pid())
	}
	b.printf("dashboards %d × %d widgets × %d series, a result of each at every second; first id %s\n", b.o.Dashboards, b.o.Widgets, b.o.Series, b.setting.IDs[0])
	if b.o.ids != "" {
		b.printf("load       %s\n", b.loadCommand())
	}
	b.printf("ready; Ctrl-C stops it\n")
	return nil
}

// loadCommand measures from outside. Where a gateway is killed, the process is
// this one with all that it has started: another has the place of the killed one.
func (b *bench) loadCommand() string {
	urls := make([]string, 0, len(b.gateways))
	pids := make([]string, 0, len(b.gateways))
	for i, g := range b.gateways {
		urls = append(urls, "http://"+g.Addr)
		pids = append(pids, fmt.Sprintf("gateway%d=%d", i+1, g.Pid()))
	}
	if b.o.killAfter > 0 {
		pids = []string{fmt.Sprintf("fanout=%d --reconnect", os.Getpid())}
	}
	return fmt.Sprintf(`./bin/pulseboard load --gateway %s --dashboard-ids "$(cat %s)" --rate 0 --connections 10000 --for 2m --pids %s`,
		strings.Join(urls, ","), b.o.ids, strings.Join(pids, ","))
}

const holdRate = 500 // Streams a second.

// hold opens the streams of --hold; those of a gateway that was killed anew.
func (b *bench) hold(ctx context.Context, i int) error {
	if !b.o.hold {
		return nil
	}
	b.held[i].Close()
	b.held[i] = new(reader.Pool)
	return b.held[i].Connect(ctx, b.gateways[i].Addr, reader.Pulseboard(), b.setting.IDs, len(b.setting.IDs), holdRate)
}

func (b *bench) close() {
	for _, p := range b.held {
		p.Close()
	}
	for _, g := range b.gateways {
		g.Kill()
	}
	if b.setting != nil {
		_ = b.setting.Close() // It holds nothing of worth.
	}
}

func (b *bench) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(b.out, format, args...) // A report that cannot be written has no reader.
}

// observe tells what the gateways use, until ctx ends.
func (b *bench) observe(ctx context.Context) error {
	every := time.NewTicker(b.o.every)
	defer every.Stop()
	b.look(ctx)
	for {
		select {
		case <-every.C:
			b.look(ctx)
			b.tell()
		case <-ctx.Done():
			return nil
		}
	}
}

// look takes a sample of each gateway; one that is away has none.
func (b *bench) look(ctx context.Context) {
	for i, g := range b.gateways {
		usage, err := g.Usage()
		if err != nil {
			continue
		}
		m, err := g.Metrics(ctx)
		if err != nil {
			continue
		}
		b.mu.Lock()
		b.usages[i] = append(b.usages[i], sample{time.Now(), g.Pid(), usage, int(m[connectionsMetric]), m["pulseboard_gateway_frames_total"]})
		b.mu.Unlock()
	}
}

const connectionsMetric = "pulseboard_gateway_connections"

func (b *bench) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, g := range b.gateways {
		all := b.usages[i]
		if len(all) < 2 {
			continue
		}
		was, is := all[len(all)-2], all[len(all)-1]
		if was.pid != is.pid {
			was = sample{at: b.startOf(is, was), pid: is.pid}
		}
		took := is.at.Sub(was.at).Seconds()
		b.printf("%s  %s: %d streams, %.2f core, %.0f frames/s, %.1f MB%s\n", is.at.Format(time.TimeOnly), g.Name,
			is.connections, (is.usage.CPU-was.usage.CPU)/took, (is.frames-was.frames)/took, mb(is.usage.RSS), b.perConnection(all))
	}
}

// startOf is when the process of is began, about: it was killed after was.
func (b *bench) startOf(is, was sample) time.Time {
	if b.killed != nil && b.killed.at.After(was.at) && b.killed.at.Before(is.at) {
		return b.killed.at
	}
	return was.at
}

func mb(bytes int64) float64 { return float64(bytes) / 1e6 }

func (b *bench) perConnection(all []sample) string {
	bytes, ok := bytesPerConnection(all, b.streamsHeld())
	if !ok {
		return ""
	}
	return fmt.Sprintf(", %.1f KiB a stream", bytes/1024)
}

// streamsHeld are those of --hold on each gateway.
func (b *bench) streamsHeld() int {
	if b.o.hold {
		return len(b.setting.IDs)
	}
	return 0
}

// bytesPerConnection compares the memory with that of the last moment at which
// the same process had the held streams only.
func bytesPerConnection(all []sample, held int) (float64, bool) {
	is := all[len(all)-1]
	empty := slices.IndexFunc(all, func(s sample) bool { return s.pid == is.pid && s.connections > held }) - 1
	if empty < 0 || all[empty].pid != is.pid || all[empty].connections != held || is.connections <= held {
		return 0, false
	}
	return float64(is.usage.RSS-all[empty].usage.RSS) / float64(is.connections-held), true
}

// guard makes the end of a server the end of all, unless it was killed on purpose.
func (b *bench) guard(ctx context.Context) error {
	failed := make(chan error, len(b.gateways))
	for _, g := range b.gateways {
		go func() { failed <- b.watch(ctx, g) }()
	}
	select {
	case err := <-failed:
		return err
	case <-b.setting.Died():
		return b.setting.Err()
	case <-ctx.Done():
		return nil
	}
}

func (b *bench) watch(ctx context.Context, g *setting.Process) error {
	for {
		select {
		case <-g.Done():
		case <-ctx.Done():
			return nil
		}
		b.mu.Lock()
		meant, changed := b.killing, b.changed
		b.mu.Unlock()
		if !meant {
			return g.Err()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}
