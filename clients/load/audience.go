package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/semaphore"

	"pulseboard/internal/clock"
	"pulseboard/internal/histogram"
	"pulseboard/internal/service"
	"pulseboard/metric"
	"pulseboard/wire"
)

// audience is all clients, and what they measure together.
type audience struct {
	config     *Config
	dialer     *websocket.Dialer
	slowDialer *websocket.Dialer
	boards     []*board
	clients    []*client

	buffers  sync.Pool // Of *[]byte.
	messages sync.Pool // Of *wire.Message.
	hands    *semaphore.Weighted
	wg       sync.WaitGroup
	done     chan struct{} // Closed when the clients are to end.

	stopReading atomic.Bool
	readAgain   chan struct{}
	measuring   atomic.Bool
	cut         atomic.Int64

	open, whole         atomic.Int64 // Clients that are connected; that have all snapshots.
	frames, bytes       atomic.Int64
	results, updates    atomic.Int64 // In updates, to clients that read, while measuring.
	resets              atomic.Int64
	endToClient         histogram.Histogram
	eventToClient       histogram.Histogram
	serverToClient      histogram.Histogram
	staleness           histogram.Histogram
	connecting          histogram.Histogram
	base                int64
	mu                  sync.Mutex
	streams             map[streamID]*stream
	losses              map[string]int
	lostCount, slowLost int
	backCount, gaveUp   int
	firstLoss           time.Time
	away                histogram.Histogram // From the first loss until a client had everything again.
	failed              int
	firstFailure        error
}

type streamID struct {
	key       string
	refreshMs int64
}

// board is a dashboard that clients look at.
type board struct {
	id string

	mu     sync.Mutex
	text   []byte // The widgets of the newest layout, as the server wrote them.
	layout *layout
}

// How much is read at once. Buffers are taken only while something is read.
const bufferSize = 64 << 10

func newAudience(cfg *Config, ids []string) *audience {
	s := &audience{
		config: cfg, dialer: newDialer(0), slowDialer: newDialer(slowBuffer), hands: semaphore.NewWeighted(int64(cfg.Handshakes)),
		done: make(chan struct{}), readAgain: make(chan struct{}),
		// Snapshots hold older ends too, which nobody was owed.
		base:    time.Now().Add(-time.Hour).UnixMilli(),
		streams: make(map[streamID]*stream), losses: make(map[string]int),
	}
	s.cut.Store(1<<62 - 1)
	s.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	s.messages.New = func() any { return new(wire.Message) }
	for _, id := range ids {
		s.boards = append(s.boards, &board{id: id})
	}
	for i := range cfg.Connections {
		c := &client{set: s, number: i, dashboard: s.boards[i%len(s.boards)]}
		// Spread over all dashboards.
		c.slow = cfg.StopReading > 0 && i*cfg.StopReading/cfg.Connections != (i+1)*cfg.StopReading/cfg.Connections
		s.clients = append(s.clients, c)
	}
	return s
}

// learn returns the layout that a welcome or a dashboard message tells of, and
// the messages that go on with it.
func (b *board) learn(s *audience, texts ...[]byte) (*layout, error) {
	var said []byte
	for _, text := range texts {
		// What stands before it differs with each message.
		_, widgets, _ := bytes.Cut(text, []byte(`"widgets"`))
		said = append(said, widgets...)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.layout != nil && bytes.Equal(said, b.text) {
		return b.layout, nil
	}
	var all []wire.StreamWidget
	for _, text := range texts {
		var m wire.WidgetsMessage // What welcome and dashboard have besides does not matter.
		if err := json.Unmarshal(text, &m); err != nil {
			return nil, fmt.Errorf("cannot read the widgets of dashboard %s: %w", b.id, err)
		}
		for _, w := range m.Widgets {
			if last := len(all) - 1; last >= 0 && all[last].Index == w.Index {
				all[last].MetricKey += w.MetricKey // The next piece of a long key.
			} else {
				all = append(all, w)
			}
		}
	}
	l := new(layout)
	for _, w := range all {
		if w.RefreshMs <= 0 {
			return nil, fmt.Errorf("the refresh interval of widget %s is %d ms", w.WidgetID, w.RefreshMs)
		}
		l.widgets = append(l.widgets, widget{w.WidgetID, w.KeyID, s.stream(w.MetricKey, w.RefreshMs)})
	}
	b.text, b.layout = said, l
	return l, nil
}

func (s *audience) stream(key string, refreshMs int64) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := streamID{key, refreshMs}
	st := s.streams[id]
	if st == nil {
		st = &stream{key: key, refreshMs: refreshMs, base: s.base - s.base%refreshMs}
		if q, err := metric.ParseKey(key); err == nil {
			st.delayMs = int64(q.DelaySeconds) * 1000
		}
		s.streams[id] = st
	}
	return st
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
		if join(); s.firstFailure != nil {
			return s.firstFailure
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
			s.connecting.Record(time.Since(due))
			s.start(c)
			return
		}
		var refused *refusal
		if errors.As(err, &refused) && refused.final() || !clock.Sleep(ctx, c.wait()) {
			break
		}
		c.attempt++
	}
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed++
	if s.firstFailure == nil {
		s.firstFailure = err
	}
}

