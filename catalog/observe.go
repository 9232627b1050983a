package catalog

import (
	"slices"
	"time"
	"unsafe"

	"pulseboard/aggregate"
	"pulseboard/metric"
	"pulseboard/wire"
)

// Survey is what a key group holds of its metrics. Nothing of it is in the
// runner's state: after a restore it is derived from the store again.
type Survey struct {
	KeyGroup int
	// Epoch is another one when the key group was built anew: all metrics that
	// it holds are among the changed ones then, and others are gone.
	Epoch uint64
	// Advanced is when its timer fired last. Long ago means that the key group
	// lives in another process by now, or that nothing moves.
	Advanced time.Time
	Metrics  int     // That it holds.
	Changed  []Entry // Those without series are gone.
}

// traffic is what is known of the events of a metric at a cost that does not
// depend on them: some additions for each accumulator that is merged.
//
// The events of the last minute are counted in steps of five seconds of event
// time, the one under way not among them.
type traffic struct {
	newestEvent int64
	slice       int64 // The newest one with events: their number and sum.
	count       int64
	sum         float64
	step        int64 // The newest step with events; the others lie around it, by their index modulo their number.
	steps       [minuteSteps + 4]int64

	kinds aggregate.Kinds // Of all events so far.
	// arrived counts events by how many seconds after their time they came: up to each of arrivals. All are halved with each minute.
	arrived     [len(arrivals)]uint32
	arrivedStep int64
}

// arrivals are bounds of how many seconds after their time events come.
var arrivals = [...]int{0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 45, 60} //nolint:gochecknoglobals // It is a table.

// arrive counts events that came so many seconds after their time.
func (t *traffic) arrive(seconds int, events, step int64) {
	if step-t.arrivedStep >= minuteSteps {
		for i := range t.arrived {
			t.arrived[i] /= 2
		}
		t.arrivedStep = step
	}
	i, _ := slices.BinarySearch(arrivals[:len(arrivals)-1], seconds)
	t.arrived[i] += uint32(min(events, 1<<24))
}

// arrival is how many seconds after their time 99 of 100 events have come.
func (t *traffic) arrival() int {
	total, up := uint64(0), uint64(0)
	for _, n := range t.arrived {
		total += uint64(n)
	}
	for i, n := range t.arrived {
		if up += uint64(n); up*100 >= total*99 {
			return arrivals[i]
		}
	}
	return 0
}

const minuteSteps = 12

func (t *traffic) add(slice, step int64, a *aggregate.Acc) {
	if t.count == 0 {
		t.slice, t.step, t.newestEvent = slice, step, a.Newest
	}
	t.newestEvent = max(t.newestEvent, a.Newest)
	if slice > t.slice {
		t.slice, t.count, t.sum = slice, 0, 0
	}
	if slice == t.slice {
		t.count += a.Count
		t.sum += a.Sum
	}
	const n = int64(len(t.steps))
	if step > t.step {
		for s := max(t.step+1, step-n+1); s <= step; s++ {
			t.steps[aggregate.Mod(s, n)] = 0
		}
		t.step = step
	}
	if step > t.step-n {
		t.steps[aggregate.Mod(step, n)] += a.Count
	}
}

// minute returns the events of the whole minute before a step.
func (t *traffic) minute(step int64) (events int64) {
	const n = int64(len(t.steps))
	for s := max(step-minuteSteps, t.step-n+1); s < step && s <= t.step; s++ {
		events += t.steps[aggregate.Mod(s, n)]
	}
	return events
}

// Observer observes the metrics of one store. It costs some additions for each accumulator that is merged, and an
// update of an index when a series comes or goes; a Survey costs neither a look at events nor at series.
//
// It is not safe for concurrent use: its calls belong under the lock of the store.
type Observer struct {
	sample  int // Keys of a metric, and values of a key, that are shown.
	sliceMs int64
	length  int64 // Slices in a step of traffic.
	now     int64 // The slice of pipeline time in which what is added came; -1 = it was there.
	slice   int64 // Of the last event, and its step.
	step    int64

	metrics map[string]*observed
	listed  int         // With series.
	changed []*observed // Since a survey had them.
	pending []*observed // Of these, those that the survey under way has not had yet.
	unseen  int         // About how many of changed are dropped and were never announced.
}

// NewObserver returns one that shows so many keys of a metric and values of a key. Slices are sliceMs long.
func NewObserver(sample int, sliceMs int64) *Observer {
	return &Observer{sample: sample, sliceMs: sliceMs, now: -1, length: max(1, time.Minute.Milliseconds()/sliceMs/minuteSteps), metrics: make(map[string]*observed)}
}

// observed is one metric.
type observed struct {
	*Observer
	name      string
	series    int // Without aggregate.Other,
	other     int // which is 1 when there is that.
	traffic   traffic
	said      *said     // nil = nothing has been said.
	index     *tagIndex // nil = no series has come yet.
	isChanged bool      // It is in one of the two lists.
	announced bool      // A survey had it, with series.
	dropped   bool      // It is no longer in the store.
}

// observedSize is what a metric takes, besides its index: by itself, and in the map.
const observedSize = int64(unsafe.Sizeof(observed{})) + 56

// Observe implements aggregate.Observer.
func (o *Observer) Observe(metric string) aggregate.MetricObserver {
	m := &observed{Observer: o, name: metric}
	o.metrics[metric] = m
	return m
}

