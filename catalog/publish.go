package catalog

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/internal/clock"
	"pulseboard/internal/redisconn"
)

// Publisher publishes which metrics the key groups of this process hold, in a
// goroutine of its own and over connections of its own: results never wait for it.
//
//	key groups ─Survey─▶ held ─▶ those that changed, and those that a refresh is due of ─▶ Redis
//
// Each metric belongs to one key group, and that to one process. A process that
// lost a key group to another notices nothing but that its timers are silent, so
// it says nothing of key groups that are silent for aliveFor.
type Publisher struct {
	store   *Store
	groups  Surveyed
	hidden  []string
	log     *slog.Logger
	sizes   sizes
	cancel  context.CancelFunc
	running sync.WaitGroup
	takes   atomic.Int64 // See Bytes.

	held   map[string]*heldMetric
	epochs map[int]uint64 // By key group.
	alive  map[int]bool
	gone   map[string]bool // To be removed from Redis.
	bytes  int64           // Of what stands in Redis by us.
	mark   string          // What Redis had when it was last written to.
	swept  time.Time
	away   bool
	full   bool
	missed int // Metrics of this process that found no room in held.
}

// heldMetric is a metric as the last survey had it.
type heldMetric struct {
	entry     Entry
	group     int
	epoch     uint64
	changed   bool      // Since it was published.
	published time.Time // Zero = not at all.
	size      int64     // Of what was published.
}

// heldSize is what a metric takes, in the map and by itself, with its mean.
const heldSize = int64(unsafe.Sizeof(heldMetric{})) + 56

type sizes struct {
	every      time.Duration // Between rounds.
	refresh    time.Duration // A metric is published anew after this, changed or not.
	aliveFor   time.Duration // A key group is another process's when its timer has not fired for so long.
	metrics    int           // In Redis.
	bytes      int64         // Of entries of this process; beyond them entries have no values of tags.
	roundBytes int64         // Written in one round; those that waited longest come first.
	sweep      time.Duration // Between looks for what nobody refreshes,
	keepStale  time.Duration // which is removed after this.
}

// With roundBytes every two seconds, all of bytes is written within 32 s: no
// entry is a minute old.
func defaultSizes() sizes {
	return sizes{
		every: 2 * time.Second, refresh: 30 * time.Second, aliveFor: 20 * time.Second,
		metrics: MaxMetrics, bytes: 64 << 20, roundBytes: 4 << 20,
		sweep: time.Minute, keepStale: time.Hour,
	}
}

// Surveyed is what a catalog is made of: the key groups of a run.
type Surveyed interface {
	// Survey visits the key groups that this process holds, with the metrics that changed since the last survey.
	// There must be one caller.
	Survey(visit func(Survey))
}

// OpenPublisher connects to Redis, and fails when that does not answer. It publishes what groups hold until Close,
// but for hidden metrics, which are not for widgets.
func OpenPublisher(ctx context.Context, redis redisconn.Endpoint, groups Surveyed, hidden []string, log *slog.Logger) (*Publisher, error) {
	store, err := Open(ctx, redis)
	if err != nil {
		return nil, err
	}
	p := newPublisher(store, groups, hidden, log, defaultSizes())
	ctx, p.cancel = context.WithCancel(ctx)
	p.running.Go(func() {
		for range clock.Every(ctx, p.sizes.every) {
			p.round(ctx)
		}
	})
	return p, nil
}

// Close ends it.
func (p *Publisher) Close() error {
	p.cancel()
	p.running.Wait()
	return p.store.Close()
}

// Bytes is about what it takes, without the names and values of tags: those are the key groups', which count them.
func (p *Publisher) Bytes() int64 { return p.takes.Load() }

func newPublisher(store *Store, groups Surveyed, hidden []string, log *slog.Logger, sizes sizes) *Publisher {
	return &Publisher{
		store: store, groups: groups, hidden: hidden, log: log, sizes: sizes,
		held: make(map[string]*heldMetric), epochs: make(map[int]uint64), alive: make(map[int]bool), gone: make(map[string]bool),
	}
}

func (p *Publisher) round(ctx context.Context) {
	p.take(time.Now())
	err := p.publish(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		failures.Inc()
		if !p.away {
			p.log.Warn("the catalog of metrics cannot be published; trying again", "error", err)
		}
		p.away = true
	default:
		if p.away {
			p.log.Info("the catalog of metrics is published again")
		}
		p.away = false
		published.SetToCurrentTime()
	}
}

