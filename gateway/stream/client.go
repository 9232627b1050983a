package stream

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"pulseboard/gateway/rooms"
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
	viewTimeout   = 3 * time.Second // For reading whether a dashboard exists.
	// How long a dashboard may be unreadable until its clients are sent away.
	welcomeTimeout = 10 * time.Second
)

// ending is how a connection is to be closed.
type ending struct {
	code           int
	reason         string
	reconnectAfter time.Duration
}

// client is one connection.
type client struct {
	streams   *Streams
	link      link
	dashboard string
	joined    time.Time
	from      audit.From    // For the audit log, when its hello is refused.
	release   func()        // Gives its admission back.
	left      chan struct{} // Closed when it has left the streams.
	closed    chan struct{} // Closed when nothing more will be written.
	wroteAt   atomic.Int64  // Nanoseconds since joined.
	checkAt   atomic.Int64  // When checkDeadlines is due, likewise.

	mu            sync.Mutex
	reader        *rooms.Reader // Nil before the hello.
	handshaken    time.Time
	grant         auth.Grant // Of the upgrade or of the hello.
	restOfWidgets wire.Place // Where the list of the layout's widgets goes on.
	paused        bool
	resyncs       resyncs
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

func newClient(s *Streams, l link, dashboard string, release func(), grant auth.Grant) *client {
	now := s.Now()
	return &client{
		streams: s, link: l, dashboard: dashboard, release: release, grant: grant, joined: now, pingedAt: now,
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
	handshaken := c.reader != nil
	c.mu.Unlock()
	switch {
	case m.Type == "hello" && !handshaken:
		c.link.limit(messageLimit)
		grant := c.grant // Only this goroutine changes it.
		if m.Token != "" || !grant.Given() {
			var err error
			if grant, err = c.streams.Guard.Check(m.Token, auth.View); err != nil {
				c.streams.Guard.Report(c.from, err)
				c.end(wire.CloseToken, err.Error(), 0)
				return
			}
		}
		c.handshake(optionsOf(m), grant)
	case !handshaken:
		return
	case m.Type == "pause":
		c.pause()
		return
	case m.Type == "play":
		c.streams.metrics.resyncs.WithLabelValues("play").Inc()
		c.resync(rooms.PendingNewer, true)
	case m.Type == "resync":
		c.streams.metrics.resyncs.WithLabelValues("client").Inc()
		c.resync(rooms.PendingAll, false)
	default:
		return // A newer client may say more.
	}
	c.Wake()
}

// handshake puts the client into its room.
func (c *client) handshake(o rooms.Options, grant auth.Grant) {
	r := c.streams.Rooms.Enter(c.dashboard, c, o)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reader, c.handshaken, c.grant = r, c.streams.Now(), grant
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
	c.Wake()
}

func (c *client) endLocked(code int, reason string, reconnectAfter time.Duration) {
	if c.ending == nil {
		c.ending = &ending{code, reason, reconnectAfter}
		c.endedAt = c.streams.Now()
		c.streams.metrics.closed(code)
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
	r := c.reader
	if c.later != nil {
		c.later.Stop()
	}
	if c.resyncs.timer != nil {
		c.resyncs.timer.Stop()
	}
	c.mu.Unlock()
	if r != nil {
		c.streams.Rooms.Leave(r, c)
	}
	c.streams.leave(c)
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
	case c.reader == nil && now.Sub(c.joined) >= c.streams.HelloTimeout:
		c.endLocked(wire.CloseNoHello, "no hello came", 0)
	case c.reader != nil && c.reader.Layout() == nil && now.Sub(c.handshaken) > welcomeTimeout:
		c.endLocked(wire.CloseOverloaded, "the dashboard cannot be read at the moment", 2*time.Second)
	case c.reader != nil && now.Sub(c.pingedAt) >= pingEvery:
		c.ping, c.pingedAt = true, now
	// Before heartbeat_ms are over, so that no silence is longer.
	case c.reader != nil && silent >= c.streams.Heartbeat*4/5:
		c.beat = true
	default:
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	c.Wake()
}

// checkEvery bounds how late checkDeadlines sees what has no time known beforehand,
// such as a token that was revoked.
const checkEvery = time.Second

// isDue reports whether checkDeadlines has something to do. It takes no lock: it is
// asked of every client several times a second.
func (c *client) isDue(now time.Time) bool { return int64(now.Sub(c.joined)) >= c.checkAt.Load() }

// planCheck sets when checkDeadlines is due again. It is called with the client's lock.
func (c *client) planCheck(now time.Time, silent time.Duration) {
	next := min(checkEvery, c.streams.Heartbeat/5)
	if c.reader == nil {
		next = min(next, c.streams.HelloTimeout-now.Sub(c.joined))
	} else {
		next = min(next, c.streams.Heartbeat*4/5-silent)
	}
	c.checkAt.Store(int64(now.Sub(c.joined) + max(next, 0)))
}

// Wake starts the client's writer goroutine unless one runs. Callers have
// changed something that may produce a frame.
func (c *client) Wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing || c.gone {
		return
	}
	c.writing = true
	// The reading goroutine is counted in wg too, so that Wait has not returned yet.
	c.streams.wg.Go(c.write)
}

// write writes frame after frame until there is none. At most one goroutine of a
// client is in it.
func (c *client) write() {
	s := c.streams.scratches.Get().(*rooms.Scratch)
	for {
		action, shared := c.next(s)
		if action == actShared {
			// Writing a shared frame may block: the scratch buffer is free for others meanwhile.
			c.streams.scratches.Put(s)
			for _, m := range shared {
				if !c.send(m) {
					return
				}
			}
			s = c.streams.scratches.Get().(*rooms.Scratch)
			continue
		}
		if action == actPing {
			c.link.ping()
			continue
		}
		if action == actNothing || !c.send(&s.Frame) {
			break
		}
		if action == actClose {
			c.endInOrder()
			break
		}
	}
	if cap(s.Text) <= keptFrame {
		c.streams.scratches.Put(s)
	}
}

func (c *client) send(m *rooms.Frame) (ok bool) {
	if err := c.link.write(m); err != nil {
		c.fail(err)
		return false
	}
	now := c.streams.Now()
	c.wroteAt.Store(int64(now.Sub(c.joined)))
	c.streams.metrics.frame(m, now)
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
		c.streams.metrics.closed(wire.CloseOverloaded)
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
// there is nothing, the client is no longer writing: the next Wake starts a
// new goroutine.
func (c *client) next(s *rooms.Scratch) (action, []*rooms.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Reset()
	act, shared := c.compose(s, c.streams.Now())
	switch act {
	case actNothing:
		c.writing = false
	case actFrame, actShared:
		c.beat = false
	case actPing, actClose:
	}
	return act, shared
}

func (c *client) compose(s *rooms.Scratch, now time.Time) (action, []*rooms.Frame) {
	if c.ended {
		return actNothing, nil
	}
	if c.ending == nil && c.reader != nil && c.composeLayout(s, now) {
		return actFrame, nil
	}
	switch {
	case c.ending != nil:
		c.ended = true
		s.Text = wire.AppendClose(s.Text, c.ending.code, c.ending.reason, c.ending.reconnectAfter.Milliseconds())
		s.Retry = c.ending.reconnectAfter
		return actClose, nil
	case c.ping:
		c.ping = false
		return actPing, nil
	}
	if c.reader != nil && c.reader.Layout() != nil && !c.paused {
		shared, own, wait := c.reader.Next(s, now)
		switch {
		case own:
			return actFrame, nil
		case len(shared) > 0:
			return actShared, shared
		case wait > 0:
			c.wakeIn(wait)
		}
	}
	if c.beat {
		s.Text = wire.AppendHeartbeat(s.Text, now.UnixMilli())
		return actFrame, nil
	}
	return actNothing, nil
}

// composeLayout composes what a stream must have of its dashboard before anything of the widgets.
func (c *client) composeLayout(s *rooms.Scratch, now time.Time) bool {
	before := c.reader.Layout()
	l, gone := c.reader.Adopt()
	switch {
	case gone:
		c.endLocked(wire.CloseNoDashboard, "there is no such dashboard", 0)
		return false
	case l != nil && before == nil:
		s.Text, c.restOfWidgets = wire.AppendWelcome(s.Text, &wire.WelcomeMessage{
			ServerTime: now.UnixMilli(), HeartbeatMs: c.streams.Heartbeat.Milliseconds(), Build: c.streams.Build,
			Dashboard: wire.DashboardVersion{ID: c.dashboard, Version: l.Version}, Widgets: l.Stream,
		}, s.Full)
	case l != nil:
		s.Text, c.restOfWidgets = wire.AppendDashboard(s.Text, l.Version, l.Stream, s.Full)
	case before != nil && c.restOfWidgets.Widget < len(before.Stream):
		s.Text, c.restOfWidgets = wire.AppendWidgets(s.Text, before.Stream, c.restOfWidgets, s.Full)
	default:
		return false
	}
	return true
}

// wakeIn calls Wake after d.
func (c *client) wakeIn(d time.Duration) {
	if c.later == nil {
		c.later = time.AfterFunc(d, func() {
			c.mu.Lock()
			c.later = nil
			c.mu.Unlock()
			c.Wake()
		})
	}
}
