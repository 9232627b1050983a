package sinks

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/aggregate"
	"pulseboard/catalog"
	"pulseboard/metric"
	"pulseboard/transforms"
	"pulseboard/wire"
)

// cataloguer publishes which metrics the key groups of this process hold, in a
// goroutine of its own and over connections of its own: results never wait for it.
//
//	key groups ─Survey─▶ held ─▶ those that changed, and those that a refresh is due of ─▶ Redis
//
// Each metric belongs to one key group, and that to one process. A process that
// lost a key group to another notices nothing but that its timers are silent, so
// it says nothing of key groups that are silent for aliveFor.
type cataloguer struct {
	run    string
	store  *catalog.Store
	log    *slog.Logger
	limits catalogLimits
	survey func(visit func(transforms.GroupSurvey))

	held   map[string]*heldMetric
	lives  map[int]uint64 // By key group.
	alive  map[int]bool
	gone   map[string]bool // To be removed from Redis.
	bytes  int64           // Of what stands in Redis by us.
	mark   string          // What Redis had when it was last written to.
	swept  time.Time
	away   bool
	full   bool
	missed int // Metrics of this process that found no room in held.
}

// heldMetric is a metric as it was told last.
type heldMetric struct {
	summary   aggregate.Summary
	group     int
	life      uint64
	changed   bool      // Since it was published.
	published time.Time // Zero = not at all.
	size      int64     // Of what was published.
}

// heldSize is what a metric takes, in the map and by itself.
const heldSize = int64(unsafe.Sizeof(heldMetric{})) + 40

type catalogLimits struct {
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
func defaultCatalogLimits() catalogLimits {
	return catalogLimits{
		every: 2 * time.Second, refresh: 30 * time.Second, aliveFor: 20 * time.Second,
		metrics: catalog.MaxMetrics, bytes: 64 << 20, roundBytes: 4 << 20,
		sweep: time.Minute, keepStale: time.Hour,
	}
}

func newCataloguer(run string, store *catalog.Store, log *slog.Logger, limits catalogLimits) *cataloguer {
	return &cataloguer{
		run: run, store: store, log: log, limits: limits,
		survey: func(visit func(transforms.GroupSurvey)) { transforms.Survey(run, visit) },
		held:   make(map[string]*heldMetric), lives: make(map[int]uint64), alive: make(map[int]bool), gone: make(map[string]bool),
	}
}

// loop publishes until ctx ends.
func (c *cataloguer) loop(ctx context.Context) {
	t := time.NewTicker(c.limits.every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			c.round(ctx)
		}
	}
}

func (c *cataloguer) round(ctx context.Context) {
	c.take(time.Now())
	err := c.publish(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		catalogFailures.Inc()
		if !c.away {
			c.log.Warn("the catalogue of metrics cannot be published; trying again", "error", err)
		}
		c.away = true
	default:
		if c.away {
			c.log.Info("the catalogue of metrics is published again")
		}
		c.away = false
		catalogPublished.SetToCurrentTime()
	}
}

// take takes over what changed in the key groups.
func (c *cataloguer) take(now time.Time) {
	known := 0
	c.survey(func(g transforms.GroupSurvey) {
		c.alive[g.ID] = now.Sub(g.Advanced) < c.limits.aliveFor
		anew := c.lives[g.ID] != g.Life
		c.lives[g.ID] = g.Life
		if c.alive[g.ID] {
			known += g.Metrics
		}
		// In their order: which metrics find room must not hang on that of a map.
		slices.SortFunc(g.Changed, func(a, b aggregate.Summary) int { return strings.Compare(a.Metric, b.Metric) })
		for _, s := range g.Changed {
			c.hold(g, s)
		}
		if !anew {
			return
		}
		for name, h := range c.held {
			if h.group == g.ID && h.life != g.Life {
				c.forget(name, h)
			}
		}
	})
	catalogKnown.Set(float64(known))
	for _, h := range c.held {
		if c.alive[h.group] {
			known--
		}
	}
	c.missed = known
	// The names and values of tags are those of the key groups, which count them.
	transforms.CountCatalogue(int64(len(c.held)+len(c.gone)) * heldSize)
}

