package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pulseboard/internal/clock"
	"pulseboard/internal/histogram"
)

// ErrInterrupted says that a run was ended before its time.
var ErrInterrupted = errors.New("interrupted")

// run is one run.
type run struct {
	config   Config
	progress io.Writer
	api      *api
	made     *dashboards
	report   *Report
	checks   [][2]string
	events   *events
	audience *audience
	redis    *messages
	late     histogram.Histogram

	measuring          atomic.Bool // In the measured part.
	beforeStreams      map[int]use
	connected          map[int]use
	heapBefore, heapUp map[string]int64
}

// Run makes the load and reports. What it made is deleted again, also when ctx
// ends; then the report is of what was measured until then, with ErrInterrupted,
// or nil when nothing was. progress gets a line now and then.
func Run(ctx context.Context, c Config, progress io.Writer) (report *Report, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	r := &run{config: c, progress: progress, api: newAPI(c.Token)}
	r.made = &dashboards{api: r.api, config: &r.config}
	r.report = &Report{
		Run: c.Run, Started: time.Now().UTC().Truncate(time.Millisecond),
		Machine: Machine{CPUs: runtime.NumCPU(), OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version()},
	}
	if _, gone := uses(c.Pids); len(gone) > 0 {
		return nil, fmt.Errorf("%w; it must run on this machine, as this user: correct --pids", gone[0])
	}
	defer func() {
		if gone := r.made.remove(ctx); gone != nil {
			err = errors.Join(err, gone)
		}
	}()
	defer func() {
		if r.redis != nil {
			r.redis.close()
		}
	}()
	if err := r.prepare(ctx); err != nil {
		return nil, interrupted(ctx, err)
	}
	return r.load(ctx)
}

// interrupted replaces what Ctrl-C brought about by Ctrl-C itself.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w before anything was measured", ErrInterrupted)
	}
	return err
}

func (r *run) say(format string, args ...any) {
	_, _ = fmt.Fprintf(r.progress, format+"\n", args...) // Progress that cannot be written has no reader.
}

// prepare makes dashboards.
func (r *run) prepare(ctx context.Context) error {
	c := &r.config
	if c.Check {
		var err error
		if r.checks, err = r.made.makeCheck(ctx, c.checkWindow()); err != nil {
			return err
		}
	}
	if !c.Redis.IsZero() {
		var err error
		if r.redis, err = openMessages(ctx, c.Redis, &r.measuring); err != nil {
			return err
		}
	}
	if c.Connections == 0 {
		return nil
	}
	ids := c.DashboardIDs
	if len(ids) == 0 {
		r.say("making %d dashboards of %d widgets: %d metric keys", c.Dashboards, c.Widgets, c.metricKeys())
		var err error
		if ids, err = r.made.makeLoad(ctx); err != nil {
			return err
		}
	}
	r.audience = newAudience(c, &r.measuring, ids)
	return nil
}

// load is everything between the first event and the report.
func (r *run) load(ctx context.Context) (*Report, error) {
	c := &r.config
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	sending, stopSending := context.WithCancel(running)
	defer stopSending()
	var background sync.WaitGroup
	defer background.Wait()
	defer stop(nil)
	sent := make(chan struct{})
	if c.Rate > 0 {
		r.events = newEvents(c, &r.measuring, stop)
		r.say("sending %.0f events a second: %d metrics of %d series, %d in a request", c.Rate, c.Metrics, c.Series, c.Batch)
		go func() {
			defer close(sent)
			r.events.run(sending, running)
		}()
		clock.Sleep(running, c.Warmup)
	} else {
		close(sent)
	}
	background.Go(func() { probe(running, &r.measuring, &r.late) })
	if r.audience != nil {
		background.Go(func() { r.audience.sample(running) })
	}
	err := r.connect(running)
	if err == nil && r.redis != nil {
		err = r.redis.listen(running, r.keys())
	}
	if err == nil && running.Err() == nil {
		r.measure(running)
	}
	stopSending()
	r.finish(running)
	<-sent
	// A service that refuses is why everything else ended.
	if cause := context.Cause(running); cause != nil && ctx.Err() == nil {
		err = cause
	}
	switch {
	case ctx.Err() != nil && r.report.Seconds == 0:
		return nil, interrupted(ctx, err)
	case ctx.Err() == nil && err != nil:
		return nil, err
	}
	if r.events != nil {
		r.report.Events = r.events.report()
	}
	if c.Check && ctx.Err() == nil {
		r.say("comparing counts and sums")
		if r.report.Check, err = check(running, r.api, c.Gateways[0], c, r.checks, totals(r.events.bodies, c.Metrics)); err != nil {
			return nil, interrupted(ctx, err)
		}
	}
	r.report.Lateness = latencyOf(&r.late)
	if r.redis != nil {
		l := latencyOf(&r.redis.late)
		r.report.EndToRedis = &l
	}
	r.share()
	r.report.judge(c)
	if ctx.Err() != nil {
		r.report.Valid = false
		r.report.Invalid = append(r.report.Invalid, fmt.Sprintf("it was interrupted after %.0f s of %v", r.report.Seconds, c.For))
		return r.report, ErrInterrupted
	}
	return r.report, nil
}

