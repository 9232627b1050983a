// Package flink runs the job on Apache Flink, which keeps its state over the loss of any process.
//
//	pipeline submit ─ job ─▶ job server (Beam) ─▶ JobManager ─▶ TaskManagers ─ start ─▶ workers: this program
//
// A remote Flink gets the job by way of Beam's job server (submit.go). On one machine Flink and job server are one
// Java process, which is started, watched and replaced here (java.go, local.go). On either the TaskManagers start
// this program for the DoFns (worker.go). Package flinkapi asks a Flink how its jobs are.
package flink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"pulseboard/internal/conf"
	"pulseboard/internal/memory"
	"pulseboard/internal/service"
	"pulseboard/pipeline"
	"pulseboard/pipeline/runners/flink/flinkapi"
	"pulseboard/pipeline/supervisor"
)

// Name is the value of --runner.
const Name = "flink"

// Config says how to run the job on Flink.
type Config struct {
	pipeline.Config

	secret flinkapi.Secret // Of a Flink of this machine, "" = none.

	JobServer   string // host:port of Beam's job server.
	JobName     string // By which the job is found again.
	Worker      string // Path of this program where the TaskManagers are.
	Parallelism int
	Shards      int           // Of the source; 0 = see shardsFor.
	Checkpoint  time.Duration // Between checkpoints.
	Savepoint   string        // Path of a savepoint or checkpoint to begin with, or a folder with some; of a remote Flink only.
	Print       io.Writer     // Takes the job in place of a job server, nothing when it runs already; nil = the job server does.
	Keep        bool          // Submit it again whenever it is gone; of a remote Flink only.
	REST        string        // URL of Flink's REST API, by which a second job of the name is refused; "" = it is not asked.
	// JarsThere says that Beam's jars are on the class path of Flink itself, with
	// the class of deploy/flink that keeps the job server from sending them.
	JarsThere bool
	// BundleTime is how long a bundle of the runner stays open: it is part of the
	// delay of each result.
	BundleTime time.Duration

	WorkerMetrics string       // Where workers serve their metrics, "" = nowhere.
	WorkerEdge    service.Edge // How they do.
	WorkerLogs    string       // Folder of the workers' logs, where the TaskManagers are.
	WorkerPprof   string       // Folder of the sockets of their profiles, "" = they serve none.
	LogLevel      string
}

// Default returns the documented defaults.
func Default() Config {
	f := Config{
		Config: pipeline.Default(), JobServer: "127.0.0.1:8099", JobName: "pulseboard", Parallelism: 1,
		Checkpoint: 5 * time.Second, BundleTime: 20 * time.Millisecond, WorkerLogs: os.TempDir(), LogLevel: "INFO",
	}
	f.KeyGroups = KeyGroups
	return f
}

// Key groups on Flink. Each costs requests to state at each slice; many are spread over many
// machines evenly, by keys that are chosen for Flink's hash. Flink has as many of its own: a
// job can be spread over so many subtasks, for the life of its state.
const (
	KeyGroups      = 128
	LocalKeyGroups = 16
)

// traits are those of a job with so many reader shards.
//
// Its timers are set a millisecond before the end of their slices: at the end they would fire with those of the
// next. Should a watermark overtake elements, they are taken for two minutes more, and counted
// (pulseboard_pipeline_late_partials_total): Flink's runner would drop them without a word.
func (c *Config) traits(shards int) pipeline.Traits {
	return pipeline.Traits{
		Name: Name, Shards: shards, Keys: func(n int) []int64 { return evenKeys(n, c.KeyGroups) },
		Durable: true, Hold: true, Late: 2 * time.Minute, TimerEarly: time.Millisecond,
	}
}

// Validate reports everything that is wrong, before anything is connected to.
func (c *Config) Validate() error {
	errs := []error{c.Config.Validate()}
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(c.Parallelism < 1 || c.Parallelism > c.KeyGroups, "--parallelism is %d: it must be 1 to the number of key groups, %d", c.Parallelism, c.KeyGroups)
	bad(c.Checkpoint < 500*time.Millisecond, "--checkpoint-interval is %v: it must be 500ms or more; without checkpoints a failure would lose what was counted", c.Checkpoint)
	bad(c.BundleTime < 10*time.Millisecond, "--bundle-time is %v: it must be 10ms or more", c.BundleTime)
	bad(c.JobName == "", "--job-name must not be empty: status, cancel and savepoint find the job by it")
	bad(c.Worker == "", "--worker must name this program where the TaskManagers are")
	return errors.Join(errs...)
}

// Runner is pipeline.Runner for a remote Flink, and pipeline.OneMachine for one of this machine.
type Runner struct {
	config  Config
	toPrint bool
	java    JavaConfig
}

// New returns one before its flags are read.
func New() *Runner { return &Runner{config: Default()} }

// Name returns Name.
func (*Runner) Name() string { return Name }

// About is for --help.
func (*Runner) About() string {
	return "state in checkpoints of a Flink, for which one machine needs Java"
}

