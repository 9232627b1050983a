package gateway

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"pulseboard/internal/clock"
	"pulseboard/wire"
)

// layout is the widgets of a dashboard at one version. It is never changed.
type layout struct {
	version   int64
	variables []wire.Variable
	widgets   []widget // The index in the stream is that in the slice.
	stream    []wire.StreamWidget
}

func newLayout(v wire.View, widgets []widget) *layout {
	l := &layout{version: v.Version, variables: v.Variables, widgets: widgets, stream: make([]wire.StreamWidget, len(widgets))}
	for i := range widgets {
		w := &widgets[i]
		l.stream[i] = wire.StreamWidget{
			Index: i, WidgetID: w.ID, MetricKey: w.Key, KeyID: w.KeyID, RefreshMs: w.RefreshMs, WindowMs: w.WindowMs, DelayMs: w.DelayMs, GroupBy: w.GroupBy,
		}
	}
	return l
}

type widget struct {
	wire.WidgetView
	feed *feed
}

// room is one dashboard with at least one client.
type room struct {
	id      string
	began   time.Time
	cancel  context.CancelFunc
	reload  chan struct{} // The view may have changed.
	due     chan struct{} // Some widgets have a new point: soon.
	now     chan struct{} // Something else is to be sent: at once.
	view    wire.View     // What layout was made of. Only follow uses it.
	encoder deltaEncoder  // Of all clients in sync. Only run uses it.
	latest  atomic.Pointer[batch]

	mu      sync.Mutex
	layout  *layout // Nil until it was read.
	gone    bool    // There is no such dashboard.
	clients map[*client]struct{}
}

func newRoom(id string, cancel context.CancelFunc) *room {
	return &room{
		id: id, began: time.Now(), cancel: cancel, clients: make(map[*client]struct{}),
		reload: make(chan struct{}, 1), due: make(chan struct{}, 1), now: make(chan struct{}, 1),
	}
}

func (b *room) current() (l *layout, gone bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.layout, b.gone
}

var errUnknownYet = errors.New("there is no such dashboard yet")

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run encodes batches and has clients write them until ctx ends. Widgets that are
// due together go into one frame.
func (b *room) run(ctx context.Context, h *hub) {
	t := time.NewTimer(gatherMoment)
	t.Stop()
	defer t.Stop()
	s := &scratch{full: h.fullFrame}
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.due:
			if !b.gather(ctx, t) {
				return
			}
		case <-b.now:
		}
		b.encode(s, h.now())
		for _, c := range b.audience() {
			c.scheduleWrite()
		}
	}
}

// gather waits until every widget due at this refresh has its result, at most
// gatherMoment, or until an urgent change; false when ctx ended.
func (b *room) gather(ctx context.Context, t *time.Timer) bool {
	t.Reset(gatherMoment)
	defer t.Stop()
	for b.encoder.awaited() {
		select {
		case <-b.due:
		case <-b.now:
			return true
		case <-t.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (b *room) audience() []*client {
	b.mu.Lock()
	defer b.mu.Unlock()
	cs := make([]*client, 0, len(b.clients))
	for c := range b.clients {
		cs = append(cs, c)
	}
	return cs
}

// follow keeps the layout that of the published view until ctx ends.
func (b *room) follow(ctx context.Context, h *hub) {
	signal(b.reload)
	defer h.place(b, nil)
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.reload:
		}
		if err := b.load(ctx, h); err != nil && ctx.Err() == nil {
			h.log.Debug("a dashboard cannot be read", "dashboard", b.id, "error", err)
			if !clock.Sleep(ctx, retryAfter) {
				return
			}
			signal(b.reload)
		}
	}
}

func (b *room) load(ctx context.Context, h *hub) error {
	read, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	v, ok, err := h.dashboards.LoadView(read, b.id)
	if err != nil {
		return err // Whatever was served stays in force.
	}
	if !ok {
		// A page that is opened right after its dashboard was made may be here before its
		// view; and no client comes back after the close code that says it does not exist.
		if l, gone := b.current(); l == nil && !gone && time.Since(b.began) < unknownWait {
			return errUnknownYet
		}
		h.place(b, nil)
		b.set(wire.View{}, nil)
		return nil
	}
	if l, _ := b.current(); l != nil && reflect.DeepEqual(v, b.view) {
		return nil
	}
	b.set(v, newLayout(v, h.place(b, v.Widgets)))
	return nil
}

// set takes a view and the layout that was made of it, nil when there is no such
// dashboard. Only follow calls it.
func (b *room) set(v wire.View, l *layout) {
	b.view = v
	b.mu.Lock()
	b.layout, b.gone = l, l == nil
	b.mu.Unlock()
	signal(b.now)
}
