package gateway

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"pulseboard/internal/audit"
	"pulseboard/internal/auth"
	"pulseboard/internal/clock"
	"pulseboard/internal/redisconn"
	"pulseboard/results"
	"pulseboard/wire"
)

// Times that need no flag.
const (
	redisTimeout      = 3 * time.Second
	gatherMoment      = 100 * time.Millisecond // How long the first widget that is due waits for the others, for one frame.
	dashboardPoll     = 2 * time.Second
	probeEvery        = time.Second
	topPoll           = 10 * time.Second       // How often the histories' tops are compared with what was received.
	firstPoll         = 250 * time.Millisecond // The same, of histories that are awaited,
	firstPatience     = 20 * time.Second       // for so long.
	concurrentReads   = 8
	unknownWait       = 1500 * time.Millisecond // For the view of a dashboard: it comes within a second of its making.
	welcomeTimeout    = 10 * time.Second        // How long a dashboard may be unreadable until its clients are sent away.
	drainTimeout      = 5 * time.Second
	shortestReconnect = 500 * time.Millisecond
)

// hub is what all clients of this process share.
type hub struct {
	results    *results.Store
	dashboards Dashboards
	subscriber *redisconn.Listener
	guard      *auth.Guard
	audit      *audit.Log
	metrics    *metrics
	log        *slog.Logger
	now        func() time.Time
	sliceMs    int64
	heartbeat  time.Duration
	fullFrame  int    // Bytes at which a frame takes no more.
	build      string // Of the page.
	helloWait  time.Duration
	readers    *semaphore.Weighted
	scratches  sync.Pool // Of *scratch.
	horizon    *horizon

	// ctx is that of everything below: clients come through Handler, whose requests
	// end earlier. It ends in run.
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu          sync.Mutex
	rooms       map[string]*room
	feeds       map[results.Stream]*feed
	byKey       map[string][]*feed // The slices are replaced, never changed.
	clients     map[*client]struct{}
	admission   admission
	closing     bool
	unavailable bool              // Redis does not answer.
	limited     map[string]string // Why queries are not computed, by metric key.
}

func newHub(cfg Config, m *metrics) *hub {
	h := &hub{
		results: cfg.Results, dashboards: cfg.Dashboards, guard: cfg.Guard, audit: cfg.Audit, metrics: m, log: cfg.Log, now: cfg.now,
		sliceMs: cfg.Slice.Milliseconds(), heartbeat: cfg.Heartbeat, build: cfg.Build, fullFrame: cfg.maxFrame - wire.MessageEnd, helloWait: cfg.HelloTimeout,
		horizon: &horizon{hidden: m.hidden},
		readers: semaphore.NewWeighted(concurrentReads),
		rooms:   make(map[string]*room), feeds: make(map[results.Stream]*feed),
		byKey: make(map[string][]*feed), clients: make(map[*client]struct{}),
		admission: newAdmission(cfg),
	}
	h.scratches.New = func() any { return &scratch{full: h.fullFrame} }
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.subscriber = h.results.Subscribe(h.ctx, h.receive, h.resync)
	return h
}

// receive gets each message from Redis: it must not block.
func (h *hub) receive(key, payload string) {
	h.mu.Lock()
	feeds := h.byKey[key]
	h.mu.Unlock()
	if len(feeds) == 0 {
		return
	}
	r, err := wire.DecodeResult(payload)
	if err != nil {
		h.log.Warn("a message is no result", "channel", key, "error", err)
		return
	}
	h.metrics.messages.Inc()
	now := h.now()
	for _, f := range feeds {
		if f.receive(r, now) {
			h.notify(f, false)
		}
	}
}

// resync is called when messages may have been missed.
func (h *hub) resync() {
	h.metrics.resubscriptions.Inc()
	for _, f := range h.allFeeds() {
		f.ask()
	}
}

func (h *hub) allFeeds() []*feed {
	h.mu.Lock()
	defer h.mu.Unlock()
	fs := make([]*feed, 0, len(h.feeds))
	for _, f := range h.feeds {
		fs = append(fs, f)
	}
	return fs
}

