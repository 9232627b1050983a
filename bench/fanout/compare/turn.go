package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"pulseboard/bench/fanout/proc"
	"pulseboard/bench/fanout/reader"
	"pulseboard/bench/fanout/setting"
)

// bench takes the turns.
type bench struct {
	o        options
	setting  *setting.Setting
	progress io.Writer
}

// turn is what was measured of one server in one turn. Its fields are explained in README.md.
type turn struct {
	Server string `json:"server"`

	IdleCores float64 `json:"idle_cores"` // With one client of each dashboard.
	Cores     float64 `json:"cores"`
	CPUFrame  float64 `json:"cpu_us_per_frame"`              // Above what it used when idle.
	CPUEnd    float64 `json:"cpu_us_per_connection_and_end"` // The same, however many frames the results of an end came in.
	CPUWhole  float64 `json:"cpu_us_per_frame_whole"`        // With that.

	RSSBefore int64   `json:"rss_before_bytes"`
	RSSAfter  int64   `json:"rss_after_bytes"`
	RSSEach   float64 `json:"rss_bytes_per_connection"`
	HeapEach  float64 `json:"heap_and_stacks_bytes_per_connection"`
	ForcedGC  bool    `json:"gc_was_forced"`

	Expected  int64   `json:"results_expected"`
	Delivered int64   `json:"results_delivered"`
	Frames    int64   `json:"frames"`
	PerEnd    float64 `json:"frames_per_connection_and_end"`
	FrameSize float64 `json:"bytes_per_frame"`

	ToClient proc.Spread `json:"server_time_to_received"`
	FromEnd  proc.Spread `json:"window_end_to_received"`

	Feed       *feedFacts        `json:"feed,omitempty"`
	Publishing setting.Published `json:"publishing"`
	OwnCores   float64           `json:"own_cores"`    // Of this process: the connections and the publisher.
	Others     float64           `json:"others_cores"` // Of processes that are none of this run.
	Stolen     float64           `json:"stolen_cores"`
}

// feedFacts are the answer of the other server's /feed.
type feedFacts struct {
	Lost     int64   `json:"lost_streams"`
	DelayP50 float64 `json:"delay_p50_ms"` // From the gateway's server_time until it was published.
	DelayP99 float64 `json:"delay_p99_ms"`
}

// turns returns those that are complete, also with an error.
func (b *bench) turns(ctx context.Context, ids string) ([]turn, error) {
	var out []turn
	for round := range b.o.rounds {
		for _, p := range []reader.Protocol{reader.Pulseboard(), reader.Centrifuge()} {
			_, _ = fmt.Fprintf(b.progress, "round %d of %d: %s\n", round+1, b.o.rounds, p.Name)
			t, err := b.turn(ctx, p, ids, len(out)+1)
			if err != nil {
				return out, fmt.Errorf("%s: %w", p.Name, err)
			}
			_, _ = fmt.Fprintf(b.progress, "  %.1f µs of CPU a frame, %.1f KiB a connection, %d of %d results\n", t.CPUFrame, t.RSSEach/1024, t.Delivered, t.Expected)
			out = append(out, t)
		}
	}
	return out, nil
}

