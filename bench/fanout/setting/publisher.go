package setting

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"pulseboard/bench/fanout/proc"
	"pulseboard/metric"
	"pulseboard/results"
	"pulseboard/wire"
)

// As many bundles of results as Prism makes of a slice: one for each key group.
const bundles = 16

// Publisher publishes the results of every metric key at each whole second. An
// end is never left out: one that is late makes the following ones late too.
type Publisher struct {
	store  *results.Store
	keys   [bundles][]key
	series int
	next   int64 // The end to be published next, ms.
	prev   int64 // The one before, 0 = none.

	mu      sync.Mutex
	lates   []late
	results int64
	refused int64 // Results that Redis turned down: none in a run that is right.
}

type key struct {
	text string
	base float64
}

// late is one bundle: from the end of its windows to the last PUBLISH.
type late struct {
	end int64
	d   time.Duration
}

func newPublisher(store *results.Store, boards []dashboard, series int) *Publisher {
	p := &Publisher{store: store, series: series}
	for _, b := range boards {
		for _, q := range b.queries {
			h := fnv.New32a()
			_, _ = h.Write([]byte(q.Metric)) // It does not fail.
			n := h.Sum32()
			p.keys[n%bundles] = append(p.keys[n%bundles], key{q.Key(), float64(n % 1000)})
		}
	}
	return p
}

// fill writes the ends that have passed, n before now and those that pass
// meanwhile, into the histories without a message.
func (p *Publisher) fill(ctx context.Context, n int) error {
	p.next = time.Now().Truncate(time.Second).UnixMilli() - int64(n-1)*refreshMs
	for p.next <= time.Now().UnixMilli() {
		for _, b := range p.bundlesOf(p.next, false) {
			if _, err := p.store.Publish(ctx, b); err != nil {
				return fmt.Errorf("cannot fill the histories: %w", err)
			}
		}
		p.prev, p.next = p.next, p.next+refreshMs
	}
	return nil
}

// Run publishes until ctx ends; then it returns nil.
func (p *Publisher) Run(ctx context.Context) error {
	for {
		ready := p.bundlesOf(p.next, true)
		due := time.NewTimer(time.Until(time.UnixMilli(p.next)))
		select {
		case <-due.C:
		case <-ctx.Done():
			due.Stop()
			return nil
		}
		for _, b := range ready {
			if len(b) == 0 {
				continue
			}
			out, err := p.store.Publish(ctx, b)
			switch {
			case ctx.Err() != nil:
				return nil //nolint:nilerr // It was stopped under way.
			case err != nil:
				return err
			}
			p.note(out)
		}
		p.prev, p.next = p.next, p.next+refreshMs
	}
}

func (p *Publisher) note(out results.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lates = append(p.lates, late{p.next, time.Since(time.UnixMilli(p.next))})
	p.results += int64(out.Published)
	p.refused += int64(out.Refused + out.TooFarAhead)
}

func (p *Publisher) bundlesOf(end int64, announce bool) [bundles][]results.Publication {
	var out [bundles][]results.Publication
	for i, keys := range p.keys {
		out[i] = make([]results.Publication, 0, len(keys))
		for _, k := range keys {
			out[i] = append(out[i], results.Publication{Result: p.result(k, end), Announce: announce})
		}
	}
	return out
}

// result is that of a busy metric: its values change every second, and its
// newest event came just before the end.
func (p *Publisher) result(k key, end int64) *wire.Result {
	newest := end - 1 - rand.Int64N(100)
	r := &wire.Result{
		Key: k.text, WindowStart: end - windowSeconds*1000, WindowEnd: end, PrevEnd: p.prev, Due: []int64{refreshMs},
		NewestEvent: &newest, Complete: true, Matched: p.series, SeriesVersion: fmt.Sprintf("%04x", p.series),
		Series: make([]wire.SeriesValue, p.series),
	}
	for i := range r.Series {
		// Three digits after the point, as measured values have.
		v := math.Round((k.base+10*float64(i)+5*math.Sin(float64(end)/10_000+k.base))*1000+float64(rand.IntN(1000))) / 1000
		r.Series[i] = wire.SeriesValue{Value: &v, Count: 600}
		if p.series > 1 {
			r.Series[i].Tags = metric.Tags{{Key: groupTag, Value: "host-" + strconv.Itoa(i)}}
		}
	}
	return r
}

// Published is what was published in some time.
type Published struct {
	Ends    int   `json:"ends"`    // Seconds.
	Results int64 `json:"results"` // Since the begin.
	Refused int64 `json:"refused"`
	// From the end of a window to its PUBLISH being done: of every bundle, and of
	// the last one of each end.
	Lateness proc.Spread `json:"lateness"`
	Last     proc.Spread `json:"lateness_of_the_last"`
}

// Published tells of the ends after from, up to to, epoch ms.
func (p *Publisher) Published(from, to int64) Published {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := Published{Results: p.results, Refused: p.refused}
	var all []time.Duration
	last := map[int64]time.Duration{}
	for _, l := range p.lates {
		if l.end <= from || l.end > to {
			continue
		}
		all = append(all, l.d)
		last[l.end] = l.d // They come in order.
	}
	lasts := make([]time.Duration, 0, len(last))
	for _, d := range last {
		lasts = append(lasts, d)
	}
	out.Ends, out.Lateness, out.Last = len(last), proc.SpreadOf(all), proc.SpreadOf(lasts)
	return out
}

// Keys is the number of metric keys.
func (p *Publisher) Keys() int {
	n := 0
	for _, k := range p.keys {
		n += len(k)
	}
	return n
}
