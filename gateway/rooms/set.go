package rooms

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"pulseboard/gateway/feeds"
	"pulseboard/wire"
)

// Times that need no flag.
const (
	redisTimeout = 3 * time.Second
	retryAfter   = 300 * time.Millisecond  // How soon a view that could not be read is read again.
	viewsPoll    = 2 * time.Second         // How often views are polled besides the notices of a change.
	gatherTime   = 100 * time.Millisecond  // How long the first widget that is due waits for the others, for one frame.
	unknownWait  = 1500 * time.Millisecond // For the view of a dashboard: it comes within a second of its making.
)

// Views are the views of dashboards that the config service publishes: registry.Store.
type Views interface {
	// LoadView returns the view of a dashboard; ok is false when there is none.
	LoadView(ctx context.Context, id string) (v wire.View, ok bool, err error)
	// WatchViews calls changed with the ids that may have changed, or with
	// all, until ctx ends.
	WatchViews(ctx context.Context, every time.Duration, changed func(ids []string, all bool)) error
}

// Member is a client in a room.
type Member interface {
	// Wake is called when there may be something new to write. It must not block.
	Wake()
}

// Config is what a Set needs. All fields must be set.
type Config struct {
	// Views are where views are read.
	Views Views
	// Feeds are where results come from. They must live longer than the Set.
	Feeds *feeds.Set
	// FullFrame is the length of a frame, in bytes, at which it takes no more.
	FullFrame int
	// Now is the clock.
	Now func() time.Time
	// Log is where rooms report.
	Log *slog.Logger
}

// Set is the rooms that have members.
type Set struct {
	Config

	ctx    context.Context // Of the rooms' goroutines.
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	rooms map[string]*Room
}

// New returns a Set without rooms.
func New(cfg Config) *Set {
	s := &Set{Config: cfg, rooms: make(map[string]*Room)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Run follows the views until ctx ends.
func (s *Set) Run(ctx context.Context) {
	_ = s.Views.WatchViews(ctx, viewsPoll, s.changed) // Nil by contract: it ends with ctx.
}

// Close ends all rooms and waits for them.
func (s *Set) Close() {
	s.cancel()
	s.wg.Wait()
}

// changed has rooms read their views again: those of ids, or all.
func (s *Set) changed(ids []string, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if all {
		for _, r := range s.rooms {
			signal(r.reload)
		}
		return
	}
	for _, id := range ids {
		if r := s.rooms[id]; r != nil {
			signal(r.reload)
		}
	}
}

// Enter puts m into the room of a dashboard, and returns where m's stream begins.
func (s *Set) Enter(dashboard string, m Member, o Options) *Reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[dashboard]
	if r == nil {
		ctx, cancel := context.WithCancel(s.ctx)
		r = newRoom(dashboard, cancel)
		s.rooms[dashboard] = r
		s.wg.Go(func() { r.follow(ctx, s) })
		s.wg.Go(func() { r.run(ctx, s) })
	}
	r.mu.Lock()
	r.members[m] = struct{}{}
	r.mu.Unlock()
	return &Reader{room: r, options: o}
}

// Leave takes m, whose stream at is, out of its room, which ends with its last member.
func (s *Set) Leave(at *Reader, m Member) {
	r := at.room
	s.mu.Lock()
	defer s.mu.Unlock()
	r.mu.Lock()
	delete(r.members, m)
	left := len(r.members)
	r.mu.Unlock()
	if left == 0 && s.rooms[r.id] == r {
		delete(s.rooms, r.id)
		r.cancel()
	}
}