// take takes over what changed in the key groups. One whose timers are silent has no part in it: it may run in
// another process by now, which publishes what it holds.
func (p *Publisher) take(now time.Time) {
	known := 0
	p.groups.Survey(func(g Survey) {
		p.alive[g.KeyGroup] = now.Sub(g.Advanced) < p.sizes.aliveFor
		anew := p.epochs[g.KeyGroup] != g.Epoch
		p.epochs[g.KeyGroup] = g.Epoch
		if p.alive[g.KeyGroup] {
			known += g.Metrics
		}
		// In their order: which metrics find room must not hang on that of a map.
		slices.SortFunc(g.Changed, func(a, b Entry) int { return strings.Compare(a.Metric, b.Metric) })
		for _, e := range g.Changed {
			p.hold(g, e)
		}
		if !anew {
			return
		}
		for name, h := range p.held {
			if h.group == g.KeyGroup && h.epoch != g.Epoch {
				p.forget(name, h)
			}
		}
	})
	heldTotal.Set(float64(known))
	for _, h := range p.held {
		if p.alive[h.group] {
			known--
		}
	}
	p.missed = known
	p.takes.Store(int64(len(p.held)+len(p.gone)) * heldSize)
}

func (p *Publisher) hold(g Survey, e Entry) {
	h := p.held[e.Metric]
	if e.Gone() {
		if h != nil {
			p.forget(e.Metric, h)
		}
		return
	}
	if h == nil {
		if len(p.held) >= p.sizes.metrics {
			return // Its next event puts it into a survey again; take counts it as missed.
		}
		h = new(heldMetric)
		p.held[e.Metric] = h
	}
	delete(p.gone, e.Metric)
	h.changed = h.changed || !same(&h.entry, &e)
	h.entry, h.group, h.epoch = e, g.KeyGroup, g.Epoch
}

// same reports whether two entries of surveys are equal. An index that has not changed lists the same tags.
func same(a, b *Entry) bool {
	return a.Series == b.Series && a.Overflow == b.Overflow && a.MoreTags == b.MoreTags && a.LastEvent == b.LastEvent &&
		a.LastMinute == b.LastMinute && (a.LastMean == b.LastMean || a.LastMean != nil && b.LastMean != nil && *a.LastMean == *b.LastMean) &&
		len(a.Tags) == len(b.Tags) && (len(a.Tags) == 0 || &a.Tags[0] == &b.Tags[0])
}

func (p *Publisher) forget(name string, h *heldMetric) {
	delete(p.held, name)
	p.bytes -= h.size
	if len(p.gone) < p.sizes.metrics { // The others are swept when they are stale.
		p.gone[name] = true
	}
}

// publish writes what is due, and what is gone.
func (p *Publisher) publish(ctx context.Context) error {
	state, err := p.store.State(ctx)
	if err != nil {
		return err
	}
	if state.Mark != p.mark {
		// Redis was emptied, or this is the first look at it.
		p.mark = state.Mark
		for _, h := range p.held {
			h.published, h.size = time.Time{}, 0
		}
		p.bytes = 0
	}
	if err := p.removeGone(ctx); err != nil {
		return err
	}
	if err := p.write(ctx, p.due(time.Now()), state); err != nil {
		return err
	}
	return p.sweep(ctx, state)
}

// Commands of at most so many entries and bytes: Redis does nothing else meanwhile.
const (
	chunkLimit      = 500
	chunkLimitBytes = 256 << 10
)

func (p *Publisher) removeGone(ctx context.Context) error {
	for chunk := range slices.Chunk(slices.Collect(maps.Keys(p.gone)), chunkLimit) {
		if err := p.store.Write(ctx, nil, chunk); err != nil {
			return err
		}
		for _, name := range chunk {
			delete(p.gone, name)
		}
		entries.WithLabelValues("removed").Add(float64(len(chunk)))
	}
	return nil
}

// due returns the names of what must be published, those that waited longest first. Hidden metrics stay in held: left
// out of that, they would count as metrics without room.
func (p *Publisher) due(now time.Time) []string {
	var names []string
	for name, h := range p.held {
		if !slices.Contains(p.hidden, name) && p.alive[h.group] && (h.changed || now.Sub(h.published) >= p.sizes.refresh) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(p.held[a].published.Compare(p.held[b].published), strings.Compare(a, b))
	})
	return names
}

