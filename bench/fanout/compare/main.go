// Command compare measures the gateway's fan-out and that of the library
// github.com/centrifugal/centrifuge in one run, in turn, with the same frames.
//
//	make bench-fanout
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"pulseboard/bench/fanout/setting"
	"pulseboard/internal/conf"
	"pulseboard/internal/service"
)

const about = `
compare opens the same connections to the gateway, then to a small server made with
github.com/centrifugal/centrifuge, and so on in turn, and prints what a delivered
frame and a connection cost each of them. The other server is fed by a gateway, so
that both hand on the same bytes at the same moments; both run all the time, fresh in
each turn, and what they use without connections is measured first and taken off.

  compare --connections 4000 --for 30s --json compare.json

Both get what Redis gets from the pipeline, from a publisher in this process.
README.md beside it says how to read the figures.`

func main() { os.Exit(service.Main("compare", run)) } //nolint:forbidigo // It is main.

type options struct {
	setting.Config

	gateway, gatewayFlags       string
	centrifuge, centrifugeFlags string
	env                         string
	connections, rate, rounds   int
	idle, settle, length        time.Duration
	json                        string
}

func parse(env service.Env) (options, error) {
	var o options
	f := conf.New("compare", about)
	f.StringVar(&o.gateway, "gateway-path", "bin/gateway", "`path` of the gateway")
	f.StringVar(&o.gatewayFlags, "gateway-flags", "", "further `flags` of the gateway, separated by spaces")
	f.StringVar(&o.centrifuge, "centrifuge-path", "bin/bench-centrifuge", "`path` of the other server, built from bench/centrifuge")
	f.StringVar(&o.centrifugeFlags, "centrifuge-flags", "", "further `flags` of the other server, separated by spaces, such as --setup=default")
	f.StringVar(&o.env, "env", "GOGC=100", "`variables` in the environment of both servers, separated by spaces")
	f.IntVar(&o.connections, "connections", 4000, "`number` of connections to one server at a time")
	f.IntVar(&o.rate, "connect-rate", 500, "`number` of connections that are opened each second")
	f.IntVar(&o.rounds, "rounds", 2, "`number` of turns of each server")
	f.DurationVar(&o.idle, "idle", 10*time.Second, "`duration` of measuring without connections")
	f.DurationVar(&o.settle, "settle", 5*time.Second, "`duration` between the last connection's first update and measuring")
	f.DurationVar(&o.length, "for", 30*time.Second, "`duration` of measuring with connections, whole seconds")
	f.IntVar(&o.Dashboards, "dashboards", 200, "`number` of dashboards")
	f.IntVar(&o.Widgets, "widgets", 20, "`number` of widgets of each")
	f.IntVar(&o.Series, "series", 1, "`number` of series of each widget; 1 = not grouped")
	f.IntVar(&o.History, "history", 0, "`number` of results of each key before the first live one: only the gateway sends them to its clients")
	f.StringVar(&o.json, "json", "", "`file` for what was measured")
	f.StringVar(&o.Dir, "dir", "", "`folder` for the servers' files and logs; empty = a temporary one, deleted at the end")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return o, err
	}
	switch {
	case o.connections < 1 || o.rate < 1 || o.rounds < 1:
		return o, errors.New("--connections, --connect-rate and --rounds must be 1 or more")
	case o.idle < time.Second || o.length < time.Second || o.length%time.Second != 0:
		return o, errors.New("--idle and --for must be 1s or more, and --for whole seconds")
	case o.settle < 0:
		return o, errors.New("--settle must not be below 0")
	}
	return o, enoughFiles(o.connections)
}

func run(ctx context.Context, env service.Env) (err error) {
	o, err := parse(env)
	if err != nil {
		return err
	}
	cleanUp, err := setting.Folder(&o.Dir)
	if err != nil {
		return err
	}
	defer cleanUp()
	o.Log = service.Logger(env.Stderr, 0, "compare")
	set, err := setting.Open(ctx, o.Config)
	if err != nil {
		return err
	}
	defer set.Close() //nolint:errcheck // It holds nothing of worth.
	b := &bench{o: o, setting: set, progress: env.Stderr}
	ids := filepath.Join(o.Dir, "ids")
	if err := setting.WriteFile(ids, []byte(strings.Join(set.IDs, ",")+"\n")); err != nil {
		return err
	}
	r := report{Began: time.Now().UTC(), Options: o.facts()}
	publishing, stop := context.WithCancel(ctx)
	defer stop()
	g, both := errgroup.WithContext(publishing)
	g.Go(func() error { return set.Publisher().Run(both) })
	g.Go(func() (err error) {
		defer stop() // Nothing more is to be published.
		r.Turns, err = b.turns(both, ids)
		return err
	})
	err = g.Wait()
	if stopped := ctx.Err() != nil && len(r.Turns) > 0; err != nil && !stopped {
		return err
	}
	r.sumUp()
	if err != nil {
		r.Warnings = append(r.Warnings, fmt.Sprintf("it was stopped after %d of %d turns", len(r.Turns), 2*o.rounds))
	}
	r.print(env.Stdout)
	if o.json == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot encode what was measured: %w", err)
	}
	return setting.WriteFile(o.json, append(text, '\n'))
}
