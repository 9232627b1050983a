package gateway

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"pulseboard/internal/auth"
)

// Limits of a connection.
const (
	helloLimit    = 256 << 10        // Bytes of a hello: it may name 200 widgets with their keys.
	messageLimit  = 4 << 10          // Bytes of any later message.
	progressLimit = 60 * time.Second // Without progress for as long, a client is sent away.
	pingEvery     = 20 * time.Second
	controlWait   = time.Second
	closeWait     = 2 * time.Second // For the client's part of the closing handshake.
	keptFrame     = 64 << 10        // Longer buffers, of snapshots, are not kept for the next frame.
)

// cursor is what a client knows of one widget.
type cursor struct {
	need    need
	resume  resumePoint // For the first snapshot.
	end     int64       // The window end sent last.
	version string      // The series version sent last.
	values  []float64   // The values at end, in the order of version; nil = not comparable.
	state   state
}

// need says which snapshot a widget is owed before anything else.
type need uint8

const (
	needNothing need = iota
	needNewer        // The points after end.
	needAll
)

// ending is how a connection is to be closed.
type ending struct {
	code           int
	reason         string
	reconnectAfter time.Duration
}

// client is one WebSocket connection.
type client struct {
	hub       *hub
	ws        *websocket.Conn
	dashboard string
	joined    time.Time
	left      chan struct{} // Closed when it is gone.
	closed    chan struct{} // Closed when nothing more will be written.
	wroteAt   atomic.Int64  // Nanoseconds since joined.

	mu       sync.Mutex
	board    *board // Nil before the hello.
	greeted  time.Time
	grant    auth.Grant // Of the upgrade or of the hello.
	resume   map[string]resumePoint
	layout   *layout // What the client was told of, nil before the welcome.
	cursors  []cursor
	paused   bool
	skipped  int
	beat     bool // A heartbeat is due unless something else is.
	ping     bool
	pingedAt time.Time
	ending   *ending
	endedAt  time.Time
	ended    bool // The close message is written.
	writing  bool // A goroutine is in write.
	gone     bool
}

func newClient(h *hub, ws *websocket.Conn, dashboard string, grant auth.Grant) *client {
	now := h.now()
	return &client{
		hub: h, ws: ws, dashboard: dashboard, grant: grant, joined: now, pingedAt: now,
		left: make(chan struct{}), closed: make(chan struct{}),
	}
}

// read takes what the client says until the connection ends.
func (c *client) read() {
	defer close(c.left)
	defer c.leave()
	c.ws.SetReadLimit(helloLimit)
	extend := func(string) error { return c.ws.SetReadDeadline(time.Now().Add(progressLimit)) }
	c.ws.SetPongHandler(extend)
	for {
		if err := extend(""); err != nil {
			return
		}
		kind, b, err := c.ws.ReadMessage()
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				c.end(closeOverloaded, "no sign of life", shortestReconnect)
				c.awaitClose()
			}
			return
		}
		if c.isEnding() {
			// Only the closing handshake is waited for.
			if err := c.ws.SetReadDeadline(time.Now().Add(closeWait)); err != nil {
				return
			}
			continue
		}
		m, err := parseClientMessage(b)
		if err != nil || kind != websocket.TextMessage {
			c.end(closeProtocol, "a message is not JSON text", 0)
			continue
		}
		c.handle(m)
	}
}

func (c *client) handle(m clientMessage) {
	c.mu.Lock()
	greeted := c.board != nil
	c.mu.Unlock()
	switch {
	case m.Type == "hello" && !greeted:
		c.ws.SetReadLimit(messageLimit)
		grant := c.grant // Only this goroutine changes it.
		if m.Token != "" || !grant.Given() {
			var err error
			if grant, err = c.hub.guard.Check(m.Token, auth.View); err != nil {
				c.end(closeToken, err.Error(), 0)
				return
			}
		}
		b := c.hub.attach(c)
		c.mu.Lock()
		c.board, c.greeted, c.grant, c.resume = b, c.hub.now(), grant, m.resumePoints()
		c.mu.Unlock()
	case !greeted:
		return
	case m.Type == "pause":
		c.mu.Lock()
		c.paused = true
		c.mu.Unlock()
		return
	case m.Type == "play":
		c.hub.metrics.resyncs.WithLabelValues("play").Inc()
		c.mu.Lock()
		c.paused = false
		c.owe(needNewer)
		c.mu.Unlock()
	case m.Type == "resync":
		c.hub.metrics.resyncs.WithLabelValues("client").Inc()
		c.mu.Lock()
		c.owe(needAll)
		c.mu.Unlock()
	default:
		return // A newer client may say more.
	}
	c.wake()
}

