package flink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"pulseboard/internal/conf"
	"pulseboard/internal/service"
	"pulseboard/pipeline"
	"pulseboard/pipeline/runners/flink/flinkapi"
	"pulseboard/pipeline/supervisor"
	"pulseboard/transforms"
)

// Commands are pipeline submit, flink-local, status, cancel and savepoint.
func (*Runner) Commands() []pipeline.Command {
	return []pipeline.Command{
		{Name: "submit", About: aboutSubmit},
		{Name: "flink-local", Run: localCommand},
		{Name: "status", Run: statusCommand},
		{Name: "cancel", Run: cancelCommand},
		{Name: "savepoint", Run: savepointCommand},
	}
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

const aboutLocal = `
pipeline flink-local runs the job on a Flink of this machine, in one Java process
that it starts and keeps running: after the loss of anything the job goes on from
its newest checkpoint, in --dir. "pulseboard run --runner flink" does the same.

  pipeline flink-local --kafka k1:9092 --redis r1:6379 --flink-jars .pulseboard/flink/lib --dir /var/lib/pulseboard/flink`

func localCommand(ctx context.Context, env service.Env) error {
	c := Default()
	c.KeyGroups = LocalKeyGroups
	local := JavaConfig{Output: env.Stderr}
	f := conf.New("pipeline flink-local", aboutLocal)
	var job pipeline.Job
	job.Config = c.Config
	job.Flags(f)
	c.flags(f)
	f.StringVar(&local.Jars, "flink-jars", ".pulseboard/flink/lib", "`folder` of Flink's jars, where make flink puts them")
	f.StringVar(&local.Dir, "dir", ".pulseboard/flink", "`folder` of checkpoints and logs, for one at a time")
	f.StringVar(&local.Heap, "flink-heap", "", "`bytes` of Java's heap at most, as -Xmx takes them, such as 2g; empty = a quarter of the machine's memory")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return err
	}
	job.Log = service.Logger(env.Stderr, job.Level, "pipeline")
	c.take(job)
	start := func(ctx context.Context, _ int) (supervisor.Process, error) { return StartLocal(ctx, c, local) }
	return supervisor.New(c.Log, start).Run(ctx)
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
