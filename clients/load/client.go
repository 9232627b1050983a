package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"pulseboard/clients/rest"
	"pulseboard/internal/wsframe"
	"pulseboard/wire"
)

// client is one viewer of a dashboard. Its reading goroutine owns it while it is
// connected; between connections the goroutine that dials does.
type client struct {
	set       *audience
	number    int
	dashboard *dashboard
	slow      bool // It stops reading for a while.

	conn    net.Conn
	raw     syscall.RawConn // Nil for TLS.
	frames  frames
	account account

	layout   [][]byte // The parts of a layout that have come so far.
	welcomed bool     // They are those of a welcome.

	connected bool
	closing   ending // What the server said before it closed.
	attempt   int
	pending   int           // Snapshots of the welcome that have not come yet.
	resumed   bool          // It was connected before.
	complete  chan struct{} // Closed when all snapshots have come; nil = of no interest.

	link     atomic.Pointer[net.Conn] // For others to close.
	lastRead atomic.Int64             // Epoch ms of when anything came; 0 = not connected.
	newest   atomic.Int64             // The newest window end.
	due      atomic.Int64             // When the earliest result that has not come is due.
	sum      atomic.Int64             // Changes with each of them that comes.
	timedOut atomic.Bool              // It was closed because nothing came.
}

// ending is the code and reason of a close.
type ending struct {
	code  int
	after time.Duration // Until it may come back.
}

// As the page does: how long a silence is taken for, and how it comes back.
const (
	silence        = 12500 * time.Millisecond // 2.5 heartbeats.
	firstBackoff   = 500 * time.Millisecond
	longestBackoff = 15 * time.Second
	handshakeTime  = 20 * time.Second
)

// dial connects and says hello.
func (c *client) dial(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	base := c.set.config.Gateways[(c.number+c.attempt)%len(c.set.config.Gateways)]
	dialer := c.set.dialer
	if c.slow {
		dialer = c.set.slowDialer
	}
	ws, res, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(base, "http")+"/stream/"+c.dashboard.id, nil)
	if err != nil {
		return handshakeError(base, res, err)
	}
	// The server says nothing before the hello, so that nothing is left in the
	// buffers of ws. They are let go.
	c.conn, c.raw, c.frames, c.layout = ws.NetConn(), nil, frames{}, nil
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		if c.raw, err = tcp.SyscallConn(); err != nil {
			return err
		}
	}
	_ = c.conn.SetDeadline(time.Time{}) // Of the handshake; it cannot fail on an open connection.
	hello, err := json.Marshal(c.hello())
	if err != nil {
		return err
	}
	if _, err := c.conn.Write(wsframe.Append(nil, wsframe.Text, hello)); err != nil {
		_ = c.conn.Close()
		return err
	}
	c.connected, c.closing = true, ending{}
	c.lastRead.Store(time.Now().UnixMilli())
	conn := c.conn
	c.link.Store(&conn)
	return nil
}

func (c *client) hello() wire.HelloMessage {
	h := wire.NewHello()
	h.Token = c.set.config.Token.Reveal()
	for i, cur := range c.account.cursors {
		if cur.last == 0 {
			continue
		}
		if h.Resume == nil {
			h.Resume = make(map[string]wire.ResumePoint, len(c.account.cursors))
		}
		w := c.account.layout.widgets[i]
		h.Resume[w.id] = wire.ResumePoint{Key: w.keyID, WindowEnd: cur.last}
	}
	return h
}

var (
	errClosed  = errors.New("closed by the server")
	errStopped = errors.New("stopped reading")
)

// read takes what comes until the connection ends, and says how it ended.
func (c *client) read() {
	err := c.pump()
	for errors.Is(err, errStopped) {
		// The connection stays open, and nothing is read of it.
		<-c.set.schedule.resume
		err = c.pump()
	}
	c.lastRead.Store(0)
	_ = c.conn.Close()
	c.set.lost(c, err)
}

// pump reads without a buffer of its own: it waits until there is something, and
// takes a buffer that all share only then. gorilla/websocket, which keeps buffers for
// each connection, takes 15 % more CPU a frame and 2 KiB more of memory a connection.
func (c *client) pump() error {
	if c.raw == nil {
		return c.pumpTLS()
	}
	var err error
	waiting := c.raw.Read(func(fd uintptr) bool {
		for {
			if c.stops() {
				err = errStopped
				return true
			}
			buffer := c.set.buffers.Get().(*[]byte)
			n, e := syscall.Read(int(fd), *buffer)
			switch {
			case n > 0:
				err = c.take((*buffer)[:n])
			case errors.Is(e, syscall.EAGAIN):
				c.set.buffers.Put(buffer)
				return false
			case errors.Is(e, syscall.EINTR):
			case e != nil:
				err = e
			default:
				err = io.EOF
			}
			c.set.buffers.Put(buffer)
			if err != nil {
				return true
			}
		}
	})
	if err == nil {
		err = waiting
	}
	return err
}

