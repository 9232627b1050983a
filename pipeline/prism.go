package pipeline

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/internal/prism"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/sinks"
	"pulseboard/sources"
	"pulseboard/transforms"
)

// RunPrism runs the job on Prism, in this process, until ctx ends or the job
// fails: any error of a DoFn ends a Prism job, and nothing of it is kept.
// What it held comes back by reading Kafka again (see startTime).
func RunPrism(ctx context.Context, c Config) error { return runOn(ctx, c, onPrism(0)) }

func runOn(ctx context.Context, c Config, r runner) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if err := sources.AwaitTopic(ctx, c.Kafka, c.Topic, c.Log); err != nil {
		return err
	}
	if err := c.Kafka.CheckTopic(ctx, c.Topic, c.Log); err != nil {
		return err
	}
	if r.shards == 0 {
		partitions, err := sources.Partitions(ctx, c.Kafka, c.Topic)
		if err != nil {
			return err
		}
		r.shards = prismShards(partitions)
	}
	if err := registerMetrics(c.Metrics); err != nil {
		return err
	}
	lease, err := awaitLease(ctx, c)
	if err != nil {
		return err
	}
	run := newRun()
	ctx, end := followClock(ctx, c, run)
	defer end(nil)
	a, err := attach(ctx, c, run, lease)
	if err != nil {
		return err
	}
	defer a.detach()
	c.clockMs = a.resume.ClockMs
	start := c.Start
	if start.IsZero() {
		start = startTime(a.queries, a.resume, c, time.Now())
	}
	c.Log.Info("the pipeline starts", "runner", r.name, "topic", c.Topic, "from", start.UTC(), "queries", len(a.queries.Entries), "slice", c.Slice)
	return execute(ctx, c, r, run, start)
}

// attachment is what the DoFns of a run share in this process: the queries, which
// follow the registry, and the connection to Redis.
type attachment struct {
	queries registry.Set // As they were when it began.
	resume  transforms.Resume
	detach  func()
}

