package pipeline

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"pulseboard/internal/conf"
	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/redisconn"
	"pulseboard/internal/service"
	"pulseboard/pipeline/supervisor"
)

// Runner is where the job runs. Each has a folder below runners and a line in runners.All. The commands pipeline
// and pulseboard run know it by this interface, and by those below that it implements too.
type Runner interface {
	// Name is the value of --runner, About what it stands for, in some words.
	Name() string
	About() string
	// Flags adds the flags that no other runner has to those of the job.
	Flags(f *conf.Flags)
	// KeyGroups is how many suit the runner.
	KeyGroups() int
	// Run runs the job: in this process, until ctx ends or it fails, or elsewhere; then it returns once the job is
	// accepted.
	Run(ctx context.Context, job Job) error
}

// Job is what the command pipeline gives to a runner.
type Job struct {
	Config
	Edge           service.Edge // How metrics are served, wherever DoFns run.
	Level          slog.Level   // Of all logs.
	Pprof          string       // Folder of the sockets of profiles, wherever DoFns run; see profile.Open.
	Stdout, Stderr io.Writer
}

// InProcess is a Runner that executes any graph in this process: it does the textbook form.
type InProcess interface {
	Runner
	// Execute runs a graph and waits for its end.
	Execute(ctx context.Context, p *beam.Pipeline) error
	// OnlyBounded says that it takes no input without end.
	OnlyBounded() bool
}

// OneMachine is a Runner that pulseboard run starts.
type OneMachine interface {
	Runner
	// MachineFlags adds its flags to those of pulseboard run. Check says, once they are read, what is missing on
	// this machine.
	MachineFlags(f *conf.Flags)
	Check(m Machine) error
	// Start starts the job, which ends with the process that is returned. See supervisor.Start for starved.
	Start(ctx context.Context, m Machine, starved int) (supervisor.Process, error)
}

// Machine is what pulseboard run gives to a runner that it starts.
type Machine struct {
	Dir     string // Data folder: what is below the name of the runner is the runner's.
	Program string // The path of this program; its command "pipeline" is the command pipeline.
	Socket  string // The path of the Unix socket on which metrics are expected.
	Holder  string // See Sink.Holder.

	Kafka kafkaconn.Endpoint
	Redis redisconn.Endpoint
	Slice time.Duration
	Bound time.Duration
	// ReplicaTag is that of Source.
	ReplicaTag string
	Memory     int64 // Bytes that processes of the job may use; 0 = it is not known.

	Level  slog.Level
	Pprof  string    // See Job.Pprof.
	Output io.Writer // Of processes that are started.
	Log    *slog.Logger
}

// Commander is a Runner with commands of its own, such as pipeline status.
type Commander interface {
	Runner
	Commands() []Command
}

// Command is what pipeline NAME does.
type Command struct {
	Name  string
	About string                                   // Text of --help, where Run is nil.
	Run   func(context.Context, service.Env) error // nil = the job, on this runner.
}

// WorkerHost is a Runner whose cluster starts this program to run the DoFns of a job.
type WorkerHost interface {
	Runner
	// IsWorker reports whether these are the arguments of such a start, RunWorker serves until the cluster ends it.
	IsWorker(args []string) bool
	RunWorker(ctx context.Context, args []string) error
}