func (c *cataloguer) hold(g transforms.GroupSurvey, s aggregate.Summary) {
	h := c.held[s.Metric]
	if s.Gone() {
		if h != nil {
			c.forget(s.Metric, h)
		}
		return
	}
	if h == nil {
		if len(c.held) >= c.limits.metrics {
			return // It is told of again with its next event, and counted below.
		}
		h = new(heldMetric)
		c.held[s.Metric] = h
	}
	delete(c.gone, s.Metric)
	h.changed = h.changed || !same(&h.summary, &s)
	h.summary, h.group, h.life = s, g.ID, g.Life
}

// same reports whether two summaries of a metric have the same entry. An index
// that has not changed tells the same list of tags.
func same(a, b *aggregate.Summary) bool {
	return a.Series == b.Series && a.Overflow == b.Overflow && a.MoreTags == b.MoreTags && a.NewestEvent == b.NewestEvent &&
		a.LastMean == b.LastMean && a.LastMinute == b.LastMinute &&
		len(a.Tags) == len(b.Tags) && (len(a.Tags) == 0 || &a.Tags[0] == &b.Tags[0])
}

func (c *cataloguer) forget(name string, h *heldMetric) {
	delete(c.held, name)
	c.bytes -= h.size
	if len(c.gone) < c.limits.metrics { // The others are swept when they are stale.
		c.gone[name] = true
	}
}

// publish writes what is due, and what is gone.
func (c *cataloguer) publish(ctx context.Context) error {
	state, err := c.ask(ctx)
	if err != nil {
		return err
	}
	if state.Mark != c.mark {
		// Redis was emptied, or this is the first look at it.
		c.mark = state.Mark
		for _, h := range c.held {
			h.published, h.size = time.Time{}, 0
		}
		c.bytes = 0
	}
	if err := c.removeGone(ctx); err != nil {
		return err
	}
	if err := c.write(ctx, c.due(time.Now()), state); err != nil {
		return err
	}
	return c.sweep(ctx, state)
}

func (c *cataloguer) ask(ctx context.Context) (catalog.State, error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	return c.store.State(ctx)
}

// Commands of at most so many entries and bytes: Redis does nothing else meanwhile.
const (
	catalogChunk      = 500
	catalogChunkBytes = 256 << 10
)

func (c *cataloguer) removeGone(ctx context.Context) error {
	names := make([]string, 0, len(c.gone))
	for name := range c.gone {
		names = append(names, name)
	}
	for chunk := range slices.Chunk(names, catalogChunk) {
		if err := c.send(ctx, nil, chunk); err != nil {
			return err
		}
		for _, name := range chunk {
			delete(c.gone, name)
		}
		catalogEntries.WithLabelValues("removed").Add(float64(len(chunk)))
	}
	return nil
}

func (c *cataloguer) send(ctx context.Context, set map[string][]byte, remove []string) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	return c.store.Write(ctx, set, remove)
}

