package sinks

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/catalog"
	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/redisconn"
	"pulseboard/results"
	"pulseboard/transforms"
)

// PublishRedisFn writes the results of a bundle in one pipelined round when the
// bundle ends. It never fails the bundle because Redis is away.
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
func (f *PublishRedisFn) FinishBundle(ctx context.Context) {
	if p, ok := publishers.Load(f.Run); ok && len(f.evaluations) > 0 {
		p.(*publisher).publish(ctx, f.evaluations)
	}
	f.evaluations = nil
}

var publishers sync.Map // Run → *publisher.

// publisher is what the bundles of a run share in this process: the connection,
// and whether Redis is there.
//
// While Redis is away results are not kept: when it is back, every key group
// emits the history of every key again, in order, newest last. Redis refuses
// the window ends that it has, so nothing is there twice and no end is left out.
type publisher struct {
	run   string
	store *results.Store
	log   *slog.Logger

	mark   string // What Redis had when it was last looked at; of watch alone.
	mu     sync.Mutex
	away   bool
	refill uint64 // Evaluations that know of fewer refills are left out: they came before the histories.
}

// Open connects the sinks of a run and returns what ends them. It fails when Redis
// does not answer.
func Open(ctx context.Context, run string, redis redisconn.Endpoint, brokers kafkaconn.Endpoint, log *slog.Logger) (closeSink func(), err error) {
	store, err := results.Open(ctx, redis)
	if err != nil {
		return nil, err
	}
	metrics, err := catalog.Open(ctx, redis)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	p := &publisher{run: run, store: store, log: log}
	c := newCataloguer(run, metrics, log, defaultCatalogLimits())
	ctx, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() { p.watch(ctx) })
	background.Go(func() { c.loop(ctx) })
	publishers.Store(run, p)
	closeLetters := openLetters(run, brokers)
	transforms.SetPublisher(run, func(e transforms.Evaluation) { p.publish(ctx, []transforms.Evaluation{e}) })
	return func() {
		publishers.Delete(run)
		closeLetters()
		cancel()
		background.Wait()
		_ = store.Close() // Nothing is buffered in it.
		_ = metrics.Close()
	}, nil
}

// How long a bundle waits for Redis before it goes on without.
const publishTimeout = 2 * time.Second

func (p *publisher) publish(ctx context.Context, evaluations []transforms.Evaluation) {
	var pubs []results.Publication
	p.mu.Lock()
	for _, e := range evaluations {
		if p.away || e.Refill < p.refill {
			withheld.Add(float64(len(e.Publications)))
			continue
		}
		pubs = append(pubs, e.Publications...)
	}
	p.mu.Unlock()
	if len(pubs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	began := time.Now()
	out, err := p.store.Publish(ctx, pubs)
	publishSeconds.Observe(time.Since(began).Seconds())
	written.WithLabelValues("accepted").Add(float64(out.Accepted))
	written.WithLabelValues("refused").Add(float64(out.Refused))
	written.WithLabelValues("too_far_ahead").Add(float64(out.TooFarAhead))
	if err != nil {
		p.lose(err)
	}
}

func (p *publisher) lose(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.away {
		p.away = true
		redisAway.Set(1)
		p.log.Error("cannot publish results; aggregation goes on, histories follow when Redis is back", "error", err)
	}
}

// watch looks after Redis: it finds it back after it was away, or emptied.
func (p *publisher) watch(ctx context.Context) {
	const every = 500 * time.Millisecond
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		p.look(ctx)
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *publisher) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	mark, err := p.store.Mark(ctx)
	if err != nil {
		if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			p.lose(err)
		}
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	emptied := p.mark != "" && mark != p.mark
	p.mark = mark
	if !p.away && !emptied {
		return
	}
	p.log.Warn("Redis is back, or was emptied: all histories are written again", "emptied", emptied)
	p.refill = transforms.Refill(p.run)
	p.away = false
	redisAway.Set(0)
}

var (
	written = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulseboard_sink_entries_total",
		Help: "History entries by what Redis did: accepted; refused because it has that window end or a newer one; too_far_ahead of its clock. Normal: accepted; refused after a restart, which says all again.",
	}, []string{"outcome"})
	withheld = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_sink_withheld_total", Help: "Results left out while Redis was away; their histories were written afterwards. Normal: 0 while Redis is there.",
	})
	redisAway = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_sink_redis_away", Help: "1 while results cannot be written to Redis. Normal: 0.",
	})
	publishSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "pulseboard_sink_publish_seconds", Help: "Duration of writing the results of a bundle to Redis, in one pipelined round. Normal: p95 below 0.05 s.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2},
	})
)

// Collectors returns the metrics of the sinks.
func Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		written, withheld, redisAway, publishSeconds, deadLetters, deadLettersLost,
		catalogKnown, catalogLeftOut, catalogEntries, catalogFailures, catalogPublished,
	}
}
