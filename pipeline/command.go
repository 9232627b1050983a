package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"pulseboard/internal/conf"
	"pulseboard/internal/health"
	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/memory"
	"pulseboard/internal/redisconn"
	"pulseboard/internal/service"
	"pulseboard/metric"
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
	if IsWorker(env.Args) {
		return RunWorker(ctx, env.Args)
	}
	if command := flinkCommand(first(env.Args)); command != nil {
		env.Args = env.Args[1:]
		return command(ctx, env)
	}
	if isFlink(env) {
		return submitCommand(ctx, env)
	}
	c := Default()
	c.StateBytes = 0
	if holder := env.Getenv(HolderEnv); holder != "" {
		c.Holder = holder
	}
	f := conf.New("pipeline", about)
	jobFlags(f, &c)
	ref := ReferenceConfig{Period: time.Second, Runner: RunnerPrism}
	reference := f.Bool("reference", false, "the textbook form, see docs/reference.md; the flags below are for it only")
	f.Func("query", "`metric key` to compute, may be given more than once; none = all of the registry", func(s string) error {
		q, err := metric.ParseKey(s)
		ref.Queries = append(ref.Queries, q)
		return err
	})
	f.DurationVar(&ref.Period, "refresh", ref.Period, "`interval`: a window ends at each multiple of it since the epoch")
	f.StringVar(&ref.Runner, "runner", ref.Runner, "`name` of the Beam runner: prism; flink, the same as pipeline submit; or direct, which is for the bounded reads of --reference")
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
	if err := c.boundMemory(); err != nil {
		return err
	}
	if *reference {
		ref.Config = c
		switch *output {
		case "json":
			ref.JSON = env.Stdout
		case "redis":
		default:
			return fmt.Errorf("--output is %q: it must be json or redis", *output)
		}
		return RunReference(ctx, ref)
	}
	if err := c.Validate(); err != nil {
		return err
	}
	if *metricsAddr == "" {
		return RunPrism(ctx, c)
	}
	server, err := service.NewServer(service.ServerConfig{Edge: edge, Metrics: ofServing(*metricsAddr, metrics), Log: c.Log})
	if err != nil {
		return err
	}
	ln, err := listen(ctx, *metricsAddr)
	if err != nil {
		return err
	}
	ready, err := health.New(ofServing(*metricsAddr, metrics), c.Log, health.Pipeline(metrics)...)
	if err != nil {
		return err
	}
	mux := service.Mux(service.OnlyMetrics(), metrics, ready)
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 2)
	go func() { served <- server.Serve(serving, ln, mux) }()
	go func() { served <- ready.Run(serving) }()
	err = RunPrism(ctx, c)
	stop()
	return errors.Join(err, <-served, <-served)
}

// boundMemory bounds the heap of this process, unless GOMEMLIMIT does, and what of
// it is state, unless a flag does.
func (c *Config) boundMemory() error {
	if err := memory.CheckAddressSpace(); err != nil {
		return err
	}
	limit, from := memory.HeapLimit(), "GOMEMLIMIT"
	if limit == 0 {
		available := memory.Available()
		// The rest is for stacks, and for what the kernel keeps for the process.
		limit, from = memory.LimitHeap(available.Bytes*9/10), available.From
	}
	switch {
	case c.StateBytes > 0:
	case limit > 0:
		c.StateBytes = memory.State(limit)
	default:
		c.StateBytes = Default().StateBytes
	}
	c.Log.Info("memory is bounded", "heap", memory.Text(limit), "by", from, "state", memory.Text(c.StateBytes))
	return nil
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

// ofServing is where the server and its checks register their metrics: nowhere over a
// socket. There pulseboard run asks, which shows those of its own under the same names,
// and /metrics would fail.
func ofServing(addr string, metrics prometheus.Registerer) prometheus.Registerer {
	if strings.HasPrefix(addr, "unix:") {
		return nil
	}
	return metrics
}

func listen(ctx context.Context, addr string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(addr, "unix:")
	if !isUnix {
		return service.Listen(ctx, addr)
	}
	// A socket that a killed process left behind is in the way.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot replace the socket %s: %w", path, err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on the socket %s: %w", path, err)
	}
	return ln, nil
}

// jobFlags are those of every form of the job.
func jobFlags(f *conf.Flags, c *Config) {
	kafkaconn.Flags(f, &c.Kafka, "`addresses` of Kafka brokers, host:port, separated by commas", "127.0.0.1:9092")
	redisconn.Flags(f, &c.Redis, "127.0.0.1:6379", "Redis that has the queries and gets the results")
	f.StringVar(&c.Topic, "topic", c.Topic, "`topic` of the events")
	f.StringVar(&c.DeadLetters, "dead-letter-topic", c.DeadLetters, "`topic` for records that cannot be counted")
	f.DurationVar(&c.Slice, "slice", c.Slice, "`length` of the slices that windows are made of: a divisor of 1s, 50ms or more")
	f.DurationVar(&c.Bound, "bound", c.Bound, "`delay` of pipeline time behind the newest record of a partition;\nrecords that reach Kafka later than this after their timestamp count one refresh later")
	f.DurationVar(&c.Lateness, "lateness", c.Lateness, "`age` beyond which an event is too late and dropped, counted from its record's timestamp")
	f.DurationVar(&c.Skew, "skew", c.Skew, "`time` that an event may be ahead of its record's timestamp")
	f.DurationVar(&c.Dedupe, "dedupe", c.Dedupe, "`time` in which a record with the same header id is a duplicate and left out; 0 = never")
	f.DurationVar(&c.Align, "align", c.Align, "`time` that partitions may be read ahead of one another")
	f.DurationVar(&c.MaxWindow, "max-window", c.MaxWindow, "`length` of the longest window; slices are kept this long")
	f.IntVar(&c.KeyGroups, "key-groups", c.KeyGroups, "`number` of keys that metrics are hashed to")
	f.IntVar(&c.SeriesPerMetric, "series-per-metric", c.SeriesPerMetric, "`number` of series of one metric; further ones are counted together, as __other__")
	f.Int64Var(&c.StateBytes, "state-bytes", c.StateBytes, "`bytes` of memory for all that is held of events: series, trees, ids, what is read ahead and under way;\nbeyond them new series are counted as __other__; on Prism 0 = some half of GOMEMLIMIT, else of what the memory group or machine has")
	f.Float64Var(&c.BudgetShare, "budget-share", c.BudgetShare, "`part`, 0 to 1, of trees, histories and evaluations that one dashboard may have; a metric and a token twice as much.\nWhat is beyond is not computed; GET /limits of the config service names it")
}
