package aggregate_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pulseboard/aggregate"
)

// recorder keeps what a store reports.
type recorder struct{ metrics map[string]*recorded }

type recorded struct {
	series map[string]bool
	events int64
	held   bool
	said   string
	t      *testing.T
}

func (r recorder) Observe(metric string) aggregate.MetricObserver {
	m := r.metrics[metric]
	if m.held {
		m.t.Errorf("%s is taken up twice", metric)
	}
	m.held = true
	return m
}

func (m *recorded) Add(_ int64, _ aggregate.Kinds, a *aggregate.Acc) { m.events += a.Count }

func (m *recorded) AddSeries(tags string) {
	if m.series[tags] {
		m.t.Errorf("the series %q comes twice", tags)
	}
	m.series[tags] = true
}

func (m *recorded) RemoveSeries(tags string) {
	if !m.series[tags] {
		m.t.Errorf("the series %q goes that never came", tags)
	}
	delete(m.series, tags)
}

func (m *recorded) Say(unit, help string, slice int64) {
	m.said = fmt.Sprint(m.said, unit, help, slice)
}

func (m *recorded) State() []byte        { return []byte(m.said) }
func (m *recorded) Restore(state []byte) { m.said += string(state) }
func (m *recorded) Swept(held bool)      { m.held = held }
func (m *recorded) Bytes() int64         { return 1000*int64(len(m.series)) + int64(len(m.said)) }

// An observer knows the series and events of each metric, also after a restore, and what it takes counts as the store's.
func TestObserverKnowsWhatIsHeld(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	watch := recorder{map[string]*recorded{}}
	for i := range 4 {
		watch.metrics[fmt.Sprint("m", i)] = &recorded{series: map[string]bool{}, t: t}
	}
	s := aggregate.NewStore(aggregate.Options{Retain: 60, SeriesPerMetric: 5, Observer: watch})
	plain := aggregate.NewStore(aggregate.Options{Retain: 60, SeriesPerMetric: 5})
	events, now, dropped := int64(0), int64(0), false
	for step := range 2000 {
		if now += r.Int64N(3); r.IntN(300) == 0 {
			now += 200
		}
		give := func(to *aggregate.Store, seed uint64) int64 {
			r := rand.New(rand.NewPCG(seed, 9))
			t := aggregate.Table{}
			for range r.IntN(3) {
				t.Add(now, key(fmt.Sprint("m", r.IntN(4)), fmt.Sprint("a=", r.IntN(9)+step/300)), 1, now*1000)
			}
			n := t.Count()
			to.Merge(t)
			to.Pass(now)
			return n
		}
		events += give(s, uint64(step))
		give(plain, uint64(step))
		held, seen := s.SeriesTags(), int64(0)
		for name, m := range watch.metrics {
			if got := slices.Sorted(maps.Keys(m.series)); !slices.Equal(got, slices.Sorted(slices.Values(held[name]))) {
				t.Fatalf("step %d: %s has %q, the store %q", step, name, got, held[name])
			}
			if dropped = dropped || !m.held && m.events > 0; len(held[name]) > 0 != m.held {
				t.Fatalf("step %d: %s is held: %v, and has %d series", step, name, m.held, len(held[name]))
			}
			seen += m.events
		}
		if seen != events {
			t.Fatalf("step %d: %d events of %d", step, seen, events)
		}
		if own := s.Bytes() - plain.Bytes(); own != 1000*int64(s.Series()) {
			t.Fatalf("step %d: the observer counts as %d bytes, of %d series", step, own, s.Series())
		}
	}
	if !dropped {
		t.Error("no metric was forgotten")
	}
	again := recorder{map[string]*recorded{}}
	for name := range watch.metrics {
		again.metrics[name] = &recorded{series: map[string]bool{}, t: t}
	}
	text, _ := s.AppendHistory(nil, -1<<40, 1<<40)
	restored := aggregate.NewStore(aggregate.Options{Retain: 60, SeriesPerMetric: 5, Observer: again})
	if err := restored.RestoreHistory(text, now); err != nil {
		t.Fatal(err)
	}
	for name, tags := range restored.SeriesTags() {
		if !slices.Equal(slices.Sorted(maps.Keys(again.metrics[name].series)), slices.Sorted(slices.Values(tags))) || again.metrics[name].events == 0 {
			t.Errorf("%s is restored as %+v", name, again.metrics[name])
		}
	}
}
