// Command configsvc runs the config service alone: the dashboards' API, and
// the publisher that brings their queries to Redis.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"pulseboard/configsvc"
	"pulseboard/internal/auth"
	"pulseboard/internal/conf"
	"pulseboard/internal/host"
	"pulseboard/internal/redisconn"
	"pulseboard/internal/service"
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
	host     host.Options
	database configsvc.Database
	redis    redisconn.Endpoint
	config   configsvc.Config
}

func parse(env service.Env) (options, error) {
	var o options
	f := conf.New("configsvc", about)
	o.host.Flags(f, "127.0.0.1:8082", slog.LevelInfo, auth.Edit)
	configsvc.DatabaseFlags(f, &o.database, "pulseboard.db", "`database` that keeps the dashboards")
	redisconn.Flags(f, &o.redis, "127.0.0.1:6379", "Redis that gets queries and dashboards")
	slice := f.Duration("slice", time.Second, "the pipeline's slice, the `duration` that refresh intervals are multiples of; the same as the pipeline's")
	f.IntVar(&o.config.MaxWindowSeconds, "max-window", 3600, "longest window of a widget in `seconds`: 3600 where the pipeline runs on Prism, up to 86400 on Flink")
	f.Float64Var(&o.config.EditRate, "edit-rate", configsvc.DefaultEditRate, "edits a second of one token, or of one address without --tokens, a `number`, with ten seconds' worth at once;\nmore are answered 429; 0 = no bound")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return o, err
	}
	if *slice <= 0 || *slice%time.Millisecond != 0 {
		return o, fmt.Errorf("--slice is %v: it must be whole milliseconds above 0, such as 250ms or 1s", *slice)
	}
	o.config.SliceMs = slice.Milliseconds()
	if o.config.MaxWindowSeconds < 1 {
		return o, fmt.Errorf("--max-window is %d: it must be at least 1", o.config.MaxWindowSeconds)
	}
	return o, nil
}

func run(ctx context.Context, env service.Env) error {
	o, err := parse(env)
	if err != nil {
		return err
	}
	return host.Run(ctx, env, "configsvc", o.host, func(ctx context.Context, h *host.Host) error {
		s, err := configsvc.Open(ctx, h, o.database, o.redis, o.config)
		if err != nil {
			return err
		}
		h.ServeAlone(ctx, s.Handler())
		return nil
	})
}