// start reads in a goroutine of its own: that of the handshake has grown.
func (s *audience) start(c *client) {
	s.open.Add(1)
	s.wg.Go(c.read)
	select {
	case <-s.done:
		c.closeNow() // It came too late to be among those that end closes.
	default:
	}
}

// isWhole is called when a client has all snapshots of a welcome.
func (s *audience) isWhole(c *client, now time.Time) {
	if c.whole != nil {
		close(c.whole)
		c.whole = nil
		return
	}
	if !c.resumed {
		s.whole.Add(1)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backCount++
	s.away.Record(now.Sub(s.firstLoss))
}

// lost is called by a client whose connection has ended.
func (s *audience) lost(c *client, err error) {
	if c.number < 0 {
		return // An auditor.
	}
	s.open.Add(-1)
	select {
	case <-s.done:
		return
	default:
	}
	c.connected = false
	s.mu.Lock()
	if c.slow {
		s.slowLost++
		s.mu.Unlock()
		return
	}
	if s.lostCount == 0 {
		s.firstLoss = time.Now()
	}
	s.lostCount++
	s.losses[c.whyLost(err)]++
	s.mu.Unlock()
	if s.config.Reconnect && !c.closing.final() {
		s.wg.Go(func() { s.comeBack(c) })
	}
}

func (c *client) whyLost(err error) string {
	switch {
	case c.silent.Swap(false):
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
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.done:
			cancel()
		case <-ctx.Done():
		}
	}()
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
			s.mu.Lock()
			s.gaveUp++
			s.mu.Unlock()
			return
		}
	}
}

// measure notes how late an update is.
func (s *audience) measure(c *client, m *wire.Message, now time.Time) {
	if c.slow || !s.measuring.Load() {
		return
	}
	s.updates.Add(1)
	s.results.Add(int64(len(m.Results)))
	s.serverToClient.Record(now.Sub(time.UnixMilli(m.ServerTime)))
	// Nearly always all widgets of a frame have the same end.
	var due, same int64
	for _, r := range m.Results {
		if r.Index >= len(c.account.cursors) {
			continue
		}
		st := c.account.layout.widgets[r.Index].stream
		if d := r.End + st.delayMs; d != due {
			if same > 0 {
				s.endToClient.RecordN(now.Sub(time.UnixMilli(due)), same)
			}
			due, same = d, 0
		}
		same++
		// An older event was news to an earlier window.
		if r.Newest != wire.NoTime && r.Newest >= r.End-st.refreshMs {
			s.eventToClient.Record(now.Sub(time.UnixMilli(r.Newest)))
		}
	}
	if same > 0 {
		s.endToClient.RecordN(now.Sub(time.UnixMilli(due)), same)
	}
}

// Each client is looked at once a second, a twentieth of them at a time, and each
// time a twentieth of a second later: else a client would always be seen at the
// same phase of its refresh.
const slots = 20

// sample measures staleness, and closes connections on which nothing comes.
func (s *audience) sample(ctx context.Context) {
	t := time.NewTicker(time.Second / slots)
	defer t.Stop()
	for round := 0; ; round++ {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		slot := (round + round/slots) % slots
		now := time.Now()
		for i := slot; i < len(s.clients); i += slots {
			c := s.clients[i]
			heard := c.heard.Load()
			if heard == 0 || c.slow {
				continue
			}
			if now.UnixMilli()-heard > silence.Milliseconds() {
				c.silent.Store(true)
				c.closeNow()
				continue
			}
			if end := c.newest.Load(); end > 0 && s.measuring.Load() {
				s.staleness.Record(now.Sub(time.UnixMilli(end)))
			}
		}
	}
}

