package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"pulseboard/clients/canary"
	"pulseboard/internal/auth"
	"pulseboard/internal/conf"
	"pulseboard/internal/health"
	"pulseboard/internal/host"
	"pulseboard/internal/service"
)

const aboutCanary = `
pulseboard canary sends one event a second to POST /ingest and watches for it on a
stream of the gateway, as producers and pages do. So its metrics tell how long an
event takes to a client, and that each acknowledged event was counted once, whatever
the other processes say of themselves. The alerts CanaryLate, CanaryLost and
CanaryTwice are about them. "pulseboard run" has one built in.

  pulseboard token create --name canary --scopes ingest,edit --file tokens.yaml > canary.token
  pulseboard canary --ingest http://lb:8080 --config http://lb:8080 --gateway http://lb:8080 --token-file canary.token

Its events are pulseboard.canary, with the tag instance; they are not in the catalog
of metrics. Its dashboard is made through the config service, and hidden from lists.
Any number may run, each with an --instance of its own: one before the load balancer
and one beside each gateway tell which of them is slow. The clock of its machine must
be right, as that of any producer: events of the past come too late for their window.

It serves /metrics at --addr, /healthz, which is 200 while it runs, and /readyz, which
is 503 while its events do not come through.`

type canaryOptions struct {
	ingest, config, gateway string
	tokenFile, instance     string
	host                    host.Options
}

func parseCanary(env service.Env) (o canaryOptions, err error) {
	f := conf.New("pulseboard canary", aboutCanary)
	f.StringVar(&o.ingest, "ingest", "http://127.0.0.1:8081", "`URL` of ingest, or of the load balancer before it")
	f.StringVar(&o.config, "config", "http://127.0.0.1:8082", "`URL` of the config service")
	f.StringVar(&o.gateway, "gateway", "http://127.0.0.1:8083", "`URL` of the gateway")
	f.StringVar(&o.tokenFile, "token-file", "", "`file` that holds a token with the scopes ingest and edit, read again for each request; empty = none is needed")
	f.StringVar(&o.instance, "instance", "", "`name` of this canary among all; empty = that of the machine")
	f.StringVar(&o.host.Addr, "addr", "127.0.0.1:8084", "`host:port` to serve /metrics, /healthz and /readyz on; they ask for no token")
	o.host.Edge.Flags(f.FlagSet)
	f.TextVar(&o.host.Level, "log-level", slog.LevelInfo, "least `level` that is logged: debug, info, warn or error")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return o, err
	}
	if o.instance == "" {
		if o.instance, err = os.Hostname(); err != nil || o.instance == "" {
			return o, errors.New("this machine has no name: give the canary one with --instance")
		}
	}
	return o, nil
}

// runCanary is the command "pulseboard canary".
func runCanary(ctx context.Context, env service.Env) error {
	o, err := parseCanary(env)
	if err != nil {
		return err
	}
	token := func() (string, error) { return readToken(o.tokenFile) }
	if _, err := token(); err != nil {
		return err // Rather than to try in vain, second by second.
	}
	return host.Run(ctx, env, "canary", o.host, func(ctx context.Context, h *host.Host) error {
		c, err := canary.New(canary.Config{
			Ingest: o.ingest, Config: o.config, Gateway: o.gateway, Instance: o.instance, Token: token, Metrics: h.Metrics, Log: h.Log("canary"),
		})
		if err != nil {
			return err
		}
		h.Start(ctx, "canary", c.Run)
		h.Ready.Add(health.Canary(h.Metrics))
		h.ServeAlone(ctx, service.OnlyMetrics())
		return nil
	})
}

// readToken reads a file that holds a token alone; without a file there is none.
func readToken(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("cannot read the token: %w; make it with pulseboard token create --name canary --scopes ingest,edit --file tokens.yaml > %s", err, file)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("the file %s must hold one token and nothing else, as pulseboard token create prints it", file)
	}
	return token, nil
}

// startCanary sends events through the whole, as its own producer and client.
func (a *app) startCanary(ctx context.Context) error {
	secret := a.Guard.AddInMemory("canary", auth.Ingest, auth.Edit)
	address := a.Edge.URL(a.addr)
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	c, err := canary.New(canary.Config{
		Ingest: address, Config: address, Gateway: address, Instance: name + "/" + a.addr,
		Token: func() (string, error) { return secret, nil }, TLS: a.Server.ClientTLS(), Metrics: a.Metrics, Log: a.Log("canary"),
	})
	if err != nil {
		return err
	}
	a.Start(ctx, "canary", c.Run)
	return nil
}
