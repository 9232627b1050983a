package service

import (
	"fmt"
	"net"
	"net/http"

	"pulseboard/internal/conf"
)

// guarded is what stands before every handler: who may ask at all, and what every
// answer says to browsers.
type guarded struct {
	next          http.Handler
	origins       Origins
	anyHost       bool // Tokens are asked for: a page that was made to lead here has none.
	metrics       *serverMetrics
	refused       func(*http.Request, string) // Nil = nobody is told.
	nosniff, corp []string                    // Values of headers, made once.
}

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["X-Content-Type-Options"], h["Cross-Origin-Resource-Policy"] = g.nosniff, g.corp
	if !g.anyHost && !g.origins.hostAllowed(r) && !overSocket(r) {
		g.metrics.refusedHost.Inc()
		g.tell(r, "host")
		NewProblem(http.StatusMisdirectedRequest, fmt.Sprintf("this server asks for no tokens, and answers to localhost and addresses of this machine only, not to the Host %.100q: "+
			"whoever runs it names that in --origins (%s), such as --origins http://%.100s, or has it ask for tokens (--tokens)", r.Host, conf.EnvName("origins"), r.Host)).Write(w)
		return
	}
	if changes(r.Method) && g.origins.Foreign(r) {
		g.metrics.refusedOrigin.Inc()
		g.tell(r, "origin")
		RefuseForeign(w, r)
		return
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &pacedBody{ReadCloser: r.Body, w: w, metrics: g.metrics}
	}
	g.next.ServeHTTP(w, r)
}

func (g *guarded) tell(r *http.Request, reason string) {
	if g.refused != nil {
		g.refused(r, reason)
	}
}

// RefuseForeign answers a request that is Foreign.
func RefuseForeign(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		origin = "another site"
	}
	NewProblem(http.StatusForbidden, fmt.Sprintf("pages of %.100s may change nothing here and open no streams: whoever runs this server names their origin in --origins (%s) if they shall",
		origin, conf.EnvName("origins"))).Write(w)
}

func changes(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// overSocket reports whether a request came over a Unix socket, which no browser speaks.
func overSocket(r *http.Request) bool {
	_, ok := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr)
	return ok
}
