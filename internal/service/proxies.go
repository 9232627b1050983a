package service

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the addresses of load balancers that are believed when they name a client.
type Proxies []netip.Prefix

// ParseProxies reads IP addresses and CIDR ranges.
func ParseProxies(list []string) (p Proxies, err error) {
	for _, item := range list {
		prefix, err := netip.ParsePrefix(item)
		if a, e := netip.ParseAddr(item); e == nil {
			prefix, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("the trusted proxies are %.200q: each must be an IP address or a CIDR range, such as 10.0.0.0/8", list)
		}
		p = append(p, prefix.Masked())
	}
	return p, nil
}

func (p Proxies) trusted(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(r netip.Prefix) bool { return r.Contains(a) })
}

// Client is the address that a request comes from: that of the connection, or
// what the proxies say. Behind several it is the last that is none of them: what
// stands before it in X-Forwarded-For is the client's own word. An address of
// IPv6 stands for its network of 64 bits, which one machine has as a rule.
func (p Proxies) Client(r *http.Request) netip.Addr {
	at, _ := netip.ParseAddrPort(r.RemoteAddr) // Of a Unix socket: the zero address.
	client := at.Addr().Unmap()
	if !p.trusted(client) {
		return network(client)
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break // Nobody whom we believe has written this.
		}
		if client = a.Unmap(); !p.trusted(client) {
			return network(client)
		}
	}
	return client
}

// Near reports whether many clients may share the address: this machine's own, on
// which a proxy may run, or that of a trusted proxy that has named nobody.
func (p Proxies) Near(a netip.Addr) bool { return a.IsLoopback() || p.trusted(a) }

func network(a netip.Addr) netip.Addr {
	if !a.Is6() || a.IsLoopback() {
		return a
	}
	prefix, err := a.WithZone("").Prefix(64)
	if err != nil {
		return a
	}
	return prefix.Addr()
}

// Address is Client as a text, "" when it is not known.
func (p Proxies) Address(r *http.Request) string {
	if a := p.Client(r); a.IsValid() {
		return a.String()
	}
	return ""
}
