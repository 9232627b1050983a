// Command fanout makes the setting in which the gateway's fan-out is measured,
// and keeps it up: a redis-server of its own, dashboards, their results at each
// whole second, and gateway processes. Whoever measures connects to them.
//
//	make build && go run ./bench/fanout --json setting.json --ids ids
//	./bin/pulseboard load --gateway http://ADDR --dashboard-ids "$(cat ids)" --rate 0 --connections 10000 --for 2m
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"pulseboard/bench/fanout/setting"
	"pulseboard/internal/conf"
	"pulseboard/internal/service"
)

const about = `
fanout makes the setting in which the gateway alone is measured, without Kafka and
without the pipeline, and keeps it up until it is stopped with Ctrl-C: a redis-server
of its own, dashboards as the config service publishes them, their results at each
whole second as the pipeline publishes them, and gateway processes on free ports.

  fanout --json setting.json --ids ids &
  pulseboard load --gateway http://ADDR --dashboard-ids "$(cat ids)" --rate 0 --connections 10000 --for 2m

It tells what each gateway uses every few seconds, and at the end how late results
were published: a run in which that is much says nothing about the gateway.

With --kill-after a gateway is killed with -9 and started again at the same address.
The time counts from when --kill-connections streams are open on all gateways together.`

func main() { os.Exit(service.Main("fanout", run)) } //nolint:forbidigo // It is main.

type options struct {
	gateway  string
	gateways int
	flags    string
	env      string

	setting.Config

	hold            bool
	killAfter       time.Duration
	killConnections int
	length, every   time.Duration
	json, ids       string
}

func parse(env service.Env) (options, error) {
	var o options
	f := conf.New("fanout", about)
	f.StringVar(&o.gateway, "gateway-path", "bin/gateway", "`path` of the program")
	f.IntVar(&o.gateways, "gateways", 1, "`number` of gateway processes")
	f.StringVar(&o.flags, "gateway-flags", "", "further `flags` of the gateways, separated by spaces")
	f.StringVar(&o.env, "gateway-env", "", "further `variables` of the gateways' environment, separated by spaces, such as GOGC=50")
	f.IntVar(&o.Dashboards, "dashboards", 200, "`number` of dashboards")
	f.IntVar(&o.Widgets, "widgets", 20, "`number` of widgets of each, every one with a metric key of its own and refreshed each second")
	f.IntVar(&o.Series, "series", 1, "`number` of series of each widget; 1 = not grouped")
	f.IntVar(&o.History, "history", 60, "`number` of results of each key before the first live one, up to 600: every client gets them when it connects")
	f.BoolVar(&o.hold, "hold", false, "hold one stream of each dashboard on each gateway open from the beginning: what a dashboard costs is then\nnot in the memory of each further stream")
	f.DurationVar(&o.killAfter, "kill-after", 0, "kill the first gateway with -9 after this `duration`, once, and start it again; 0 = never")
	f.IntVar(&o.killConnections, "kill-connections", 0, "`number` of open streams from when on --kill-after counts")
	f.DurationVar(&o.length, "for", 0, "stop by itself after this `duration`; 0 = with Ctrl-C")
	f.DurationVar(&o.every, "every", 10*time.Second, "`interval` of the lines about what the gateways use")
	f.StringVar(&o.json, "json", "", "`file` for addresses, process ids and dashboard ids, and at the end what was measured")
	f.StringVar(&o.ids, "ids", "", "`file` for the ids of the dashboards, separated by commas")
	f.StringVar(&o.Dir, "dir", "", "`folder` for the servers' files and logs; empty = a temporary one, deleted at the end")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return o, err
	}
	switch {
	case o.gateways < 1 || o.gateways > 64:
		return o, fmt.Errorf("--gateways is %d: it must be 1 to 64", o.gateways)
	case o.killAfter < 0 || o.killConnections < 0 || o.length < 0:
		return o, errors.New("--kill-after, --kill-connections and --for must not be below 0")
	case o.killConnections > 0 && o.killAfter == 0:
		return o, errors.New("--kill-connections says when --kill-after begins to count: give that too, such as --kill-after 30s")
	case o.every < time.Second:
		return o, fmt.Errorf("--every is %v: it must be 1s or more", o.every)
	}
	return o, nil
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
	o.Log = service.Logger(env.Stderr, 0, "fanout")
	b := &bench{o: o, out: env.Stdout}
	defer b.close()
	if err := b.open(ctx); err != nil {
		return err
	}
	err = b.serve(ctx)
	return errors.Join(err, b.end())
}

// words are flags separated by spaces.
func words(s string) []string { return strings.Fields(s) }
