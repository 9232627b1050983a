// Command gateway runs the gateway alone: the streams that bring results to
// browsers, and the page that shows them.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"pulseboard/gateway"
	"pulseboard/internal/auth"
	"pulseboard/internal/conf"
	"pulseboard/internal/host"
	"pulseboard/internal/redisconn"
	"pulseboard/internal/service"
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
	host   host.Options
	redis  redisconn.Endpoint
	config gateway.Config
}

func parse(env service.Env) (options, error) {
	var o options
	f := conf.New("gateway", about)
	o.host.Flags(f, "127.0.0.1:8083", slog.LevelInfo, auth.View)
	redisconn.Flags(f, &o.redis, "127.0.0.1:6379", "Redis that holds results and dashboards")
	f.IntVar(&o.config.MaxConnections, "max-connections", 20_000, "most streams at a time, a `number`; more are answered 503")
	f.IntVar(&o.config.MaxPerAddress, "max-connections-per-address", 0, "most streams of one address, a `number`; more are answered 429; 0 = a quarter of --max-connections,\nand all but an eighth for this machine and for trusted proxies that name nobody")
	f.DurationVar(&o.config.Heartbeat, "heartbeat", 5*time.Second, "longest silence of a stream, a `duration`")
	f.DurationVar(&o.config.Slice, "slice", time.Second, "the pipeline's slice, the `duration` that refresh intervals are multiples of; the same as the pipeline's")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return o, err
	}
	if c := o.config; c.Slice <= 0 || c.Slice%time.Millisecond != 0 {
		return o, fmt.Errorf("--slice is %v: it must be whole milliseconds above 0, such as 250ms or 1s", c.Slice)
	}
	if c := o.config; c.Heartbeat < 100*time.Millisecond || c.Heartbeat > time.Minute {
		return o, fmt.Errorf("--heartbeat is %v: it must be 100ms to 1m", c.Heartbeat)
	}
	if o.config.MaxConnections < 1 {
		return o, fmt.Errorf("--max-connections is %d: it must be at least 1", o.config.MaxConnections)
	}
	if o.config.MaxPerAddress < 0 {
		return o, fmt.Errorf("--max-connections-per-address is %d: it must be at least 0", o.config.MaxPerAddress)
	}
	o.host.Streams = o.config.MaxConnections
	return o, nil
}

func run(ctx context.Context, env service.Env) error {
	o, err := parse(env)
	if err != nil {
		return err
	}
	if env.Getenv("GOGC") == "" {
		// A gateway's memory is points and streams that stay: half as much room for what
		// does not costs little more collecting.
		debug.SetGCPercent(50)
	}
	return host.Run(ctx, env, "gateway", o.host, func(ctx context.Context, h *host.Host) error {
		s, err := gateway.Open(ctx, h, o.redis, o.config)
		if err != nil {
			return err
		}
		h.ServeAlone(ctx, s.Handler())
		return nil
	})
}