func attach(ctx context.Context, c Config, run string, lease results.Lease) (*attachment, error) {
	queries, err := registry.Open(ctx, c.Redis, registry.WithLog(c.Log))
	if err != nil {
		return nil, err
	}
	set, resume, err := load(ctx, c, queries)
	if err != nil {
		return nil, errors.Join(err, queries.Close())
	}
	transforms.SetResume(run, resume)
	sources.Connect(run, c.Kafka)
	governor, err := newGovernor(ctx, &c, run, queries, set)
	if err != nil {
		return nil, errors.Join(err, queries.Close())
	}
	closeSink, err := sinks.Open(ctx, run, c.Redis, lease, c.Kafka, c.Log)
	if err != nil {
		return nil, errors.Join(err, queries.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	governor.start(ctx, &watching)
	detach := func() {
		sources.Close(run)
		transforms.Close(run)
		closeSink()
		cancel()
		watching.Wait()
		_ = queries.Close() // Nothing was written through it.
	}
	return &attachment{set, resume, detach}, nil
}

// lookUp reads the queries and how far each had come.
func lookUp(ctx context.Context, c Config) (registry.Set, transforms.Resume, error) {
	queries, err := registry.Open(ctx, c.Redis, registry.WithLog(c.Log))
	if err != nil {
		return registry.Set{}, transforms.Resume{}, err
	}
	defer queries.Close() //nolint:errcheck // Nothing is written through it.
	return load(ctx, c, queries)
}

func load(ctx context.Context, c Config, queries *registry.Store) (registry.Set, transforms.Resume, error) {
	set, err := queries.Load(ctx)
	if err != nil {
		return set, transforms.Resume{}, err
	}
	resume, err := resumeFrom(ctx, c, set)
	return set, resume, err
}

// How often the queries are polled besides the messages that announce a change.
const pollQueries = 2 * time.Second

func (c *Config) use(run string, entries map[string]registry.Entry) {
	demands := make([]transforms.Demand, 0, len(entries))
	for _, e := range entries {
		demands = append(demands, transforms.Demand{Query: e.Query, RefreshMs: e.RefreshMs})
	}
	qs, bad := transforms.Compile(demands, c.Slice.Milliseconds(), c.KeyGroups)
	for _, err := range bad {
		c.Log.Warn("a query was left out", "error", err)
	}
	transforms.SetQueries(run, qs)
}

// resumeFrom asks Redis how far each query had come when the pipeline ended.
func resumeFrom(ctx context.Context, c Config, set registry.Set) (transforms.Resume, error) {
	resume := transforms.Resume{
		Ends: make(map[string]int64, len(set.Entries)), From: make(map[string]int64, len(set.Entries)), Tips: make(map[results.Stream]int64, len(set.Entries)),
		Whole: make(map[results.Stream]bool, len(set.Entries)), Anew: make(map[string]bool),
		BeganMs: time.Now().UnixMilli(),
	}
	store, err := results.Open(ctx, c.Redis)
	if err != nil {
		return resume, err
	}
	defer store.Close() //nolint:errcheck // It only reads.
	// All that there are: an end may have been announced for a refresh interval
	// that an edit has taken away since, and must not be again for another.
	streams, err := store.Streams(ctx)
	if err != nil {
		return resume, err
	}
	tips, err := store.Newest(ctx, streams)
	if err != nil {
		return resume, err
	}
	at, behind, err := now(ctx, store)
	if err != nil {
		return resume, err
	}
	resume.ClockMs = behind.Milliseconds()
	if err := takeBack(ctx, c, store, at, streams, tips); err != nil {
		return resume, err
	}
	for i, tip := range tips {
		key := streams[i].Key
		// Also of keys that nobody wants now: who asks for one again was told so far.
		resume.Ends[key] = max(resume.Ends[key], tip.WindowEnd)
		if _, wanted := set.Entries[key]; !wanted {
			continue
		}
		resume.Anew[key] = resume.Anew[key] || tip.TakenBack
		resume.Whole[streams[i]] = tip.WindowEnd > 0 && tip.Complete()
		resume.Tips[streams[i]] = tip.WindowEnd
	}
	for key, e := range set.Entries {
		resume.From[key] = from(key, e.RefreshMs, resume)
	}
	return resume, nil
}

// from is the end of a key up to which no history lacks anything: one that was being written when a
// process was killed may be behind the others.
func from(key string, refreshMs []int64, resume transforms.Resume) int64 {
	newest := resume.Ends[key]
	from := newest
	for _, r := range refreshMs {
		if tip := resume.Tips[results.Stream{Key: key, RefreshMs: r}]; tip > 0 && newest-newest%r > tip {
			from = min(from, max(tip, newest-reachMs(refreshMs)))
		}
	}
	return from
}

// reachMs is how far back the histories of a key reach that are read again.
func reachMs(refreshMs []int64) int64 { return results.HistoryLength * slices.Min(refreshMs) }

// startTime is from when on records must be read so that every window which
// Redis lacks is whole: for each query its window before the end that Redis has,
// but no further back than its history reaches, and than maxOutage.
func startTime(set registry.Set, resume transforms.Resume, c Config, now time.Time) time.Time {
	start := now
	for key, e := range set.Entries {
		from := now
		if end := resume.From[key]; end > 0 || resume.Anew[key] {
			reach := time.Duration(reachMs(e.RefreshMs)) * time.Millisecond
			from = latest(time.UnixMilli(end), now.Add(-reach), now.Add(-maxOutage))
		}
		from = from.Add(-time.Duration(e.Query.WindowSeconds+e.Query.DelaySeconds) * time.Second)
		if from.Before(start) {
			start = from
		}
	}
	return start.Add(-c.Lateness - c.Skew - c.Bound - 2*c.Slice)
}

// maxOutage bounds how long catching up takes: histories have a gap where the
// pipeline was away for longer.
const maxOutage = time.Hour

func latest(ts ...time.Time) time.Time { return slices.MaxFunc(ts, time.Time.Compare) }

// execute gives the job to Prism and waits for its end.
func execute(ctx context.Context, c Config, r runner, run string, start time.Time) error {
	initBeam()
	p, s := beam.NewPipelineWithRoot()
	Build(s, c, r, run, start)
	ended := make(chan error, 1)
	// Prism is not told of the end of ctx: torn down in the middle it panics
	// at times. The caller ends the process.
	go func() {
		_, err := prism.Execute(context.WithoutCancel(ctx), p)
		ended <- err
	}()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("the job failed: %w", err)
		}
		if !c.ToEnd {
			return errors.New("the job ended, which only a bounded one does")
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// initBeam prepares the SDK once a process. Its options are flags of the
// process, of which we set those that matter and parse none.
var initBeam = sync.OnceFunc(func() { //nolint:gochecknoglobals // The SDK's state is global.
	if !flag.Parsed() {
		_ = flag.CommandLine.Parse(nil) // Without arguments there is no error.
	}
	*jobopts.JobName = "pulseboard"
	// Prism would split a bundle that is slow, also one of a stage with state: its keys would be in two bundles at
	// once, and what one of them has written would be gone.
	*jobopts.Experiments = "prism_disable_sdf_split"
	before := slog.Default()
	beam.Init()
	slog.SetDefault(before) // Init sets one of its own, which tells of every step.
})

func registerMetrics(r prometheus.Registerer) error {
	for _, cs := range [][]prometheus.Collector{sources.Collectors(), transforms.Collectors(), sinks.Collectors(), Collectors()} {
		for _, m := range cs {
			if err := r.Register(m); err != nil && !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
				return fmt.Errorf("cannot register a metric: %w", err)
			}
		}
	}
	return nil
}