// look measures what all processes have used. Those that have ended are left out, with a note.
func (r *run) look(pids []Pid) map[int]use {
	out, gone := uses(pids)
	for _, err := range gone {
		r.note(err.Error() + ": it ended during the run, and what it used is not known")
	}
	return out
}

func (r *run) note(text string) {
	if !slices.Contains(r.report.Notes, text) {
		r.report.Notes = append(r.report.Notes, text)
	}
}

func (r *run) heaps(ctx context.Context) map[string]int64 {
	out := make(map[string]int64)
	for _, g := range r.config.Gateways {
		if bytes, ok := r.api.heap(ctx, g); ok {
			out[g] = bytes
		}
	}
	return out
}

// connect opens all connections, and waits until they have their snapshots.
func (r *run) connect(ctx context.Context) error {
	c, s := &r.config, r.audience
	if s == nil {
		return nil
	}
	r.beforeStreams, r.heapBefore = r.look(append(own(), c.Pids...)), r.heaps(ctx)
	r.say("opening %d connections, %.0f a second", c.Connections, c.ConnectRate)
	if err := s.ramp(ctx); err != nil {
		return err
	}
	limit := time.Now().Add(snapshotTime)
	for s.complete.Load() < s.open.Load() && time.Now().Before(limit) && clock.Sleep(ctx, 20*time.Millisecond) {
	}
	if s.open.Load() == 0 && ctx.Err() == nil {
		return s.losses.whyNone()
	}
	if complete, open := s.complete.Load(), s.open.Load(); complete < open {
		r.note(fmt.Sprintf("%d of %d connections did not have all their snapshots %v after the last one was opened", open-complete, open, snapshotTime))
	}
	r.say("%d connections are open; warming up for %v", s.open.Load(), c.Warmup)
	clock.Sleep(ctx, c.Warmup)
	r.connected, r.heapUp = r.look(append(own(), c.Pids...)), r.heaps(ctx)
	return nil
}

// How long snapshots may take after the last connection was opened; how long
// after the measured part results that are due are waited for when none comes,
// and in all.
const (
	snapshotTime = 30 * time.Second
	drainTime    = 10 * time.Second
	longestDrain = 2 * time.Minute
	progressTime = 10 * time.Second
	linesAMemory = 6 // Lines of progress until one of memory: each minute.
)

// measure is the measured part.
func (r *run) measure(ctx context.Context) {
	c := &r.config
	r.say("measuring for %v", c.For)
	if r.audience != nil && c.StopReading > 0 {
		r.audience.schedule.stopped.Store(true)
	}
	// What looking costs is not of the measured part.
	before := r.look(append(slices.Clone(c.Pids), own()...))
	begin := time.Now()
	r.measuring.Store(true)
	for n, left := 1, c.For; left > 0 && ctx.Err() == nil; n, left = n+1, c.For-time.Since(begin) {
		if !clock.Sleep(ctx, min(left, progressTime)) || time.Since(begin) >= c.For {
			break
		}
		r.say("%s", r.progressLine(time.Since(begin)))
		if n%linesAMemory == 0 {
			r.say("%s", r.memoryLine(time.Since(begin)))
		}
	}
	r.measuring.Store(false)
	took := time.Since(begin)
	after := r.look(append(own(), c.Pids...))
	r.report.Seconds = took.Seconds()
	connections := 0
	if r.audience != nil {
		connections = int(r.audience.open.Load())
	}
	order := slices.Sorted(maps.Keys(after))
	r.report.Processes = processReports(r.beforeStreams, r.connected, before, after, order, took, connections)
	for _, g := range c.Gateways {
		was, ok := r.heapBefore[g]
		is, there := r.heapUp[g]
		if ok && there && connections > 0 {
			r.report.Heap = append(r.report.Heap, HeapReport{g, was, is, float64(is-was) / float64(connections) * float64(len(c.Gateways))})
		}
	}
}

