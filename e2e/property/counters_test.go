package property_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// lookbackMs is L of docs/semantics.md, "Counters, gauges and points".
const lookbackMs = 300_000

// reaches reports whether a query hangs on more than the events of its windows.
func (q *query) reaches() bool {
	return grows(q.aggregation) || q.metric == histograms
}

// grows reports whether an aggregation is of by how much counters grew.
func grows(aggregation string) bool {
	return strings.HasPrefix(aggregation, "increase") || strings.HasPrefix(aggregation, "rate")
}

// counterNames are the metrics of counters, gauges and cumulative histograms.
func counterNames() []string { return []string{"scraped", "counted", "gauge", histograms} }

const histograms = "latency"

// counter is one series of them.
type counter struct {
	tags    map[string]string
	begun   int64
	value   float64
	says    bool // Since when it counts.
	replica bool // Another one says almost the same.
	before  []json.RawMessage
	times   []int64 // Of these.
	bins    histogram
}

// counters are the senders of all series of a metric.
type counters struct {
	name string
	rand *rand.Rand
	all  []counter
	runs int
}

func newCounters(name string, r *rand.Rand, now int64) *counters {
	c := &counters{name: name, rand: r}
	for i := range 8 {
		c.all = append(c.all, counter{
			tags:  map[string]string{"host": "h" + strconv.Itoa(i%4), "region": []string{"eu", "us"}[i/4]},
			begun: now - r.Int64N(600_000), value: float64(r.IntN(1000)), says: i%2 == 0, replica: i == 3 || i == 6,
		})
	}
	return c
}

// batch is the value of one record: of one series mostly one event, in time or late, sent again, after a reset, of a
// restart that it says, of another writer, of a time that another one has said something else of, and now and then the end.
func (c *counters) batch(now time.Time) []byte {
	r := c.rand
	s := &c.all[r.IntN(len(c.all))]
	at := now.UnixMilli() - r.Int64N(100)
	e := map[string]any{"tags": s.tags}
	switch n := r.IntN(60); {
	case n == 0:
		e["stale"] = true
	case n < 3:
		s.begun, s.value, s.bins = at-r.Int64N(100), 0, histogram{}
	case n < 7:
		at -= 1000 + r.Int64N(50_000)
	case n == 7:
		at -= latenessMs + r.Int64N(5000)
	case n < 11:
		s.value -= float64(r.IntN(8))
	case n < 17 && len(s.times) > 0:
		at = s.times[r.IntN(len(s.times))]
	case n >= 17 && n < 22: // Another process: a series that nothing precedes, and mostly nobody knows since when it counts.
		c.runs++
		s.says = r.IntN(3) == 0
		s.tags = map[string]string{"host": s.tags["host"], "region": s.tags["region"], "run": strconv.Itoa(c.runs)}
		s.begun, s.value, s.bins, s.before, s.times = at-r.Int64N(100), float64(r.IntN(100)), histogram{}, nil, nil
		e["tags"] = s.tags
	}
	e["event_time"] = at
	s.value += float64(r.IntN(12))
	nanos := []any{true, true, 1, 999_999}[r.IntN(4)]
	if e["stale"] == nil {
		e["value"] = s.value
		switch c.name {
		case histograms:
			delete(e, "value")
			s.bins = s.bins.counted(r)
			e["kind"], e["histogram"] = "cumulative", s.bins
		case "scraped":
			e["kind"], e["point"] = "cumulative", nanos
		case "counted":
			e["kind"] = "cumulative"
		default:
			e["kind"], e["point"] = "gauge", nanos
		}
		if s.says && c.name != "gauge" && s.begun < at {
			e["start"] = s.begun
		}
	}
	text, err := json.Marshal(e)
	if err != nil {
		panic(err) // Of a map of texts and numbers.
	}
	events := []json.RawMessage{text}
	if s.replica && c.name == "counted" && e["value"] != nil { // At the same time it is a little ahead.
		e["value"] = s.value + float64(r.IntN(3))
		other, _ := json.Marshal(e) // As above.
		events = append(events, other)
	}
	if len(s.before) > 0 && c.name != "counted" && r.IntN(4) == 0 { // Sent again.
		events = append(events, s.before[r.IntN(len(s.before))])
	}
	s.before = append(s.before[max(0, len(s.before)-8):], text)
	s.times = append(s.times[max(0, len(s.times)-8):], at)
	record, err := json.Marshal(map[string]any{"metric_name": c.name, "events": events})
	if err != nil {
		panic(err)
	}
	return record
}

