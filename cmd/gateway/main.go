// Command gateway runs the gateway alone: the streams that bring results to
// browsers, and the page that shows them.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"pulseboard/gateway"
	"pulseboard/internal/audit"
	"pulseboard/internal/auth"
	"pulseboard/internal/conf"
	"pulseboard/internal/health"
	"pulseboard/internal/redisconn"
	"pulseboard/internal/service"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/web"
)

const about = `
gateway brings the results of dashboards to browsers, live.

  gateway --redis redis:6379 --addr 0.0.0.0:8083 --tokens tokens.yaml --origins https://metrics.example.org

It serves
  /stream/{dashboard_id}    WebSocket, subprotocol pulseboard.v1; the client speaks first: {"type":"hello"}
  /stream/{dashboard_id}/events
                            the same as Server-Sent Events; ?max_hz=0.5&var-host=a as in a hello
  /dashboards/{id}/widgets/{wid}/snapshot
                            the current value of one widget
  /openapi.yaml             the whole API
  /metrics                  Prometheus metrics
  /healthz                  200 while it serves
  /readyz                   200 while it takes streams, Redis away or not
  everything else           the page; it asks its own origin for /dashboards, so put
                            gateway and config service behind one address

A gateway keeps nothing but its connections: any number of them may run, and a
client may come back to any. It subscribes only to what its clients look at.
On SIGTERM it asks its clients to come back, spread over some seconds.

With --tokens, streams and snapshots ask for a token with the scope view: in the
hello of a stream, {"type":"hello","token":"…"}, else Authorization: Bearer TOKEN.
The page asks its visitor. Without --tokens anybody may look, so it listens on
loopback only.`

func main() { os.Exit(service.Main("gateway", run)) }

type options struct {
	addr             string
	redis            redisconn.Endpoint
	tokens           string
	audit            string
	edge             service.Edge
	heartbeat, slice time.Duration
	maxConnections   int
	maxPerAddress    int
	level            slog.Level
}

func parse(env service.Env) (options, error) {
	var o options
	f := conf.New("gateway", about)
	f.StringVar(&o.addr, "addr", "127.0.0.1:8083", "`host:port` to listen on")
	auth.TokensFlag(f.FlagSet, &o.tokens)
	audit.Flag(f.FlagSet, &o.audit)
	o.edge.Flags(f.FlagSet)
	o.edge.ProxyFlags(f.FlagSet)
	redisconn.Flags(f, &o.redis, "127.0.0.1:6379", "Redis that holds results and dashboards")
	f.IntVar(&o.maxConnections, "max-connections", 20_000, "most streams at a time, a `number`; more are answered 503")
	f.IntVar(&o.maxPerAddress, "max-connections-per-address", 0, "most streams of one address, a `number`; more are answered 429; 0 = a quarter of --max-connections,\nand all but an eighth for this machine and for trusted proxies that name nobody")
	f.DurationVar(&o.heartbeat, "heartbeat", 5*time.Second, "longest silence of a stream, a `duration`")
	f.DurationVar(&o.slice, "slice", time.Second, "the pipeline's slice, the `duration` that refresh intervals are multiples of; the same as the pipeline's")
	f.TextVar(&o.level, "log-level", slog.LevelInfo, "least `level` that is logged: debug, info, warn or error")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return o, err
	}
	if err := auth.CheckAddr("--addr", o.addr, o.tokens, auth.View); err != nil {
		return o, err
	}
	if o.slice <= 0 || o.slice%time.Millisecond != 0 {
		return o, fmt.Errorf("--slice is %v: it must be whole milliseconds above 0, such as 250ms or 1s", o.slice)
	}
	if o.heartbeat < 100*time.Millisecond || o.heartbeat > time.Minute {
		return o, fmt.Errorf("--heartbeat is %v: it must be 100ms to 1m", o.heartbeat)
	}
	if o.maxConnections < 1 {
		return o, fmt.Errorf("--max-connections is %d: it must be at least 1", o.maxConnections)
	}
	if o.maxPerAddress < 0 {
		return o, fmt.Errorf("--max-connections-per-address is %d: it must be at least 0", o.maxPerAddress)
	}
	return o, nil
}

func run(ctx context.Context, env service.Env) (err error) {
	o, err := parse(env)
	if err != nil {
		return err
	}
	if env.Getenv("GOGC") == "" {
		// A gateway's memory is points and streams that stay: half as much room for what
		// does not costs little more collecting.
		debug.SetGCPercent(50)
	}
	log := service.Logger(env.Stderr, o.level, "gateway")
	metrics := service.NewMetrics()
	proxies, err := service.ParseProxies(o.edge.Proxies)
	if err != nil {
		return err
	}
	record, err := audit.Open(audit.Config{Path: o.audit, Address: proxies.Address, Service: "gateway", Stdout: env.Stdout, Metrics: metrics, Log: log})
	if err != nil {
		return err
	}
	guard, err := auth.Open(o.tokens, auth.Config{Audit: record, Metrics: metrics, Log: log})
	if err != nil {
		return err
	}
	server, err := service.NewServer(service.ServerConfig{Edge: o.edge, Tokens: o.tokens != "", Refused: record.RefuseRequest, Streams: o.maxConnections, Metrics: metrics, Log: log})
	if err != nil {
		return err
	}

	ln, err := service.Listen(ctx, o.addr)
	if err != nil {
		return err
	}
	defer func() { _ = ln.Close() }() // Closed already when serving has begun.

	store, err := results.Open(ctx, o.redis)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	reg, err := registry.Open(ctx, o.redis, registry.WithLog(log))
	if err != nil {
		return err
	}
	defer func() { _ = reg.Close() }() // Nothing is under way any more.

	svc, err := gateway.New(gateway.Config{
		Results: store, Dashboards: reg, Page: web.Handler(), Build: web.Build(), Origins: o.edge.Origins, MaxConnections: o.maxConnections,
		MaxPerAddress: o.maxPerAddress, TrustedProxies: o.edge.Proxies,
		Heartbeat: o.heartbeat, Slice: o.slice, Guard: guard, Audit: record, Metrics: metrics, Log: log,
	})
	if err != nil {
		return err
	}

	ready, err := health.New(metrics, log, svc.Checks()...)
	if err != nil {
		return err
	}
	log.Info("listening", "addr", ln.Addr().String())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return server.Serve(ctx, ln, service.Mux(svc.Handler(), metrics, ready)) })
	g.Go(func() error { return svc.Run(ctx) })
	g.Go(func() error { return guard.Run(ctx) })
	g.Go(func() error { return ready.Run(ctx) })
	g.Go(func() error { return record.Run(ctx) })
	return g.Wait()
}