// write publishes names, as far as one round may.
func (p *Publisher) write(ctx context.Context, names []string, state State) error {
	set, chunkBytes, roundBytes := make(map[string][]byte), 0, int64(0)
	growth := int64(0)                      // Of p.bytes, by what is in set.
	room := p.sizes.metrics - state.Metrics // For new ones.
	left, brief := p.missed, 0
	flush := func() error {
		if err := p.store.Write(ctx, set, nil); err != nil {
			return err
		}
		now := time.Now()
		for name, text := range set {
			h := p.held[name]
			p.bytes += int64(len(text)) - h.size
			h.size, h.published, h.changed = int64(len(text)), now, false
		}
		entries.WithLabelValues("written").Add(float64(len(set)))
		clear(set)
		chunkBytes, growth = 0, 0
		return nil
	}
	for _, name := range names {
		h := p.held[name]
		if h.published.IsZero() {
			if room <= 0 {
				left++
				continue
			}
			room--
		}
		if roundBytes >= p.sizes.roundBytes {
			continue // It only counts what finds no room.
		}
		text, cut, err := p.encode(h, state.Now, p.sizes.bytes-p.bytes-growth+h.size)
		if err != nil {
			return err
		}
		if text == nil {
			left++
			continue
		}
		if cut {
			brief++
		}
		set[name] = text
		chunkBytes += len(text)
		growth += int64(len(text)) - h.size
		roundBytes += int64(len(text))
		if len(set) >= chunkLimit || chunkBytes >= chunkLimitBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	leftOut.Set(float64(left))
	if full := left+brief > 0; full != p.full {
		p.full = full
		if full {
			p.log.Error("the catalog of metrics is full: some are left out of it, or have no values of tags; send fewer metric names or tag values",
				"left_out", left, "without_values", brief, "limit", p.sizes.metrics, "limit_bytes", p.sizes.bytes)
		} else {
			p.log.Info("the catalog of metrics has room again")
		}
	}
	return nil
}

// encode returns the entry, brief when all is too much otherwise, and nothing when there
// is no room even so.
func (*Publisher) encode(h *heldMetric, now time.Time, room int64) (text []byte, brief bool, err error) {
	e := h.entry
	e.Updated = now.UnixMilli()
	text, err = e.Encode()
	if err != nil || int64(len(text)) <= room {
		return text, false, err
	}
	text, err = e.show(0).Encode()
	if err != nil || int64(len(text)) > room {
		return nil, false, err
	}
	return text, true, nil
}

// sweep now and then removes what no process refreshes: at once when there is no
// room for others, else after keepStale.
func (p *Publisher) sweep(ctx context.Context, state State) error {
	if time.Since(p.swept) < p.sizes.sweep {
		return nil
	}
	p.swept = time.Now()
	keep := p.sizes.keepStale
	if state.Metrics >= p.sizes.metrics {
		keep = min(keep, StaleAfter)
	}
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	removed, err := p.store.Sweep(ctx, state.Now.Add(-keep))
	entries.WithLabelValues("swept").Add(float64(removed))
	if removed > 0 {
		p.log.Info("entries of the catalog that nobody refreshed were removed", "count", removed, "unrefreshed_for", keep)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // What is left goes next time.
	}
	return err
}

const sweepTimeout = 10 * time.Second

var (
	heldTotal = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_catalog_metrics", Help: "Metrics whose series this process holds. Normal: as many as producers send.",
	})
	leftOut = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_catalog_left_out", Help: "Metrics that found no room in the catalog. Normal: 0.",
	})
	entries = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulseboard_catalog_entries_total",
		Help: "Entries of the catalog by what was done: written; removed, their series were forgotten; swept, nobody refreshed them. Normal: written, one for each metric in 30 s.",
	}, []string{"outcome"})
	failures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_catalog_failures_total", Help: "Rounds that could not publish all of the catalog that was due. Normal: 0 while Redis is there.",
	})
	published = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_catalog_timestamp_seconds", Help: "When a round last published all that was due; the age of the catalog is time() less this. Normal: an age below 5 s.",
	})
)

// Collectors returns the metrics of publishers.
func Collectors() []prometheus.Collector {
	return []prometheus.Collector{heldTotal, leftOut, entries, failures, published}
}
