package testenv

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Switch is an address behind which a server stands, and from one moment on another: as an
// address that moves with the master does.
type Switch struct {
	lis net.Listener

	mu    sync.Mutex
	to    string
	conns []net.Conn
	dead  *atomic.Bool // Of the connections made since the last Silence: what comes is thrown away.

	sent atomic.Int64 // Bytes to the server.
	line line
}

// line is what all connections have together, with so many bytes a second; 0 = any.
type line struct {
	mu     sync.Mutex
	rate   int
	freeAt time.Time
}

// pass waits until so many bytes have gone through.
func (l *line) pass(bytes int) {
	l.mu.Lock()
	if l.rate == 0 {
		l.mu.Unlock()
		return
	}
	if now := time.Now(); l.freeAt.Before(now) {
		l.freeAt = now
	}
	l.freeAt = l.freeAt.Add(time.Duration(bytes) * time.Second / time.Duration(l.rate))
	wait := time.Until(l.freeAt)
	l.mu.Unlock()
	time.Sleep(wait) //nolint:forbidigo // It is what a slow line does.
}

// Slow lets all connections together take so many bytes a second to the server; 0 = any.
func (s *Switch) Slow(bytesPerSecond int) {
	s.line.mu.Lock()
	defer s.line.mu.Unlock()
	s.line.rate = bytesPerSecond
}

// Sent is how many bytes went to the server.
func (s *Switch) Sent() int64 { return s.sent.Load() }

// NewSwitch stands before the server at an address until the test ends.
func NewSwitch(t *testing.T, to string) *Switch {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // It is closed with the test.
	if err != nil {
		t.Fatal(err)
	}
	s := &Switch{lis: lis, to: to, dead: new(atomic.Bool)}
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

// Silence lets nothing through any more on the connections that there are, and leaves them
// open, as a router that has forgotten them does. Later ones are as before.
func (s *Switch) Silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead.Store(true)
	s.dead = new(atomic.Bool)
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
	dead := s.dead
	for from, to := range map[net.Conn]net.Conn{c: up, up: c} {
		go func() {
			out := io.Writer(unless{dead, to})
			if to == up {
				out = counted{s, out}
			}
			_, _ = io.CopyBuffer(out, struct{ io.Reader }{from}, make([]byte, 16<<10))
			_ = to.Close()
		}()
	}
}

// counted is the way to the server.
type counted struct {
	s  *Switch
	to io.Writer
}

func (c counted) Write(b []byte) (int, error) {
	c.s.sent.Add(int64(len(b)))
	c.s.line.pass(len(b))
	return c.to.Write(b)
}

// unless throws away what is written once it is dead.
type unless struct {
	dead *atomic.Bool
	to   io.Writer
}

func (u unless) Write(b []byte) (int, error) {
	if u.dead.Load() {
		return len(b), nil
	}
	return u.to.Write(b)
}
