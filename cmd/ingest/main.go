// Command ingest runs one ingest node alone: POST /ingest into Kafka.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"pulseboard/ingest"
	"pulseboard/internal/auth"
	"pulseboard/internal/conf"
	"pulseboard/internal/host"
	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/service"
	"pulseboard/wire"
)

func about() string {
	return `
ingest takes events over HTTP and answers when Kafka has acknowledged them.

  ingest --kafka k1:9092,k2:9092 --addr 0.0.0.0:8081 --tokens tokens.yaml

  curl localhost:8081/ingest -H 'Content-Type: application/json' \
    -d '{"metric_name":"api.request.latency","value":12.5,"tags":{"host":"a"}}'

It serves
` + ingest.Usage() + `  /openapi.yaml          the whole API
  /metrics               Prometheus metrics
  /healthz               200 while it serves
  /readyz                200 while Kafka takes events, else 503 with what is wrong

With --statsd it takes StatsD and DogStatsD too, over UDP and TCP, and with
--otlp-grpc OpenTelemetry's metrics over gRPC. With
--topic-format it reads what Telegraf, Kafka Connect or OpenTelemetry's Kafka
exporter have written to topics of their own in the same Kafka:

  ingest --kafka k1:9092 --topic-format telegraf=influx --topic-format otlp_metrics=otlp_proto

Nodes keep nothing: any number may run behind a load balancer. 200 means stored
by all in-sync replicas; 503 says which events are not acknowledged, 429 that
this node has as much waiting as it may hold.

With --tokens, they ask for a token with the scope ingest. Without, anybody may
send, so it listens on loopback only.`
}

func main() { os.Exit(service.Main("ingest", run)) }

type options struct {
	host   host.Options
	config ingest.Config
}

func parse(env service.Env) (options, error) {
	var o options
	f := conf.New("ingest", about())
	o.host.Flags(f, "127.0.0.1:8081", slog.LevelInfo, auth.Ingest)
	kafkaconn.Flags(f, &o.config.Kafka, "`addresses` of Kafka brokers, host:port, separated by commas", "127.0.0.1:9092")
	f.StringVar(&o.config.Topic, "topic", wire.Topic, "`topic` of the events")
	f.StringVar(&o.config.DeadLetter, "dead-letter-topic", wire.DeadLetterTopic, "`topic` of the pipeline's dead letters, made here with the other")
	create := f.Bool("create-topics", true, "make topics that are missing, with the broker's default replication; --create-topics=false leaves them to others")
	f.IntVar(&o.config.Partitions, "partitions", wire.Partitions, "`number` of partitions of the events' topic when it is made")
	f.DurationVar(&o.config.Limits.Late, "lateness", time.Minute, "oldest event time that is taken, a `duration` before arrival; the same as the pipeline's")
	f.DurationVar(&o.config.Limits.Ahead, "skew", 2*time.Second, "newest event time that is taken, a `duration` after arrival; the same as the pipeline's")
	f.Int64Var(&o.config.MaxPending, "max-pending", 256<<20, "most `bytes` of request bodies at a time, of which no address or token may hold all; more are answered 429")
	f.DurationVar(&o.config.DeliveryTimeout, "delivery-timeout", ingest.DefaultDeliveryTimeout, "how long a request waits for Kafka, a `duration`, until it is answered 503; on SIGTERM those under way are waited for as long")
	ingest.Flags(f, &o.config)
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return o, err
	}
	o.config.ForeignTopics = !*create
	if o.config.Kafka.IsZero() {
		return o, fmt.Errorf("--kafka is empty: name at least one broker as host:port")
	}
	if t := o.config.DeliveryTimeout; t < 100*time.Millisecond || t > 45*time.Second {
		return o, fmt.Errorf("--delivery-timeout is %v: it must be 100ms to 45s", t)
	}
	o.host.Drain = o.config.DeliveryTimeout + time.Second
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
	return host.Run(ctx, env, "ingest", o.host, func(ctx context.Context, h *host.Host) error {
		s, err := ingest.Open(ctx, h, o.config)
		if err != nil {
			return err
		}
		h.ServeAlone(ctx, s.Handler())
		return nil
	})
}
