package conf

import (
	"net/netip"

	"pulseboard/internal/secret"
)

// Address is the value of a flag that may hold a password within a URL. It takes
// anything, so that no error of the flag package quotes it.
type Address struct{ Text string }

// Set implements flag.Value.
func (a *Address) Set(s string) error {
	a.Text = s
	return nil
}

// String is the address without its password.
func (a *Address) String() string { return secret.Scrub(a.Text) }

// IsLoopback reports whether a host, as the user names it, is on this machine alone.
func IsLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
