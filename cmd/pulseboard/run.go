package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/clients/dashcode"
	"pulseboard/clients/demo"
	"pulseboard/configsvc"
	examples "pulseboard/deploy/dashboards"
	"pulseboard/gateway"
	"pulseboard/gateway/stream"
	"pulseboard/ingest"
	"pulseboard/internal/auth"
	"pulseboard/internal/conf"
	"pulseboard/internal/embedded"
	"pulseboard/internal/health"
	"pulseboard/internal/host"
	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/memory"
	"pulseboard/internal/redisconn"
	"pulseboard/internal/scrape"
	"pulseboard/internal/service"
	"pulseboard/pipeline"
	"pulseboard/pipeline/runners"
	"pulseboard/pipeline/supervisor"
	"pulseboard/web"
)

const aboutRun = `
pulseboard run starts everything on this machine and prints the address of the
page: Kafka and Redis (its own, unless told of others), the Beam pipeline on
Prism as a process of its own, the dashboards' API, ingest and the stream.

  pulseboard run
  pulseboard run --addr 127.0.0.1:9000 --data-dir /var/lib/pulseboard --no-demo
  pulseboard run --kafka k1:9092,k2:9092 --redis r1:6379 --database /srv/dashboards.db

This is the single-machine form. Without tokens it listens on loopback only, for
everybody on this machine, as does the embedded Kafka with tokens too; its Redis and
the pipeline are this user's alone. For others, give it a file of tokens:

  pulseboard token create --name me --scopes admin --file tokens.yaml
  pulseboard run --addr 0.0.0.0:8080 --tokens tokens.yaml

The page then asks for the token, and programs send it as Authorization: Bearer
TOKEN. /metrics, /healthz and /readyz stay open. Add --tls-cert and --tls-key, or put a proxy
with TLS before it: tokens and values go over the wire in clear text otherwise
(docs/access.md).

Events and dashboards are kept in the data folder: they survive the kill of any process,
but the embedded Kafka does not wait for the disk, so a power cut may cost the
last seconds. Where that matters, name a Kafka of your own.

Send an event:
  curl localhost:8080/ingest -H 'Content-Type: application/json' \
    -d '{"metric_name":"hello.world","value":1}'`

type runOptions struct {
	host     host.Options
	dir      string
	noDemo   bool
	noCanary bool
	slice    time.Duration
	bound    time.Duration
	replicas string
	kafka    kafkaconn.Endpoint
	redis    redisconn.Endpoint
	database configsvc.Database
	runner   pipeline.OneMachine
	memory   int64
	ingest   ingest.Config
}

func parseRun(env service.Env) (*runOptions, error) {
	o := &runOptions{}
	f := conf.New("pulseboard run", aboutRun)
	o.host.Flags(f, "127.0.0.1:8080", slog.LevelWarn, auth.Ingest, auth.Edit)
	o.host.Streams, o.host.Drain = maxStreams, ingest.DefaultDeliveryTimeout+time.Second
	f.StringVar(&o.dir, "data-dir", ".pulseboard", "`folder` of events and dashboards, for one pulseboard at a time")
	f.BoolVar(&o.noDemo, "no-demo", false, "do not show this machine's own figures")
	f.BoolVar(&o.noCanary, "no-canary", false, "do not send an event a second through everything to see that all is well, see pulseboard canary --help")
	f.DurationVar(&o.slice, "slice", time.Second, "`length` of the slices that windows are made of, the shortest refresh interval: 1s, 500ms or 250ms")
	f.DurationVar(&o.bound, "bound", 200*time.Millisecond, "`delay` of pipeline time behind the newest record, see pipeline --help")
	pipeline.ReplicaFlag(f, &o.replicas)
	kafkaconn.Flags(f, &o.kafka, "`addresses` of Kafka brokers, host:port, separated by commas; empty = an embedded one in the data folder")
	redisconn.Flags(f, &o.redis, "", "Redis; empty = redis-server when it is on PATH, else an embedded one")
	configsvc.DatabaseFlags(f, &o.database, "", "`database` of dashboards; empty = a file in the data folder")
	here := oneMachine()
	runner := runners.Flag(f, here)
	for _, r := range here {
		f.Group("With --runner "+r.Name(), r.MachineFlags)
	}
	f.Group("Events", func(f *conf.Flags) { ingest.Flags(f, &o.ingest) })
	f.Int64Var(&o.memory, "memory", 0, "`bytes` that all of it may use together, shared out among its processes; 0 = what its memory group has, else half of the machine")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return nil, err
	}
	if o.kafka.IsZero() && len(o.ingest.OtherTopics) > 0 {
		return nil, errors.New("--topic-format needs --kafka: nobody writes topics of their own to the embedded Kafka, whose address is another at each start")
	}
	if err := errors.Join(pipeline.CheckSlice(o.slice), pipeline.CheckReplicaTag(o.replicas)); err != nil {
		return nil, err
	}
	i, err := runners.Choose(here, *runner)
	if err != nil {
		return nil, err
	}
	o.runner = here[i]
	if err := o.runner.Check(pipeline.Machine{Dir: o.dir}); err != nil {
		return nil, err
	}
	return o, nil
}