// notify has the rooms that show f encode what is new.
func (h *hub) notify(f *feed, atOnce bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for b := range f.rooms {
		if atOnce {
			signal(b.now)
		} else {
			signal(b.due)
		}
	}
}

// place gives b the feeds of these widgets instead of those that it has, starting and
// ending feeds as needed.
func (h *hub) place(b *room, views []wire.WidgetView) []widget {
	h.mu.Lock()
	defer h.mu.Unlock()
	widgets := make([]widget, 0, len(views))
	kept := make(map[*feed]struct{}, len(views))
	for _, v := range views {
		f := h.feed(&v)
		f.rooms[b] = struct{}{}
		kept[f] = struct{}{}
		widgets = append(widgets, widget{v, f})
	}
	if l, _ := b.current(); l != nil {
		for _, w := range l.widgets {
			if _, ok := kept[w.feed]; !ok {
				h.release(b, w.feed)
			}
		}
	}
	h.metrics.feeds.Set(float64(len(h.feeds)))
	return widgets
}

func (h *hub) feed(s *wire.WidgetView) *feed {
	stream := results.Stream{Key: s.Key, RefreshMs: s.RefreshMs}
	f := h.feeds[stream]
	if f == nil {
		f = newFeed(s, h.sliceMs, h.horizon)
		f.unavailable, f.limited = h.unavailable, h.limited[s.Key]
		f.refreshState(h.now())
		h.feeds[stream] = f
		h.byKey[s.Key] = append(slices.Clip(h.byKey[s.Key]), f)
		var ctx context.Context
		ctx, f.cancel = context.WithCancel(h.ctx)
		h.wg.Go(func() { f.run(ctx, h) })
	}
	return f
}

func (h *hub) release(b *room, f *feed) {
	delete(f.rooms, b)
	if len(f.rooms) > 0 {
		return
	}
	f.cancel()
	delete(h.feeds, f.stream())
	rest := slices.DeleteFunc(slices.Clone(h.byKey[f.key]), func(o *feed) bool { return o == f })
	if len(rest) == 0 {
		delete(h.byKey, f.key)
	} else {
		h.byKey[f.key] = rest
	}
}

// join starts a client; false when the hub ends. said is the hello of a client that
// cannot send one, nil otherwise.
func (h *hub) join(c *client, said *hello) bool {
	h.mu.Lock()
	if h.closing {
		h.mu.Unlock()
		return false
	}
	h.clients[c] = struct{}{}
	h.wg.Go(c.read)
	h.mu.Unlock()
	if said != nil {
		c.handshake(*said, c.grant)
		c.scheduleWrite()
	}
	return true
}

// attach puts a client whose hello has come into its room.
func (h *hub) attach(c *client) *room {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.rooms[c.dashboard]
	if b == nil {
		ctx, cancel := context.WithCancel(h.ctx)
		b = newRoom(c.dashboard, cancel)
		h.rooms[c.dashboard] = b
		h.wg.Go(func() { b.follow(ctx, h) })
		h.wg.Go(func() { b.run(ctx, h) })
	}
	b.mu.Lock()
	b.clients[c] = struct{}{}
	b.mu.Unlock()
	return b
}

func (h *hub) leave(c *client, b *room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.clients, c)
	if b == nil {
		return
	}
	b.mu.Lock()
	delete(b.clients, c)
	left := len(b.clients)
	b.mu.Unlock()
	if left == 0 && h.rooms[b.id] == b {
		delete(h.rooms, b.id)
		b.cancel()
	}
}

// changed has rooms read their views again: those of ids, or all.
func (h *hub) changed(ids []string, all bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if all {
		for _, b := range h.rooms {
			signal(b.reload)
		}
		return
	}
	for _, id := range ids {
		if b := h.rooms[id]; b != nil {
			signal(b.reload)
		}
	}
}