// histogram is one of scale 6, as an event has it, of whole values from 1 to 20: each has a bin for itself.
type histogram struct {
	Scale    int   `json:"scale"`
	Count    int   `json:"count"`
	Sum      int   `json:"sum"`
	Positive spans `json:"positive"`
}

type spans struct {
	Offset int   `json:"offset"`
	Counts []int `json:"counts"`
}

// binOf is where a value is among the counts.
func binOf(value int) int { return int(math.Ceil(math.Log2(float64(value)) * 64)) }

// counted is h after some more values.
func (h histogram) counted(r *rand.Rand) histogram {
	h.Scale, h.Positive.Offset = 6, -1
	h.Positive.Counts = append(slices.Clone(h.Positive.Counts), make([]int, binOf(20)+1-len(h.Positive.Counts))...)
	for range 1 + r.IntN(3) {
		value := 1 + r.IntN(20)
		h.Positive.Counts[binOf(value)]++
		h.Count++
		h.Sum += value
	}
	return h
}

// compare orders them: the greater one stays of two of one time.
func (h *histogram) compare(o *histogram) int {
	return cmp.Or(cmp.Compare(h.Count, o.Count), cmp.Compare(h.Sum, o.Sum), slices.Compare(h.Positive.Counts, o.Positive.Counts))
}

// since is what h has counted since an older one; ok is false where it counts less somewhere.
func (h *histogram) since(o *histogram) (values []float64, ok bool) {
	for value := 1; value <= 20; value++ {
		n := h.Positive.Counts[binOf(value)]
		if o != nil {
			n -= o.Positive.Counts[binOf(value)]
		}
		if n < 0 {
			return nil, false
		}
		for range n {
			values = append(values, float64(value))
		}
	}
	return values, true
}

// observe adds the values that a cumulative histogram, of one series of a group, has counted in the window.
func (c *content) observe(told []*logged) {
	at := map[int64]*logged{}
	for _, e := range told {
		if e.histogram != nil && (at[e.at] == nil || cmp.Or(e.histogram.compare(at[e.at].histogram), cmp.Compare(e.start, at[e.at].start)) > 0) {
			at[e.at] = e
		}
	}
	all := make([]*logged, 0, len(at))
	for _, e := range at {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *logged) int { return cmp.Compare(a.at, b.at) })
	for i, n := range all {
		if n.at < c.start {
			continue
		}
		if values := observed(all, i); len(values) > 0 {
			c.newest = max(c.newest, n.at)
			c.values = append(c.values, values...)
		}
	}
}

// observed is what the i-th sample of a histogram has counted: nothing where nobody can tell, or it is another writer's.
func observed(all []*logged, i int) (values []float64) {
	n, start := all[i], all[i].start
	if start >= n.at {
		start = 0
	}
	var since *histogram
	switch first := i == 0 || n.at-all[i-1].at > lookbackMs; {
	case first && (start == 0 || n.at-start > lookbackMs):
		return nil
	case first, start > all[i-1].at:
	case start == 0 || start != all[i-1].start:
		if values, ok := n.histogram.since(all[i-1].histogram); ok {
			return values
		}
	default:
		for k := i - 1; k >= 0 && n.at-all[k].at <= lookbackMs; k-- {
			if o := all[k]; o.start == start && (since == nil || o.histogram.Count > since.Count) {
				since = o.histogram
			}
		}
	}
	values, _ = n.histogram.since(since)
	return values
}

// sample is what an event says of its counter at one time.
type sample struct {
	at, start int64
	nanos     int32 // After at.
	value     float64
}

// time is when it was, by what points are known.
func (s sample) time() instant { return instant{s.at, s.nanos} }

// isAfter reports whether it is newer, or of the same time and greater.
func (s sample) isAfter(o sample) bool {
	newer := s.time().compare(o.time())
	return newer > 0 || newer == 0 && s.value > o.value
}

// instant is milliseconds since 1970, and nanoseconds after these.
type instant struct {
	ms    int64
	nanos int32
}

func (t instant) compare(o instant) int {
	return cmp.Or(cmp.Compare(t.ms, o.ms), cmp.Compare(t.nanos, o.nanos))
}

