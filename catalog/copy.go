package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/metric"
)

// Copy is the catalog in memory, as it is in Redis: it follows Redis. It may be used concurrently.
type Copy struct {
	store *Store
	log   *slog.Logger
	every time.Duration // At least so long between two looks.
	view  atomic.Pointer[view]

	known    prometheus.GaugeFunc
	readAt   prometheus.Gauge
	failures prometheus.Counter
}

// view is all entries at one moment, which nobody changes. Entries are decoded
// when they are asked for.
type view struct {
	names []string          // Rising.
	lower []string          // The same in small letters.
	texts map[string]string // nil = nothing was read yet.
	now   time.Time         // By the clock of Redis
	at    time.Time         // at this moment of ours.
}

// NewCopy returns a copy that is empty until Watch fills it.
func NewCopy(store *Store, log *slog.Logger) *Copy {
	c := &Copy{store: store, log: log, every: pollEvery}
	c.view.Store(new(view))
	c.known = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pulseboard_catalog_copy_metrics", Help: "Metrics in the copy of the catalog that this process holds, stale ones too. Normal: as pulseboard_catalog_metrics of all workers, less the canary's.",
	}, func() float64 { return float64(len(c.view.Load().names)) })
	c.readAt = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_catalog_copy_timestamp_seconds", Help: "When the copy of the catalog was last known to equal Redis; its age is time() less this. Normal: an age below 3 s.",
	})
	c.failures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_catalog_copy_failures_total", Help: "Looks at the catalog in Redis that failed. Normal: 0 while Redis is there.",
	})
	return c
}

// Collectors returns its metrics.
func (c *Copy) Collectors() []prometheus.Collector {
	return []prometheus.Collector{c.known, c.readAt, c.failures}
}

const (
	pollEvery   = time.Second
	readTimeout = 10 * time.Second
	// Reading takes at most a twentieth of the time: with 100,000 metrics it is
	// half a second, and the copy then 10 s old.
	readShare = 20
)

// Watch keeps the copy equal to Redis until ctx ends; then it returns nil. While
// Redis is away, or was emptied and is not written again, the last copy stays,
// and its entries become stale.
func (c *Copy) Watch(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	seen, away := int64(0), false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		began := time.Now()
		version, err := c.look(ctx, seen)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			c.failures.Inc()
			if !away {
				c.log.Warn("the catalog of metrics cannot be read; the last copy stays", "error", err)
			}
			away = true
		case away:
			c.log.Info("the catalog of metrics can be read again")
			away = false
		}
		if err == nil {
			seen = version
			c.readAt.SetToCurrentTime()
		}
		timer.Reset(max(c.every, readShare*time.Since(began)))
	}
}

// look reads everything when something was written since the version that was seen.
func (c *Copy) look(ctx context.Context, seen int64) (version int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	version, now, err := c.store.version(ctx)
	if err != nil {
		return 0, err
	}
	before := c.view.Load()
	if before.texts != nil && (version == seen || version == 0) {
		return version, nil
	}
	v := &view{texts: make(map[string]string, len(before.names)), now: now, at: time.Now()}
	if err := c.store.scan(ctx, func(metric, text string) { v.texts[metric] = text }); err != nil {
		return 0, err
	}
	v.name(before)
	c.view.Store(v)
	return version, nil
}

// name sets the lists of names, those of the view before when they are the same.
func (v *view) name(before *view) {
	if len(before.names) == len(v.texts) &&
		!slices.ContainsFunc(before.names, func(name string) bool { _, ok := v.texts[name]; return !ok }) {
		v.names, v.lower = before.names, before.lower
		return
	}
	v.names = slices.Sorted(maps.Keys(v.texts))
	v.lower = make([]string, len(v.names))
	for i, name := range v.names {
		v.lower[i] = strings.ToLower(name)
	}
}

// Loaded reports whether Redis was read yet: before, nothing is known.
func (c *Copy) Loaded() bool { return c.view.Load().texts != nil }

// Page is some of the metrics that a search found, rising by name.
type Page struct {
	Entries []Entry
	Total   int    // How many it found.
	Next    string // The cursor of the page after this; "" = there is none.
}

// MaxLimit is the longest page.
const MaxLimit = 1000

// Errors of Search.
var (
	ErrLimit  = fmt.Errorf("limit must be 1 to %d", MaxLimit)
	ErrCursor = errors.New("cursor is not one of this catalog: begin again without it")
)

// Search returns the metrics whose name holds every word of text, whatever the
// case; a word that begins with ^ must be what the name begins with. An empty
// text finds all. cursor is Page.Next of the page before, "" for the first: names
// that come or go between pages are seen or not, all others exactly once.
func (c *Copy) Search(text string, limit int, cursor string) (Page, error) {
	switch {
	case limit < 1 || limit > MaxLimit:
		return Page{}, fmt.Errorf("%w, not %d", ErrLimit, limit)
	case cursor != "" && metric.ValidateName(cursor) != nil:
		return Page{}, ErrCursor
	}
	words := strings.Fields(strings.ToLower(text))
	v := c.view.Load()
	now := v.clock()
	page := Page{Entries: []Entry{}}
	for i, name := range v.names {
		if !matches(v.lower[i], words) {
			continue
		}
		page.Total++
		switch {
		case name <= cursor || page.Next != "":
		case len(page.Entries) == limit:
			page.Next = page.Entries[limit-1].Metric
		default:
			// Those that cannot be read are left out, so that one bad entry does not hide the others.
			if e, ok := decode(name, v.texts[name], now); ok {
				page.Entries = append(page.Entries, e)
			} else {
				page.Total--
			}
		}
	}
	return page, nil
}

func matches(name string, words []string) bool {
	for _, w := range words {
		start, anchored := strings.CutPrefix(w, "^")
		if anchored && !strings.HasPrefix(name, start) || !anchored && !strings.Contains(name, w) {
			return false
		}
	}
	return true
}

// Metric returns what is known of a metric.
func (c *Copy) Metric(name string) (Entry, bool) {
	v := c.view.Load()
	return decode(name, v.texts[name], v.clock())
}

// clock is the time by the clock of Redis.
func (v *view) clock() time.Time { return v.now.Add(time.Since(v.at)) }
