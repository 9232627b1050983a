package statsd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"pulseboard/internal/clock"
)

const (
	maxStreams = 256
	// maxLine is the longest line of a stream. A datagram holds no longer one either.
	maxLine = maxDatagram
	// silence is how long a stream may bring nothing while others want its place.
	silence = time.Minute
)

// streams are the TCP connections.
type streams struct {
	l       *Listener
	running sync.WaitGroup

	mu   sync.Mutex
	open map[*stream]struct{}
}

type stream struct {
	conn *net.TCPConn
	last time.Time // When it brought something.
}

func (s *streams) init(l *Listener) { s.l, s.open = l, make(map[*stream]struct{}) }

// accept returns once ctx has ended, and the listener is closed.
func (s *streams) accept(ctx context.Context) error {
	for {
		conn, err := s.l.tcp.AcceptTCP()
		switch {
		case ctx.Err() != nil && err != nil:
			return nil //nolint:nilerr // It is how reading ends.
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // Such as too many open files.
			s.l.log.Warn("a connection of StatsD cannot be accepted", "error", err)
			clock.Sleep(ctx, busyPause)
			continue
		}
		at, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
		if !s.l.allowed(at.Addr()) {
			s.turnAway(conn, "--statsd-allow does not have its address")
			continue
		}
		st := s.add(conn)
		if st == nil {
			s.turnAway(conn, "there are as many as may be, and all are in use")
			continue
		}
		s.running.Go(func() {
			defer s.remove(st)
			s.read(ctx, st)
		})
	}
}

func (s *streams) turnAway(conn *net.TCPConn, why string) {
	s.l.metrics.turnedAway.Inc()
	s.l.log.Debug("a connection of StatsD is closed", "from", conn.RemoteAddr().String(), "reason", why)
	_ = conn.Close() // Nothing was written.
}

// add returns nil where there are too many. One that has brought nothing for long gives way.
func (s *streams) add(conn *net.TCPConn) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if len(s.open) >= maxStreams {
		var oldest *stream
		for st := range s.open {
			if oldest == nil || st.last.Before(oldest.last) {
				oldest = st
			}
		}
		if now.Sub(oldest.last) < silence {
			return nil
		}
		delete(s.open, oldest)
		_ = oldest.conn.Close() // Its reader ends.
	}
	st := &stream{conn, now}
	s.open[st] = struct{}{}
	s.l.metrics.connections.Set(float64(len(s.open)))
	return st
}

func (s *streams) remove(st *stream) {
	_ = st.conn.Close() // It was only read.
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, st)
	s.l.metrics.connections.Set(float64(len(s.open)))
}

func (s *streams) alive(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.last = time.Now()
}

// end has all streams end once what was sent is read, and waits for them.
func (s *streams) end() {
	s.mu.Lock()
	for st := range s.open {
		_ = st.conn.SetReadDeadline(time.Now().Add(drainTime)) // Closed already at worst.
	}
	s.mu.Unlock()
	s.running.Wait()
}

// read takes the lines of a stream. Only whole ones are taken, and the last one where the client has closed the stream in order.
func (s *streams) read(ctx context.Context, st *stream) {
	buffer, n, first, skip := make([]byte, 4<<10), 0, true, false
	for {
		read, err := st.conn.Read(buffer[n:])
		if read > 0 {
			s.alive(st)
		}
		n += read
		lines := buffer[:0]
		if end := bytes.LastIndexByte(buffer[:n], '\n'); end >= 0 {
			lines = buffer[:end+1]
		}
		if errors.Is(err, io.EOF) {
			lines = buffer[:n]
		}
		if first && speaksHTTP(buffer[:n]) {
			s.turnAway(st.conn, "it speaks HTTP")
			return
		}
		if skip && len(lines) > 0 { // The rest of a line that was too long.
			_, rest, _ := bytes.Cut(lines, []byte{'\n'})
			s.take(ctx, rest)
			skip = false
		} else {
			s.take(ctx, lines)
		}
		first = first && len(lines) == 0
		n = copy(buffer, buffer[len(lines):n])
		switch {
		case err != nil:
			if n > 0 {
				s.l.metrics.cut.Inc()
			}
			return
		case n == maxLine:
			if !skip {
				s.l.refuse(buffer[:n], malformed("the line is longer than 64 KiB", buffer[:40]))
			}
			n, skip = 0, true
		case n == len(buffer):
			longer := make([]byte, min(2*n, maxLine))
			copy(longer, buffer)
			buffer = longer
		}
	}
}

// take waits where too many events wait: then the client's writing does.
func (s *streams) take(ctx context.Context, lines []byte) {
	for len(lines) > 0 {
		if lines = s.l.intake.take(ctx, lines); len(lines) == 0 {
			return
		}
		if !clock.Sleep(ctx, busyPause) {
			s.l.metrics.busy.Add(float64(countLines(lines)))
			return
		}
	}
}

// speaksHTTP reports whether a stream begins as a request does: a page in a browser can have one sent to any port, with
// lines of its choice in the body.
func speaksHTTP(begin []byte) bool {
	line, _, whole := bytes.Cut(begin, []byte{'\n'})
	if whole {
		return bytes.Contains(line, []byte(" HTTP/1."))
	}
	for _, method := range []string{"GET /", "POST /", "PUT /", "HEAD /", "OPTIONS /", "PATCH /", "DELETE /"} {
		if bytes.HasPrefix(begin, []byte(method)) {
			return true
		}
	}
	return false
}
