package gateway

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"pulseboard/internal/audit"
	"pulseboard/internal/auth"
	"pulseboard/wire"
)

// Limits of a connection.
const (
	helloLimit    = wire.MaxFrame    // Bytes of a hello: it may name 200 widgets and where each was.
	messageLimit  = 4 << 10          // Bytes of any later message.
	progressLimit = 60 * time.Second // Without progress for as long, a client is sent away.
	pingEvery     = 20 * time.Second
	controlWait   = time.Second
	closeWait     = 2 * time.Second // For the client's part of the closing handshake.
	keptFrame     = 64 << 10        // Longer buffers, of snapshots, are not kept for the next frame.
)

// ending is how a connection is to be closed.
type ending struct {
	code           int
	reason         string
	reconnectAfter time.Duration
}

// client is one connection.
type client struct {
	hub       *hub
	link      link
	dashboard string
	joined    time.Time
	from      audit.From    // For the audit log, when its hello is refused.
	release   func()        // Gives its admission back.
	left      chan struct{} // Closed when it has left the hub.
	closed    chan struct{} // Closed when nothing more will be written.
	wroteAt   atomic.Int64  // Nanoseconds since joined.
	checkAt   atomic.Int64  // When checkDeadlines is due, likewise.

	mu            sync.Mutex
	room          *room // Nil before the hello.
	handshaken    time.Time
	grant         auth.Grant // Of the upgrade or of the hello.
	hello         hello
	at            *position // Where it is in sync with its room; nil = encoder has cursors of its own.
	encoder       deltaEncoder
	restOfWidgets wire.Place // Where the list of the layout's widgets goes on.
	paused        bool
	resyncs       resyncs
	updated       time.Time   // When the last update was composed, for hello.every.
	later         *time.Timer // Runs until the next update may be sent; nil = none is held back.
	beat          bool        // A heartbeat is due unless something else is.
	ping          bool
	pingedAt      time.Time
	ending        *ending
	endedAt       time.Time
	ended         bool // The close message is written.
	writing       bool // A goroutine is in write.
	gone          bool
}

func newClient(h *hub, l link, dashboard string, release func(), grant auth.Grant) *client {
	now := h.now()
	return &client{
		hub: h, link: l, dashboard: dashboard, release: release, grant: grant, joined: now, pingedAt: now,
		resyncs: newResyncs(), left: make(chan struct{}), closed: make(chan struct{}),
	}
}

// read handles the client's messages until the connection ends.
func (c *client) read() {
	defer close(c.left)
	defer c.leave()
	c.link.limit(helloLimit)
	for {
		text, err := c.link.read()
		if err != nil && !errors.Is(err, errNotText) {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				c.end(wire.CloseOverloaded, "no sign of life", shortestReconnect)
				c.awaitClose()
			}
			return
		}
		// On a stack of its own, which is freed after it: the stack of this goroutine, of
		// which there is one for each connection, stays as small as reading needs.
		goOn := make(chan bool)
		go func() { goOn <- c.take(text, err == nil) }()
		if !<-goOn {
			return
		}
	}
}

// take handles one message, and reports whether to read another.
func (c *client) take(text []byte, isText bool) bool {
	if c.isEnding() {
		return c.link.awaitPeerClose() == nil // Only the closing handshake is waited for.
	}
	m, err := wire.ReadClientMessage(text)
	if err != nil || !isText || !utf8.Valid(text) {
		c.end(wire.CloseProtocol, "a message is not JSON text", 0)
		return true
	}
	c.handle(&m)
	return true
}

func (c *client) handle(m *wire.ClientMessage) {
	c.mu.Lock()
	handshaken := c.room != nil
	c.mu.Unlock()
	switch {
	case m.Type == "hello" && !handshaken:
		c.link.limit(messageLimit)
		grant := c.grant // Only this goroutine changes it.
		if m.Token != "" || !grant.Given() {
			var err error
			if grant, err = c.hub.guard.Check(m.Token, auth.View); err != nil {
				c.hub.guard.Report(c.from, err)
				c.end(wire.CloseToken, err.Error(), 0)
				return
			}
		}
		c.handshake(newHello(m), grant)
	case !handshaken:
		return
	case m.Type == "pause":
		c.pause()
		return
	case m.Type == "play":
		c.hub.metrics.resyncs.WithLabelValues("play").Inc()
		c.resync(pendingNewer, true)
	case m.Type == "resync":
		c.hub.metrics.resyncs.WithLabelValues("client").Inc()
		c.resync(pendingAll, false)
	default:
		return // A newer client may say more.
	}
	c.scheduleWrite()
}

