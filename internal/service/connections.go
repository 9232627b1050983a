package service

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// connections bounds the connections of a server, in all and from one address,
// before a goroutine or a handshake is spent on one. At a bound, the connection
// that has waited longest without a request is closed to make room, so that silent
// connections lock nobody out. Only when all are busy is a new one refused.
//
// A connection counts until it is closed, not until net/http reports it hijacked:
// streams are hijacked, and hold their descriptor.
//
//	Accept ──▶ admit ──▶ net/http ──▶ ConnState: waits (new, idle) or is busy (request, stream)
//	             │ full                                   │
//	             └──▶ the first of waiting is closed ◀────┘ oldest first
type connections struct {
	proxies Proxies
	metrics *serverMetrics
	log     *slog.Logger
	limit   int // In all.
	most    int // From one address.
	near    int // From one that many may share: see Proxies.Near.

	mu      sync.Mutex
	open    int
	of      map[netip.Addr]*int
	waiting conn // The ring of those that wait, oldest first; itself none.
	logged  time.Time
}

// conn is an accepted connection.
type conn struct {
	*net.TCPConn // By embedding it, net/http and net.Buffers know it as one of TCP.

	set        *connections
	from       netip.Addr
	count      *int  // Of its address.
	prev, next *conn // In the ring; nil = it does not wait.
	closed     bool
}

// How many connections beside streams a server may have, of the descriptors that
// it may have: the rest are for files and for connections to Kafka, Redis and databases.
const (
	mostRequests     = 10_000
	leastDescriptors = 256
)

func newConnections(streams int, p Proxies, m *serverMetrics, log *slog.Logger) *connections {
	limit := mostRequests + streams
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil && files.Cur < 1<<30 {
		limit = min(limit, int(files.Cur)-min(leastDescriptors, int(files.Cur)/2))
	}
	return connectionsOf(limit, p, m, log)
}

func connectionsOf(limit int, p Proxies, m *serverMetrics, log *slog.Logger) *connections {
	s := &connections{
		proxies: p, metrics: m, log: log, of: map[netip.Addr]*int{},
		limit: limit, most: max(1, limit/4), near: max(1, limit-limit/8),
	}
	s.waiting.prev, s.waiting.next = &s.waiting, &s.waiting
	m.limit.Set(float64(limit))
	return s
}

// listener admits what it accepts.
type listener struct {
	net.Listener

	set *connections
}

func (l listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
				l.set.makeRoom() // net/http tries again.
			}
			return nil, err
		}
		tcp, ok := c.(*net.TCPConn)
		if !ok {
			return c, nil // Of a Unix socket: its mode says who may connect.
		}
		if admitted := l.set.admit(tcp); admitted != nil {
			return admitted, nil
		}
		_ = tcp.Close() // Nobody is left to be told.
	}
}

// admit returns the connection as one that waits for its first request, or nil
// when there is no room for it.
func (s *connections) admit(tcp *net.TCPConn) *conn {
	at, _ := tcp.RemoteAddr().(*net.TCPAddr)
	c := &conn{TCPConn: tcp, set: s, from: network(at.AddrPort().Addr().Unmap())}
	s.mu.Lock()
	count := s.of[c.from]
	if count == nil {
		count = new(int)
	}
	most := s.most
	if s.proxies.Near(c.from) {
		most = s.near
	}
	var old *conn
	switch {
	case *count >= most:
		if old = s.oldest(c.from); old == nil {
			s.refused(s.metrics.refusedAddress.Inc, c.from, *count)
			return nil
		}
	case s.open >= s.limit:
		if old = s.oldest(netip.Addr{}); old == nil {
			s.refused(s.metrics.refusedFull.Inc, c.from, *count)
			return nil
		}
	}
	if old != nil {
		s.forget(old)
	}
	c.count = count
	*count++
	s.of[c.from] = count
	s.open++
	s.metrics.open.Set(float64(s.open))
	s.wait(c)
	s.mu.Unlock()
	s.evict(old)
	return c
}

// evict closes a connection that was forgotten; nil = none.
func (s *connections) evict(c *conn) {
	if c != nil {
		s.metrics.evicted.Inc()
		_ = c.TCPConn.Close() // It was silent.
	}
}

// refused counts and, once a minute, logs what had no room; it unlocks mu.
func (s *connections) refused(count func(), from netip.Addr, has int) {
	due := time.Since(s.logged) > time.Minute
	if due {
		s.logged = time.Now()
	}
	open := s.open
	s.mu.Unlock()
	count()
	if due {
		s.log.Warn("a connection is refused: there are as many as there may be, and all are busy; is it a proxy (--trusted-proxies), or the limit of open files low?",
			"address", from.String(), "its_connections", has, "connections", open, "limit", s.limit)
	}
}

// makeRoom closes the connection that has waited longest.
func (s *connections) makeRoom() {
	s.mu.Lock()
	old := s.oldest(netip.Addr{})
	if old != nil {
		s.forget(old)
	}
	s.mu.Unlock()
	s.evict(old)
}

// oldest is the connection of an address, or of any, that has waited longest.
func (s *connections) oldest(from netip.Addr) *conn {
	for c := s.waiting.next; c != &s.waiting; c = c.next {
		if !from.IsValid() || c.from == from {
			return c
		}
	}
	return nil
}

func (s *connections) wait(c *conn) {
	if c.next == nil && !c.closed {
		last := s.waiting.prev
		c.prev, c.next = last, &s.waiting
		last.next, s.waiting.prev = c, c
	}
}

func (s *connections) busy(c *conn) {
	if c.next != nil {
		c.prev.next, c.next.prev = c.next, c.prev
		c.prev, c.next = nil, nil
	}
}

// forget takes a connection out of the counts, once.
func (s *connections) forget(c *conn) {
	if c.closed {
		return
	}
	c.closed = true
	s.busy(c)
	if *c.count--; *c.count == 0 {
		delete(s.of, c.from)
	}
	s.open--
	s.metrics.open.Set(float64(s.open))
}

// state is http.Server.ConnState.
func (s *connections) state(nc net.Conn, state http.ConnState) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	switch state {
	case http.StateActive, http.StateHijacked:
		s.mu.Lock()
		s.busy(c)
		s.mu.Unlock()
	case http.StateIdle:
		s.mu.Lock()
		s.wait(c)
		s.mu.Unlock()
	case http.StateNew, http.StateClosed: // Known by admit and Close.
	}
}

// Close closes the connection and gives its place back.
func (c *conn) Close() error {
	c.set.mu.Lock()
	c.set.forget(c)
	c.set.mu.Unlock()
	return c.TCPConn.Close()
}
