package sinks

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/internal/redisconn"
	"pulseboard/job"
	"pulseboard/metric"
	"pulseboard/results"
	"pulseboard/transforms"
)

// PublishRedisFn writes the results of a bundle when the bundle ends. It never fails
// the bundle because Redis is away, or slow.
type PublishRedisFn struct {
	Run string

	evaluations []transforms.Evaluation
}

func init() {
	beam.RegisterDoFn(&PublishRedisFn{})
}

// PublishRedis ends PCollection<Evaluation>.
func PublishRedis(s beam.Scope, run string, evaluations beam.PCollection) {
	beam.ParDo0(s.Scope("PublishRedis"), &PublishRedisFn{Run: run}, evaluations)
}

// StartBundle is called by the SDK, like the methods below.
func (f *PublishRedisFn) StartBundle(context.Context) { f.evaluations = nil }

// ProcessElement keeps results until the bundle ends.
func (f *PublishRedisFn) ProcessElement(_ context.Context, e transforms.Evaluation) {
	f.evaluations = append(f.evaluations, e)
}

// FinishBundle publishes.
func (f *PublishRedisFn) FinishBundle(ctx context.Context) error {
	if len(f.evaluations) == 0 {
		return nil
	}
	p, err := job.Of[*Publisher](f.Run)
	if err != nil {
		return err
	}
	p.publish(ctx, f.evaluations)
	return nil
}

// Publisher is what the bundles of a run share in this process: the connection,
// how Redis is, and which histories are behind.
//
// A result that Redis did not take makes its key fall behind: from then on the
// results of the key are withheld, which costs nothing, and the backfiller writes
// what its histories lack, from the newest end that Redis has, key by key, slower
// while Redis is slow. Then the key is live again. The other keys go on meanwhile.
// A Redis that takes results slower than they come is not away: what it did not take in
// the time of a bundle is behind.
//
//	bundles, new queries ─▶ publish ─▶ Redis
//	                         │ not taken: behind ─▶ backfiller ─ Histories.Backfill ─▶ write ─▶ Redis
type Publisher struct {
	store     *results.Store
	histories Histories
	log       *slog.Logger
	flow      *flow           // Of all writes.
	pauses    pauses          // Of the backfiller alone.
	ctx       context.Context // Of the run.
	cancel    context.CancelFunc
	running   sync.WaitGroup

	mark   string    // What Redis had when it was last looked at; of watch alone,
	looked time.Time // as is when that was.

	mu         sync.Mutex
	closed     bool
	away       bool               // Redis does not answer, or another pipeline has the lease.
	full       bool               // Redis had no memory for something that is still behind.
	logged     time.Time          // When the log said so last.
	loggedAway bool               // It said that Redis is away, and not yet that it is back.
	behind     map[string]*behind // By metric key.
	writing    int                // Publishes of bundles under way.
	evicts     bool               // Redis deletes keys when it is full.
	doubt      bool               // Another Redis than before may answer, without what that one had.
	has        acknowledged

	wake chan struct{} // Tells the backfiller that there is something to do.
}

// behind is a key whose histories lack results.
type behind struct {
	series int   // Of its last result: how large it is.
	missed int64 // The newest end that should have been announced, and was not.
	anew   bool  // What Redis has of it is younger than what it lacks, and goes first.
}

// Histories computes results anew: the key groups do.
type Histories interface {
	// Histories returns the metric keys that are computed in this process, and their refresh intervals, ms.
	Histories() map[string][]int64
	// Backfill writes what the histories of a key lack. It returns transforms.ErrNotReady when it cannot do so yet.
	Backfill(ctx context.Context, key string, to transforms.BackfillSink) error
}

