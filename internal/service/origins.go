package service

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Origins are the places in the web that are let in by name; the zero value is none.
type Origins struct {
	any     bool
	origins map[string]bool // scheme://host:port.
	hosts   map[string]bool // Without port.
}

// ParseOrigins reads origins such as https://metrics.example.org, hosts such as
// metrics.example.org:8080, which stand for the origins of both schemes, or "*".
func ParseOrigins(list []string) (Origins, error) {
	o := Origins{origins: map[string]bool{}, hosts: map[string]bool{}}
	for _, item := range list {
		if item == "*" {
			o.any = true
			continue
		}
		candidates := []string{item}
		if !strings.Contains(item, "://") {
			candidates = []string{"http://" + item, "https://" + item}
		}
		for _, text := range candidates {
			scheme, host, port, ok := splitOrigin(strings.TrimSuffix(text, "/"))
			if !ok {
				return o, fmt.Errorf("--origins holds %.100q: each must be an origin such as https://metrics.example.org, or * for any", item)
			}
			o.origins[scheme+"://"+net.JoinHostPort(host, port)] = true
			o.hosts[host] = true
		}
	}
	return o, nil
}

// splitOrigin returns the parts of scheme://host[:port], in the form in which equal ones are the same.
func splitOrigin(text string) (scheme, host, port string, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#") {
		return "", "", "", false
	}
	switch u.Scheme { // In small letters, by Parse.
	case "http":
		port = "80"
	case "https":
		port = "443"
	default:
		return "", "", "", false
	}
	host, given, ok := splitHost(u.Host)
	if given != "" {
		port = given
	}
	return u.Scheme, host, port, ok
}

// splitHost returns the parts of host[:port] in small letters, without the dot that a
// name may end with and without the brackets of an IPv6 address.
func splitHost(text string) (host, port string, ok bool) {
	host = text
	if i := strings.LastIndexByte(text, ':'); i >= 0 && !strings.HasSuffix(text, "]") {
		host, port = text[:i], text[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || strconv.FormatUint(n, 10) != port) {
			return "", "", false
		}
	}
	if inner, bracket := strings.CutPrefix(host, "["); bracket {
		inner, closed := strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		if !closed || err != nil || !a.Is6() {
			return "", "", false
		}
		return a.Unmap().String(), port, true
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host, port, host != "" && !strings.ContainsAny(host, ":[]@/?# ")
}

// hostAllowed reports whether a server without tokens answers to the name in a
// request. A page whose name was made to lead here, after the browser has loaded
// it from elsewhere (DNS rebinding), is of the same origin for the browser, and
// only its name tells. Addresses cannot be bent so: the one that the connection
// came in at is answered to. No browser leaves the name out.
func (o *Origins) hostAllowed(r *http.Request) bool {
	if r.Host == "" || o.any {
		return true
	}
	host, _, ok := splitHost(r.Host)
	if !ok {
		return false
	}
	if host == "localhost" || o.hosts[host] {
		return true
	}
	if digit := host[0] >= '0' && host[0] <= '9'; !digit && !strings.Contains(host, ":") {
		return false // A name.
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if a = a.Unmap(); a.IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.AddrPort().Addr().Unmap().WithZone("") == a.WithZone("")
}

// Foreign reports whether a request comes from a page that may not act here: one
// of another origin that is not named. Programs that are no browsers say nothing
// of where they come from, and are none.
func (o *Origins) Foreign(r *http.Request) bool {
	if o.any {
		return false
	}
	own := true
	for _, origin := range r.Header["Origin"] {
		if origin == "" {
			continue
		}
		scheme, host, port, ok := splitOrigin(origin) // "null" is none.
		if ok && o.origins[scheme+"://"+net.JoinHostPort(host, port)] {
			own = false
			continue
		}
		if !ok || !isOwn(r, scheme, host, port) {
			return true
		}
	}
	for _, site := range r.Header["Sec-Fetch-Site"] {
		switch strings.ToLower(strings.TrimSpace(site)) {
		case "same-origin", "none", "":
		default:
			// A page of another origin, or another site: one that is named says so in Origin.
			if own {
				return true
			}
		}
	}
	return false
}

// Named reports whether an origin, as browsers write it, is one of those that are let in by name.
func (o *Origins) Named(origin string) bool {
	scheme, host, port, ok := splitOrigin(origin)
	return o.any && origin != "" || ok && o.origins[scheme+"://"+net.JoinHostPort(host, port)]
}

func isOwn(r *http.Request, scheme, host, port string) bool {
	if r.TLS != nil && scheme != "https" {
		return false // Whoever is on the way may have made that page.
	}
	own, ownPort, ok := splitHost(r.Host)
	if ownPort == "" {
		ownPort = map[bool]string{true: "443", false: "80"}[scheme == "https"]
	}
	return ok && own == host && ownPort == port
}