func (r *run) progressLine(since time.Duration) string {
	line := fmt.Sprintf("after %v:", since.Round(time.Second))
	if e := r.events; e != nil {
		line += fmt.Sprintf(" %d events acknowledged, p99 %v;", e.acknowledged(), e.latency.Quantile(.99).Round(time.Millisecond))
	}
	if s := r.audience; s != nil {
		line += fmt.Sprintf(" %d connections, %d results, window end to client p99 %v;", s.open.Load(), s.measured.results.Load(), s.measured.endToClient.Quantile(.99).Round(time.Millisecond))
	}
	return line + fmt.Sprintf(" this process late by %v at p99", r.late.Quantile(.99).Round(time.Millisecond/10))
}

// memoryLine is for long runs, in which memory may grow.
func (r *run) memoryLine(since time.Duration) string {
	line := fmt.Sprintf("after %v: memory", since.Round(time.Second))
	found := r.look(append(slices.Clone(r.config.Pids), own()...))
	for _, pid := range slices.Sorted(maps.Keys(found)) {
		line += fmt.Sprintf(" %s %d MiB;", found[pid].name, found[pid].rss>>20)
	}
	return line[:len(line)-1]
}

// finish waits until clients have what is due, closes them and adds up.
func (r *run) finish(ctx context.Context) {
	s := r.audience
	if s == nil {
		return
	}
	measured := r.report.Seconds > 0
	if measured {
		r.say("waiting for the last results")
		// Also after Ctrl-C: else the last results would seem to be missing.
		ctx := context.WithoutCancel(ctx)
		patience := cmp.Or(r.config.Patience, drainTime)
		s.drain(ctx, patience+r.config.Refresh, longestDrain)
		if err := s.audit(ctx); err != nil {
			r.note(err.Error() + "; results that no client was given cannot be distinguished from those that were not published")
		}
		if behind := s.await(ctx, patience, longestDrain); behind > 0 {
			r.note(fmt.Sprintf("%d connections never got all that was due until the end of the measured part, though it was waited for: what they did not get counts as missing", behind))
		}
	}
	readers, slow := s.end()
	if !measured {
		return
	}
	out := &StreamsReport{
		Connections: r.config.Connections, Opened: r.config.Connections - s.losses.failed, Failed: s.losses.failed, Dashboards: len(s.dashboards), Streams: len(s.published.streams),
		Connecting: latencyOf(&s.measured.connecting), Delivery: readers, Updates: s.measured.updates.Load(), Results: s.measured.results.Load(), Bytes: s.measured.bytes.Load(),
		EndToClient: latencyOf(&s.measured.endToClient), EventToCl: latencyOf(&s.measured.eventToClient), ServerToCl: latencyOf(&s.measured.serverToClient), Staleness: latencyOf(&s.measured.staleness),
		Lost: s.losses.count, LostBecause: s.losses.reasons,
	}
	var examples []string
	if out.Unpublished, examples = s.unpublished(); out.Unpublished > 0 {
		r.note(fmt.Sprintf("not published: ends of %v", examples))
	}
	if s.losses.failed > 0 {
		r.report.Faults = append(r.report.Faults, fmt.Sprintf("%d of %d connections could not be opened: %v", s.losses.failed, r.config.Connections, s.losses.firstFailure))
	}
	if r.config.Reconnect {
		away := latencyOf(&s.losses.away)
		out.Back = &BackReport{Back: s.losses.back, GaveUp: s.losses.gaveUp, Resets: s.losses.resets.Load(), Half: away.P50, Ninety9: away.P99, All: away.Max}
	}
	if n := r.config.StopReading; n > 0 {
		out.Slow = &SlowReport{Clients: n, Closed: s.losses.slow, Delivery: slow}
	}
	r.report.Streams = out
}

// share divides what processes used by the events and by the updates.
func (r *run) share() {
	for i := range r.report.Processes {
		p := &r.report.Processes[i]
		if e := r.report.Events; e != nil && e.Acknowledged > 0 {
			p.CPUPerMillion = p.CPUSeconds / float64(e.Acknowledged) * 1e6
		}
		if s := r.report.Streams; s != nil && s.Updates > 0 {
			p.CPUPerUpdate = p.CPUSeconds / float64(s.Updates) * 1e6
		}
	}
}