// OpenPublisher connects to Redis, and fails when that does not answer. What it writes it writes with the lease; what
// Redis did not take, or has lost, it writes later, out of histories.
func OpenPublisher(ctx context.Context, redis redisconn.Endpoint, lease results.Lease, histories Histories, log *slog.Logger) (*Publisher, error) {
	store, err := results.Open(ctx, redis)
	if err != nil {
		return nil, err
	}
	store.WriteAs(lease)
	p := newPublisher(ctx, store, histories, log)
	p.running.Go(func() { p.watch(p.ctx) })
	p.running.Go(func() { p.backfillAll(p.ctx) })
	return p, nil
}

func newPublisher(ctx context.Context, store *results.Store, histories Histories, log *slog.Logger) *Publisher {
	ctx, cancel := context.WithCancel(ctx)
	return &Publisher{
		store: store, histories: histories, log: log, ctx: ctx, cancel: cancel,
		flow: newFlow(), behind: make(map[string]*behind), has: make(acknowledged), wake: make(chan struct{}, 1),
	}
}

// Close ends it, and gives the lease back.
func (p *Publisher) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.running.Wait()
	p.release(context.WithoutCancel(p.ctx))
	return p.store.Close()
}

// Publish implements transforms.Sink.
func (p *Publisher) Publish(e transforms.Evaluation) { p.publish(p.ctx, []transforms.Evaluation{e}) }

// Behind implements transforms.Sink.
func (p *Publisher) Behind(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away || p.full {
		p.fallBehind(key)
	}
	return p.behind[key] != nil
}

const (
	// stepTime is how long Redis may take for an answer, else it is away.
	stepTime = 2 * time.Second
	// bundleTime is after how long a bundle leaves what Redis has not been sent yet to the backfiller.
	bundleTime = 2 * time.Second
)

func (p *Publisher) publish(ctx context.Context, evaluations []transforms.Evaluation) {
	p.mu.Lock()
	if p.closed {
		evaluations = nil // The run is being closed, and its runner goes on.
	}
	var pubs []results.Publication
	for _, e := range evaluations {
		pubs = append(pubs, e.Publications...)
	}
	p.writing++
	p.mu.Unlock()
	defer p.wrote()
	inTime, cancel := context.WithTimeout(ctx, bundleTime)
	defer cancel()
	for pubs = p.live(pubs); len(pubs) > 0; pubs = p.live(pubs) {
		n, sent, err := p.flow.step(inTime, pubs)
		if err != nil {
			p.leave(pubs)
			return
		}
		if err := p.write(ctx, pubs[:n], sent); err != nil {
			p.lose(err, pubs[:n])
		}
		pubs = pubs[n:]
	}
}

func (p *Publisher) wrote() {
	p.mu.Lock()
	p.writing--
	p.mu.Unlock()
}

// live returns the results whose keys are not behind, and withholds the others.
func (p *Publisher) live(pubs []results.Publication) []results.Publication {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(pubs, func(pub results.Publication) bool {
		gone := p.away || p.behind[pub.Result.Key] != nil
		if gone {
			p.withhold(pub)
		}
		return gone
	})
}

// leave leaves results to the backfiller, which Redis was too slow for.
func (p *Publisher) leave(pubs []results.Publication) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pub := range pubs {
		p.withhold(pub)
	}
	if time.Since(p.logged) > logEvery {
		p.logged = time.Now()
		p.log.Warn("Redis takes results slower than they come: histories follow as fast as it takes them", "histories", len(p.behind))
	}
}

// write writes the results of a step, and tells when they are sent.
func (p *Publisher) write(ctx context.Context, pubs []results.Publication, sent func(took time.Duration)) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	began := time.Now()
	out, err := p.store.Publish(ctx, pubs)
	took := time.Since(began)
	sent(took)
	publishSeconds.Observe(took.Seconds())
	written.WithLabelValues("accepted").Add(float64(out.Accepted))
	written.WithLabelValues("refused").Add(float64(out.Refused))
	written.WithLabelValues("too_far_ahead").Add(float64(out.TooFarAhead))
	p.remember(pubs, err)
	return err
}