// turn starts both servers and gives one of them the connections.
func (b *bench) turn(ctx context.Context, p reader.Protocol, ids string, number int) (t turn, err error) {
	env := strings.Fields(b.o.env)
	gateway, err := setting.Start(ctx, b.setting.GatewayProgram(fmt.Sprint("gateway of turn ", number), b.o.gateway, strings.Fields(b.o.gatewayFlags), env))
	defer gateway.Kill()
	if err != nil {
		return t, err
	}
	other, err := setting.Start(ctx, setting.Program{
		Name: fmt.Sprint("centrifuge of turn ", number), Path: b.o.centrifuge, Dir: b.o.Dir, Env: env,
		Args: append([]string{"--gateway", gateway.Addr, "--ids-file", ids}, strings.Fields(b.o.centrifugeFlags)...),
	})
	defer other.Kill()
	if err != nil {
		return t, err
	}
	m := &measuring{bench: b, target: gateway, other: other, protocol: p}
	if p.Name == "centrifuge" {
		m.target = other
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	for _, one := range []*setting.Process{gateway, other} {
		done := one.Done()
		go func() {
			select {
			case <-done:
				stop(one.Err())
			case <-ctx.Done():
			}
		}()
	}
	t, err = m.measure(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause // Why everything failed.
	}
	return t, err
}

// measuring is a turn under way.
type measuring struct {
	*bench

	target, other *setting.Process
	protocol      reader.Protocol
	pool          reader.Pool
	first         reader.Pool // One connection a dashboard.
}

func (m *measuring) measure(ctx context.Context) (t turn, err error) {
	t.Server = m.protocol.Name
	// At the gateway each dashboard has one client, the feed, before anything is
	// measured; so has each channel of the other server.
	if m.target == m.other {
		defer m.first.Close()
		if err := m.first.Connect(ctx, m.target.Addr, m.protocol, m.setting.IDs, len(m.setting.IDs), m.o.rate); err != nil {
			return t, err
		}
	}
	if err := m.pause(ctx, m.o.settle); err != nil {
		return t, err
	}
	idle, err := m.watch(ctx, m.o.idle)
	if err != nil {
		return t, err
	}
	t.IdleCores, t.RSSBefore = idle.cores, idle.rss
	heapBefore, _, err := m.heap(ctx)
	if err != nil {
		return t, err
	}
	defer m.pool.Close()
	if err := m.pool.Connect(ctx, m.target.Addr, m.protocol, m.setting.IDs, m.o.connections, m.o.rate); err != nil {
		return t, err
	}
	if err := m.pause(ctx, m.o.settle); err != nil {
		return t, err
	}
	// From between two ends to between two ends, so that whole ends are in it.
	const between = 600 * time.Millisecond
	from := time.Now().Add(time.Second - between).Truncate(time.Second)
	if err := m.pause(ctx, time.Until(from.Add(between))); err != nil {
		return t, err
	}
	to := from.Add(m.o.length)
	rec := m.pool.Record(from.UnixMilli(), to.UnixMilli())
	frames, bytes := m.pool.Counts.Frames.Load(), m.pool.Counts.Bytes.Load()
	busy, err := m.watch(ctx, time.Until(to.Add(between)))
	if err != nil {
		return t, err
	}
	frames, bytes = m.pool.Counts.Frames.Load()-frames, m.pool.Counts.Bytes.Load()-bytes
	if frames == 0 {
		return t, fmt.Errorf("no frame was delivered to %d connections in %v", m.o.connections, m.o.length)
	}
	t.Cores, t.RSSAfter, t.OwnCores, t.Others, t.Stolen = busy.cores, busy.rss, busy.own, busy.others, busy.stolen
	t.CPUWhole = busy.seconds * 1e6 / float64(frames)
	t.CPUFrame = (busy.seconds - idle.cores*busy.took.Seconds()) * 1e6 / float64(frames)
	t.CPUEnd = t.CPUFrame * float64(frames) / float64(m.o.connections) / m.o.length.Seconds()
	t.FrameSize = float64(bytes) / float64(frames)
	each := float64(m.o.connections)
	t.RSSEach = float64(t.RSSAfter-t.RSSBefore) / each

	ends := int64(m.o.length / time.Second)
	t.Expected = ends * int64(m.o.Widgets) * int64(m.o.connections)
	if err := m.late(ctx, rec, t.Expected); err != nil {
		return t, err
	}
	t.Delivered, t.Frames = rec.Results.Load(), rec.Frames.Load()
	t.PerEnd = float64(t.Frames) / each / float64(ends)
	t.ToClient, t.FromEnd = proc.SpreadIn(&rec.ToClient), proc.SpreadIn(&rec.FromEnd)
	t.Publishing = m.setting.Publisher().Published(from.UnixMilli(), to.UnixMilli())
	if t.Feed, err = m.feed(ctx); err != nil {
		return t, err
	}
	heapAfter, forced, err := m.heap(ctx)
	t.HeapEach, t.ForcedGC = (heapAfter-heapBefore)/each, forced
	return t, err
}

// late waits for results that are on their way, for a while.
func (m *measuring) late(ctx context.Context, rec *reader.Recording, expected int64) error {
	const patience = 10 * time.Second
	limit := time.Now().Add(patience)
	for rec.Results.Load() < expected && time.Now().Before(limit) {
		if err := m.pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (m *measuring) feed(ctx context.Context) (*feedFacts, error) {
	var text strings.Builder
	if err := m.other.Read(ctx, "/feed", func(line string) { text.WriteString(line) }); err != nil {
		return nil, err
	}
	f := new(feedFacts)
	if err := json.Unmarshal([]byte(text.String()), f); err != nil {
		return nil, fmt.Errorf("cannot read how the other server is fed: %w", err)
	}
	if f.Lost > 0 {
		return nil, fmt.Errorf("%d streams that feed the other server were lost: its log in --dir says why", f.Lost)
	}
	return f, nil
}

func (m *measuring) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return errors.Join(m.first.Err(), m.pool.Err())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// used is what was used in some time.
type used struct {
	took                       time.Duration
	seconds                    float64 // Of CPU, by the target.
	cores, own, others, stolen float64
	rss                        int64 // Mean of each second's.
}

// watch lets time go by and looks each second.
func (m *measuring) watch(ctx context.Context, length time.Duration) (u used, err error) {
	begun := time.Now()
	machine, family := proc.LookAtMachine(), proc.Family(os.Getpid())
	pids := []int{m.target.Pid(), os.Getpid()}
	before := make([]proc.Usage, len(pids))
	after := make([]proc.Usage, len(pids))
	for i, pid := range pids {
		if before[i], err = proc.Look(pid); err != nil {
			return u, err
		}
	}
	var sum, looks int64
	for left := length; left > 0; left = length - time.Since(begun) {
		if err := m.pause(ctx, min(left, time.Second)); err != nil {
			return u, err
		}
		now, err := m.target.Usage()
		if err != nil {
			return u, err
		}
		sum += now.RSS
		looks++
	}
	for i, pid := range pids {
		if after[i], err = proc.Look(pid); err != nil {
			return u, err
		}
	}
	u.took = time.Since(begun)
	s := u.took.Seconds()
	now := proc.LookAtMachine()
	u.seconds, u.rss = after[0].CPU-before[0].CPU, sum/looks
	u.cores, u.own = u.seconds/s, (after[1].CPU-before[1].CPU)/s
	u.others, u.stolen = (now.Busy-machine.Busy-proc.Family(os.Getpid())+family)/s, (now.Stolen-machine.Stolen)/s
	return u, nil
}

// heap is the least of heap and stacks that the target tells of in some seconds,
// of which at least one follows a collection of garbage.
func (m *measuring) heap(ctx context.Context) (least float64, forced bool, err error) {
	const (
		every   = 250 * time.Millisecond
		atLeast = 3 * time.Second
		atMost  = 30 * time.Second // A server that makes little garbage collects it every two minutes only.
	)
	forced = m.target.CollectGarbage(ctx)
	begun, collections := time.Now(), -1.0
	for {
		metrics, err := m.target.Metrics(ctx)
		if err != nil {
			return 0, false, err
		}
		now := metrics["go_memstats_heap_alloc_bytes"] + metrics["go_memstats_stack_inuse_bytes"]
		if collections < 0 {
			least, collections = now, metrics["go_gc_duration_seconds_count"]
		}
		least = min(least, now)
		collected := forced || metrics["go_gc_duration_seconds_count"] > collections
		if took := time.Since(begun); took > atLeast && collected || took > atMost {
			return least, forced, nil
		}
		if err := m.pause(ctx, every); err != nil {
			return 0, false, err
		}
	}
}
