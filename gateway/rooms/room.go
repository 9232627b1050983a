package rooms

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pulseboard/gateway/feeds"
	"pulseboard/internal/clock"
	"pulseboard/wire"
)

// Layout is the widgets of a dashboard at one version. It is never changed.
type Layout struct {
	Version int64
	Stream  []wire.StreamWidget // As streams name them. Their indexes are those of widgets.

	variables []wire.Variable
	widgets   []widget
}

type widget struct {
	wire.WidgetView
	feed *feeds.Feed
}

func newLayout(v wire.View, fs []*feeds.Feed) *Layout {
	l := &Layout{Version: v.Version, variables: v.Variables, widgets: make([]widget, len(fs)), Stream: make([]wire.StreamWidget, len(fs))}
	for i, w := range v.Widgets {
		l.widgets[i] = widget{w, fs[i]}
		l.Stream[i] = wire.StreamWidget{
			Index: i, WidgetID: w.ID, MetricKey: w.Key, KeyID: w.KeyID, RefreshMs: w.RefreshMs, WindowMs: w.WindowMs, DelayMs: w.DelayMs, GroupBy: w.GroupBy,
		}
	}
	return l
}

// Room is one dashboard with at least one member.
type Room struct {
	id      string
	began   time.Time
	cancel  context.CancelFunc
	reload  chan struct{} // The view may have changed.
	due     chan struct{} // Some widgets have a new point: soon.
	now     chan struct{} // Something else is to be sent: at once.
	encoder encoder       // Of all readers in sync. Only run uses it.
	latest  atomic.Pointer[batch]

	view  wire.View     // What the layout was made of. Only follow uses it,
	feeds []*feeds.Feed // and these, which the room watches.

	mu      sync.Mutex
	layout  *Layout // Nil until it was read.
	gone    bool    // There is no such dashboard.
	members map[Member]struct{}
}

func newRoom(id string, cancel context.CancelFunc) *Room {
	return &Room{
		id: id, began: time.Now(), cancel: cancel, members: make(map[Member]struct{}),
		reload: make(chan struct{}, 1), due: make(chan struct{}, 1), now: make(chan struct{}, 1),
	}
}

func (r *Room) current() (l *Layout, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.layout, r.gone
}

// Changed has what is new encoded, at once when it is urgent.
func (r *Room) Changed(urgent bool) {
	if urgent {
		signal(r.now)
	} else {
		signal(r.due)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run encodes batches and has members write them until ctx ends. Widgets that are
// due together go into one frame.
func (r *Room) run(ctx context.Context, s *Set) {
	t := time.NewTimer(gatherTime)
	t.Stop()
	defer t.Stop()
	scratch := &Scratch{Full: s.FullFrame}
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.due:
			if !r.gather(ctx, t) {
				return
			}
		case <-r.now:
		}
		r.encode(scratch, s.Now())
		for _, m := range r.everyone() {
			m.Wake()
		}
	}
}

// gather waits until every widget due at this refresh has its result, at most
// gatherTime, or until an urgent change; false when ctx ended.
func (r *Room) gather(ctx context.Context, t *time.Timer) bool {
	t.Reset(gatherTime)
	defer t.Stop()
	for r.encoder.awaited() {
		select {
		case <-r.due:
		case <-r.now:
			return true
		case <-t.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (r *Room) everyone() []Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.AppendSeq(make([]Member, 0, len(r.members)), maps.Keys(r.members))
}

// follow keeps the layout that of the published view until ctx ends.
func (r *Room) follow(ctx context.Context, s *Set) {
	signal(r.reload)
	defer func() { s.Feeds.Watch(r, r.feeds, nil) }()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.reload:
		}
		if err := r.load(ctx, s); err != nil && ctx.Err() == nil {
			s.Log.Debug("a dashboard cannot be read", "dashboard", r.id, "error", err)
			if !clock.Sleep(ctx, retryAfter) {
				return
			}
			signal(r.reload)
		}
	}
}

func (r *Room) load(ctx context.Context, s *Set) error {
	read, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	v, ok, err := s.Views.LoadView(read, r.id)
	if err != nil {
		return err // Whatever was served stays in force.
	}
	l, gone := r.current()
	switch {
	case ok && l != nil && reflect.DeepEqual(v, r.view):
		return nil
	// A page that is opened right after its dashboard was made may be here before its
	// view; and no client comes back after the close code that says it does not exist.
	case !ok && l == nil && !gone && time.Since(r.began) < unknownWait:
		return errors.New("there is no such dashboard yet")
	}
	r.view = v
	r.feeds = s.Feeds.Watch(r, r.feeds, v.Widgets)
	l = nil
	if ok {
		l = newLayout(v, r.feeds)
	}
	r.mu.Lock()
	r.layout, r.gone = l, !ok
	r.mu.Unlock()
	signal(r.now)
	return nil
}
