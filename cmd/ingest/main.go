// Command ingest runs one ingest node alone: POST /ingest into Kafka.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"pulseboard/ingest"
	"pulseboard/internal/audit"
	"pulseboard/internal/auth"
	"pulseboard/internal/conf"
	"pulseboard/internal/health"
	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/service"
	"pulseboard/metric"
)

const about = `
ingest takes events over HTTP and answers when Kafka has acknowledged them.

  ingest --kafka k1:9092,k2:9092 --addr 0.0.0.0:8081 --tokens tokens.yaml

  curl localhost:8081/ingest -H 'Content-Type: application/json' \
    -d '{"metric_name":"api.request.latency","value":12.5,"tags":{"host":"a"}}'

It serves
  /ingest        POST: an event, an array or {"events":[…]}, or one event a line (application/x-ndjson)
  /write, /api/v2/write
                 POST: lines of InfluxDB, as Telegraf and the clients of InfluxDB send them
  /openapi.yaml  the whole API
  /metrics       Prometheus metrics
  /healthz       200 while it serves
  /readyz        200 while Kafka takes events, else 503 with what is wrong

Nodes keep nothing: any number may run behind a load balancer. 200 means stored
by all in-sync replicas; 503 says which events are not acknowledged, 429 that
this node has as much waiting as it may hold.

With --tokens, they ask for a token with the scope ingest (Authorization: Bearer
TOKEN, for lines also Token TOKEN). Without, anybody may send, so it listens on loopback only.`

func main() { os.Exit(service.Main("ingest", run)) }

type options struct {
	addr     string
	tokens   string
	audit    string
	edge     service.Edge
	config   ingest.Config
	ensure   bool
	patience time.Duration
	level    slog.Level
}

func parse(env service.Env) (options, error) {
	var o options
	f := conf.New("ingest", about)
	f.StringVar(&o.addr, "addr", "127.0.0.1:8081", "`host:port` to listen on")
	auth.TokensFlag(f.FlagSet, &o.tokens)
	audit.Flag(f.FlagSet, &o.audit)
	o.edge.Flags(f.FlagSet)
	o.edge.ProxyFlags(f.FlagSet)
	kafkaconn.Flags(f, &o.config.Kafka, "`addresses` of Kafka brokers, host:port, separated by commas", "127.0.0.1:9092")
	f.StringVar(&o.config.Topic, "topic", metric.Topic, "`topic` of the events")
	f.StringVar(&o.config.DeadLetter, "dead-letter-topic", metric.DeadLetterTopic, "`topic` of the pipeline's dead letters, made here with the other")
	f.BoolVar(&o.ensure, "create-topics", true, "make topics that are missing, with the broker's default replication; --create-topics=false leaves them to others")
	f.IntVar(&o.config.Partitions, "partitions", 16, "`number` of partitions of the events' topic when it is made")
	f.DurationVar(&o.config.Limits.Late, "lateness", time.Minute, "oldest event time that is taken, a `duration` before arrival; the same as the pipeline's")
	f.DurationVar(&o.config.Limits.Ahead, "skew", 2*time.Second, "newest event time that is taken, a `duration` after arrival; the same as the pipeline's")
	f.Int64Var(&o.config.MaxPending, "max-pending", 256<<20, "most `bytes` of request bodies at a time, of which no address or token may hold all; more are answered 429")
	f.DurationVar(&o.patience, "patience", 10*time.Second, "how long a request waits for Kafka, a `duration`, until it is answered 503")
	f.TextVar(&o.level, "log-level", slog.LevelInfo, "least `level` that is logged: debug, info, warn or error")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return o, err
	}
	if err := auth.CheckAddr("--addr", o.addr, o.tokens, auth.Ingest); err != nil {
		return o, err
	}
	if o.config.Kafka.IsZero() {
		return o, fmt.Errorf("--kafka is empty: name at least one broker as host:port")
	}
	if o.patience < 100*time.Millisecond || o.patience > 45*time.Second {
		return o, fmt.Errorf("--patience is %v: it must be 100ms to 45s", o.patience)
	}
	if o.config.Limits.Late <= 0 || o.config.Limits.Ahead <= 0 {
		return o, fmt.Errorf("--lateness is %v and --skew %v: both must be above 0", o.config.Limits.Late, o.config.Limits.Ahead)
	}
	if o.config.Partitions < 1 {
		return o, fmt.Errorf("--partitions is %d: it must be at least 1", o.config.Partitions)
	}
	return o, nil
}

func run(ctx context.Context, env service.Env) error {
	o, err := parse(env)
	if err != nil {
		return err
	}
	log := service.Logger(env.Stderr, o.level, "ingest")
	metrics := service.NewMetrics()
	proxies, err := service.ParseProxies(o.edge.Proxies)
	if err != nil {
		return err
	}
	record, err := audit.Open(audit.Config{Path: o.audit, Address: proxies.Address, Service: "ingest", Stdout: env.Stdout, Metrics: metrics, Log: log})
	if err != nil {
		return err
	}
	guard, err := auth.Open(o.tokens, auth.Config{Audit: record, Metrics: metrics, Log: log})
	if err != nil {
		return err
	}
	server, err := service.NewServer(service.ServerConfig{Edge: o.edge, Tokens: o.tokens != "", Refused: record.RefuseRequest, Metrics: metrics, Log: log})
	if err != nil {
		return err
	}

	ln, err := service.Listen(ctx, o.addr)
	if err != nil {
		return err
	}
	defer func() { _ = ln.Close() }() // Closed already when serving has begun.

	o.config.Patience, o.config.Audit, o.config.Guard, o.config.Metrics, o.config.Log = o.patience, record, guard, metrics, log
	o.config.TrustedProxies = o.edge.Proxies
	svc, err := ingest.New(o.config)
	if err != nil {
		return err
	}
	if o.ensure {
		err = svc.EnsureTopics(ctx)
	} else {
		err = svc.Healthy(ctx)
	}
	if err != nil {
		return err
	}

	ready, err := health.New(metrics, log, svc.Checks()...)
	if err != nil {
		return err
	}
	log.Info("listening", "addr", ln.Addr().String(), "kafka", o.config.Kafka)
	// Requests end first: they wait for what Run looks after.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer stop()
		return server.Serve(ctx, ln, service.Mux(svc.Handler(), metrics, ready))
	})
	g.Go(func() error { return svc.Run(running) })
	g.Go(func() error { return guard.Run(ctx) })
	g.Go(func() error { return ready.Run(ctx) })
	g.Go(func() error { return record.Run(ctx) })
	return g.Wait()
}