// run starts the parts in the order of what they need, and ends them in the reverse:
//
//	kafka ─ redis ─ config service ─ pipeline process ─ gateway ─ ingest ─ HTTP ─ demo ─ canary
func run(ctx context.Context, env service.Env) error {
	o, err := parseRun(env)
	if err != nil {
		return err
	}
	if err := memory.CheckAddressSpace(); err != nil {
		return err
	}
	return host.Run(ctx, env, "pulseboard", o.host, func(ctx context.Context, h *host.Host) error {
		release, err := lockFolder(o.dir)
		if err != nil {
			return err
		}
		h.Cleanup(ctx, "data folder", release)
		a := &app{Host: h, options: o, addr: reachable(h.Listener.Addr())}
		a.shareMemory()
		if err := a.start(ctx); err != nil {
			return err
		}
		a.printAddress()
		h.Cleanup(ctx, "everything", func() error {
			_, _ = fmt.Fprintln(env.Stdout, "Ending…")
			return nil
		})
		return nil
	})
}

// printAddress says on the standard output where everything is.
func (a *app) printAddress() {
	who := "no tokens: open to everybody on this machine"
	if a.Tokens != "" {
		who = "asks for a token of " + a.Tokens
	}
	further := ""
	if at := a.ingest.StatsD(); at != nil {
		further += fmt.Sprintf("  StatsD %s, UDP and TCP\n", at)
	}
	if at := a.ingest.OTLP(); at != nil {
		further += fmt.Sprintf("  OTLP over gRPC %s\n", at)
	}
	_, _ = fmt.Fprintf(a.Env.Stdout, "Pulseboard is running: %s/\n  Listens on %s, %s\n%s  Kafka %s (%s)\n  Redis %s (%s)\n  Memory %s\n  Ctrl-C ends it.\n",
		a.Edge.URL(a.addr), a.Listener.Addr(), who, further, a.kafka, a.kafkaKind, a.redis, a.redisKind, a.tellMemory())
	if _, built := web.Dist(); !built {
		_, _ = fmt.Fprintln(a.Env.Stdout, "The page is not built into this program: install Node and run make build. The API works.")
	}
}

// reachable is where this machine finds a listener, which may be on all addresses.
func reachable(at net.Addr) string {
	if tcp, ok := at.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return at.String()
}

// shareMemory decides what each of the processes may use, and bounds this one.
func (a *app) shareMemory() {
	total := memory.Limit{Bytes: a.options.memory, From: "--memory"}
	if total.Bytes == 0 {
		total = memory.Available()
	}
	a.memory, a.memoryFrom = memory.Share(total.Bytes), total.From
	memory.LimitHeap(a.memory.Own)
	a.Metrics.MustRegister(a.memory.Collector())
}

// tellMemory is a line for who starts the program.
func (a *app) tellMemory() string {
	if a.memory.Total == 0 {
		return "not bounded: " + a.memoryFrom
	}
	return fmt.Sprintf("%s, by %s: pipeline %s, Redis %s, this process %s", memory.Text(a.memory.Total), a.memoryFrom,
		memory.Text(a.memory.Pipeline), memory.Text(a.memory.Redis), memory.Text(a.memory.Own))
}

// app is what the parts share while they are started.
type app struct {
	*host.Host

	options *runOptions
	addr    string // Where this machine finds the server.

	memory     memory.Shares
	memoryFrom string

	kafka     kafkaconn.Endpoint
	redis     redisconn.Endpoint
	kafkaKind string
	redisKind string
	pipeline  *scrape.Scraper
	ingest    *ingest.Service
	mux       *http.ServeMux
}