// samples are those of the counters among events of one series, in their order, of each time one.
func samples(told []*logged) []sample {
	at := map[instant]sample{}
	for _, e := range told {
		if e.kind != "cumulative" || e.stale || e.histogram != nil {
			continue
		}
		s := sample{e.at, e.start, e.nanos, e.value}
		if s.start >= s.at {
			s.start = 0
		}
		if o, ok := at[s.time()]; !ok || s.value > o.value || s.value == o.value && s.start > o.start {
			at[s.time()] = s
		}
	}
	all := make([]sample, 0, len(at))
	for _, s := range at {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b sample) int { return a.time().compare(b.time()) })
	return all
}

// grown is by how much a counter grew up to its i-th sample; unknown says that nobody can tell.
func grown(all []sample, i int) (by float64, unknown bool) {
	n := all[i]
	if i == 0 || n.at-all[i-1].at > lookbackMs {
		if n.start > 0 && n.at-n.start <= lookbackMs {
			return n.value, false
		}
		return 0, true
	}
	p := all[i-1]
	switch {
	case n.start > p.at, n.value < p.value && (n.start == 0 || n.start != p.start):
		return n.value, false
	case n.start == 0 || n.start != p.start:
		return n.value - p.value, false
	}
	greatest := p.value
	for k := i - 1; k >= 0 && n.at-all[k].at <= lookbackMs; k-- {
		if all[k].start == n.start {
			greatest = max(greatest, all[k].value)
		}
	}
	return max(0, n.value-greatest), false
}

// bySeries are the events of a group, told to be of one series each.
func (c *content) bySeries() map[*series][]*logged {
	all := map[*series][]*logged{}
	for _, e := range c.told {
		all[e.series] = append(all[e.series], e)
	}
	return all
}

// lasts are the last values of the series that have one in the window; alive says that some series had an event no longer
// than the lookback ago, and did not end.
func (c *content) lasts() (newest sample, values []float64, alive bool) {
	for _, told := range c.bySeries() {
		last, stale := sample{at: math.MinInt64}, int64(math.MinInt64)
		for _, e := range told {
			if s := (sample{at: e.at, nanos: e.nanos, value: e.value}); e.stale {
				stale = max(stale, e.at)
			} else if s.isAfter(last) {
				last = s
			}
		}
		if last.at == math.MinInt64 || stale > last.at {
			continue
		}
		alive = alive || last.at >= c.end-lookbackMs
		if last.at < c.start {
			continue
		}
		values = append(values, last.value)
		if newest.at == 0 || last.isAfter(newest) {
			newest = last
		}
	}
	return newest, values, alive
}

// checkTold compares a value with its definition, of those that hang on which events came before which.
func checkTold(aggregation string, got *float64, c *content) error {
	if c == nil {
		c = new(content)
	}
	newest, values, alive := c.lasts()
	want, there := 0.0, len(values) > 0
	switch aggregation {
	case "increase", "rate", "increase_avg", "rate_avg":
		ofEach := strings.HasSuffix(aggregation, "_avg")
		if !ofEach {
			there = alive || len(c.values) > 0
		}
		want = c.growth
		for _, told := range c.bySeries() {
			all := samples(told)
			for i, s := range all {
				if s.at < c.start {
					continue
				}
				by, unknown := grown(all, i)
				if want += by; unknown && c.fromZero {
					want += s.value
				}
			}
		}
		if strings.HasPrefix(aggregation, "rate") {
			want /= float64(c.end-c.start) / 1000
		}
		if ofEach {
			want /= float64(max(len(values), 1))
		}
	case "last_count":
		want = float64(len(values))
	case "last":
		want = newest.value
	case "last_min":
		want = slices.Min(append(values, math.Inf(1)))
	case "last_max":
		want = slices.Max(append(values, math.Inf(-1)))
	default:
		for _, v := range values {
			want += v
		}
		if aggregation == "last_avg" {
			want /= float64(len(values))
		}
	}
	switch {
	case there != (got != nil):
		return fmt.Errorf("there is a value: %v", there)
	case there && math.Abs(*got-want) > 1e-9*(math.Abs(want)+c.magnitude):
		return fmt.Errorf("want %v", want)
	}
	return nil
}

var errUnknownStarts = errors.New("unknown_starts is another")

// checkStarts compares how many samples of a window say of themselves that nobody can tell by how much their counters grew.
func checkStarts(got int64, groups map[string]*content) error {
	n := int64(0)
	for _, c := range groups {
		for _, told := range c.bySeries() {
			all := samples(told)
			for i, s := range all {
				if _, unknown := grown(all, i); unknown && s.at >= c.start && !c.fromZero {
					n++
				}
			}
		}
	}
	if n != got {
		return fmt.Errorf("%w: %d, want %d", errUnknownStarts, got, n)
	}
	return nil
}
