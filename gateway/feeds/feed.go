package feeds

import (
	"cmp"
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

// Feed is the newest points of one metric key at one refresh interval.
type Feed struct {
	stream  results.Stream
	delayMs int64
	stale   time.Duration
	horizon *horizon
	made    time.Time
	reload  chan struct{} // Asks run to read the history again.

	// Guarded by Set.mu.
	watchers map[Watcher]struct{}
	cancel   context.CancelFunc

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

func newFeed(w *wire.WidgetView, sliceMs int64, h *horizon) *Feed {
	return &Feed{
		stream: results.Stream{Key: w.Key, RefreshMs: w.RefreshMs}, delayMs: w.DelayMs, stale: staleAfter(w.RefreshMs, sliceMs, w.DelayMs),
		horizon: h, obeyed: h.takenBack().ID, made: time.Now(), reload: make(chan struct{}, 1), watchers: make(map[Watcher]struct{}),
		state: wire.StateWaiting,
	}
}

// receive takes a message of the key's channel and reports whether there is a
// new point. A message that shows that another was missed waits until the
// history was read again.
func (f *Feed) receive(r *wire.Result, now time.Time) bool {
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
func (f *Feed) misses(r *wire.Result) bool {
	return r.PrevEnd-r.PrevEnd%f.stream.RefreshMs > f.last()
}

// add appends r when it is due here and newer than all.
func (f *Feed) add(r *wire.Result, now time.Time) bool {
	if r.WindowEnd <= f.last() || !slices.Contains(r.Due, f.stream.RefreshMs) || f.horizon.hides(r.WindowEnd, now) {
		return false
	}
	f.append(r, false)
	f.arrived = now
	f.late = now.UnixMilli()-r.WindowEnd-f.delayMs > lateAfter.Milliseconds()
	f.refreshState(now)
	return true
}

func (f *Feed) append(r *wire.Result, filled bool) {
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
func (f *Feed) ask() {
	select {
	case f.reload <- struct{}{}:
	default:
	}
}

// beginRead returns the end after which the history is to be read.
func (f *Feed) beginRead() (after int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading, f.readGeneration = true, f.generation
	f.reads++
	return f.last()
}

// endRead takes what was read, oldest first, then the messages that came
// meanwhile. It reports whether there is anything new to tell.
func (f *Feed) endRead(rs []*wire.Result, now time.Time) bool {
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
func (f *Feed) failRead() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading = false
}

func (f *Feed) last() int64 {
	if n := len(f.points); n > 0 {
		return f.points[n-1].End
	}
	return 0
}

// View is what a feed has at one moment.
type View struct {
	Points     []wire.Point // Oldest first.
	Loaded     bool         // The history was read.
	Generation int          // Another one means that what was sent before is void.
	State      wire.State
	Limited    string // Why it is not computed; "" = it is.
}

// View returns what is there now.
func (f *Feed) View() View {
	f.mu.Lock()
	defer f.mu.Unlock()
	return View{f.points, f.loaded, f.generation, f.state, f.limited}
}

// State returns the state and what there is to say of it.
func (f *Feed) State() (s wire.State, detail string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state == wire.StateLimited {
		return f.state, f.limited
	}
	return f.state, stateDetail(f.state, f.stale)
}

// NewestEnd is the end of the newest point, 0 = there is none.
func (f *Feed) NewestEnd() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last()
}

// awaitsFirst reports whether the history of a feed that is new was still empty.
func (f *Feed) awaitsFirst() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.loaded && len(f.points) == 0 && time.Since(f.made) < firstPatience
}

// newest returns the newest result, nil before the first, and its state by
// time alone: whether Redis is away does not change what was true a moment ago.
func (f *Feed) newest(now time.Time) (*wire.Result, wire.State, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.latest, f.stateByTime(now), f.loaded
}

// After returns the points newer than end, oldest first.
func (v View) After(end int64) []wire.Point { return pointsAfter(v.Points, end) }

func pointsAfter(points []wire.Point, end int64) []wire.Point {
	n := len(points)
	// Nearly always the newest or none.
	for n > 0 && points[n-1].End > end {
		n--
	}
	return points[n:]
}

// Has reports whether end is that of one of the points.
func (v View) Has(end int64) bool {
	_, ok := slices.BinarySearchFunc(v.Points, end, func(p wire.Point, end int64) int { return cmp.Compare(p.End, end) })
	return ok
}

// check brings the state up to date and reports whether it changed.
func (f *Feed) check(now time.Time, unavailable bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, back := f.state, f.takeBack(now)
	f.unavailable = unavailable
	f.refreshState(now)
	return f.state != before || back
}

// limit says why the key is not computed, "" = it is, and reports whether that
// changed the state.
func (f *Feed) limit(why string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.state
	f.limited = why
	f.refreshState(now)
	return f.state != before
}

func (f *Feed) refreshState(now time.Time) {
	f.state = f.stateByTime(now)
	if f.unavailable {
		f.state = wire.StateDegraded
	}
}

func (f *Feed) stateByTime(now time.Time) wire.State {
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

// run subscribes to the key, reads the history, and reads it again whenever
// asked, until ctx ends.
func (f *Feed) run(ctx context.Context, s *Set) {
	for logged := false; ; {
		attempt, cancel := context.WithTimeout(ctx, redisTimeout)
		err := s.subscriber.Add(attempt, f.stream.Key)
		cancel()
		if err == nil {
			break
		}
		if !logged && ctx.Err() == nil && !s.isUnavailable() { // Else the probe says so.
			s.Log.Error("no results can be received; the widget waits", "error", err)
			logged = true
		}
		if !clock.Sleep(ctx, retryAfter) {
			return
		}
	}
	defer func() {
		if s.ctx.Err() == nil { // Else the whole subscription ends.
			s.subscriber.Remove(context.WithoutCancel(ctx), f.stream.Key)
		}
	}()
	f.ask()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.reload:
		}
		if err := f.read(ctx, s); err != nil {
			if ctx.Err() == nil {
				s.Log.Debug("a history cannot be read", "key", f.stream.Key, "error", err)
			}
			f.failRead()
			f.ask()
			if !clock.Sleep(ctx, retryAfter) {
				return
			}
		}
	}
}

func (f *Feed) read(ctx context.Context, s *Set) error {
	if err := s.readers.Acquire(ctx, 1); err != nil {
		return err
	}
	defer s.readers.Release(1)
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	rs, err := s.Results.History(ctx, f.stream.Key, f.stream.RefreshMs, f.beginRead(), wire.HistoryLength)
	if err != nil {
		return err
	}
	s.metrics.historyReads.Inc()
	if f.endRead(rs, s.Now()) {
		s.notify(f, true)
	}
	return nil
}
