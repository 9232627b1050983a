package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"pulseboard/internal/clock"
	"pulseboard/results"
	"pulseboard/wire"
)

// Messages that wait while the history is read. All of them are in the history
// too, so that the oldest can be let go.
const maxHeld = 256

// How many points a feed takes before it moves all of them to a new place.
const spare = 60

// feed is the newest points of one metric key at one refresh interval.
type feed struct {
	key       string
	refreshMs int64
	windowMs  int64
	delayMs   int64
	stale     time.Duration
	horizon   *horizon
	made      time.Time
	reload    chan struct{} // Asks run to read the history again.

	// Guarded by hub.mu.
	rooms  map[*room]struct{}
	cancel context.CancelFunc

	mu sync.Mutex
	// points rise by end. Only append and reslice change the slice, so that a
	// part that was handed out stays as it was.
	points         []wire.Point
	latest         *wire.Result
	loaded         bool
	generation     int    // How often everything was let go of, see takeBack.
	obeyed         string // The id of what was taken back last.
	reads          int    // Begun.
	readGeneration int    // The generation in which the last read began.
	reading        bool
	held           []heldResult
	// arrived is when the newest end came, on the monotonic clock; for one that
	// was found in the history, when it must have come.
	arrived     time.Time
	late        bool
	unavailable bool
	limited     string // Why the pipeline does not compute it; "" = it does.
	state       wire.State
}

// heldResult is a message that came while the history was read.
type heldResult struct {
	result *wire.Result
	reads  int // Reads begun before it came: a later read has seen all that it says.
}

func newFeed(s *wire.WidgetView, sliceMs int64, h *horizon) *feed {
	f := &feed{
		horizon: h, key: s.Key, refreshMs: s.RefreshMs, windowMs: s.WindowMs, delayMs: s.DelayMs,
		obeyed: h.takenBack().ID, made: time.Now(), reload: make(chan struct{}, 1), rooms: make(map[*room]struct{}), state: wire.StateWaiting,
	}
	f.stale = staleAfter(f.refreshMs, sliceMs, f.delayMs)
	return f
}

func (f *feed) stream() results.Stream { return results.Stream{Key: f.key, RefreshMs: f.refreshMs} }

// receive takes a message of the key's channel and reports whether there is a
// new point. A message that shows that another was missed waits until the
// history was read again.
func (f *feed) receive(r *wire.Result, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loaded && !f.reading && !f.misses(r) {
		return f.add(r, now)
	}
	if len(f.held) == maxHeld {
		f.held = slices.Delete(f.held, 0, 1)
	}
	f.held = append(f.held, heldResult{r, f.reads})
	f.ask()
	return false
}

// misses reports whether r says that an end of this feed came before it that is
// not here. prev_end is that of the key, whose other refresh intervals do not
// matter: only the multiples of this feed's do.
func (f *feed) misses(r *wire.Result) bool {
	return r.PrevEnd-r.PrevEnd%f.refreshMs > f.last()
}

// add appends r when it is due here and newer than all.
func (f *feed) add(r *wire.Result, now time.Time) bool {
	if r.WindowEnd <= f.last() || !slices.Contains(r.Due, f.refreshMs) || f.horizon.hides(r.WindowEnd, now) {
		return false
	}
	f.append(r, false)
	f.arrived = now
	f.late = now.UnixMilli()-r.WindowEnd-f.delayMs > lateAfter.Milliseconds()
	f.refreshState(now)
	return true
}

func (f *feed) append(r *wire.Result, filled bool) {
	var known *wire.SeriesList
	if n := len(f.points); n > 0 {
		known = f.points[n-1].List
	}
	if len(f.points) == wire.HistoryLength {
		f.points = f.points[1:]
	}
	if n := len(f.points); n == cap(f.points) && n > wire.HistoryLength/2 {
		// append would leave room for half as many again, which are never there.
		f.points = append(make([]wire.Point, 0, wire.HistoryLength+spare), f.points...)
	}
	f.points = append(f.points, wire.NewPoint(r, known, filled))
	f.latest = r
}

// ask makes run read the history, unless it is to do so already.
func (f *feed) ask() {
	select {
	case f.reload <- struct{}{}:
	default:
	}
}

// beginRead returns the end after which the history is to be read.
func (f *feed) beginRead() (after int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading, f.readGeneration = true, f.generation
	f.reads++
	return f.last()
}

// endRead takes what was read, oldest first, then the messages that came
// meanwhile. It reports whether there is anything new to tell.
func (f *feed) endRead(rs []*wire.Result, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading = false
	if f.readGeneration != f.generation {
		return false // It may have what was taken back meanwhile; another read is asked for.
	}
	changed := !f.loaded
	filled := f.loaded
	f.loaded = true
	for _, r := range rs {
		if r.WindowEnd > f.last() && !f.horizon.hides(r.WindowEnd, now) {
			f.append(r, filled)
			// It came when its window ended, or now if that is later by our clock.
			f.arrived = now.Add(min(0, time.Duration(r.WindowEnd+f.delayMs-now.UnixMilli())*time.Millisecond))
			f.late = false
			changed = true
		}
	}
	waiting := f.held
	f.held = nil
	for i, p := range waiting {
		// What a read that began after the message did not find is not there.
		if p.reads >= f.reads && f.misses(p.result) {
			f.held = waiting[i:]
			f.ask()
			break
		}
		changed = f.add(p.result, now) || changed
	}
	f.refreshState(now)
	return changed
}

