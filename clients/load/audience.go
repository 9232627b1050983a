package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"pulseboard/internal/clock"
	"pulseboard/wire"
)

// audience is all clients, and what they share.
type audience struct {
	config     *Config
	dialer     *websocket.Dialer
	slowDialer *websocket.Dialer
	dashboards []*dashboard
	clients    []*client

	buffers  sync.Pool // Of *[]byte.
	messages sync.Pool // Of *wire.Message.
	hands    *semaphore.Weighted
	wg       sync.WaitGroup

	open, complete atomic.Int64 // Clients that are connected; that have all snapshots.

	schedule  *schedule
	published *publications
	measured  measurement
	losses    losses
}

// How much is read at once. Buffers are taken only while something is read.
const bufferSize = 64 << 10

func newAudience(cfg *Config, measuring *atomic.Bool, ids []string) *audience {
	s := &audience{
		config: cfg, dialer: newDialer(0), slowDialer: newDialer(slowBuffer), hands: semaphore.NewWeighted(int64(cfg.Handshakes)),
		schedule: newSchedule(measuring), published: newPublications(),
	}
	s.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	s.messages.New = func() any { return new(wire.Message) }
	for _, id := range ids {
		s.dashboards = append(s.dashboards, &dashboard{id: id})
	}
	for i := range cfg.Connections {
		c := &client{set: s, number: i, dashboard: s.dashboards[i%len(s.dashboards)]}
		// Spread over all dashboards.
		c.slow = cfg.StopReading > 0 && i*cfg.StopReading/cfg.Connections != (i+1)*cfg.StopReading/cfg.Connections
		s.clients = append(s.clients, c)
	}
	return s
}

// ramp opens the connections, so many a second.
func (s *audience) ramp(ctx context.Context) error {
	every := time.Duration(float64(time.Second) / s.config.ConnectRate)
	begin := time.Now()
	for i, c := range s.clients {
		due := begin.Add(time.Duration(i) * every)
		if !clock.Sleep(ctx, time.Until(due)) || s.hands.Acquire(ctx, 1) != nil {
			break
		}
		join := func() {
			defer s.hands.Release(1)
			s.join(ctx, c, due)
		}
		if i > 0 {
			s.wg.Go(join)
			continue
		}
		// If the first cannot, the others need not try.
		if join(); s.losses.failure() != nil {
			return s.losses.failure()
		}
	}
	// Those under way have the handshakes.
	if err := s.hands.Acquire(ctx, int64(s.config.Handshakes)); err != nil {
		return err
	}
	s.hands.Release(int64(s.config.Handshakes))
	return ctx.Err()
}

const joinTries = 3

// join opens the first connection of a client.
func (s *audience) join(ctx context.Context, c *client, due time.Time) {
	var err error
	for range joinTries {
		if err = c.dial(ctx); err == nil {
			s.measured.connecting.Record(time.Since(due))
			s.start(c)
			return
		}
		var refused *refusal
		if errors.As(err, &refused) && refused.final() || !clock.Sleep(ctx, c.wait()) {
			break
		}
		c.attempt++
	}
	if ctx.Err() == nil {
		s.losses.openFailed(err)
	}
}

// start reads in a goroutine of its own: the stack of the one that made the
// handshake has grown.
func (s *audience) start(c *client) {
	s.open.Add(1)
	s.wg.Go(c.read)
	if s.schedule.ended() {
		c.closeNow() // It came too late to be among those that end closes.
	}
}

// completed is called when a client has all snapshots of a welcome.
func (s *audience) completed(c *client, now time.Time) {
	switch {
	case c.complete != nil:
		close(c.complete)
		c.complete = nil
	case c.resumed:
		s.losses.cameBack(now)
	default:
		s.complete.Add(1)
	}
}

// lost is called by a client whose connection has ended.
func (s *audience) lost(c *client, err error) {
	if c.number < 0 {
		return // An auditor.
	}
	s.open.Add(-1)
	if s.schedule.ended() {
		return
	}
	c.connected = false
	s.losses.lose(c.whyLost(err), c.slow, time.Now())
	if s.config.Reconnect && !c.slow && !c.closing.final() {
		s.wg.Go(func() { s.comeBack(c) })
	}
}

func (c *client) whyLost(err error) string {
	switch {
	case c.timedOut.Swap(false):
		return "no sign of life"
	case c.closing.code != 0:
		return fmt.Sprintf("closed with %d", c.closing.code)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "cut off"
	}
	return err.Error()
}