// fallBehind must be called with the lock.
func (p *Publisher) fallBehind(key string) *behind {
	b := p.behind[key]
	if b == nil {
		b = new(behind)
		p.behind[key] = b
		keysBehind.Set(float64(len(p.behind)))
	}
	return b
}

// withhold leaves a result to the backfiller. It must be called with the lock.
func (p *Publisher) withhold(pub results.Publication) {
	withheld.Inc()
	b := p.fallBehind(pub.Result.Key)
	b.series = len(pub.Result.Series)
	if pub.Announce {
		b.missed = max(b.missed, pub.Result.WindowEnd)
	}
}

// lose takes note of what could not be written. What was left out is written by the backfiller.
func (p *Publisher) lose(err error, pubs []results.Publication) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault(err)
	w, ok := errors.AsType[*results.WriteError](err)
	for _, pub := range pubs {
		if ok && w.Keys[pub.Result.Key] {
			p.withhold(pub)
		}
	}
}

// fault takes note of how Redis is. It must be called with the lock.
func (p *Publisher) fault(err error) {
	full := results.IsFull(err)
	p.doubt = p.doubt || !full
	if full && p.full || !full && p.away {
		return
	}
	due := time.Since(p.logged) > logEvery
	if due {
		p.logged = time.Now()
	}
	if full {
		p.full = true
		redisFull.Set(1)
		if due {
			p.log.Error("Redis has no memory left: what it still takes goes on, histories follow when it has room", "error", err)
		}
		return
	}
	p.away = true
	held := results.IsHeld(err)
	set(redisAway, !held)
	switch {
	case !due:
	case held:
		p.loggedAway = true
		p.log.Error("another pipeline writes the results: this one stands by, and goes on where that one ends", "error", err)
	default:
		p.loggedAway = true
		p.log.Error("cannot publish results; aggregation goes on, histories follow when Redis is back", "error", err)
	}
}

// A Redis at its limit, or nearly too slow, is there and not there by turns: the log says so once in this time.
const logEvery = time.Minute

