package feeds

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"pulseboard/internal/clock"
	"pulseboard/internal/redisconn"
	"pulseboard/limits"
	"pulseboard/results"
	"pulseboard/wire"
)

// Times that need no flag.
const (
	redisTimeout    = 3 * time.Second
	retryAfter      = 300 * time.Millisecond // How soon what failed since Redis is unavailable is tried again.
	probeEvery      = time.Second
	statesEvery     = 200 * time.Millisecond
	limitsPoll      = time.Second
	topPoll         = 10 * time.Second       // How often the histories' newest ends are compared with those received.
	firstPoll       = 250 * time.Millisecond // The same, of histories that are awaited,
	firstPatience   = 20 * time.Second       // for so long.
	concurrentReads = 8
)

// Watcher shows feeds.
type Watcher interface {
	// Changed is called when a feed has something new. Unless it is urgent, other feeds
	// have theirs within moments. It must neither block nor call the Set.
	Changed(urgent bool)
}

// Config is what a Set needs. All fields must be set, but for Metrics.
type Config struct {
	// Results is where results are read.
	Results *results.Store
	// Limits returns which queries the pipeline does not compute.
	Limits func(context.Context) ([]limits.Report, error)
	// Slice is the pipeline's slice: no result comes more often.
	Slice time.Duration
	// Now is the clock.
	Now func() time.Time
	// Metrics is where the feeds register theirs; nil = nowhere.
	Metrics prometheus.Registerer
	// Log is where they report.
	Log *slog.Logger
}

// Set is the feeds that are watched.
type Set struct {
	Config
	subscriber *redisconn.Listener
	metrics    *metrics
	horizon    *horizon
	readers    *semaphore.Weighted

	ctx    context.Context // Of the feeds' goroutines.
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu          sync.Mutex
	feeds       map[results.Stream]*Feed
	byKey       map[string][]*Feed // The slices are replaced, never changed.
	unavailable bool               // Redis does not answer.
	limited     map[string]string  // Why queries are not computed, by metric key.
}

// New returns a Set without feeds, which listens to Redis until Close.
func New(cfg Config) *Set {
	s := &Set{Config: cfg, readers: semaphore.NewWeighted(concurrentReads), feeds: make(map[results.Stream]*Feed), byKey: make(map[string][]*Feed)}
	s.metrics = newMetrics(s)
	s.horizon = &horizon{hidden: s.metrics.hidden}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.subscriber = s.Results.Subscribe(s.ctx, s.receive, s.resync)
	return s
}

// Close ends all feeds and waits for them.
func (s *Set) Close() {
	s.cancel()
	s.wg.Wait()
	s.subscriber.Close()
}

// Watch has w watch the feeds of these widgets instead of those that it watched before,
// and returns them in the widgets' order. Feeds begin and end with their first and last watcher.
func (s *Set) Watch(w Watcher, before []*Feed, widgets []wire.WidgetView) []*Feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	watched := make([]*Feed, len(widgets))
	for i := range widgets {
		watched[i] = s.feed(&widgets[i])
		watched[i].watchers[w] = struct{}{}
	}
	for _, f := range before {
		if !slices.Contains(watched, f) {
			s.release(w, f)
		}
	}
	s.metrics.feeds.Set(float64(len(s.feeds)))
	return watched
}

func (s *Set) feed(w *wire.WidgetView) *Feed {
	stream := results.Stream{Key: w.Key, RefreshMs: w.RefreshMs}
	f := s.feeds[stream]
	if f == nil {
		f = newFeed(w, s.Slice.Milliseconds(), s.horizon)
		f.unavailable, f.limited = s.unavailable, s.limited[w.Key]
		f.refreshState(s.Now())
		s.feeds[stream] = f
		s.byKey[w.Key] = append(slices.Clip(s.byKey[w.Key]), f)
		var ctx context.Context
		ctx, f.cancel = context.WithCancel(s.ctx)
		s.wg.Go(func() { f.run(ctx, s) })
	}
	return f
}

func (s *Set) release(w Watcher, f *Feed) {
	delete(f.watchers, w)
	if len(f.watchers) > 0 || s.feeds[f.stream] != f {
		return
	}
	f.cancel()
	delete(s.feeds, f.stream)
	key := f.stream.Key
	s.byKey[key] = slices.DeleteFunc(slices.Clone(s.byKey[key]), func(o *Feed) bool { return o == f })
	if len(s.byKey[key]) == 0 {
		delete(s.byKey, key)
	}
}

// Current returns the newest result of a widget, nil when there is none, its state, and
// what there is to say of that: from memory where the widget is watched, else from Redis.
func (s *Set) Current(ctx context.Context, w *wire.WidgetView) (r *wire.Result, st wire.State, detail string, err error) {
	s.mu.Lock()
	f, why := s.feeds[results.Stream{Key: w.Key, RefreshMs: w.RefreshMs}], s.limited[w.Key]
	s.mu.Unlock()
	if f != nil {
		if r, st, loaded := f.newest(s.Now()); loaded {
			return r, st, why, nil
		}
	}
	r, err = s.Results.Latest(ctx, w.Key, w.RefreshMs)
	if err != nil {
		return nil, "", "", err
	}
	// A feed that nobody watches judges by the same rules.
	f = newFeed(w, s.Slice.Milliseconds(), s.horizon)
	f.limited = why
	f.beginRead()
	if r != nil {
		f.endRead([]*wire.Result{r}, s.Now())
	}
	r, st, _ = f.newest(s.Now())
	return r, st, why, nil
}

