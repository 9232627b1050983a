// Package command is the command "pipeline", and "pulseboard pipeline".
package command

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"

	"pulseboard/internal/conf"
	"pulseboard/internal/service"
	"pulseboard/pipeline"
	"pulseboard/pipeline/runners"
)

const about = `
pipeline reads metric events from Kafka, aggregates them over sliding windows,
and publishes the results to Redis. It runs the Beam job on Prism, in this one
process: nothing is stored but in Kafka, and after a restart the windows in use
are rebuilt by reading Kafka again.

Which queries are computed, the config service says in Redis; a change takes
effect within a second.

  pipeline --kafka 127.0.0.1:9092 --redis 127.0.0.1:6379

On Flink, which keeps its state over the loss of any process, it is a job:

  pipeline submit --kafka k1:9092 --redis r1:6379 --job-endpoint jobserver:8099
  pipeline status | cancel | savepoint

With --reference it is the textbook form instead, SlidingWindows and
CombinePerKey, which reads as much as it is told and then ends: for backtests.

  pipeline --reference --query 'api.latency:avg:60s by (host)' --from 2026-11-23T10:00:00Z --to 2026-11-23T11:00:00Z

Any fault inside the job ends the process with an exit code that is not 0: run
it under a supervisor that starts it again. "pulseboard run" does.`

// Main is the command "pipeline", and "pulseboard pipeline".
func Main(ctx context.Context, env service.Env) error {
	if serve := runners.Worker(env.Args); serve != nil {
		return serve(ctx)
	}
	all := runners.All()
	for _, r := range all {
		commander, ok := r.(pipeline.Commander)
		if !ok || len(env.Args) == 0 {
			continue
		}
		for _, c := range commander.Commands() {
			if c.Name != env.Args[0] {
				continue
			}
			env.Args = env.Args[1:]
			if c.Run != nil {
				return c.Run(ctx, env)
			}
			return run(ctx, env, "pipeline "+c.Name, c.About, r)
		}
	}
	return run(ctx, env, "pipeline", about, all...)
}

func inProcess(r pipeline.Runner) bool {
	_, ok := r.(pipeline.InProcess)
	return ok
}

// run runs the job, or its textbook form, on one of the runners: --runner names it.
func run(ctx context.Context, env service.Env, name, about string, rs ...pipeline.Runner) error {
	f := conf.New(name, about)
	job := pipeline.Job{Config: pipeline.Default(), Stdout: env.Stdout, Stderr: env.Stderr}
	job.KeyGroups, job.StateBytes = 0, 0 // What suits the runner, which is known once the flags are read.
	if holder := env.Getenv(pipeline.HolderEnv); holder != "" {
		job.Holder = holder
	}
	job.Flags(f)
	chosen := runners.Flag(f, rs)
	own := make([]*conf.Group, len(rs))
	for i, r := range rs {
		own[i] = f.Group(fmt.Sprintf("With --runner %s, which has %d key groups by default", r.Name(), r.KeyGroups()), r.Flags)
	}
	var ref reference
	if slices.ContainsFunc(rs, inProcess) {
		f.Group("With --reference, the textbook form (docs/reference.md)", ref.flags)
	}
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return err
	}
	i, err := runners.Choose(rs, *chosen)
	if err != nil {
		return err
	}
	r := rs[i]
	for _, g := range slices.Delete(slices.Clone(own), i, i+1) {
		if given := g.Given(); given != "" {
			return fmt.Errorf("--%s is not for --runner %s (see %s --help)", given, r.Name(), name)
		}
	}
	job.KeyGroups = cmp.Or(job.KeyGroups, r.KeyGroups())
	job.Log = service.Logger(env.Stderr, job.Level, "pipeline")
	// Prism and kafka-go's callers in DoFns log here; Prism says much about each bundle.
	slog.SetDefault(service.Logger(env.Stderr, max(job.Level, slog.LevelWarn), "pipeline"))
	if ref.wanted {
		return ref.run(ctx, job, r)
	}
	return r.Run(ctx, job)
}