// handshake puts the client into its room.
func (c *client) handshake(h hello, grant auth.Grant) {
	b := c.hub.attach(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.room, c.handshaken, c.grant, c.hello = b, c.hub.now(), grant, h
}

// leaveSync gives a client that was in sync cursors of its own.
func (c *client) leaveSync() {
	if c.at != nil {
		c.encoder.resumeAt(c.at)
		c.at = nil
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
	c.scheduleWrite()
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
	c.link.close()
	c.mu.Lock()
	c.gone = true
	b := c.room
	if c.later != nil {
		c.later.Stop()
	}
	if c.resyncs.timer != nil {
		c.resyncs.timer.Stop()
	}
	c.mu.Unlock()
	c.hub.leave(c, b)
	c.release()
}

// checkDeadlines closes clients whose token expired or whose hello is late, and
// requests pings and heartbeats that are due.
func (c *client) checkDeadlines(now time.Time) {
	c.mu.Lock()
	silent := now.Sub(c.joined) - time.Duration(c.wroteAt.Load())
	c.planCheck(now, silent)
	denied := c.grant.Err()
	switch {
	case c.ending != nil:
		cut := now.Sub(c.endedAt) > 2*closeWait
		c.mu.Unlock()
		if cut {
			c.link.close() // Its close frame does not come, or it does not read.
		}
		return
	case denied != nil:
		c.endLocked(wire.CloseToken, denied.Error(), 0)
	case c.room == nil && now.Sub(c.joined) >= c.hub.helloWait:
		c.endLocked(wire.CloseNoHello, "no hello came", 0)
	case c.room != nil && c.encoder.layout == nil && now.Sub(c.handshaken) > welcomeTimeout:
		c.endLocked(wire.CloseOverloaded, "the dashboard cannot be read at the moment", 2*time.Second)
	case c.room != nil && now.Sub(c.pingedAt) >= pingEvery:
		c.ping, c.pingedAt = true, now
	// Before heartbeat_ms are over, so that no silence is longer.
	case c.room != nil && silent >= c.hub.heartbeat*4/5:
		c.beat = true
	default:
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	c.scheduleWrite()
}

// checkEvery bounds how late checkDeadlines sees what has no time known beforehand,
// such as a token that was revoked.
const checkEvery = time.Second

// isDue reports whether checkDeadlines has something to do. It takes no lock: it is
// asked of every client several times a second.
func (c *client) isDue(now time.Time) bool { return int64(now.Sub(c.joined)) >= c.checkAt.Load() }

// planCheck sets when checkDeadlines is due again. It is called with the client's lock.
func (c *client) planCheck(now time.Time, silent time.Duration) {
	next := min(checkEvery, c.hub.heartbeat/5)
	if c.room == nil {
		next = min(next, c.hub.helloWait-now.Sub(c.joined))
	} else {
		next = min(next, c.hub.heartbeat*4/5-silent)
	}
	c.checkAt.Store(int64(now.Sub(c.joined) + max(next, 0)))
}

// scheduleWrite starts the client's writer goroutine unless one runs. Callers have
// changed state that may produce a frame.
func (c *client) scheduleWrite() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing || c.gone {
		return
	}
	c.writing = true
	// The reading goroutine is counted in wg too, so that Wait has not returned yet.
	c.hub.wg.Go(c.write)
}

// write writes frame after frame until there is none. At most one goroutine of a
// client is in it.
func (c *client) write() {
	s := c.hub.scratches.Get().(*scratch)
	for {
		action, shared := c.next(s)
		if action == actShared {
			// Writing a shared frame may block: the scratch buffer is free for others meanwhile.
			c.hub.scratches.Put(s)
			for _, m := range shared {
				if !c.send(m) {
					return
				}
			}
			s = c.hub.scratches.Get().(*scratch)
			continue
		}
		if action == actPing {
			c.link.ping()
			continue
		}
		if action == actNothing || !c.send(&s.message) {
			break
		}
		if action == actClose {
			c.endInOrder()
			break
		}
	}
	if cap(s.text) <= keptFrame {
		c.hub.scratches.Put(s)
	}
}

func (c *client) send(m *message) (ok bool) {
	if err := c.link.write(m); err != nil {
		c.fail(err)
		return false
	}
	now := c.hub.now()
	c.wroteAt.Store(int64(now.Sub(c.joined)))
	c.hub.metrics.frame(m, now)
	return true
}

func (c *client) endInOrder() {
	c.mu.Lock()
	e := *c.ending
	c.mu.Unlock()
	c.link.closeFrame(e.code, e.reason)
	close(c.closed)
}

// fail gives up a connection that cannot be written to. writing stays set, so that no
// other writer starts.
func (c *client) fail(err error) {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		c.hub.metrics.closed(wire.CloseOverloaded)
	}
	c.link.close() // Wakes the reading goroutine, which cleans up.
}

type action uint8

const (
	actNothing action = iota
	actFrame
	actShared
	actPing
	actClose // The frame is the last.
)

// next finds what to write: a frame, which is in s then, or those of a batch. When
// there is nothing, the client is no longer writing: the next scheduleWrite starts a
// new goroutine.
func (c *client) next(s *scratch) (action, []*message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.reset()
	act, shared := c.compose(s, c.hub.now())
	switch act {
	case actNothing:
		c.writing = false
	case actFrame, actShared:
		c.beat = false
	case actPing, actClose:
	}
	return act, shared
}

func (c *client) compose(s *scratch, now time.Time) (action, []*message) {
	if c.ended {
		return actNothing, nil
	}
	if c.ending == nil && c.room != nil {
		l, gone := c.room.current()
		switch {
		case gone:
			c.endLocked(wire.CloseNoDashboard, "there is no such dashboard", 0)
		case l == nil:
		case c.encoder.layout == nil:
			c.adopt(l)
			s.text, c.restOfWidgets = wire.AppendWelcome(s.text, c.welcome(now, l), s.full)
			return actFrame, nil
		case c.encoder.layout != l:
			c.adopt(l)
			s.text, c.restOfWidgets = wire.AppendDashboard(s.text, l.version, l.stream, s.full)
			return actFrame, nil
		case c.restOfWidgets.Widget < len(l.widgets):
			s.text, c.restOfWidgets = wire.AppendWidgets(s.text, l.stream, c.restOfWidgets, s.full)
			return actFrame, nil
		}
	}
	switch {
	case c.ending != nil:
		c.ended = true
		s.text = wire.AppendClose(s.text, c.ending.code, c.ending.reason, c.ending.reconnectAfter.Milliseconds())
		s.retry = c.ending.reconnectAfter
		return actClose, nil
	case c.ping:
		c.ping = false
		return actPing, nil
	}
	if c.encoder.layout != nil && !c.paused {
		if act, shared := c.encode(s, now); act != actNothing {
			return act, shared
		}
	}
	if c.beat {
		s.text = wire.AppendHeartbeat(s.text, now.UnixMilli())
		return actFrame, nil
	}
	return actNothing, nil
}

func (c *client) welcome(now time.Time, l *layout) *wire.WelcomeMessage {
	return &wire.WelcomeMessage{
		ServerTime: now.UnixMilli(), HeartbeatMs: c.hub.heartbeat.Milliseconds(), Build: c.hub.build,
		Dashboard: wire.DashboardVersion{ID: c.dashboard, Version: l.version}, Widgets: l.stream,
	}
}

func (c *client) adopt(l *layout) {
	c.leaveSync()
	c.encoder.adopt(l, c.hello.resume, c.hello.choice)
	c.encoder.most = c.hello.points
	c.hello.resume = nil
}

// encode makes the next frame of the widgets: a shared batch where the client is in
// sync, else one of its own.
func (c *client) encode(s *scratch, now time.Time) (action, []*message) {
	t := c.room.latest.Load()
	if c.at != nil {
		switch c.at {
		case t.after:
			return actNothing, nil
		case t.before:
			c.at = t.after
			return actShared, t.frames
		}
		c.leaveSync()
	}
	if c.encoder.continueSeries(s) || c.encoder.snapshot(s) || c.encoder.changedState(s) || c.encoder.updateRest(s, now) {
		return actFrame, nil
	}
	if rest := c.hello.every - now.Sub(c.updated); rest > 0 {
		c.scheduleWriteIn(rest)
		return actNothing, nil
	}
	if c.encoder.update(s, now) {
		if s.updates > 0 {
			c.updated = now
		}
		return actFrame, nil
	}
	if t != nil && c.hello.every == 0 && c.encoder.standsAt(t.after) {
		c.at, c.encoder.cursors = t.after, nil
	}
	return actNothing, nil
}

func (c *client) scheduleWriteIn(d time.Duration) {
	if c.later == nil {
		c.later = time.AfterFunc(d, func() {
			c.mu.Lock()
			c.later = nil
			c.mu.Unlock()
			c.scheduleWrite()
		})
	}
}
