package pipeline

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/catalog"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/sinks"
	"pulseboard/sources"
	"pulseboard/transforms"
	"pulseboard/wire"
)

// Execute runs a graph on a runner in this process and waits for its end.
type Execute func(context.Context, *beam.Pipeline) error

// Run runs the job in this process, until ctx ends or the job fails, and returns why; a bounded
// one (Config.ToEnd) returns nil at its end. traits is asked once the number of partitions is known.
//
// Nothing of a run is kept: what it held comes back by reading Kafka again (see startTime).
func Run(ctx context.Context, c Config, traits func(partitions int) Traits, execute Execute) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if err := sources.AwaitTopic(ctx, c.Kafka, c.Topic, c.Log); err != nil {
		return err
	}
	if err := c.Kafka.CheckTopic(ctx, c.Topic, c.Log); err != nil {
		return err
	}
	partitions, err := sources.Partitions(ctx, c.Kafka, c.Topic)
	if err != nil {
		return err
	}
	if err := RegisterMetrics(c.Metrics); err != nil {
		return err
	}
	lease, err := awaitLease(ctx, c)
	if err != nil {
		return err
	}
	run := NewRun()
	ctx, end, setBack := followClock(ctx, c)
	defer end(nil)
	set, resume, err := lookUp(ctx, c)
	if err != nil {
		return err
	}
	detach, err := attach(ctx, c, run, lease, set, resume, setBack)
	if err != nil {
		return err
	}
	defer detach()
	c.clockMs = resume.ClockMs
	start, t := startTime(set, resume, c, time.Now()), traits(partitions)
	c.Log.Info("the pipeline starts", "runner", t.Name, "topic", c.Topic, "from", start.UTC(), "queries", len(set.Entries), "slice", c.Slice)
	InitBeam()
	p, s := beam.NewPipelineWithRoot()
	Build(s, c, t, run, start)
	if err := Await(ctx, p, execute); err != nil {
		return err
	}
	if !c.ToEnd {
		return errors.New("the job ended, which only a bounded one does")
	}
	return nil
}

// Await executes a graph and returns when it has ended, or with the cause of the end of ctx.
func Await(ctx context.Context, p *beam.Pipeline, execute Execute) error {
	ended := make(chan error, 1)
	go func() { ended <- execute(ctx, p) }()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("the job failed: %w", err)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Plan is what a job that runs in other processes begins with.
type Plan struct {
	Run        string        // Names the job in each of its processes.
	Lease      results.Lease // The right to write results, which was taken.
	Start      time.Time     // Records are read from it on.
	Partitions int           // Of the topic of events.
	Queries    int           // In the registry.
}

// NewPlan looks at Kafka and Redis, and waits for the right to write results.
func NewPlan(ctx context.Context, c Config) (Plan, error) {
	p := Plan{Run: NewRun()}
	var err error
	if p.Partitions, err = sources.Partitions(ctx, c.Kafka, c.Topic); err != nil {
		return p, err
	}
	if err := c.Kafka.CheckTopic(ctx, c.Topic, c.Log); err != nil {
		return p, err
	}
	if p.Lease, err = awaitLease(ctx, c); err != nil {
		return p, err
	}
	set, resume, err := lookUp(ctx, c)
	if err != nil {
		return p, err
	}
	p.Start, p.Queries = startTime(set, resume, c, time.Now()), len(set.Entries)
	return p, nil
}

// Attach gives the DoFns of a run what they expect in their process, until that ends.
func Attach(ctx context.Context, c Config, run string, lease results.Lease) error {
	set, resume, err := lookUp(ctx, c)
	if err == nil {
		_, err = attach(ctx, c, run, lease, set, resume, nil)
	}
	return err
}

// attach gives the DoFns what they expect, with the queries of set, which then follow the registry, until detach is called.
func attach(ctx context.Context, c Config, run string, lease results.Lease, set registry.Set, resume transforms.Resume, setBack func(why error, since time.Time)) (detach func(), err error) {
	j, groups, err := share(ctx, &c, run, resume, lease, setBack)
	if err != nil {
		return nil, err
	}
	governor, err := newGovernor(ctx, &c, run, set, groups)
	if err != nil {
		return nil, errors.Join(err, j.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	governor.start(ctx, &watching)
	return func() {
		_ = j.Close() // What it had to write is written, or nobody takes it.
		cancel()
		watching.Wait()
	}, nil
}

// How often the queries are polled besides the messages that announce a change.
const pollQueries = 2 * time.Second

func (c *Config) use(groups *transforms.Groups, entries map[string]wire.QueryEntry) {
	demands := make([]transforms.Demand, 0, len(entries))
	for _, e := range entries {
		demands = append(demands, transforms.Demand{Query: e.Query, RefreshMs: e.RefreshMs})
	}
	qs, bad := transforms.Compile(demands, c.Slice.Milliseconds(), c.KeyGroups)
	for _, err := range bad {
		c.Log.Warn("a query was left out", "error", err)
	}
	groups.SetQueries(qs)
}

// InitBeam prepares the SDK once a process. Its options are flags of the
// process, of which we set those that matter and parse none.
var InitBeam = sync.OnceFunc(func() { //nolint:gochecknoglobals // The SDK's state is global.
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

// RegisterMetrics registers those of a process in which DoFns run.
func RegisterMetrics(r prometheus.Registerer) error {
	for _, cs := range [][]prometheus.Collector{sources.Collectors(), transforms.Collectors(), sinks.Collectors(), catalog.Collectors(), Collectors()} {
		for _, m := range cs {
			if err := r.Register(m); err != nil && !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
				return fmt.Errorf("cannot register a metric: %w", err)
			}
		}
	}
	return nil
}