// drain waits until every client has what was due until now.
func (s *audience) drain(ctx context.Context, patience, limit time.Duration) {
	s.cut.Store(time.Now().UnixMilli())
	if s.stopReading.Swap(false) {
		close(s.readAgain)
	}
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
	cut := s.cut.Load()
	for _, c := range s.clients {
		if c.heard.Load() != 0 && c.due.Load() <= cut {
			n++
			come += c.sum.Load()
		}
	}
	return n, come
}

// audit reads the history of every dashboard anew: it says what was published,
// also if no client was given it.
func (s *audience) audit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	next := make(chan *board)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for range min(4, len(s.boards)) {
		wg.Go(func() {
			for b := range next {
				if err := s.auditBoard(ctx, b); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	for _, b := range s.boards {
		next <- b
	}
	close(next)
	wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.streams {
		st.freeze()
	}
	if len(errs) > 0 {
		return fmt.Errorf("the history of %d dashboards could not be read at the end: %w", len(errs), errs[0])
	}
	return nil
}

func (s *audience) auditBoard(ctx context.Context, b *board) error {
	whole := make(chan struct{})
	c := &client{set: s, number: -1, dashboard: b, whole: whole}
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
	case <-whole:
		return nil
	case <-ended:
		return fmt.Errorf("the stream of dashboard %s ended before its snapshots came", b.id)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// whyNone says why no connection is left.
func (s *audience) whyNone() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.firstFailure != nil {
		return s.firstFailure
	}
	return fmt.Errorf("all connections were lost at once: %s; 4404 means that there is no such dashboard, 4401 that the token is not good for it", lossText(s.losses))
}

// end closes all connections and adds up.
func (s *audience) end() (readers, slow Delivery) {
	s.freezeAll()
	close(s.done)
	if s.stopReading.Swap(false) {
		close(s.readAgain)
	}
	for _, c := range s.clients {
		c.closeNow()
	}
	s.wg.Wait()
	for _, c := range s.clients {
		c.account.cut = s.cut.Load()
		c.account.settle(c.connected)
		if c.slow {
			slow.add(c.account.totals)
		} else {
			readers.add(c.account.totals)
		}
	}
	return readers, slow
}

func (s *audience) freezeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.streams {
		st.freeze()
	}
}

// unpublished counts ends that nobody was given and no history holds, between the
// first one of each stream and the cut.
func (s *audience) unpublished() (ends int64, examples []string) {
	first := make(map[*stream]int64)
	for _, c := range s.clients {
		if c.account.layout == nil {
			continue
		}
		for i, since := range c.account.since {
			if st := c.account.layout.widgets[i].stream; since > 0 && (first[st] == 0 || since < first[st]) {
				first[st] = since
			}
		}
	}
	for st, since := range first {
		upto := s.cut.Load() - st.delayMs
		n := st.gaps(since, upto)
		ends += n
		if n > 0 {
			examples = append(examples, st.key)
		}
	}
	slices.Sort(examples)
	return ends, examples[:min(3, len(examples))]
}

// refusal is an answer to a handshake other than the one hoped for.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// final reports whether asking again is in vain.
func (r *refusal) final() bool {
	return r.status >= 400 && r.status < 500 && r.status != http.StatusTooManyRequests
}

func handshakeError(base string, res *http.Response, err error) error {
	if res != nil {
		defer res.Body.Close() //nolint:errcheck // It was only read.
		text := fmt.Sprintf("cannot open a stream at %s: it answers %s", base, res.Status)
		var p service.Problem
		b, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // The status alone says enough.
		if json.Unmarshal(b, &p) == nil && p.Detail != "" {
			text += ": " + p.Detail
		}
		if res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden {
			text += "; pass a token in PULSEBOARD_TOKEN"
		}
		if res.StatusCode == http.StatusNotFound {
			text += "; is this the gateway?"
		}
		return &refusal{res.StatusCode, text}
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

// lossText lists why connections were lost.
func lossText(losses map[string]int) string {
	var parts []string
	for why, n := range losses {
		parts = append(parts, fmt.Sprintf("%d %s", n, why))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
