package service

import (
	"flag"

	"pulseboard/internal/conf"
)

// Edge says whom the HTTP server of a process lets in, and how: one definition
// for all processes.
type Edge struct {
	Origins conf.List // See ParseOrigins.
	Proxies conf.List // See ParseProxies.
	Cert    string    // File of the certificate and those above it, PEM; "" = plain HTTP.
	Key     string    // File of its key, PEM.
}

// Flags defines the flags that every server has.
func (e *Edge) Flags(f *flag.FlagSet) {
	f.Var(&e.Origins, "origins", "`origins`, comma-separated, such as https://metrics.example.org, that pages are served under or come from:\n"+
		"without tokens their hosts are answered beside those of loopback; pages of theirs may change things and open streams,\nas else only those of the request's own host may; * for any")
	f.StringVar(&e.Cert, "tls-cert", "", "`file` of the certificate for HTTPS, PEM, with those above it, read again when it changes; empty = plain HTTP")
	f.StringVar(&e.Key, "tls-key", "", "`file` of the key of --tls-cert, PEM")
}

// URL is where clients find a server at host:port.
func (e *Edge) URL(address string) string {
	if e.Cert != "" {
		return "https://" + address
	}
	return "http://" + address
}