// Arrive says in which slice of pipeline time what is added from now on came; -1 = it was there before.
func (o *Observer) Arrive(slice int64) { o.now = slice }

// stepOf returns the step that a slice belongs to.
func (o *Observer) stepOf(slice int64) int64 {
	return (slice - aggregate.Mod(slice, o.length)) / o.length
}

func (o *Observer) change(m *observed) {
	if !m.isChanged {
		m.isChanged = true
		o.changed = append(o.changed, m)
	}
}

// Add implements aggregate.MetricObserver, like the methods below.
func (m *observed) Add(slice int64, kinds aggregate.Kinds, a *aggregate.Acc) {
	if o := m.Observer; slice != o.slice { // Mostly it is that of the accumulator before.
		o.slice, o.step = slice, o.stepOf(slice)
	}
	m.traffic.add(slice, m.step, a)
	m.traffic.kinds |= kinds
	if m.now >= 0 {
		m.traffic.arrive(int((max(0, m.now-slice)*m.sliceMs+999)/1000), a.Count, m.stepOf(m.now))
	}
	m.change(m)
}

// AddSeries counts a series and takes up its tags.
func (m *observed) AddSeries(tags string) {
	if m.series+m.other == 0 {
		m.listed++
	}
	m.change(m)
	if tags == aggregate.Other {
		m.other++
		return // It has no tags of its own.
	}
	m.series++
	eachTag(tags, func(key, value string) {
		if m.index == nil {
			m.index = newTagIndex(m.sample)
		}
		m.index.add(key, value)
	})
}

// RemoveSeries forgets it.
func (m *observed) RemoveSeries(tags string) {
	m.change(m)
	if tags == aggregate.Other {
		m.other--
	} else {
		m.series--
		if m.index != nil {
			eachTag(tags, m.index.remove)
		}
	}
	if m.series+m.other == 0 {
		m.listed--
	}
}

// Swept shows other tags in the place of those that were removed.
func (m *observed) Swept(held bool) {
	if m.index != nil {
		m.index.sampleAgain()
	}
	if held {
		return
	}
	m.dropped = true
	if m.metrics[m.name] == m {
		delete(m.metrics, m.name)
	}
	if m.announced || !m.isChanged {
		return
	}
	// It came and went between two surveys. Without any survey such metrics would be kept for ever.
	if m.unseen++; m.unseen > len(m.changed)/2 {
		m.changed = slices.DeleteFunc(m.changed, func(c *observed) bool { return c.dropped && !c.announced })
		m.unseen = 0
	}
}

// Bytes is what it takes.
func (m *observed) Bytes() int64 { return observedSize + m.index.bytes() + m.said.bytes() }

func eachTag(key string, yield func(key, value string)) {
	tags, err := metric.ParseTagsKey(key)
	if err != nil {
		return // It has none that a filter could name.
	}
	for _, t := range tags {
		yield(t.Key, t.Value)
	}
}

// Metrics returns of how many metrics the store holds series.
func (o *Observer) Metrics() int { return o.listed }

// Changed returns how many metrics a survey would have.
func (o *Observer) Changed() int { return len(o.pending) + len(o.changed) }

// Survey appends what is known of at most limit metrics that changed since a survey had them.
// One whose series were forgotten comes once more, and
// one with events in the last minute, or the step under way, as long as it has
// them: call it until it had as many as Changed said before. before is the first slice that is not over.
func (o *Observer) Survey(dst []Entry, before int64, limit int) []Entry {
	step := o.stepOf(before)
	for range min(limit, o.Changed()) {
		if len(o.pending) == 0 {
			o.pending, o.changed = o.changed, o.pending
		}
		last := len(o.pending) - 1
		m := o.pending[last]
		o.pending[last] = nil // It may be forgotten.
		o.pending = o.pending[:last]
		m.isChanged = false
		if now := o.metrics[m.name]; m.dropped && now != nil && now.series+now.other > 0 {
			continue // It came back, and the survey has that.
		}
		has := m.series+m.other > 0
		if has || m.announced {
			dst = append(dst, m.entry(step))
		}
		m.announced = has
		if has && m.traffic.step >= step-minuteSteps { // The count goes on to change by itself.
			o.change(m)
		}
	}
	return dst
}

// kindNames are the kinds as the catalog has them.
func kindNames(k aggregate.Kinds) []string {
	names := []string{}
	for i, name := range []string{"event", "cumulative", "gauge", "histogram"} {
		if k&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

func (m *observed) entry(step int64) Entry {
	if m.series+m.other == 0 {
		return Entry{Metric: m.name}
	}
	e := Entry{
		Metric: m.name, Series: m.series, Overflow: m.other > 0, Units: []string{}, Help: []string{},
		Kinds: kindNames(m.traffic.kinds), Arrival: m.traffic.arrival(),
		LastEvent: m.traffic.newestEvent, LastMinute: m.traffic.minute(step),
	}
	if m.said != nil {
		e.Units, e.Help = show(m.said.units), show(m.said.help)
	}
	if m.index != nil {
		e.Tags, e.MoreTags = m.index.list()
	}
	if m.traffic.count > 0 {
		e.LastMean = wire.Finite(m.traffic.sum / float64(m.traffic.count))
	}
	return e
}
