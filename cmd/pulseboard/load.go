package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"pulseboard/clients/load"
	"pulseboard/internal/conf"
	"pulseboard/internal/redisconn"
	"pulseboard/internal/service"
)

const aboutLoad = `
pulseboard load sends events to a running Pulseboard at a rate, opens WebSocket
clients that look at dashboards, and says whether it held: what was delivered,
missing, twice or out of order, how late, and what the processes used.

  pulseboard load --url http://127.0.0.1:8080
  pulseboard load --url http://127.0.0.1:8080 --rate 20000 --connections 0 --check --for 2m
  pulseboard load --ingest http://in:8081 --config http://cfg:8082 --gateway http://gw1:8083,http://gw2:8083 \
      --rate 20000 --connections 10000 --dashboards 200 --pids gateway=123,ingest=456 --json run.json

It is an open loop: each request has its moment, and latencies count from it. It
says how late it was itself; when it was the limit, the run is invalid. It makes
dashboards with the tag pulseboard:load and deletes them at the end, also after
Ctrl-C. docs/load.md explains every figure.

Exit codes: 0 valid and exact, 1 invalid or not exact, 2 it could not be run.`

func loadCommand(ctx context.Context, env service.Env) error {
	c, file, err := loadConfig(env)
	if errors.Is(err, conf.ErrHelp) {
		return err
	}
	if err != nil {
		return trouble(err)
	}
	r, err := load.Run(ctx, c, env.Stderr)
	if r == nil {
		if errors.Is(err, load.ErrInterrupted) {
			return &service.Exit{Code: exitDiffers, Err: err}
		}
		return trouble(err)
	}
	if file == "-" {
		err = errors.Join(err, printJSON(env.Stdout, r))
	} else {
		err = errors.Join(err, r.WriteText(env.Stdout))
		if file != "" {
			err = errors.Join(err, writeReport(file, r))
		}
	}
	if err != nil || !r.Valid || !r.Exact {
		return &service.Exit{Code: exitDiffers, Err: err}
	}
	return nil
}

func writeReport(file string, r *load.Report) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.WriteFile(file, append(b, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	return nil
}

func loadConfig(env service.Env) (c load.Config, file string, err error) {
	var url string
	var gateways, ids, pids conf.List
	f := conf.New("pulseboard load", aboutLoad)
	f.StringVar(&url, "url", "http://127.0.0.1:8080", "`URL` of all services, for what the next three do not name")
	f.StringVar(&c.Ingest, "ingest", "", "`URL` of ingest")
	f.StringVar(&c.Service, "config", "", "`URL` of the config service")
	f.Var(&gateways, "gateway", "`URLs` of gateways, separated by commas; clients take them by turns")
	redisconn.Flags(f, &c.Redis, "", "Redis, to measure when it tells of results; empty = not")
	var token conf.Secret
	f.Secret(&token, "token", "a token with the scopes ingest, edit and view, as far as they are needed")
	f.StringVar(&c.Run, "run", "", "`name` of the run: metrics are load.<name>.0 and so on. Give two processes the same to watch in one what the\nother sends; empty = made of the time")

	f.Float64Var(&c.Rate, "rate", 1000, "`events` a second; 0 = send none")
	f.IntVar(&c.Batch, "batch", 500, "`events` in a request")
	f.IntVar(&c.Metrics, "metrics", 20, "`number` of metrics")
	f.IntVar(&c.Series, "series", 50, "`number` of series of each metric")
	f.IntVar(&c.Tags, "tags", 3, "`number` of tags of an event")
	f.IntVar(&c.Senders, "senders", 64, "`number` of requests at a time, at most; they are started as needed")

	f.IntVar(&c.Connections, "connections", 100, "`number` of WebSocket clients; 0 = none")
	f.IntVar(&c.Dashboards, "dashboards", 10, "`number` of dashboards to make, and to spread the clients over")
	f.IntVar(&c.Widgets, "widgets", 20, "`number` of widgets of a dashboard")
	f.IntVar(&c.WindowSeconds, "window", 60, "window of the widgets in `seconds`")
	f.DurationVar(&c.Refresh, "refresh", time.Second, "refresh interval of the widgets, a `duration` such as 1s or 250ms; a multiple of the pipeline's slice")
	f.Var(&ids, "dashboard-ids", "`ids` of dashboards to look at instead of making some, separated by commas")
	f.Float64Var(&c.ConnectRate, "connect-rate", 500, "new `connections` a second")
	f.IntVar(&c.Handshakes, "handshakes", 256, "`number` of connections being opened at a time, at most")
	f.IntVar(&c.StopReading, "stop-reading", 0, "`number` of clients that stop reading in the measured part, as if their line were dead")
	f.BoolVar(&c.Reconnect, "reconnect", false, "clients whose connection is lost come back and go on where they were, as the page does")

	f.DurationVar(&c.For, "for", 30*time.Second, "`duration` of the measured part")
	f.DurationVar(&c.Warmup, "warmup", 5*time.Second, "`duration` of sending before the first connection, and again between the last one and the measured part")
	f.BoolVar(&c.Check, "check", false, "compare the count and the sum of each metric with what was acknowledged, at the end")
	f.Var(&pids, "pids", "`processes` whose CPU and memory is told, with all that they started: name=pid, separated by commas")
	f.StringVar(&file, "json", "", "`path` of a file for the report as JSON; - = standard output, instead of the text")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return c, file, err
	}
	c.Token = token.Text
	otherwise := func(s *string) {
		if *s == "" {
			*s = url
		}
		*s = strings.TrimRight(*s, "/")
	}
	otherwise(&c.Ingest)
	otherwise(&c.Service)
	if len(gateways) == 0 {
		gateways = conf.List{url}
	}
	for _, g := range gateways {
		otherwise(&g)
		c.Gateways = append(c.Gateways, g)
	}
	if c.Run == "" {
		c.Run = time.Now().UTC().Format("20060102-150405")
	}
	c.DashboardIDs = ids
	for _, text := range pids {
		p, err := load.ParsePid(text)
		if err != nil {
			return c, file, fmt.Errorf("--pids: %w", err)
		}
		c.Pids = append(c.Pids, p)
	}
	return c, file, nil
}
