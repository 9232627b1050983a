package service

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ServerConfig is what an HTTP server of ours needs.
type ServerConfig struct {
	Edge Edge
	// Tokens says that the handler asks for tokens: then any Host is answered to.
	Tokens bool
	// Streams is how many connections may stay open for long, beside those of requests.
	Streams int
	// Drain is how long requests under way may take at the end; 0 = 5 s.
	Drain time.Duration
	// Refused is told of requests that are refused before any handler, with the reason,
	// host or origin; nil = nobody is.
	Refused func(r *http.Request, reason string)
	// Metrics is where the server registers its metrics; nil = nowhere.
	Metrics prometheus.Registerer
	// Log is where it reports; nil = slog.Default().
	Log *slog.Logger
}

// Server is the HTTP server of a process. All of ours are one, so that each has
// the same bounds and the same answers to browsers.
type Server struct {
	Origins Origins // Of Edge, as are
	Proxies Proxies // these.

	config      ServerConfig
	metrics     *serverMetrics
	connections *connections
	certificate *certificate // Nil = plain HTTP.
}

// Time limits of a connection.
const (
	headTimeout  = 5 * time.Second // Also of the handshake of TLS.
	writeTimeout = 60 * time.Second
	idleTimeout  = 90 * time.Second
	drainTime    = 5 * time.Second
)

// mostAtATime is how many requests of HTTP/2 a connection may have under way.
const mostAtATime = 100

// NewServer returns a server that does nothing before Serve.
func NewServer(c ServerConfig) (*Server, error) {
	c.Log = cmp.Or(c.Log, slog.Default())
	origins, err := ParseOrigins(c.Edge.Origins)
	if err != nil {
		return nil, err
	}
	proxies, err := ParseProxies(c.Edge.Proxies)
	if err != nil {
		return nil, err
	}
	m := newServerMetrics(c.Metrics)
	cert, err := openCertificate(c.Edge, m, c.Log)
	if err != nil {
		return nil, err
	}
	return &Server{Origins: origins, Proxies: proxies, config: c, metrics: m, certificate: cert, connections: newConnections(c.Streams, proxies, m, c.Log)}, nil
}

// Serve answers requests on ln until ctx ends, then lets those under way end
// and returns nil. Upgraded connections are their handler's to close.
func (s *Server) Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	looking, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { s.certificate.run(looking) })
	return s.serve(ctx, ln, s.Guard(h), protocols(), "http/1.1")
}

// ServeRPC is Serve of a handler for programs, by HTTP/2 alone; Serve must run beside it. Pages of browsers reach none of it: they
// speak no HTTP/2 in clear text, and to send the Content-Type of gRPC they must ask first.
func (s *Server) ServeRPC(ctx context.Context, ln net.Listener, h http.Handler) error {
	only := new(http.Protocols)
	only.SetHTTP2(true)
	only.SetUnencryptedHTTP2(true)
	paced := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = &pacedBody{ReadCloser: r.Body, w: w, metrics: s.metrics}
		h.ServeHTTP(w, r)
	})
	return s.serve(ctx, ln, paced, only, "h2")
}

// serve answers requests until ctx ends. offered is the protocol over TLS.
func (s *Server) serve(ctx context.Context, ln net.Listener, h http.Handler, p *http.Protocols, offered string) error {
	at := ln.Addr()
	srv := &http.Server{
		Handler:   h,
		Protocols: p,
		// What a connection may have sent that nobody has read yet counts in no budget.
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: mostAtATime, MaxReceiveBufferPerConnection: 128 << 10, MaxReceiveBufferPerStream: 64 << 10},
		ReadHeaderTimeout: headTimeout,
		ReadTimeout:       bodyGrace, // pacedBody moves it on.
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    16 << 10,
		// OPTIONS * goes through the handler, as everything.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.config.Log.Handler(), slog.LevelDebug),
		ConnState:                    s.connections.state,
	}
	ln = listener{ln, s.connections}
	if s.certificate != nil && at.Network() != "unix" {
		ln = tls.NewListener(ln, s.certificate.config(offered))
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	select {
	case err := <-ended:
		return fmt.Errorf("cannot serve HTTP on %s: %w", at, err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), cmp.Or(s.config.Drain, drainTime))
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		s.config.Log.Warn("requests were cut off at the end", "error", err)
		_ = srv.Close() // Its error is that of the listener, closed already.
	}
	<-ended //nolint:errcheck // Always ErrServerClosed here.
	return nil
}

// protocols are HTTP/1.1 and, without TLS, HTTP/2 for proxies that speak only that to what is behind them. Over TLS
// nothing else than HTTP/1.1 is offered: WebSockets need it.
func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// Guard returns h behind what stands before every handler: Host, Origin, the pace
// of bodies, and the headers of all answers.
func (s *Server) Guard(h http.Handler) http.Handler {
	return &guarded{
		next: h, origins: s.Origins, anyHost: s.config.Tokens, metrics: s.metrics, refused: s.config.Refused,
		nosniff: []string{"nosniff"}, corp: []string{"same-origin"},
	}
}

// ClientTLS is for clients in this process: they trust the server's certificate
// whatever name it is for, and no other. nil = the server speaks plain HTTP.
func (s *Server) ClientTLS() *tls.Config {
	if s.certificate == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyPeerCertificate is stricter: the very certificate.
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) == 0 || string(raw[0]) != string(s.certificate.now.Load().Certificate[0]) {
				return errors.New("the server's certificate is another than that of this process")
			}
			return nil
		},
	}
}
