package testenv

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Switch is an address behind which a server stands, and from one moment on another: as an
// address that moves with the master does.
type Switch struct {
	lis net.Listener

	mu    sync.Mutex
	to    string
	conns []net.Conn
}

// NewSwitch stands before the server at an address until the test ends.
func NewSwitch(t *testing.T, to string) *Switch {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // It is closed with the test.
	if err != nil {
		t.Fatal(err)
	}
	s := &Switch{lis: lis, to: to}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := lis.Accept()
			if err != nil {
				return // Closed.
			}
			s.serve(c)
		}
	}()
	t.Cleanup(func() {
		_ = lis.Close()
		<-done
		s.To(to)
	})
	return s
}

// Addr returns host:port.
func (s *Switch) Addr() string { return s.lis.Addr().String() }

// To puts another server behind it, and ends all connections.
func (s *Switch) To(addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = addr
	for _, c := range s.conns {
		_ = c.Close() // Which it may be already.
	}
	s.conns = nil
}

func (s *Switch) serve(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	up, err := net.Dial("tcp", s.to) //nolint:noctx // It is this machine.
	if err != nil {
		_ = c.Close()
		return
	}
	s.conns = append(s.conns, c, up)
	for from, to := range map[net.Conn]net.Conn{c: up, up: c} {
		go func() {
			_, _ = io.Copy(to, from)
			_ = to.Close()
		}()
	}
}
