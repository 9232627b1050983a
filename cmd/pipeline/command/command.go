// Package command is the command "pipeline", and "pulseboard pipeline".
package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"pulseboard/internal/conf"
	"pulseboard/internal/health"
	"pulseboard/internal/service"
	"pulseboard/metric"
	"pulseboard/pipeline"
	"pulseboard/pipeline/runners/direct"
	"pulseboard/pipeline/runners/flink"
	"pulseboard/pipeline/runners/prism"
	"pulseboard/textbook"
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
	if flink.IsWorker(env.Args) {
		return flink.RunWorker(ctx, env.Args)
	}
	if command := flink.Command(first(env.Args)); command != nil {
		env.Args = env.Args[1:]
		return command(ctx, env)
	}
	if isFlink(env) {
		return flink.SubmitCommand(ctx, env)
	}
	c := pipeline.Default()
	c.StateBytes = 0
	if holder := env.Getenv(pipeline.HolderEnv); holder != "" {
		c.Holder = holder
	}
	f := conf.New("pipeline", about)
	c.Flags(f)
	ref, runner := textbook.Config{Period: time.Second}, prism.Name
	reference := f.Bool("reference", false, "the textbook form, see docs/reference.md; the flags below are for it only")
	f.Func("query", "`metric key` to compute, may be given more than once; none = all of the registry", func(s string) error {
		q, err := metric.ParseKey(s)
		ref.Queries = append(ref.Queries, q)
		return err
	})
	f.DurationVar(&ref.Period, "refresh", ref.Period, "`interval`: a window ends at each multiple of it since the epoch")
	f.StringVar(&runner, "runner", runner, "`name` of the Beam runner: prism; flink, the same as pipeline submit; or direct, which is for the bounded reads of --reference")
	f.Func("from", "`time` after which windows end, RFC 3339 or epoch milliseconds; empty = since the first record", setTime(&ref.From))
	f.Func("to", "`time` up to which windows end; empty = to the end of the topic, and on prism without --from for ever", setTime(&ref.To))
	output := f.String("output", "json", "`where` results go: json, lines on the standard output, or redis, under ref:<metric key>")
	var edge service.Edge
	edge.Flags(f.FlagSet)
	metricsAddr := f.String("metrics-addr", "", "`address` to serve /metrics, /healthz and /readyz on: host:port, or unix:PATH; empty = not at all")
	var level slog.Level
	f.TextVar(&level, "log-level", slog.LevelInfo, "`level` of the log: DEBUG, INFO, WARN or ERROR")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return err
	}
	c.Log = service.Logger(env.Stderr, level, "pipeline")
	// Prism and kafka-go's callers in DoFns log here; Prism says much about each bundle.
	slog.SetDefault(service.Logger(env.Stderr, max(level, slog.LevelWarn), "pipeline"))
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	c.Metrics = metrics
	if err := c.BoundMemory(); err != nil {
		return err
	}
	if *reference {
		ref.Config = c
		switch runner {
		case prism.Name:
			ref.Execute = prism.Execute
		case direct.Name:
			ref.Execute, ref.ToEnd = direct.Execute, true
		default:
			return fmt.Errorf("--runner is %q: it must be prism or direct", runner)
		}
		switch *output {
		case "json":
			ref.JSON = env.Stdout
		case "redis":
		default:
			return fmt.Errorf("--output is %q: it must be json or redis", *output)
		}
		return textbook.Run(ctx, ref)
	}
	if err := c.Validate(); err != nil {
		return err
	}
	if *metricsAddr == "" {
		return prism.Run(ctx, c)
	}
	server, err := service.NewServer(service.ServerConfig{Edge: edge, Metrics: pipeline.OfServing(*metricsAddr, metrics), Log: c.Log})
	if err != nil {
		return err
	}
	ln, err := pipeline.Listen(ctx, *metricsAddr)
	if err != nil {
		return err
	}
	ready, err := health.New(pipeline.OfServing(*metricsAddr, metrics), c.Log, health.Pipeline(metrics)...)
	if err != nil {
		return err
	}
	mux := service.Mux(service.OnlyMetrics(), metrics, ready)
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 2)
	go func() { served <- server.Serve(serving, ln, mux) }()
	go func() { served <- ready.Run(serving) }()
	err = prism.Run(ctx, c)
	stop()
	return errors.Join(err, <-served, <-served)
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// isFlink reports whether the arguments or the environment name the runner flink.
func isFlink(env service.Env) bool {
	runner := env.Getenv(conf.EnvName("runner"))
	for i, a := range env.Args {
		name, value, ok := strings.Cut(strings.TrimLeft(a, "-"), "=")
		if name != "runner" || !strings.HasPrefix(a, "-") {
			continue
		}
		if runner = value; !ok {
			runner = first(env.Args[i+1:])
		}
	}
	return runner == flink.Name
}

// setTime reads RFC 3339 or epoch milliseconds.
func setTime(t *time.Time) func(string) error {
	return func(s string) error {
		if s == "" {
			return nil
		}
		if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
			*t = time.UnixMilli(ms)
			return nil
		}
		parsed, err := time.Parse(time.RFC3339Nano, s)
		*t = parsed
		return err
	}
}
