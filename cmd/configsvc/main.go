// Command configsvc runs the config service alone: the dashboards' API, and
// the publisher that brings their queries to Redis.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"pulseboard/catalog"
	"pulseboard/configsvc"
	"pulseboard/internal/audit"
	"pulseboard/internal/auth"
	"pulseboard/internal/conf"
	"pulseboard/internal/health"
	"pulseboard/internal/redisconn"
	"pulseboard/internal/service"
	"pulseboard/registry"
)

const about = `
configsvc keeps dashboards and tells the pipeline which queries they need.

  configsvc --database /var/lib/pulseboard/pulseboard.db --redis redis:6379

  curl -i localhost:8082/dashboards -H 'Content-Type: application/json' -d '
    {"title":"Web","widgets":[{"metric_name":"http.latency","aggregation":"avg","window_seconds":60}]}'

It serves
  /dashboards…   make, list, read, change and delete dashboards
  /limits        what dashboards, metrics and tokens may use, and what is cut
  /openapi.yaml  the whole API
  /metrics       Prometheus metrics
  /healthz       200 while it serves
  /readyz        200 while the database answers and its disk has room, else 503 with what is wrong

The database is the truth; Redis gets a copy within a second of each change and
whenever it lost it. While Redis is away, dashboards can still be edited.

With --tokens, reading asks for a token with the scope view and changing for edit
(Authorization: Bearer TOKEN). Without, anybody may do both, so it listens on
loopback only.`

func main() { os.Exit(service.Main("configsvc", run)) }

type options struct {
	addr      string
	database  configsvc.Database
	redis     redisconn.Endpoint
	tokens    string
	audit     string
	edge      service.Edge
	slice     time.Duration
	maxWindow int
	editRate  float64
	level     slog.Level
}

func parse(env service.Env) (options, error) {
	var o options
	f := conf.New("configsvc", about)
	f.StringVar(&o.addr, "addr", "127.0.0.1:8082", "`host:port` to listen on")
	auth.TokensFlag(f.FlagSet, &o.tokens)
	audit.Flag(f.FlagSet, &o.audit)
	o.edge.Flags(f.FlagSet)
	o.edge.ProxyFlags(f.FlagSet)
	configsvc.DatabaseFlags(f, &o.database, "pulseboard.db", "`database` that keeps the dashboards")
	redisconn.Flags(f, &o.redis, "127.0.0.1:6379", "Redis that gets queries and dashboards")
	f.DurationVar(&o.slice, "slice", time.Second, "the pipeline's slice, the `duration` that refresh intervals are multiples of; the same as the pipeline's")
	f.IntVar(&o.maxWindow, "max-window", 3600, "longest window of a widget in `seconds`: 3600 where the pipeline runs on Prism, up to 86400 on Flink")
	f.Float64Var(&o.editRate, "edit-rate", configsvc.DefaultEditRate, "edits a second of one token, or of one address without --tokens, a `number`, with ten seconds' worth at once;\nmore are answered 429; 0 = no bound")
	f.TextVar(&o.level, "log-level", slog.LevelInfo, "least `level` that is logged: debug, info, warn or error")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return o, err
	}
	if err := auth.CheckAddr("--addr", o.addr, o.tokens, auth.Edit); err != nil {
		return o, err
	}
	if o.slice <= 0 || o.slice%time.Millisecond != 0 {
		return o, fmt.Errorf("--slice is %v: it must be whole milliseconds above 0, such as 250ms or 1s", o.slice)
	}
	if o.maxWindow < 1 {
		return o, fmt.Errorf("--max-window is %d: it must be at least 1", o.maxWindow)
	}
	return o, nil
}

func run(ctx context.Context, env service.Env) (err error) {
	o, err := parse(env)
	if err != nil {
		return err
	}
	log := service.Logger(env.Stderr, o.level, "configsvc")
	metrics := service.NewMetrics()
	proxies, err := service.ParseProxies(o.edge.Proxies)
	if err != nil {
		return err
	}
	record, err := audit.Open(audit.Config{Path: o.audit, Address: proxies.Address, Service: "configsvc", Stdout: env.Stdout, Metrics: metrics, Log: log})
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

	store, err := configsvc.OpenStore(ctx, o.database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	reg, err := registry.Open(ctx, o.redis, registry.WithLog(log))
	if err != nil {
		return err
	}
	defer func() { _ = reg.Close() }() // Nothing is under way any more.

	installation, err := store.Installation(ctx)
	if err != nil {
		return err
	}
	mirror, err := reg.NewMirror(ctx, installation)
	if err != nil {
		return err
	}
	live, err := catalog.Open(ctx, o.redis)
	if err != nil {
		return err
	}
	defer func() { _ = live.Close() }() // It was only read.
	catalogue := catalog.NewCatalogue(live, log)
	metrics.MustRegister(catalogue.Collectors()...)

	svc, err := configsvc.New(configsvc.Config{
		Store: store, Registry: mirror, SliceMs: o.slice.Milliseconds(), MaxWindowSeconds: o.maxWindow,
		Catalogue: catalogue, Limits: reg, EditRate: o.editRate, TrustedProxies: o.edge.Proxies, Guard: guard, Audit: record, Metrics: metrics, Log: log,
	})
	if err != nil {
		return err
	}

	ready, err := health.New(metrics, log, svc.Checks()...)
	if err != nil {
		return err
	}
	log.Info("listening", "addr", ln.Addr().String(), "database", o.database)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return server.Serve(ctx, ln, service.Mux(svc.Handler(), metrics, ready)) })
	g.Go(func() error { return svc.Run(ctx) })
	g.Go(func() error { return catalogue.Watch(ctx) })
	g.Go(func() error { return guard.Run(ctx) })
	g.Go(func() error { return ready.Run(ctx) })
	g.Go(func() error { return record.Run(ctx) })
	return g.Wait()
}