// watch looks after Redis: it finds it back after it was away, or emptied.
func (p *Publisher) watch(ctx context.Context) {
	const every, memory = 500 * time.Millisecond, 60 // Its memory is asked for once in so many looks.
	t := time.NewTicker(every)
	defer t.Stop()
	for n := 0; ; n++ {
		p.look(ctx)
		if n%memory == 0 {
			p.lookAtMemory(ctx)
			p.forgetGone(nil)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *Publisher) look(ctx context.Context) {
	run := ctx
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	err := p.store.Hold(ctx)
	set(standingBy, results.IsHeld(err))
	var mark string
	if err == nil {
		mark, err = p.store.Mark(ctx)
	}
	var lost []string
	if err == nil && p.mark != "" && mark != p.mark {
		// Without the lock: key groups ask Behind under their own.
		if lost, err = p.lost(ctx, p.histories.Histories(), p.looked); len(lost) > 0 {
			p.log.Warn("Redis was emptied, or has deleted keys: their histories are written again", "keys", len(lost))
		}
	}
	var lacking []string
	if err == nil {
		lacking, err = p.lacking(run, p.mark != "" && mark != p.mark)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		if run.Err() == nil {
			p.fault(err)
		}
		return
	}
	for _, key := range lacking {
		p.fallBehind(key)
	}
	for _, key := range lost {
		p.fallBehind(key).anew = true
	}
	p.mark, p.looked = mark, time.Now()
	if p.away && !p.doubt {
		p.away = false
		redisAway.Set(0)
		if p.loggedAway {
			p.loggedAway = false
			p.log.Warn("results can be written again: what histories lack is written", "histories", len(p.behind))
		}
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// release gives the lease back.
func (p *Publisher) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	if err := p.store.Release(ctx); err != nil {
		p.log.Warn("the next pipeline has to wait a moment: the right to write results could not be given back", "error", err)
	}
}

// set sets a gauge of something that is or is not.
func set(g prometheus.Gauge, is bool) {
	v := 0.0
	if is {
		v = 1
	}
	g.Set(v)
}

// lost returns the keys whose histories must be written again when the mark is gone: all
// of them, since some have entries again. A Redis that deletes keys for want of memory
// may have deleted the mark alone, so of that one those that it has not, or only since
// it was looked at.
func (p *Publisher) lost(ctx context.Context, histories map[string][]int64, looked time.Time) (lost []string, err error) {
	p.mu.Lock()
	evicts := p.evicts
	p.mu.Unlock()
	if !evicts {
		return slices.Collect(maps.Keys(histories)), nil
	}
	var streams []results.Stream
	for key, refresh := range histories {
		for _, ms := range refresh {
			streams = append(streams, results.Stream{Key: key, RefreshMs: ms})
		}
	}
	oldest, err := p.store.Oldest(ctx, streams)
	if err != nil {
		return nil, err
	}
	// An end that was written since lies at most the delay of its query before, and a little.
	since := looked.Add(-(metric.MaxDelaySeconds + 5) * time.Second).UnixMilli()
	missing := make(map[string]bool)
	for i, s := range streams {
		if oldest[i] == 0 || oldest[i] >= since {
			missing[s.Key] = true
		}
	}
	return slices.Collect(maps.Keys(missing)), nil
}

// lookAtMemory tells of a Redis that forgets parts of histories when it is full.
func (p *Publisher) lookAtMemory(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	m, err := p.store.Memory(ctx)
	if err != nil {
		return // One that does not say cannot be judged; whether it answers is asked elsewhere.
	}
	evicts := m.Evicts()
	p.mu.Lock()
	defer p.mu.Unlock()
	if evicts && !p.evicts {
		p.log.Warn("Redis deletes keys when its memory is full: histories would lose parts unseen; give it maxmemory-policy noeviction",
			"maxmemory_policy", m.Policy, "maxmemory", m.Limit)
	}
	p.evicts = evicts
	set(redisEvicts, evicts)
}

var (
	written = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulseboard_sink_entries_total",
		Help: "History entries by what Redis did: accepted; refused because it has that window end or a newer one; too_far_ahead of its clock. Normal: accepted; refused after a restart, which says all again.",
	}, []string{"outcome"})
	withheld = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_sink_withheld_total", Help: "Results left out while Redis did not take them; their histories were written afterwards. Normal: 0 while Redis is there.",
	})
	keysBehind = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_sink_behind", Help: "Metric keys whose histories in Redis lack results, and are written one after the other. Normal: 0.",
	})
	backfills = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulseboard_sink_backfills_total", Help: "Attempts to write what the histories of a metric key lack: whole; failed, goes on later where it stopped. Normal: 0 while Redis is there.",
	}, []string{"outcome"})
	backfillBytes = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_sink_backfill_bytes", Help: "About how many bytes of results wait to be written by the backfill under way. Normal: 0.",
	})
	redisFull = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_sink_redis_full", Help: "1 while histories are behind because Redis had no memory left. Normal: 0.",
	})
	redisEvicts = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_sink_redis_evicts", Help: "1 when Redis deletes keys once its memory is full: its maxmemory-policy is not noeviction. Normal: 0.",
	})
	redisAway = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_sink_redis_away", Help: "1 while results cannot be written to Redis. Normal: 0.",
	})
	standingBy = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_sink_standby", Help: "1 while another pipeline writes the results of this installation, and this one only computes them. Normal: 0.",
	})
	publishSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "pulseboard_sink_publish_seconds", Help: "Duration of writing results of a bundle to Redis, in one pipelined round. Normal: p95 below 0.05 s.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2},
	})
)

// Collectors returns the metrics of the sinks.
func Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		written, withheld, wentBack, keysBehind, backfills, backfillBytes, redisAway, redisFull, redisEvicts, standingBy, publishSeconds, deadLetters, deadLettersLost,
	}
}