// Flags adds the flags of pipeline submit.
func (r *Runner) Flags(f *conf.Flags) {
	c := &r.config
	f.StringVar(&c.JobServer, "job-endpoint", c.JobServer, "`address` of Beam's job server, host:port")
	f.StringVar(&c.Savepoint, "savepoint", c.Savepoint, "`path` of a savepoint or checkpoint to go on from; of another folder, which must be on this machine, the newest below it")
	f.StringVar(&c.REST, "rest", defaultREST, "`URL` of Flink's REST API, which says whether the job runs already, several with commas where JobManagers elect one; empty = do not ask")
	f.BoolVar(&c.Keep, "keep", c.Keep, "stay, and submit again from --savepoint whenever Flink has lost the job or given it up, until somebody cancels it")
	f.BoolVar(&r.toPrint, "print", false, "write the job to the standard output in place of submitting it, nothing when it runs already: for flink.sh application")
	f.BoolVar(&c.JarsThere, "jars-there", c.JarsThere, "Beam's jars are on the class path of Flink, as in our image: the job server sends none")
	c.flags(f)
}

// flags are those of every job on Flink.
func (c *Config) flags(f *conf.Flags) {
	f.StringVar(&c.JobName, "job-name", c.JobName, "`name` by which status, cancel and savepoint find the job")
	f.StringVar(&c.Worker, "worker", self(), "`path` of this program on the machines of the TaskManagers")
	f.IntVar(&c.Parallelism, "parallelism", c.Parallelism, "`number` of subtasks, at most that of the slots")
	f.IntVar(&c.Shards, "shards", c.Shards, "`number` of reader shards, at most that of the partitions; 0 = one at parallelism 1, else two for each subtask")
	f.DurationVar(&c.Checkpoint, "checkpoint-interval", c.Checkpoint, "`time` between checkpoints: what is read and computed again after a failure")
	f.DurationVar(&c.BundleTime, "bundle-time", c.BundleTime, "`time` that a bundle of the runner stays open; each result is later by one or two of them")
	f.StringVar(&c.WorkerMetrics, "worker-metrics-addr", c.WorkerMetrics, "`address` where workers serve /metrics: host:port, the next free one when it is taken, or unix:PATH; empty = not at all")
	f.StringVar(&c.WorkerLogs, "worker-logs", c.WorkerLogs, "`folder` of the workers' logs on their machines")
}

func self() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	return path
}

// KeyGroups returns the constant of this name.
func (*Runner) KeyGroups() int { return KeyGroups }

// take takes what every job has.
func (c *Config) take(job pipeline.Job) {
	c.Config, c.WorkerEdge, c.WorkerPprof, c.LogLevel = job.Config, job.Edge, job.Pprof, job.Level.String()
	if c.StateBytes == 0 {
		c.StateBytes = pipeline.Default().StateBytes // How much memory a worker has is not known here.
	}
}

// Run gives the job to Flink.
func (r *Runner) Run(ctx context.Context, job pipeline.Job) error {
	c := r.config
	c.take(job)
	switch {
	case r.toPrint && c.Keep:
		return errors.New("--print and --keep exclude each other: in application mode the JobManager keeps the job running")
	case r.toPrint:
		c.Print = job.Stdout
		return Submit(ctx, c)
	case c.Keep:
		return KeepRunning(ctx, c)
	}
	if err := Submit(ctx, c); err != nil {
		return err
	}
	_, err := fmt.Fprintf(job.Stdout, "submitted as %s\n", c.JobName)
	return err
}

// MachineFlags adds the flags of a Flink of one machine.
func (r *Runner) MachineFlags(f *conf.Flags) {
	f.StringVar(&r.java.Jars, "flink-jars", "", "`folder` of Flink's jars; empty = flink/lib in the data folder, where make flink puts them")
	f.IntVar(&r.config.Parallelism, "parallelism", r.config.Parallelism, "`number` of Flink's subtasks")
	f.DurationVar(&r.config.Checkpoint, "checkpoint-interval", r.config.Checkpoint, "`time` between Flink's checkpoints")
}

// Check looks for Java and the jars.
func (r *Runner) Check(m pipeline.Machine) error {
	_, err := FindJava(r.machine(m).Jars)
	return err
}

func (r *Runner) machine(m pipeline.Machine) JavaConfig {
	java := r.java
	java.Dir, java.Output = filepath.Join(m.Dir, Name), m.Output
	if java.Jars == "" {
		java.Jars = filepath.Join(java.Dir, "lib")
	}
	return java
}

// Start runs the job in a Flink of this machine, whose workers are this program.
func (r *Runner) Start(ctx context.Context, m pipeline.Machine, _ int) (supervisor.Process, error) {
	java := r.machine(m)
	c := r.config
	c.Config = pipeline.Default()
	c.KeyGroups = LocalKeyGroups
	c.Kafka, c.Redis, c.Worker = m.Kafka, m.Redis, m.Program
	c.Slice, c.Bound, c.ReplicaTag = m.Slice, m.Bound, m.ReplicaTag
	c.WorkerMetrics, c.WorkerLogs, c.WorkerPprof = "unix:"+m.Socket, filepath.Join(java.Dir, "log"), m.Pprof
	c.LogLevel, c.Log = m.Level.String(), m.Log
	if m.Memory > 0 {
		c.StateBytes = memory.State(m.Memory)
	}
	return StartLocal(ctx, c, java)
}
