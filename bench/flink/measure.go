package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// bench is one run and what it found.
type bench struct {
	o        options
	servers  *servers
	load     *load
	watch    *watch
	accounts *accounts
	api      *api

	since         time.Time // When measuring began.
	took          time.Duration
	rows          []row
	checkpoints   map[int64]checkpoint
	before, after struct {
		machine  machine
		subtasks []subtask
		workers  map[int]workerFigures // By pid.
		restarts string
	}
	recoveries []recovery
	lastFaults []string
	notes      []string // What could not be measured.
}

// row is how it was at a moment.
type row struct {
	at       time.Duration
	delay    quantiles // Since the row before.
	accounts []account
	state    float64         // Bytes, as the workers count them; 0 = unknown.
	series   float64         // Held by the workers.
	heaps    map[int]float64 // Of the workers.
	live     map[int]live    // Of the JVMs that run subtasks, when asked for.
}

// prepare starts everything, and the load, and returns when every query is current.
func prepare(ctx context.Context, o options, s *servers) (*bench, error) {
	kafka, err := s.startKafka(ctx, o.jars, o.past > 0)
	if err != nil {
		return nil, err
	}
	redis, err := s.startRedis(ctx)
	if err != nil {
		return nil, err
	}
	queries := o.asked()
	if err := publish(ctx, redis, o.sliceMs(), queries); err != nil {
		return nil, err
	}
	b := &bench{o: o, servers: s, accounts: &accounts{servers: s}, checkpoints: map[int64]checkpoint{}}
	if err := b.begin(ctx, kafka, redis, queries); err != nil {
		if b.load != nil {
			b.load.stop()
		}
		return nil, err
	}
	s.guard()
	return b, nil
}

// begin starts the load and the job. What is written while the job runs is of now, or too late, so a load of the past
// comes before it.
func (b *bench) begin(ctx context.Context, kafka, redis string, queries map[string]*query) error {
	if b.o.past > 0 {
		b.load = startLoad(ctx, &b.o, kafka)
		if err := b.wait(ctx, "the load of the past", patience+b.o.past, b.load.atPresent); err != nil {
			return err
		}
	}
	rest, err := b.servers.startJob(ctx, &b.o, kafka, redis)
	if err != nil {
		return err
	}
	if b.api, err = b.servers.findJob(ctx, rest); err != nil {
		return err
	}
	if b.load == nil {
		b.load = startLoad(ctx, &b.o, kafka)
	}
	b.watch, err = startWatch(ctx, redis, queries, b.load)
	return err
}

func (b *bench) close() {
	b.load.stop()
	b.watch.close()
}

const (
	lookEvery  = time.Second
	askEvery   = 10 * time.Second // Of the ten checkpoints that Flink remembers none is missed.
	currentAge = 3 * time.Second
)

// measure warms up, measures, and waits for the last windows.
func (b *bench) measure(ctx context.Context, progress io.Writer) error {
	if err := b.wait(ctx, "every query's first results", patience+b.o.past, func() bool { return b.watch.current(currentAge) == len(b.watch.queries) }); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(progress, "every query is current; warming up for %v\n", b.o.warmUp)
	ask := time.Duration(0)
	err := b.pass(ctx, b.o.warmUp, func(at time.Duration) {
		b.accounts.look()
		if at >= ask {
			ask += askEvery
			b.askSubtasks(ctx)
		}
	})
	if err != nil {
		return err
	}
	b.lookIn(ctx, true)
	b.watch.begin()
	b.load.measuring.Store(true)
	b.since = time.Now()
	b.addRow(ctx)
	next := b.o.every
	ask = askEvery
	err = b.pass(ctx, b.o.length, func(at time.Duration) {
		b.accounts.look()
		if at >= next {
			next += b.o.every
			b.addRow(ctx)
			_, _ = fmt.Fprintf(progress, "%v: p95 %v\n", at.Round(time.Second), b.rows[len(b.rows)-1].delay.p95.Round(time.Millisecond))
		}
		if at >= ask {
			ask += askEvery
			b.askCheckpoints(ctx)
			b.askSubtasks(ctx)
		}
	})
	if err != nil {
		return err
	}
	b.load.measuring.Store(false)
	b.took = time.Since(b.since)
	b.watch.end()
	b.lookIn(ctx, false)
	b.askCheckpoints(ctx)
	if err := b.kill(ctx); err != nil {
		return err
	}
	b.load.stop()
	if b.took-b.rows[len(b.rows)-1].at > b.o.every/2 {
		b.addRow(ctx)
	}
	// After the end every event is in a window; the idle partitions' clock closes it.
	end := time.Now().Truncate(time.Second).Add(time.Second).UnixMilli()
	if err := b.wait(ctx, "the last windows", patience, func() bool { return b.watch.reached(end) == len(b.watch.queries) }); err != nil {
		return err
	}
	b.lastFaults = b.watch.lastFaults()
	return nil
}