// receive gets each message from Redis: it must not block.
func (s *Set) receive(key, payload string) {
	s.mu.Lock()
	feeds := s.byKey[key]
	s.mu.Unlock()
	if len(feeds) == 0 {
		return
	}
	r, err := wire.DecodeResult(payload)
	if err != nil {
		s.Log.Warn("a message is no result", "channel", key, "error", err)
		return
	}
	s.metrics.messages.Inc()
	now := s.Now()
	for _, f := range feeds {
		if f.receive(r, now) {
			s.notify(f, false)
		}
	}
}

// resync is called when messages may have been missed.
func (s *Set) resync() {
	s.metrics.resubscriptions.Inc()
	for _, f := range s.all() {
		f.ask()
	}
}

func (s *Set) all() []*Feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	fs := make([]*Feed, 0, len(s.feeds))
	for _, f := range s.feeds {
		fs = append(fs, f)
	}
	return fs
}

func (s *Set) notify(f *Feed, urgent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range f.watchers {
		w.Changed(urgent)
	}
}

// Run keeps states, limits and lost messages in view until ctx ends.
func (s *Set) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { s.followStates(ctx) })
	wg.Go(func() { s.followLimits(ctx) })
	wg.Go(func() { s.probe(ctx) })
	wg.Go(func() {
		s.compareTops(ctx, func() time.Duration { return topPoll/2 + rand.N(topPoll) }, func(*Feed) bool { return true })
	})
	// The first history of a key that has one at another refresh interval comes without
	// a message, since none of its ends is new: a key's end is announced once.
	wg.Go(func() { s.compareTops(ctx, func() time.Duration { return firstPoll }, (*Feed).awaitsFirst) })
	wg.Wait()
}

// followStates has feeds go stale while nothing comes.
func (s *Set) followStates(ctx context.Context) {
	for range clock.Every(ctx, statesEvery) {
		unavailable, now := s.isUnavailable(), s.Now()
		for _, f := range s.all() {
			if f.check(now, unavailable) {
				s.notify(f, true)
			}
		}
	}
}

// isUnavailable reports whether Redis does not answer, which the probe has logged.
func (s *Set) isUnavailable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unavailable
}

// probe finds out whether Redis answers, and follows its clock.
func (s *Set) probe(ctx context.Context) {
	first := true
	for range clock.Every(ctx, probeEvery) {
		attempt, cancel := context.WithTimeout(ctx, probeEvery)
		err := s.horizon.ask(attempt, s.Results, s.Now)
		cancel()
		if !first && ctx.Err() == nil { // The connection may be in the making at first.
			s.setUnavailable(err)
		}
		first = false
	}
}

func (s *Set) setUnavailable(err error) {
	s.mu.Lock()
	before := s.unavailable
	s.unavailable = err != nil
	s.mu.Unlock()
	switch {
	case before == (err != nil):
	case err != nil:
		s.metrics.redisAway.Set(1)
		s.Log.Error("Redis cannot be reached; widgets are degraded until it is back", "error", err)
	default:
		s.metrics.redisAway.Set(0)
		s.Log.Info("Redis is back")
		s.resync() // It may have been emptied, and the subscription may take its time.
	}
}

// compareTops finds results whose message never came by comparing the newest end of
// each history with that of its feed: after a lost message no later one shows a gap
// while the key is idle.
func (s *Set) compareTops(ctx context.Context, every func() time.Duration, which func(*Feed) bool) {
	for clock.Sleep(ctx, every()) {
		feeds := slices.DeleteFunc(s.all(), func(f *Feed) bool { return !which(f) })
		if len(feeds) == 0 {
			continue
		}
		streams := make([]results.Stream, len(feeds))
		for i, f := range feeds {
			streams[i] = f.stream
		}
		read, cancel := context.WithTimeout(ctx, redisTimeout)
		newest, err := s.Results.Newest(read, streams)
		cancel()
		if err != nil {
			continue // The probe says so.
		}
		for i, f := range feeds {
			if v := f.View(); v.Loaded && len(v.After(newest[i].WindowEnd-1)) == 0 && newest[i].WindowEnd > 0 {
				f.ask()
			}
		}
	}
}

// followLimits asks the pipeline's reports which queries are cut. While Redis is
// unavailable what was reported last holds.
func (s *Set) followLimits(ctx context.Context) {
	for range clock.Every(ctx, limitsPoll) {
		read, cancel := context.WithTimeout(ctx, redisTimeout)
		reports, err := s.Limits(read)
		cancel()
		if err == nil {
			cut := make(map[string]string)
			for i := range reports {
				for j := range reports[i].Cut {
					cut[reports[i].Cut[j].Key] = reports[i].Cut[j].Text()
				}
			}
			s.limit(cut)
		} else if ctx.Err() == nil {
			s.Log.Debug("what is limited cannot be read", "error", err)
		}
	}
}

// limit takes over which metric keys are cut, and why.
func (s *Set) limit(cut map[string]string) {
	s.mu.Lock()
	s.limited = cut
	s.mu.Unlock()
	for _, f := range s.all() {
		if f.limit(cut[f.stream.Key], s.Now()) {
			s.notify(f, true)
		}
	}
}
