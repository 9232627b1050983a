package auth

import (
	"fmt"
	"net"
	"strings"

	"pulseboard/internal/conf"
)

// CheckAddr refuses an address that other machines can reach as long as there is
// no tokens file: without it whoever connects may do everything. flag is what
// the address came from, needs are the scopes that the service asks for.
func CheckAddr(flag, addr, tokensFile string, needs ...Scope) error {
	if strings.HasPrefix(addr, "unix:") {
		return nil // The file's mode says who may connect.
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%s is %q: it must be host:port, such as 127.0.0.1:8080", flag, addr)
	}
	if tokensFile != "" || conf.IsLoopback(host) {
		return nil
	}
	return fmt.Errorf("%s is %q, which other machines can reach, and without tokens they all may do everything: "+
		"make a token with \"pulseboard token create --name me --scopes %s --file tokens.yaml\" and add --tokens tokens.yaml, or listen on %s",
		flag, addr, strings.Join(Names(needs), ","), net.JoinHostPort("127.0.0.1", port))
}