// pass lets time go by, with a look at each second.
func (b *bench) pass(ctx context.Context, length time.Duration, look func(at time.Duration)) error {
	begin := time.Now()
	err := b.wait(ctx, "", length+patience, func() bool {
		at := time.Since(begin)
		look(at)
		return at >= length
	})
	return err
}

// wait looks each second until it is done, and fails when a server or the load does.
func (b *bench) wait(ctx context.Context, what string, limit time.Duration, done func() bool) error {
	every := time.NewTicker(lookEvery)
	defer every.Stop()
	late := time.After(limit)
	for !done() {
		select {
		case <-every.C:
		case <-late:
			return fmt.Errorf("waited too long for %s", what)
		case err := <-b.servers.died:
			return err
		case err := <-b.load.failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// lookIn takes all figures that are compared from the beginning to the end of measuring.
func (b *bench) lookIn(ctx context.Context, first bool) {
	at := &b.after
	if first {
		at = &b.before
		b.accounts.begin()
	}
	b.accounts.look()
	at.machine = lookAtMachine()
	at.subtasks = b.askSubtasks(ctx)
	var err error
	if at.restarts, err = b.api.restarts(ctx); err != nil {
		b.note("restarts: " + err.Error())
	}
	at.workers = b.askWorkers(ctx)
}

// askSubtasks is done all the time: Flink answers with what it found after the
// question before, some seconds ago.
func (b *bench) askSubtasks(ctx context.Context) []subtask {
	all, err := b.api.subtasks(ctx)
	if err != nil {
		b.note("subtasks: " + err.Error())
	}
	return all
}

func (b *bench) askWorkers(ctx context.Context) map[int]workerFigures {
	out := map[int]workerFigures{}
	for _, w := range b.accounts.workers() {
		f, err := b.servers.askWorker(ctx, w.pid)
		if err != nil {
			b.note("a worker's metrics: " + err.Error())
			continue
		}
		out[w.pid] = f
	}
	return out
}

func (b *bench) askCheckpoints(ctx context.Context) {
	all, err := b.api.checkpoints(ctx)
	if err != nil {
		b.note("checkpoints: " + err.Error())
	}
	for _, c := range all {
		if c.At >= b.since.UnixMilli() {
			b.checkpoints[c.ID] = c
		}
	}
}

func (b *bench) addRow(ctx context.Context) {
	r := row{at: time.Since(b.since), delay: b.watch.lately(), heaps: map[int]float64{}, live: map[int]live{}}
	for _, a := range b.accounts.all {
		if a.gone {
			continue
		}
		r.accounts = append(r.accounts, *a)
		if b.o.live && (a.name == javaName || strings.HasPrefix(a.name, taskManager)) {
			l, err := lookLive(ctx, a.pid)
			if err != nil {
				b.note(err.Error())
				continue
			}
			r.live[a.pid] = l
		}
	}
	for pid, f := range b.askWorkers(ctx) {
		r.state += f.state
		r.series += f.series
		r.heaps[pid] = f.heap
	}
	b.rows = append(b.rows, r)
}

func (b *bench) note(text string) {
	const most = 10 // One that repeats each second says nothing more.
	if len(b.notes) < most && !slices.Contains(b.notes, text) {
		b.notes = append(b.notes, text)
	}
}