// run works until ctx ends, then sends the clients away and waits for all.
func (h *hub) run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() {
		// Nil by contract: it ends with ctx.
		_ = h.dashboards.WatchViews(ctx, dashboardPoll, h.changed)
	})
	wg.Go(func() { h.sweep(ctx) })
	wg.Go(func() { h.probe(ctx) })
	wg.Go(func() { h.followLimits(ctx) })
	wg.Go(func() {
		h.compareTops(ctx, func() time.Duration { return topPoll/2 + rand.N(topPoll) }, func(*feed) bool { return true })
	})
	// The first history of a key that has one at another refresh interval comes without
	// a message, since none of its ends is new (transforms announces an end of a key once).
	wg.Go(func() { h.compareTops(ctx, func() time.Duration { return firstPoll }, (*feed).awaitsFirst) })
	<-ctx.Done()
	h.drain(context.WithoutCancel(ctx))
	h.cancel()
	wg.Wait()
	h.wg.Wait()
	h.subscriber.Close()
}

// sweep re-evaluates time-driven state every 10–200 ms: staleness of feeds,
// heartbeats, pings, handshake and close timeouts.
func (h *hub) sweep(ctx context.Context) {
	t := time.NewTicker(max(10*time.Millisecond, min(h.heartbeat/10, 200*time.Millisecond)))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		h.checkStates(h.now())
	}
}

// isUnavailable reports whether Redis does not answer, which the probe has logged.
func (h *hub) isUnavailable() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.unavailable
}

func (h *hub) checkStates(now time.Time) {
	h.mu.Lock()
	unavailable := h.unavailable
	var due []*client
	for c := range h.clients {
		if c.isDue(now) {
			due = append(due, c)
		}
	}
	h.mu.Unlock()
	for _, f := range h.allFeeds() {
		if f.check(now, unavailable) {
			h.notify(f, true)
		}
	}
	for _, c := range due {
		c.checkDeadlines(now)
	}
}

// probe finds out whether Redis is away.
func (h *hub) probe(ctx context.Context) {
	first, cancel := context.WithTimeout(ctx, probeEvery)
	_ = h.horizon.ask(first, h.results, h.now) // The next one says what is wrong.
	cancel()
	for clock.Sleep(ctx, probeEvery) {
		attempt, cancel := context.WithTimeout(ctx, probeEvery)
		err := h.horizon.ask(attempt, h.results, h.now)
		cancel()
		if ctx.Err() != nil {
			return
		}
		h.mu.Lock()
		before := h.unavailable
		h.unavailable = err != nil
		h.mu.Unlock()
		if before == (err != nil) {
			continue
		}
		if err != nil {
			h.metrics.redisAway.Set(1)
			h.log.Error("Redis cannot be reached; widgets are degraded until it is back", "error", err)
		} else {
			h.metrics.redisAway.Set(0)
			h.log.Info("Redis is back")
			h.resync() // It may have been emptied, and the subscription may take its time.
		}
	}
}

// compareTops finds results whose message never came by comparing the newest end of
// each history with that of its feed: after a lost message no later one shows a gap
// while the key is idle.
func (h *hub) compareTops(ctx context.Context, every func() time.Duration, which func(*feed) bool) {
	for clock.Sleep(ctx, every()) {
		feeds := slices.DeleteFunc(h.allFeeds(), func(f *feed) bool { return !which(f) })
		if len(feeds) == 0 {
			continue
		}
		streams := make([]results.Stream, 0, len(feeds))
		for _, f := range feeds {
			streams = append(streams, f.stream())
		}
		read, cancel := context.WithTimeout(ctx, redisTimeout)
		tips, err := h.results.Newest(read, streams)
		cancel()
		if err != nil {
			continue // The probe says so.
		}
		for i, f := range feeds {
			if v := f.view(); v.loaded && len(v.after(tips[i].WindowEnd-1)) == 0 && tips[i].WindowEnd > 0 {
				f.ask()
			}
		}
	}
}

// drain closes all clients with reconnect times that are spread, and waits for them to
// leave.
func (h *hub) drain(ctx context.Context) {
	h.mu.Lock()
	h.closing = true
	clients := make([]*client, 0, len(h.clients))
	for c := range h.clients {
		clients = append(clients, c)
	}
	h.mu.Unlock()
	spread := time.Second + time.Duration(len(clients))*time.Millisecond
	for _, c := range clients {
		c.end(wire.CloseRestart, "the gateway restarts", shortestReconnect+rand.N(spread))
	}
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	for _, c := range clients {
		select {
		case <-c.left:
		case <-ctx.Done():
			c.link.close() // The client has not closed in time.
		}
	}
}
