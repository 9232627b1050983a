// Package prism runs the job on Beam's Prism, in this process: for one machine. State lives as long as the
// process does; after a restart the windows in use are rebuilt by reading Kafka again (docs/adr/0001).
package prism

import (
	"context"
	"errors"
	"runtime"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"pulseboard/internal/conf"
	"pulseboard/internal/health"
	"pulseboard/internal/prism"
	"pulseboard/internal/profile"
	"pulseboard/internal/service"
	"pulseboard/pipeline"
)

// Name is the value of --runner.
const Name = "prism"

// Runner is pipeline.Runner, and all that runs graphs in this process.
type Runner struct {
	metricsAddr string
}

// New returns one before its flags are read.
func New() *Runner { return &Runner{} }

// Name returns Name.
func (*Runner) Name() string { return Name }

// About is for --help.
func (*Runner) About() string { return "state in the memory of one process" }

// Flags adds the flags of a job on Prism.
func (r *Runner) Flags(f *conf.Flags) {
	f.StringVar(&r.metricsAddr, "metrics-addr", "", "`address` to serve /metrics, /healthz and /readyz on: host:port, or unix:PATH; empty = not at all")
}

// KeyGroups are few: a timer cycle costs about as much whatever a key group holds (docs/adr/0002).
func (*Runner) KeyGroups() int { return pipeline.DefaultKeyGroups }

// OnlyBounded is false.
func (*Runner) OnlyBounded() bool { return false }

// Execute is the function of this name.
func (*Runner) Execute(ctx context.Context, p *beam.Pipeline) error { return Execute(ctx, p) }

// Run runs the job and serves its metrics.
func (r *Runner) Run(ctx context.Context, job pipeline.Job) error {
	profiles, err := profile.Open(job.Pprof, "pipeline")
	if err != nil {
		return err
	}
	defer profiles.Close() //nolint:errcheck // The process ends.
	c := job.Config
	if err := c.BoundMemory(); err != nil {
		return err
	}
	if err := c.Validate(); err != nil {
		return err
	}
	metrics := service.NewMetrics()
	c.Metrics = metrics
	if r.metricsAddr == "" {
		return Run(ctx, c)
	}
	registerer := pipeline.OfServing(r.metricsAddr, metrics)
	server, err := service.NewServer(service.ServerConfig{Edge: job.Edge, Metrics: registerer, Log: c.Log})
	if err != nil {
		return err
	}
	ln, err := pipeline.Listen(ctx, r.metricsAddr)
	if err != nil {
		return err
	}
	ready := health.New(registerer, c.Log, health.Pipeline(metrics)...)
	mux := service.Mux(service.OnlyMetrics(), metrics, ready)
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 2)
	go func() { served <- server.Serve(serving, ln, mux) }()
	go func() { served <- ready.Run(serving) }()
	err = Run(ctx, c)
	stop()
	return errors.Join(err, <-served, <-served)
}

// Run runs the job until ctx ends or the job fails: any error of a DoFn ends a job on Prism.
func Run(ctx context.Context, c pipeline.Config) error {
	return pipeline.Run(ctx, c, Traits, Execute)
}

// Traits is what the graph must know of Prism. Its timers are set at the end of their slices: a millisecond
// before, Prism overtakes the panes of the slice. Several shards gain little, since each partition is
// fetched and decoded by itself.
func Traits(partitions int) pipeline.Traits {
	return pipeline.Traits{Name: Name, Shards: max(1, min(runtime.GOMAXPROCS(0)/2, 4, partitions))}
}

// Execute runs a graph and waits for its end. It goes on when ctx has ended, since Prism panics at times when it
// is torn down in the middle: the caller ends the process.
func Execute(ctx context.Context, p *beam.Pipeline) error {
	_, err := prism.Execute(context.WithoutCancel(ctx), p)
	return err
}
