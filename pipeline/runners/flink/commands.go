package flink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"pulseboard/internal/conf"
	"pulseboard/internal/service"
	"pulseboard/pipeline/runners/flink/flinkapi"
	"pulseboard/pipeline/supervisor"
	"pulseboard/transforms"
)

// Command returns what a name of a subcommand stands for, nil when it is none.
func Command(name string) func(context.Context, service.Env) error {
	return map[string]func(context.Context, service.Env) error{
		"submit": SubmitCommand, "flink-local": localCommand,
		"status": statusCommand, "cancel": cancelCommand, "savepoint": savepointCommand,
	}[name]
}

const aboutSubmit = `
pipeline submit gives the job to Flink by way of Beam's job server, and returns.
The same program must be on the machines of the TaskManagers, at --worker: they
start it for the job. State is kept in Flink's checkpoints; what a job counted
is lost with none of its processes.

  pipeline submit --kafka k1:9092 --redis r1:6379 --job-endpoint jobserver:8099 --parallelism 2 --worker /opt/pulseboard/pipeline

To go on from a savepoint, or from a retained checkpoint of a job that is gone:
--savepoint file:///…/chk-42. Of a folder, such as that of all checkpoints of
the job, the newest one is taken; keep other jobs' out of it.`

// SubmitCommand is pipeline submit.
func SubmitCommand(ctx context.Context, env service.Env) error {
	c := Default()
	f := conf.New("pipeline submit", aboutSubmit)
	c.Config.Flags(f)
	runner := Name
	f.StringVar(&runner, "runner", runner, "`name` of the Beam runner, flink")
	f.StringVar(&c.JobServer, "job-endpoint", c.JobServer, "`address` of Beam's job server, host:port")
	f.StringVar(&c.Savepoint, "savepoint", c.Savepoint, "`path` of a savepoint or checkpoint to go on from; of another folder, which must be on this machine, the newest below it")
	f.StringVar(&c.REST, "rest", defaultREST, "`URL` of Flink's REST API, which says whether the job runs already, several with commas where JobManagers elect one; empty = do not ask")
	f.BoolVar(&c.Keep, "keep", c.Keep, "stay, and submit again from --savepoint whenever Flink has lost the job or given it up, until somebody cancels it")
	toPrint := f.Bool("print", false, "write the job to the standard output in place of submitting it, nothing when it runs already: for flink.sh application")
	f.BoolVar(&c.JarsThere, "jars-there", c.JarsThere, "Beam's jars are on the class path of Flink, as in our image: the job server sends none")
	flinkFlags(f, &c)
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return err
	}
	if runner != Name {
		return fmt.Errorf("--runner is %q: pipeline submit knows flink only; without submit it runs on prism", runner)
	}
	if err := c.setLog(env); err != nil {
		return err
	}
	if *toPrint {
		if c.Keep {
			return errors.New("--print and --keep exclude each other: in application mode the JobManager keeps the job running")
		}
		c.Print = env.Stdout
		return Submit(ctx, c)
	}
	if c.Keep {
		return KeepRunning(ctx, c)
	}
	if err := Submit(ctx, c); err != nil {
		return err
	}
	_, err := fmt.Fprintf(env.Stdout, "submitted as %s\n", c.JobName)
	return err
}

const aboutLocal = `
pipeline flink-local runs the job on a Flink of this machine, in one Java process
that it starts and keeps running: after the loss of anything the job goes on from
its newest checkpoint, in --dir. "pulseboard run --runner flink" does the same.

  pipeline flink-local --kafka k1:9092 --redis r1:6379 --flink-jars .pulseboard/flink/lib --dir /var/lib/pulseboard/flink`

func localCommand(ctx context.Context, env service.Env) error {
	c := DefaultLocal()
	local := JavaConfig{Output: env.Stderr}
	f := conf.New("pipeline flink-local", aboutLocal)
	c.Config.Flags(f)
	flinkFlags(f, &c)
	f.StringVar(&local.Jars, "flink-jars", ".pulseboard/flink/lib", "`folder` of Flink's jars, where make flink puts them")
	f.StringVar(&local.Dir, "dir", ".pulseboard/flink", "`folder` of checkpoints and logs, for one at a time")
	f.StringVar(&local.Heap, "flink-heap", "", "`bytes` of Java's heap at most, as -Xmx takes them, such as 2g; empty = a quarter of the machine's memory")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return err
	}
	if err := c.setLog(env); err != nil {
		return err
	}
	return supervisor.New(c.Log, func(ctx context.Context, _ int) (supervisor.Process, error) { return StartLocal(ctx, c, local) }).Run(ctx)
}

func (c *Config) setLog(env service.Env) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return fmt.Errorf("--log-level is %q: it must be DEBUG, INFO, WARN or ERROR", c.LogLevel)
	}
	c.Log = service.Logger(env.Stderr, level, "pipeline")
	return nil
}