// failRead is called when the history could not be read.
func (f *feed) failRead() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading = false
}

func (f *feed) last() int64 {
	if n := len(f.points); n > 0 {
		return f.points[n-1].End
	}
	return 0
}

// view is what is there at one moment.
type view struct {
	points     []wire.Point
	loaded     bool
	generation int
	state      wire.State
	limited    string
}

func (f *feed) view() view {
	f.mu.Lock()
	defer f.mu.Unlock()
	return view{f.points, f.loaded, f.generation, f.state, f.limited}
}

// currentState returns the state and what there is to say of it.
func (f *feed) currentState() (s wire.State, detail string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state == wire.StateLimited {
		return f.state, f.limited
	}
	return f.state, stateDetail(f.state, f.stale)
}

func (f *feed) newestEnd() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last()
}

// awaitsFirst reports whether the history of a feed that is new was still empty.
func (f *feed) awaitsFirst() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.loaded && len(f.points) == 0 && time.Since(f.made) < firstPatience
}

// newest returns the newest result, nil before the first, and its state by
// time alone: whether Redis is away does not change what was true a moment ago.
func (f *feed) newest(now time.Time) (*wire.Result, wire.State, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.latest, f.stateByTime(now), f.loaded
}

// after returns the points newer than end, oldest first.
func (v view) after(end int64) []wire.Point { return pointsAfter(v.points, end) }

func pointsAfter(points []wire.Point, end int64) []wire.Point {
	n := len(points)
	// Nearly always the newest or none.
	for n > 0 && points[n-1].End > end {
		n--
	}
	return points[n:]
}

// has reports whether end is one of the points.
func (v view) has(end int64) bool {
	_, ok := slices.BinarySearchFunc(v.points, end, func(p wire.Point, end int64) int {
		switch {
		case p.End < end:
			return -1
		case p.End > end:
			return 1
		}
		return 0
	})
	return ok
}

// check brings the state up to date and reports whether it changed.
func (f *feed) check(now time.Time, unavailable bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, back := f.state, f.takeBack(now)
	f.unavailable = unavailable
	f.refreshState(now)
	return f.state != before || back
}

func (f *feed) refreshState(now time.Time) {
	f.state = f.stateByTime(now)
	if f.unavailable {
		f.state = wire.StateDegraded
	}
}

func (f *feed) stateByTime(now time.Time) wire.State {
	switch {
	case f.limited != "":
		return wire.StateLimited
	case f.latest == nil:
		return wire.StateWaiting
	case clock.Longer(f.arrived, now) > f.stale:
		return wire.StateStale
	case f.latest.Matched == 0:
		return wire.StateWaiting
	case f.late:
		return wire.StateLate
	}
	return wire.StateLive
}

// How soon something that failed because Redis is away is tried again.
const retryAfter = 300 * time.Millisecond

// run subscribes to the key, reads the history, and reads it again whenever
// asked, until ctx ends.
func (f *feed) run(ctx context.Context, h *hub) {
	for logged := false; ; {
		attempt, cancel := context.WithTimeout(ctx, redisTimeout)
		err := h.subscriber.Add(attempt, f.key)
		cancel()
		if err == nil {
			break
		}
		if !logged && ctx.Err() == nil && !h.isUnavailable() { // Else the probe says so.
			h.log.Error("no results can be received; the widget waits", "error", err)
			logged = true
		}
		if !clock.Sleep(ctx, retryAfter) {
			return
		}
	}
	defer func() {
		if h.ctx.Err() != nil {
			return // The whole subscription ends.
		}
		h.subscriber.Remove(context.WithoutCancel(ctx), f.key)
	}()
	f.ask()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.reload:
		}
		if err := f.read(ctx, h); err != nil {
			if ctx.Err() == nil {
				h.log.Debug("a history cannot be read", "key", f.key, "error", err)
			}
			f.failRead()
			f.ask()
			if !clock.Sleep(ctx, retryAfter) {
				return
			}
		}
	}
}

func (f *feed) read(ctx context.Context, h *hub) error {
	if err := h.readers.Acquire(ctx, 1); err != nil {
		return err
	}
	defer h.readers.Release(1)
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	rs, err := h.results.History(ctx, f.key, f.refreshMs, f.beginRead(), wire.HistoryLength)
	if err != nil {
		return err
	}
	h.metrics.historyReads.Inc()
	if f.endRead(rs, h.now()) {
		h.notify(f, true)
	}
	return nil
}