// comeBack connects again, as the page does.
func (s *audience) comeBack(c *client) {
	ctx, cancel := s.schedule.untilEnd()
	defer cancel()
	c.resumed = true
	for clock.Sleep(ctx, c.wait()) {
		c.attempt++
		if s.hands.Acquire(ctx, 1) != nil {
			return
		}
		err := c.dial(ctx)
		s.hands.Release(1)
		if err == nil {
			s.start(c)
			return
		}
		var refused *refusal
		if errors.As(err, &refused) && refused.final() {
			s.losses.giveUp()
			return
		}
	}
}

// sample measures staleness, and closes connections on which nothing comes.
func (s *audience) sample(ctx context.Context) {
	round := 0
	for range clock.Every(ctx, time.Second/slots) {
		now := time.Now()
		for i := slot(round); i < len(s.clients); i += slots {
			c := s.clients[i]
			last := c.lastRead.Load()
			if last == 0 || c.slow {
				continue
			}
			if now.UnixMilli()-last > silence.Milliseconds() {
				c.timedOut.Store(true)
				c.closeNow()
				continue
			}
			if end := c.newest.Load(); end > 0 && s.schedule.measuring.Load() {
				s.measured.staleness.Record(now.Sub(time.UnixMilli(end)))
			}
		}
		round++
	}
}

// drain waits until every client has what was due until now.
func (s *audience) drain(ctx context.Context, patience, limit time.Duration) {
	s.schedule.cut.Store(time.Now().UnixMilli())
	s.schedule.readAgain()
	s.await(ctx, patience, limit)
}

// await waits until every client that is connected has what is due before the
// cut, and returns how many have not. It gives up when nothing of it has come for
// patience, or after limit: what is late is not missing as long as it comes.
func (s *audience) await(ctx context.Context, patience, limit time.Duration) (behind int) {
	end := time.Now().Add(limit)
	still := time.Now().Add(patience)
	for before := int64(-1); ; {
		var come int64
		if behind, come = s.behind(); come != before {
			before, still = come, time.Now().Add(patience)
		}
		now := time.Now()
		if behind == 0 || now.After(still) || now.After(end) || !clock.Sleep(ctx, 20*time.Millisecond) {
			return behind
		}
	}
}

// behind counts the clients that do not have everything before the cut. come
// changes when one of them gets a part of it.
func (s *audience) behind() (n int, come int64) {
	cut := s.schedule.cut.Load()
	for _, c := range s.clients {
		if c.lastRead.Load() != 0 && c.due.Load() <= cut {
			n++
			come += c.sum.Load()
		}
	}
	return n, come
}

// audit reads the history of every dashboard anew, which holds what was published
// even if no client received it.
func (s *audience) audit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(4)
	for _, b := range s.dashboards {
		group.Go(func() error { return s.auditDashboard(ctx, b) })
	}
	err := group.Wait()
	s.published.freeze()
	if err != nil {
		return fmt.Errorf("the histories could not all be read at the end: %w", err)
	}
	return nil
}

func (s *audience) auditDashboard(ctx context.Context, b *dashboard) error {
	complete := make(chan struct{})
	c := &client{set: s, number: -1, dashboard: b, complete: complete}
	c.attempt = 1 // So that the sum names a gateway.
	if err := c.dial(ctx); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.read()
	}()
	defer func() {
		c.closeNow()
		<-ended
	}()
	select {
	case <-complete:
		return nil
	case <-ended:
		return fmt.Errorf("the stream of dashboard %s ended before its snapshots came", b.id)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end closes all connections and adds up.
func (s *audience) end() (readers, slow Delivery) {
	s.published.freeze()
	s.schedule.end()
	for _, c := range s.clients {
		c.closeNow()
	}
	s.wg.Wait()
	for _, c := range s.clients {
		c.account.cut = s.schedule.cut.Load()
		c.account.addUp(c.connected)
		if c.slow {
			slow.add(c.account.totals)
		} else {
			readers.add(c.account.totals)
		}
	}
	return readers, slow
}

// unpublished counts ends that no client received and no history holds, between
// the first end of each stream and the cut.
func (s *audience) unpublished() (ends int64, examples []string) {
	first := make(map[*stream]int64)
	for _, c := range s.clients {
		for i, since := range c.account.since {
			if st := c.account.layout.widgets[i].stream; since > 0 && (first[st] == 0 || since < first[st]) {
				first[st] = since
			}
		}
	}
	return missing(first, s.schedule.cut.Load())
}
