//go:build !linux

package statsd

import "net"

// setBuffer asks for a receive buffer. What came of it is not known here.
func setBuffer(c *net.UDPConn, bytes int) (got int) {
	_ = c.SetReadBuffer(bytes) // A smaller one does too.
	return 0
}

// dropped is not known here.
func dropped(*net.UDPConn) uint32 { return 0 }
