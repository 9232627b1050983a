package statsd

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setBuffer asks for a receive buffer, also beyond net.core.rmem_max where this process may, and returns what it got.
func setBuffer(c *net.UDPConn, bytes int) (got int) {
	control(c, func(fd int) {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes) // got says what came of it.
		}
		got, _ = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	})
	return got
}

// dropped is how many datagrams the kernel has dropped of those for the socket, modulo 2^32. Unlike the count that
// may come with each datagram (SO_RXQ_OVFL), it is right after the last one too.
func dropped(c *net.UDPConn) (n uint32) {
	const drops = 8 // SK_MEMINFO_DROPS.
	var info [drops + 1]uint32
	size := uint32(unsafe.Sizeof(info))
	control(c, func(fd int) {
		_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if errno == 0 && size == uint32(unsafe.Sizeof(info)) {
			n = info[drops]
		}
	})
	return n
}

func control(c *net.UDPConn, f func(fd int)) {
	raw, err := c.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { f(int(fd)) }) // Closed already: there is nothing to do.
	}
}