func (a *app) start(ctx context.Context) error {
	a.mux = http.NewServeMux()
	for _, part := range []func(context.Context) error{
		a.startKafka, a.startRedis, a.startConfig, a.startPipeline, a.startGateway, a.startIngest,
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	a.Ready.Add(health.Pipeline(a.pipeline)...)
	a.Ready.Add(health.Disk("data-dir", a.options.dir))
	if !a.options.noCanary {
		a.Ready.Add(health.Canary(a.Metrics))
	}
	a.Serve(ctx, service.Mux(a.mux, prometheus.Gatherers{a.Metrics, a.pipeline}, a.Ready))
	if !a.options.noDemo {
		a.startDemo(ctx)
	}
	if a.options.noCanary {
		return nil
	}
	return a.startCanary(ctx)
}

func (a *app) startKafka(ctx context.Context) error {
	if !a.options.kafka.IsZero() {
		a.kafka, a.kafkaKind = a.options.kafka, "external"
		return nil
	}
	k, err := embedded.StartKafka(ctx, embedded.KafkaConfig{Dir: filepath.Join(a.options.dir, "kafka"), Log: a.Log("kafka")})
	if err != nil {
		return err
	}
	a.Metrics.MustRegister(embedded.Collectors()...)
	a.Cleanup(ctx, "kafka", func() error { k.Close(); return nil })
	a.kafka, a.kafkaKind = kafkaconn.At(k.Addr()), "embedded, "+filepath.Join(a.options.dir, "kafka")+"; open to everybody on this machine"
	return nil
}

func (a *app) startRedis(ctx context.Context) error {
	if !a.options.redis.IsZero() {
		a.redis, a.redisKind = a.options.redis, "external"
		return nil
	}
	redis := embedded.RedisConfig{Dir: a.options.dir, Log: a.Log("redis")}
	if a.memory.Redis > 0 {
		redis.MaxMemory = strconv.FormatInt(a.memory.Redis, 10)
	}
	if a.Level <= slog.LevelInfo {
		redis.Output = a.Env.Stderr // It tells of every start; its last lines are in the error of one that fails.
	}
	r, err := embedded.StartRedis(ctx, redis)
	if err != nil {
		return err
	}
	a.redis, a.redisKind = redisconn.At(r.Addr()), r.Kind()
	a.Start(ctx, "redis", func(ctx context.Context) error { return a.keepRedis(ctx, redis, r) })
	return nil
}

// keepRedis starts Redis again when it ends, empty and at the same address: the
// others write into it again what they need there.
func (a *app) keepRedis(ctx context.Context, c embedded.RedisConfig, r *embedded.Redis) error {
	for {
		select {
		case <-ctx.Done():
			return r.Close()
		case <-r.Done():
		}
		c.Log.Error("Redis ended by itself; it is started again", "error", r.Err())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(redisPause):
		}
		var err error
		if r, err = embedded.StartRedis(ctx, c); err != nil {
			return err
		}
		if r.Addr() != a.redis.String() {
			return errors.Join(fmt.Errorf("Redis came back at %s, not at %s", r.Addr(), a.redis), r.Close()) //nolint:staticcheck // A name begins the text.
		}
	}
}

// redisPause keeps a Redis that cannot live from being started all the time.
const redisPause = 200 * time.Millisecond

// maxStreams is how many the gateway of this process may have open.
const maxStreams = 20_000

func (a *app) startConfig(ctx context.Context) error {
	database := a.options.database
	if database.IsZero() {
		database = configsvc.SQLite(filepath.Join(a.options.dir, "pulseboard.db"))
	}
	s, err := configsvc.Open(ctx, a.Host, database, a.redis, configsvc.Config{
		EditRate: configsvc.DefaultEditRate,
		Rules:    configsvc.Rules{SliceMs: a.options.slice.Milliseconds(), MaxWindowSeconds: int(pipeline.Default().MaxWindow.Seconds())},
	})
	if err != nil {
		return err
	}
	if !a.options.noDemo {
		if err := seed(ctx, s, a.options.slice); err != nil {
			return err
		}
	}
	for _, path := range []string{"/dashboards", "/dashboards/", "/metrics/catalog", "/limits", "/openapi.yaml", "/docs"} {
		a.mux.Handle(path, s.Handler())
	}
	return nil
}