func (c *client) pumpTLS() error {
	buffer := make([]byte, 4096)
	for {
		if c.stops() {
			return errStopped
		}
		n, err := c.conn.Read(buffer)
		if n > 0 {
			if err := c.take(buffer[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

func (c *client) stops() bool { return c.slow && c.set.schedule.stopped.Load() }

func (c *client) take(b []byte) error {
	c.lastRead.Store(time.Now().UnixMilli())
	return c.frames.feed(b, c)
}

// receive implements receiver.
func (c *client) receive(op byte, payload []byte) error {
	switch op {
	case wsframe.Ping:
		_, err := c.conn.Write(wsframe.Append(nil, wsframe.Pong, payload))
		return err
	case wsframe.Close:
		if len(payload) >= 2 && c.closing.code == 0 {
			c.closing.code = int(payload[0])<<8 | int(payload[1])
		}
		// The server closes; whether it hears this does not matter.
		_, _ = c.conn.Write(wsframe.Append(nil, wsframe.Close, payload[:min(2, len(payload))]))
		return errClosed
	case wsframe.Text:
		return c.message(payload)
	}
	return nil
}

func (c *client) message(b []byte) error {
	now := time.Now()
	m := c.set.messages.Get().(*wire.Message)
	defer c.set.messages.Put(m)
	if err := m.Read(b); err != nil {
		return err
	}
	s := c.set
	s.measured.bytes.Add(int64(len(b)))
	a := &c.account
	a.cut = s.schedule.cut.Load()
	switch m.Kind {
	case wire.KindWelcome, wire.KindDashboard, wire.KindWidgets:
		if err := c.widgets(m, b, now); err != nil {
			return err
		}
	case wire.KindSnapshot:
		if a.snapshot(m.Index, m.Reset, m.More, m.Results) && c.pending > 0 {
			if c.pending--; c.pending == 0 {
				s.completed(c, now)
			}
		}
		if c.resumed && m.Reset {
			s.losses.resets.Add(1)
		}
	case wire.KindUpdate:
		a.update(m.Results, m.Skipped)
		if !c.slow && s.schedule.measuring.Load() {
			s.measured.update(a.layout, m, now)
		}
	case wire.KindClose:
		c.closing = ending{code: m.Code, after: time.Duration(m.ReconnectAfterMs) * time.Millisecond}
	case wire.KindHeartbeat, wire.KindSeries, wire.KindState, wire.KindUnknown:
	}
	for _, r := range m.Results {
		if r.End > c.newest.Load() {
			c.newest.Store(r.End)
		}
	}
	if a.layout != nil {
		due, sum := a.due()
		c.due.Store(due)
		c.sum.Store(sum)
	}
	return nil
}

// widgets takes a message that lists the widgets of the dashboard, or a part of them.
func (c *client) widgets(m *wire.Message, text []byte, now time.Time) error {
	if m.Kind != wire.KindWidgets {
		c.layout, c.welcomed = nil, m.Kind == wire.KindWelcome
	}
	if m.More {
		c.layout = append(c.layout, bytes.Clone(text))
		return nil
	}
	l, err := c.dashboard.learn(c.set.published, append(c.layout, text)...)
	if err != nil {
		return err
	}
	c.layout = nil
	c.account.adopt(l, c.welcomed)
	if !c.welcomed {
		return nil
	}
	if c.attempt, c.pending = 0, len(l.widgets); c.pending == 0 {
		c.set.completed(c, now)
	}
	return nil
}

func handshakeError(base string, res *http.Response, err error) error {
	if res != nil {
		defer res.Body.Close()          //nolint:errcheck // It was only read.
		body, _ := io.ReadAll(res.Body) // Of it the dialer holds 1 KiB at most.
		return refused(fmt.Sprintf("cannot open a stream at %s: it answers", base), rest.Answer{Status: res.StatusCode, Body: body},
			"pass a token in PULSEBOARD_TOKEN", "is this the gateway?")
	}
	text := "check --gateway"
	switch {
	case errors.Is(err, syscall.EMFILE):
		text = "this process has no file left: raise the limit with ulimit -n"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		text = "no source port is left: give more addresses with --gateway, or widen net.ipv4.ip_local_port_range"
	}
	return fmt.Errorf("cannot reach the gateway at %s: %w; %s", base, err, text)
}

// final reports whether another connection would meet the same end.
func (e ending) final() bool { return e.code >= 4400 && e.code <= 4499 }

// wait is how long the client waits before it comes back.
func (c *client) wait() time.Duration {
	bound := min(longestBackoff, firstBackoff<<min(c.attempt, 10))
	return c.closing.after + rand.N(bound)
}

// closeNow ends the connection from another goroutine.
func (c *client) closeNow() {
	if conn := c.link.Load(); conn != nil {
		_ = (*conn).Close() // Its reader notices.
	}
}

// The kernel reads for a client that does not: this is how much, instead of the
// hundreds of kilobytes that would hide a client from the gateway for minutes.
const slowBuffer = 8 << 10

// newDialer makes handshakes with small buffers: they are let go afterwards.
// receiveBuffer is that of the kernel, 0 = as it likes. It must be set before the
// connection is made: a window that shrinks makes the sender wait for its timers.
func newDialer(receiveBuffer int) *websocket.Dialer {
	d := &net.Dialer{}
	if receiveBuffer > 0 {
		d.Control = func(_, _ string, c syscall.RawConn) error {
			var err error
			if e := c.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer)
			}); e != nil {
				return e
			}
			return err
		}
	}
	return &websocket.Dialer{
		NetDialContext:   d.DialContext,
		HandshakeTimeout: handshakeTime,
		ReadBufferSize:   1024, WriteBufferSize: 1024,
		Subprotocols: []string{wire.Subprotocol},
	}
}