// flinkFlags are those of every job on Flink.
func flinkFlags(f *conf.Flags, c *Config) {
	f.StringVar(&c.JobName, "job-name", c.JobName, "`name` by which status, cancel and savepoint find the job")
	f.StringVar(&c.Worker, "worker", self(), "`path` of this program on the machines of the TaskManagers")
	f.IntVar(&c.Parallelism, "parallelism", c.Parallelism, "`number` of subtasks, at most that of the slots")
	f.IntVar(&c.Shards, "shards", c.Shards, "`number` of reader shards, at most that of the partitions; 0 = one at parallelism 1, else two for each subtask")
	f.DurationVar(&c.Checkpoint, "checkpoint-interval", c.Checkpoint, "`time` between checkpoints: what is read and computed again after a failure")
	f.DurationVar(&c.BundleTime, "bundle-time", c.BundleTime, "`time` that a bundle of the runner stays open; each result is later by one or two of them")
	f.StringVar(&c.WorkerMetrics, "worker-metrics-addr", c.WorkerMetrics, "`address` where workers serve /metrics: host:port, the next free one when it is taken, or unix:PATH; empty = not at all")
	c.WorkerEdge.Flags(f.FlagSet)
	f.StringVar(&c.WorkerLogs, "worker-logs", c.WorkerLogs, "`folder` of the workers' logs on their machines")
	f.StringVar(&c.LogLevel, "log-level", c.LogLevel, "`level` of the logs: DEBUG, INFO, WARN or ERROR")
}

func self() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	return path
}

const defaultREST = "http://127.0.0.1:8081"

// jobOf parses the flags of a command about a running job and finds it.
func jobOf(ctx context.Context, env service.Env, f *conf.Flags) (*flinkapi.Client, flinkapi.Job, error) {
	url := f.String("rest", defaultREST, "`URL` of Flink's REST API, several with commas where JobManagers elect one")
	name := f.String("job-name", Default().JobName, "`name` that the job was submitted with")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return nil, flinkapi.Job{}, err
	}
	c := flinkapi.NewClient(*url, flinkapi.SecretOfEnvironment())
	j, err := c.Find(ctx, *name)
	return c, j, err
}

var errNotRunning = errors.New("the job is not running")

func statusCommand(ctx context.Context, env service.Env) error {
	f := conf.New("pipeline status", "\npipeline status says how the job on Flink is. Its exit code is 0 when it is running.")
	c, j, err := jobOf(ctx, env, f)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "job\t%s, %s\nstate\t%s\nrunning since\t%s\n", j.Name, j.ID, j.State, utc(j.StartMs))
	if cp, err := c.Checkpoints(ctx, j.ID); err == nil {
		_, _ = fmt.Fprintf(w, "checkpoints\t%d completed, %d failed, %d restored\n", cp.Counts.Completed, cp.Counts.Failed, cp.Counts.Restored)
		if l := cp.Latest.Completed; l != nil {
			_, _ = fmt.Fprintf(w, "newest\t%s, %.1f MB in %d ms\n\t%s\n", utc(l.TriggeredMs), float64(l.Bytes)/1e6, l.DurationMs, l.Path)
		}
		if r := cp.Latest.Restored; r != nil {
			_, _ = fmt.Fprintf(w, "restored\t%s\n\t%s\n", utc(r.AtMs), r.Path)
		}
	}
	if cause, err := c.Failure(ctx, j.ID); err == nil && cause != "" {
		line, _, _ := strings.Cut(cause, "\n")
		if stateIsUnreadable(cause) {
			line = transforms.ErrState.Error() // Far below in what Flink says.
		}
		_, _ = fmt.Fprintf(w, "last failure\t%s\n", line)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if j.State != "RUNNING" {
		return fmt.Errorf("%w: %s", errNotRunning, j.State)
	}
	return nil
}

func utc(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05 UTC") }

func cancelCommand(ctx context.Context, env service.Env) error {
	f := conf.New("pipeline cancel", `
pipeline cancel ends the job on Flink. Its newest checkpoint stays, and is printed: submit
--savepoint goes on from it. When it has none yet, that is what the job itself began with.`)
	c, j, err := jobOf(ctx, env, f)
	if err != nil {
		return err
	}
	if j.Ended() {
		return fmt.Errorf("%w: %s", errNotRunning, j.State)
	}
	if err := c.Cancel(ctx, j.ID); err != nil {
		return err
	}
	cp, err := c.Checkpoints(ctx, j.ID)
	if err != nil {
		return fmt.Errorf("the job is canceled, and its newest checkpoint is not known: %w", err)
	}
	answer := "canceled; there is no checkpoint"
	if l := cp.Latest; l.Completed != nil {
		answer = l.Completed.Path
	} else if l.Restored != nil {
		answer = l.Restored.Path // It had none of its own yet: what it began with is the newest.
	}
	_, err = fmt.Fprintln(env.Stdout, answer)
	return err
}

func savepointCommand(ctx context.Context, env service.Env) error {
	f := conf.New("pipeline savepoint", `
pipeline savepoint writes all state of the job on Flink and prints where: submit
--savepoint goes on from it, also with a newer version or another parallelism.`)
	dir := f.String("dir", "", "`URI` of the folder for it; empty = as Flink is configured")
	stop := f.Bool("stop", false, "end the job with it, so that nothing is computed twice")
	c, j, err := jobOf(ctx, env, f)
	if err != nil {
		return err
	}
	if j.Ended() {
		return fmt.Errorf("%w: %s", errNotRunning, j.State)
	}
	path, err := c.Savepoint(ctx, j.ID, *dir, *stop)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.Stdout, path)
	return err
}