// seed adds the example dashboards. What people did with them stays.
func seed(ctx context.Context, s *configsvc.Service, slice time.Duration) error {
	set, err := dashcode.LoadFS(examples.Files, configsvc.Rules{SliceMs: slice.Milliseconds()})
	if err != nil {
		return err
	}
	for _, item := range set.Items {
		if _, err := s.Seed(ctx, item.Dashboard); err != nil {
			return err
		}
	}
	return nil
}

// startPipeline has the runner start the job, again after each of its ends.
func (a *app) startPipeline(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find this program to start the pipeline: %w", err)
	}
	// A socket's path may have 107 bytes, which a data folder can exceed.
	socketDir, err := os.MkdirTemp("", "pulseboard-")
	if err != nil {
		return fmt.Errorf("cannot make a folder for the pipeline's socket: %w", err)
	}
	a.Cleanup(ctx, "pipeline socket", func() error { return os.RemoveAll(socketDir) })
	socket := filepath.Join(socketDir, "pipeline")
	a.pipeline = scrape.New(socket)
	m := pipeline.Machine{
		Dir: a.options.dir, Program: program, Socket: socket, Holder: rand.Text(),
		Kafka: a.kafka, Redis: a.redis, Slice: a.options.slice, Bound: a.options.bound, ReplicaTag: a.options.replicas, Memory: a.memory.Pipeline,
		Level: a.Level, Pprof: a.Pprof, Output: a.Env.Stderr, Log: a.Log("pipeline"),
	}
	s := supervisor.New(a.Log("supervisor"), func(ctx context.Context, starved int) (supervisor.Process, error) {
		return a.options.runner.Start(ctx, m, starved)
	})
	a.Metrics.MustRegister(s.Collectors()...)
	a.Ready.Add(health.Check{Name: "pipeline-process", Probe: s.Healthy})
	a.Start(ctx, "pipeline", s.Run)
	return nil
}

// oneMachine is the runners that run can start, the default first.
func oneMachine() (here []pipeline.OneMachine) {
	for _, r := range runners.All() {
		if r, ok := r.(pipeline.OneMachine); ok {
			here = append(here, r)
		}
	}
	return here
}

func (a *app) startGateway(ctx context.Context) error {
	s, err := gateway.Open(ctx, a.Host, a.redis, gateway.Config{Options: stream.Options{MaxConnections: maxStreams}, Slice: a.options.slice})
	if err != nil {
		return err
	}
	a.mux.Handle("/", s.Handler())
	a.mux.Handle("/dashboards/{id}/widgets/{wid}/snapshot", s.Handler())
	return a.watchResults(ctx)
}

func (a *app) startIngest(ctx context.Context) error {
	a.options.ingest.Kafka = a.kafka
	s, err := ingest.Open(ctx, a.Host, a.options.ingest)
	if err != nil {
		return err
	}
	a.ingest = s
	for _, path := range ingest.Routes() {
		a.mux.Handle(path, s.Handler())
	}
	return nil
}

func (a *app) startDemo(ctx context.Context) {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	names := map[string]string{
		"events accepted":  "pulseboard_ingest_events_accepted_total",
		"events counted":   "pulseboard_pipeline_events_total",
		"windows computed": "pulseboard_pipeline_results_total",
		"frames sent":      "pulseboard_gateway_frames_total",
	}
	all := prometheus.Gatherers{a.Metrics, a.pipeline}
	a.Start(ctx, "demo", func(ctx context.Context) error {
		demo.Run(ctx, demo.Config{
			IngestURL: a.Edge.URL(a.addr) + "/ingest", TLS: a.Server.ClientTLS(), Token: a.Guard.AddInMemory("demo", auth.Ingest), Host: host, Every: time.Second, Log: a.Log("demo"),
			Rates: func(context.Context) (map[string]float64, error) {
				families, err := all.Gather()
				rates := make(map[string]float64, len(names))
				for label, name := range names {
					for _, m := range scrape.Metrics(families, name) {
						rates[label] += m.GetCounter().GetValue()
					}
				}
				return rates, err
			},
		})
		return nil
	})
}
