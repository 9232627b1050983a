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
	release   func()        // Gives its place back.
	left      chan struct{} // Closed when it is gone.
	closed    chan struct{} // Closed when nothing more will be written.
	wroteAt   atomic.Int64  // Nanoseconds since joined.

	mu       sync.Mutex
	board    *board // Nil before the hello.
	greeted  time.Time
	grant    auth.Grant // Of the upgrade or of the hello.
	hello    hello
	at       *position // Where it is in step with its board; nil = teller knows where it stands.
	teller   teller
	untold   wire.Place // Where the list of the layout's widgets goes on.
	paused   bool
	resyncs  resyncs
	updated  time.Time   // When the last update was composed, for hello.every.
	later    *time.Timer // Wakes it when the next may be; nil = nobody waits.
	beat     bool        // A heartbeat is due unless something else is.
	ping     bool
	pingedAt time.Time
	ending   *ending
	endedAt  time.Time
	ended    bool // The close message is written.
	writing  bool // A goroutine is in write.
	gone     bool
}

func newClient(h *hub, l link, dashboard string, release func(), grant auth.Grant) *client {
	now := h.now()
	return &client{
		hub: h, link: l, dashboard: dashboard, release: release, grant: grant, joined: now, pingedAt: now,
		resyncs: newResyncs(), left: make(chan struct{}), closed: make(chan struct{}),
	}
}

// read takes what the client says until the connection ends.
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
		// On a stack of its own, which ends with it: this one, of which there is one
		// for each connection, stays as small as reading is.
		goOn := make(chan bool)
		go func() { goOn <- c.take(text, err == nil) }()
		if !<-goOn {
			return
		}
	}
}

// take does what the client says, and reports whether it may say more.
func (c *client) take(text []byte, isText bool) bool {
	if c.isEnding() {
		return c.link.linger() == nil // Only the closing handshake is waited for.
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
	greeted := c.board != nil
	c.mu.Unlock()
	switch {
	case m.Type == "hello" && !greeted:
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
		c.greet(newHello(m), grant)
	case !greeted:
		return
	case m.Type == "pause":
		c.pause()
		return
	case m.Type == "play":
		c.hub.metrics.resyncs.WithLabelValues("play").Inc()
		c.resync(needNewer, true)
	case m.Type == "resync":
		c.hub.metrics.resyncs.WithLabelValues("client").Inc()
		c.resync(needAll, false)
	default:
		return // A newer client may say more.
	}
	c.wake()
}

// greet gives the client its board.
func (c *client) greet(h hello, grant auth.Grant) {
	b := c.hub.attach(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.board, c.greeted, c.grant, c.hello = b, c.hub.now(), grant, h
}

// fallOut gives the client cursors of its own where it was in step.
func (c *client) fallOut() {
	if c.at != nil {
		c.teller.resumeAt(c.at)
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
	c.link.close()
	c.mu.Lock()
	c.gone = true
	b := c.board
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
			c.link.close() // Its part of the handshake does not come, or it does not read.
		}
		return
	case denied != nil:
		c.endLocked(wire.CloseToken, denied.Error(), 0)
	case c.board == nil && now.Sub(c.joined) >= c.hub.helloWait:
		c.endLocked(wire.CloseNoHello, "no hello came", 0)
	case c.board != nil && c.teller.layout == nil && now.Sub(c.greeted) > welcomeTimeout:
		c.endLocked(wire.CloseOverloaded, "the dashboard cannot be read at the moment", 2*time.Second)
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
	for {
		action, shared := c.next(s)
		if action == actShared {
			// A frame that is shared may take its time: nobody else's memory waits with it.
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
			c.sayGoodbye()
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

func (c *client) sayGoodbye() {
	c.mu.Lock()
	e := *c.ending
	c.mu.Unlock()
	c.link.goodbye(e.code, e.reason)
	close(c.closed)
}

// fail gives up a connection that cannot be written to. writing stays set, so
// that nobody tries again.
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

// next finds what to write: a frame, which is in s then, or those of a tick.
// When there is nothing, the client is no longer writing: whoever wakes it
// later starts a new goroutine.
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
	if c.ending == nil && c.board != nil {
		l, gone := c.board.current()
		switch {
		case gone:
			c.endLocked(wire.CloseNoDashboard, "there is no such dashboard", 0)
		case l == nil:
		case c.teller.layout == nil:
			c.adopt(l)
			s.text, c.untold = wire.AppendWelcome(s.text, c.welcome(now, l), s.full)
			return actFrame, nil
		case c.teller.layout != l:
			c.adopt(l)
			s.text, c.untold = wire.AppendDashboard(s.text, l.version, l.stream, s.full)
			return actFrame, nil
		case c.untold.Widget < len(l.widgets):
			s.text, c.untold = wire.AppendWidgets(s.text, l.stream, c.untold, s.full)
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
	if c.teller.layout != nil && !c.paused {
		if act, shared := c.tell(s, now); act != actNothing {
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
	c.fallOut()
	c.teller.adopt(l, c.hello.resume, c.hello.choice)
	c.teller.most = c.hello.points
	c.hello.resume = nil
}

// tell says what is new of the widgets: with all others where the client is in
// step with them, else by itself.
func (c *client) tell(s *scratch, now time.Time) (action, []*message) {
	t := c.board.latest.Load()
	if c.at != nil {
		switch c.at {
		case t.after:
			return actNothing, nil
		case t.before:
			c.at = t.after
			return actShared, t.frames
		}
		c.fallOut()
	}
	if c.teller.goOnWithSeries(s) || c.teller.snapshot(s) || c.teller.tellState(s) || c.teller.updateRest(s, now) {
		return actFrame, nil
	}
	if rest := c.hello.every - now.Sub(c.updated); rest > 0 {
		c.wakeIn(rest)
		return actNothing, nil
	}
	if c.teller.update(s, now) {
		if s.updates > 0 {
			c.updated = now
		}
		return actFrame, nil
	}
	if t != nil && c.hello.every == 0 && c.teller.standsAt(t.after) {
		c.at, c.teller.cursors = t.after, nil
	}
	return actNothing, nil
}

func (c *client) wakeIn(d time.Duration) {
	if c.later == nil {
		c.later = time.AfterFunc(d, func() {
			c.mu.Lock()
			c.later = nil
			c.mu.Unlock()
			c.wake()
		})
	}
}