// owe makes every widget need a snapshot, at least of the given kind.
func (c *client) owe(n need) {
	for i := range c.cursors {
		c.cursors[i].need = max(c.cursors[i].need, n)
	}
}

func (c *client) isEnding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending != nil
}

// end closes the connection in order: close message, close frame, handshake.
func (c *client) end(code int, reason string, reconnectAfter time.Duration) {
	c.mu.Lock()
	c.endLocked(code, reason, reconnectAfter)
	c.mu.Unlock()
	c.wake()
}

func (c *client) endLocked(code int, reason string, reconnectAfter time.Duration) {
	if c.ending == nil {
		c.ending = &ending{code, reason, reconnectAfter}
		c.endedAt = c.hub.now()
		c.hub.metrics.closed(code)
	}
}

// awaitClose gives the close message a moment to be written.
func (c *client) awaitClose() {
	t := time.NewTimer(controlWait)
	defer t.Stop()
	select {
	case <-c.closed:
	case <-t.C:
	}
}

func (c *client) leave() {
	_ = c.ws.Close() // It is gone, one way or the other.
	c.mu.Lock()
	c.gone = true
	b := c.board
	c.mu.Unlock()
	c.hub.leave(c, b)
}

// look does what is due because time has passed.
func (c *client) look(now time.Time) {
	c.mu.Lock()
	silent := now.Sub(c.joined) - time.Duration(c.wroteAt.Load())
	denied := c.grant.Err()
	switch {
	case c.ending != nil:
		cut := now.Sub(c.endedAt) > 2*closeWait
		c.mu.Unlock()
		if cut {
			_ = c.ws.Close() // Its part of the handshake does not come, or it does not read.
		}
		return
	case denied != nil:
		c.endLocked(closeToken, denied.Error(), 0)
	case c.board == nil && now.Sub(c.joined) >= c.hub.helloWait:
		c.endLocked(closeNoHello, "no hello came", 0)
	case c.board != nil && c.layout == nil && now.Sub(c.greeted) > welcomeTimeout:
		c.endLocked(closeOverloaded, "the dashboard cannot be read at the moment", 2*time.Second)
	case c.board != nil && now.Sub(c.pingedAt) >= pingEvery:
		c.ping, c.pingedAt = true, now
	// Before heartbeat_ms are over, so that no silence is longer.
	case c.board != nil && silent >= c.hub.heartbeat*4/5:
		c.beat = true
	default:
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	c.wake()
}

// wake makes sure that what there is to say is said.
func (c *client) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing || c.gone {
		return
	}
	c.writing = true
	// The reading goroutine is counted too, so that nobody has stopped waiting yet.
	c.hub.wg.Go(c.write)
}

// write writes frame after frame until there is nothing to say. At most one
// goroutine of a client is in it.
func (c *client) write() {
	s := c.hub.scratches.Get().(*scratch)
	defer func() {
		if cap(s.frame) <= keptFrame {
			c.hub.scratches.Put(s)
		}
	}()
	for {
		action := c.next(s)
		switch action {
		case actNothing:
			return
		case actPing:
			// A client that is gone is found by its reading goroutine.
			_ = c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(controlWait))
			continue
		case actFrame, actClose:
		}
		err := c.ws.SetWriteDeadline(time.Now().Add(progressLimit))
		if err == nil {
			err = c.ws.WriteMessage(websocket.TextMessage, s.frame)
		}
		if err != nil {
			c.fail(err)
			return
		}
		c.wroteAt.Store(int64(c.hub.now().Sub(c.joined)))
		c.hub.metrics.frame(s)
		if action == actClose {
			c.sayGoodbye()
			return
		}
	}
}

func (c *client) sayGoodbye() {
	c.mu.Lock()
	e := *c.ending
	c.mu.Unlock()
	// The client may be gone already.
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(e.code, e.reason), time.Now().Add(controlWait))
	_ = c.ws.SetReadDeadline(time.Now().Add(closeWait))
	close(c.closed)
}

// fail gives up a connection that cannot be written to. writing stays set, so
// that nobody tries again.
func (c *client) fail(err error) {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		c.hub.metrics.closed(closeOverloaded)
	}
	_ = c.ws.Close() // Wakes the reading goroutine, which cleans up.
}