// due returns the names of what must be published, those that waited longest first.
// The canary's events are nobody's to make widgets of.
func (c *cataloguer) due(now time.Time) []string {
	var names []string
	for name, h := range c.held {
		if name != metric.Canary && c.alive[h.group] && (h.changed || now.Sub(h.published) >= c.limits.refresh) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := c.held[a].published.Compare(c.held[b].published); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return names
}

// write publishes names, as far as one round may.
func (c *cataloguer) write(ctx context.Context, names []string, state catalog.State) error {
	set, chunkBytes, roundBytes := make(map[string][]byte), 0, int64(0)
	growth := int64(0)                       // Of c.bytes, by what is in set.
	room := c.limits.metrics - state.Metrics // For new ones.
	left, brief := c.missed, 0
	flush := func() error {
		if err := c.send(ctx, set, nil); err != nil {
			return err
		}
		now := time.Now()
		for name, text := range set {
			h := c.held[name]
			c.bytes += int64(len(text)) - h.size
			h.size, h.published, h.changed = int64(len(text)), now, false
		}
		catalogEntries.WithLabelValues("written").Add(float64(len(set)))
		clear(set)
		chunkBytes, growth = 0, 0
		return nil
	}
	for _, name := range names {
		h := c.held[name]
		if h.published.IsZero() {
			if room <= 0 {
				left++
				continue
			}
			room--
		}
		if roundBytes >= c.limits.roundBytes {
			continue // It only counts what finds no room.
		}
		text, cut, err := c.encode(h, state.Now, c.limits.bytes-c.bytes-growth+h.size)
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
		if len(set) >= catalogChunk || chunkBytes >= catalogChunkBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	catalogLeftOut.Set(float64(left))
	if full := left+brief > 0; full != c.full {
		c.full = full
		if full {
			c.log.Error("the catalogue of metrics is full: some are left out of it, or have no values of tags; send fewer metric names or tag values",
				"left_out", left, "without_values", brief, "limit", c.limits.metrics, "limit_bytes", c.limits.bytes)
		} else {
			c.log.Info("the catalogue of metrics has room again")
		}
	}
	return nil
}

// encode returns the entry, brief when all is too much otherwise, and nothing when there
// is no room even so.
func (*cataloguer) encode(h *heldMetric, now time.Time, room int64) (text []byte, brief bool, err error) {
	e := entryOf(&h.summary, now)
	text, err = e.Encode()
	if err != nil || int64(len(text)) <= room {
		return text, false, err
	}
	text, err = e.Brief().Encode()
	if err != nil || int64(len(text)) > room {
		return nil, false, err
	}
	return text, true, nil
}

func entryOf(s *aggregate.Summary, now time.Time) catalog.Entry {
	e := catalog.Entry{
		Metric: s.Metric, Series: s.Series, Overflow: s.Overflow, MoreTags: s.MoreTags, Tags: make([]catalog.Tag, 0, len(s.Tags)),
		LastEvent: s.NewestEvent, LastMean: wire.Finite(s.LastMean), LastMinute: s.LastMinute, Updated: now.UnixMilli(),
	}
	for _, t := range s.Tags {
		e.Tags = append(e.Tags, catalog.Tag(t))
	}
	return e
}

// sweep now and then removes what no process refreshes: at once when there is no
// room for others, else after as long as it may be of use to somebody.
func (c *cataloguer) sweep(ctx context.Context, state catalog.State) error {
	if time.Since(c.swept) < c.limits.sweep {
		return nil
	}
	c.swept = time.Now()
	keep := c.limits.keepStale
	if state.Metrics >= c.limits.metrics {
		keep = min(keep, catalog.StaleAfter)
	}
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	removed, _, err := c.store.Sweep(ctx, state.Now.Add(-keep))
	catalogEntries.WithLabelValues("swept").Add(float64(removed))
	if removed > 0 {
		c.log.Info("entries of the catalogue that nobody refreshed were removed", "count", removed, "unrefreshed_for", keep)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // What is left goes next time.
	}
	return err
}

const sweepTimeout = 10 * time.Second

var (
	catalogKnown = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_catalog_metrics", Help: "Metrics whose series this process holds. Normal: as many as producers send.",
	})
	catalogLeftOut = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_catalog_left_out", Help: "Metrics that found no room in the catalogue. Normal: 0.",
	})
	catalogEntries = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulseboard_catalog_entries_total",
		Help: "Entries of the catalogue by what was done: written; removed, their series were forgotten; swept, nobody refreshed them. Normal: written, one for each metric in 30 s.",
	}, []string{"outcome"})
	catalogFailures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_catalog_failures_total", Help: "Rounds that could not publish all of the catalogue that was due. Normal: 0 while Redis is there.",
	})
	catalogPublished = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_catalog_timestamp_seconds", Help: "When a round last published all that was due; the age of the catalogue is time() less this. Normal: an age below 5 s.",
	})
)
