// Package host is the process around the HTTP services: what the commands ingest,
// configsvc, gateway and "pulseboard run" have in common.
//
//	flags ─▶ audit log ─ tokens ─ HTTP server ─ listener ─▶ start: the services ─▶ serve … ─▶ stop, in the reverse order
//
// A service joins a process by its Open, which takes a Host.
package host

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/internal/audit"
	"pulseboard/internal/auth"
	"pulseboard/internal/conf"
	"pulseboard/internal/health"
	"pulseboard/internal/profile"
	"pulseboard/internal/service"
)

// Options are the flags that every such process has.
type Options struct {
	Addr     string
	Tokens   string // File of the tokens; "" = everybody may do everything.
	AuditLog string // File, "-" = standard output, "" = none is kept.
	Edge     service.Edge
	Level    slog.Level
	Pprof    string // Folder of the sockets of profiles; see profile.Open.

	// Streams is how many connections may stay open for long, beside those of requests.
	Streams int
	// Drain is how long requests under way may take at the end; 0 = 5 s.
	Drain time.Duration
}

// Flags defines them. addr and level are defaults. Without tokens an address that
// other machines reach is refused; scopes are those that the advice then names.
func (o *Options) Flags(f *conf.Flags, addr string, level slog.Level, scopes ...auth.Scope) {
	f.StringVar(&o.Addr, "addr", addr, "`host:port` to listen on; port 0 takes a free one")
	f.StringVar(&o.Tokens, "tokens", "", "`file` of the tokens that let clients in, made with pulseboard token create and read again when it changes;\nempty = everybody who reaches --addr, which must be on loopback then")
	audit.Flag(f.FlagSet, &o.AuditLog)
	o.Edge.Flags(f.FlagSet)
	f.Var(&o.Edge.Proxies, "trusted-proxies", "`addresses` or CIDR ranges, comma-separated, of load balancers whose X-Forwarded-For names the client;\nwithout it all clients behind one count as one address")
	f.TextVar(&o.Level, "log-level", level, "least `level` that is logged: debug, info, warn or error")
	profile.Flag(f.FlagSet, &o.Pprof)
	f.Check(func() error { return auth.CheckAddr("--addr", o.Addr, o.Tokens, scopes...) })
}

// Host is such a process while it runs.
type Host struct {
	Options
	parts

	Env      service.Env
	Metrics  *prometheus.Registry
	Audit    *audit.Log  // Nil without --audit-log.
	Guard    *auth.Guard // Nil without --tokens.
	Server   *service.Server
	Ready    *health.Set
	Listener net.Listener
}

// Run opens what all services need, has start add them, and ends everything when
// ctx ends, or with its error when a part fails. start calls Serve.
func Run(ctx context.Context, env service.Env, name string, o Options, start func(context.Context, *Host) error) error {
	h, err := open(ctx, env, name, o)
	if err != nil {
		return err
	}
	defer h.Listener.Close() //nolint:errcheck // Closed already when serving has begun.
	ctx, h.fail = context.WithCancelCause(ctx)
	defer h.fail(nil)
	defer h.stop()
	profiles, err := profile.Open(o.Pprof, name)
	if err != nil {
		return err
	}
	h.Cleanup(ctx, "profiles", profiles.Close) // Last, so that an end that hangs can be looked at.
	h.Start(ctx, "audit log", h.Audit.Run)
	h.Start(ctx, "tokens", h.Guard.Run)
	if err := start(ctx, h); err != nil {
		return err
	}
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// open listens last: all faults before it cost nobody a port, and after it nothing
// but the services is missing.
func open(ctx context.Context, env service.Env, name string, o Options) (*Host, error) {
	h := &Host{Options: o, Env: env, Metrics: service.NewMetrics()}
	h.log = h.Log(name)
	address := func(r *http.Request) string { return h.Server.Proxies.Address(r) }
	var err error
	if h.Audit, err = audit.Open(audit.Config{Path: o.AuditLog, Address: address, Service: name, Stdout: env.Stdout, Metrics: h.Metrics, Log: h.log}); err != nil {
		return nil, err
	}
	if h.Guard, err = auth.Open(o.Tokens, auth.Config{Audit: h.Audit, Metrics: h.Metrics, Log: h.log}); err != nil {
		return nil, err
	}
	h.Server, err = service.NewServer(service.ServerConfig{
		Edge: o.Edge, Tokens: o.Tokens != "", Refused: h.Audit.RefuseRequest, Streams: o.Streams, Drain: o.Drain, Metrics: h.Metrics, Log: h.log,
	})
	if err != nil {
		return nil, err
	}
	h.Ready = health.New(h.Metrics, h.log)
	h.Listener, err = service.Listen(ctx, "--addr", o.Addr)
	return h, err
}

// Shared is what the services of a process share. The zero value lets everybody do
// everything and keeps no record of it.
type Shared struct {
	Origins service.Origins       // Whose pages may open streams and change things, beside those of the server's own host.
	Proxies service.Proxies       // Whose X-Forwarded-For names the client.
	Guard   *auth.Guard           // Asks for tokens; nil = everybody may do everything.
	Audit   *audit.Log            // Keeps a record of edits and refusals; nil = none.
	Metrics prometheus.Registerer // Where metrics are registered; nil = nowhere.
	Log     *slog.Logger          // Nil = slog.Default().
}

// Shared returns what the service of this name gets.
func (h *Host) Shared(name string) Shared {
	return Shared{h.Server.Origins, h.Server.Proxies, h.Guard, h.Audit, h.Metrics, h.Log(name)}
}

// Log returns the log of a part.
func (h *Host) Log(name string) *slog.Logger { return service.Logger(h.Env.Stderr, h.Level, name) }

// Serve begins to answer requests and to probe the checks, which must all be there.
func (h *Host) Serve(ctx context.Context, handler http.Handler) {
	h.log.Info("listening", "addr", h.Listener.Addr().String())
	h.Start(ctx, "checks", h.Ready.Run)
	h.Start(ctx, "http", func(ctx context.Context) error { return h.Server.Serve(ctx, h.Listener, handler) })
}

// ServeAlone is Serve for a process with a single service, with /metrics, /healthz
// and /readyz beside it.
func (h *Host) ServeAlone(ctx context.Context, handler http.Handler) {
	h.Serve(ctx, service.Mux(handler, h.Metrics, h.Ready))
}
