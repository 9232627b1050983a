package pipeline_test

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/aggregate"
	"pulseboard/metric"
)

// counterEnd is when the topic of counterCase ends: the last timer, which catches up, leaves out thirty slices.
const counterEnd = 100_000

// counterCase is a topic of counters and gauges of all kinds, that are late, sent again, reset, and end, from six minutes
// before the windows that are compared; and queries of all aggregations that need to know them.
func counterCase(t *testing.T) (*exactCase, []metric.Query) {
	t.Helper()
	kafkaAddr, log := newTopic(t)
	redis := miniredis.RunT(t)
	c := &exactCase{log: log, redis: redis.Addr()}
	r := rand.New(rand.NewPCG(exactSeed, 2))
	senders := newCounters(r)
	var fillers [testPartitions]string
	for i := range 100 {
		name := "filler." + strconv.Itoa(i)
		fillers[partitionOf(name)] = name
	}
	for ms := int64(-380_000); ms < counterEnd+10_000; ms += 1000 {
		for i := range senders {
			if s := &senders[i]; r.IntN(s.every) == 0 {
				if events := s.send(r, exactBegin+ms); len(events) > 0 {
					log.addEvents(s.metric, exactBegin+ms, events)
				}
			}
		}
		for p := range testPartitions { // None is silent.
			log.add(fillers[p], exactBegin+ms, 0)
		}
		log.write()
	}
	var queries []metric.Query
	for i, a := range []metric.Aggregation{"p50", "p99", "histogram", "count", "sum", "increase"} {
		for j, name := range []string{"latency", "sizes"} {
			q := metric.Query{Metric: name, Aggregation: a, WindowSeconds: []int{1, 5, 13, 30}[(i+j)%4], DelaySeconds: 45}
			if (i+j)%3 == 1 {
				q.GroupBy = []string{"host"}
			}
			queries = append(queries, q)
		}
	}
	for i, a := range []metric.Aggregation{"p50", "histogram", "p99"} { // Of classic histograms; of plain values that are only named so; and as it says, by the bound.
		queries = append(
			queries,
			metric.Query{Metric: "seconds_bucket", Aggregation: a, WindowSeconds: []int{5, 13, 30}[i], DelaySeconds: 45, GroupBy: [][]string{{"host"}, nil, {"id"}}[i]},
			metric.Query{Metric: "odd_bucket", Aggregation: a, WindowSeconds: []int{5, 13, 30}[i], DelaySeconds: 45, GroupBy: [][]string{nil, {"host"}, {"le"}}[i]},
		)
	}
	names := []string{"scraped", "counted", "mixed", "gauges"}
	for i, a := range []metric.Aggregation{"increase", "rate", "increase", "last", "last_sum", "last_avg", "last_min", "last_max", "rate", "sum", "count", "increase_avg", "rate_avg", "last_count"} {
		for j := range 2 { // The textbook form makes a hundred and more windows of each event and query.
			name := names[(2*i+j)%4]
			q := metric.Query{Metric: name, Aggregation: a, WindowSeconds: []int{1, 5, 13, 30}[(i+j)%4], DelaySeconds: 45}
			if (i/4+j)%3 == 1 {
				q.GroupBy = []string{"host"}
			}
			if a.Grows() && j == 1 {
				q.First = metric.FirstCounts
			}
			queries = append(queries, q)
		}
	}
	c.config = testConfig(t, kafkaAddr, redis.Addr())
	c.config.KeyGroups, c.config.ToEnd = 4, true
	c.config.Start, c.config.Until = time.UnixMilli(1), time.UnixMilli(exactBegin+counterEnd)
	return c, queries
}

// sender is one series.
type sender struct {
	metric, host string
	le           string // The bound of a bucket.
	kind         metric.Kind
	point, says  bool // It marks points, and says since when it counts.
	every        int  // About how many seconds lie between two events.
	begun        int64
	value        float64
	before       []metric.Event
	histogram    *aggregate.Histogram // What it has counted.
}

func newCounters(r *rand.Rand) (all []sender) {
	kinds := map[string][]metric.Kind{
		"scraped": {metric.Cumulative}, "counted": {metric.Cumulative, metric.Delta}, "gauges": {metric.Gauge}, "mixed": {metric.Cumulative, metric.Gauge, metric.Plain, metric.Delta},
	}
	for _, name := range []string{"scraped", "counted", "gauges", "mixed"} {
		for i := range 8 {
			all = append(all, sender{
				metric: name, host: strconv.Itoa(i), kind: kinds[name][i%len(kinds[name])], point: name != "counted" && i%4 < 3, says: i%2 == 0, every: []int{1, 2, 15, 330}[i%4],
				begun: exactBegin - r.Int64N(600_000), value: float64(r.IntN(100)),
			})
		}
	}
	for i := range 12 {
		all = append(all, sender{
			metric: "seconds_bucket", host: strconv.Itoa(i / 4), le: []string{"0.1", "1.0", "10", "+Inf"}[i%4], kind: metric.Cumulative, point: true, says: i%2 == 0, every: 2,
			begun: exactBegin - r.Int64N(600_000), value: float64(r.IntN(100)),
		})
	}
	for i := range 3 {
		all = append(all, sender{metric: "odd_bucket", host: strconv.Itoa(i), le: []string{"", "1", "much"}[i], every: 2})
	}
	for i := range 6 { // Cumulative histograms, and points of deltas.
		name, kind := "latency", metric.Cumulative
		if i >= 4 {
			name, kind = "sizes", metric.Delta
		}
		all = append(all, sender{
			metric: name, host: strconv.Itoa(i), kind: kind, point: i%2 == 0, says: i%2 == 0, every: []int{1, 2, 15}[i%3],
			begun: exactBegin - r.Int64N(600_000), histogram: new(aggregate.Histogram),
		})
	}
	return all
}

// observe counts some values in a histogram of scale 3, after a restart from nothing.
func (s *sender) observe(r *rand.Rand, anew bool) *aggregate.Histogram {
	if anew || s.kind == metric.Delta {
		s.histogram = new(aggregate.Histogram)
	}
	h := aggregate.Histogram{Scale: 3, Positive: aggregate.Bins{Offset: -20, Counts: make([]uint64, 30)}}
	for range 1 + r.IntN(4) {
		i := r.IntN(30)
		h.Positive.Counts[i]++
		h.Count++
		h.Sum += float64(1 + i)
	}
	if s.histogram.Count > 0 {
		h.Merge(s.histogram)
	}
	s.histogram = &h
	return &h
}

// send returns the events of one record.
func (s *sender) send(r *rand.Rand, now int64) (events []metric.Event) {
	e := metric.Event{Metric: s.metric, Tags: metric.NewTags(map[string]string{"host": strconv.Itoa(int(s.host[0]) % 3), "id": s.host, "le": s.le}), Time: now - r.Int64N(90), Kind: s.kind}
	anew := false
	switch r.IntN(30) {
	case 0:
		s.begun, s.value, anew = e.Time-r.Int64N(50), 0, true
	case 1:
		e.Stale = true
		return []metric.Event{e}
	case 2, 3: // Late.
		e.Time -= r.Int64N(40_000)
	case 4:
		s.value -= float64(r.IntN(5))
	}
	s.value += float64(r.IntN(10))
	if e.Point = s.point; e.Point {
		e.Nanos = []int32{0, 0, 1, 999_999}[r.IntN(4)]
	}
	if s.histogram != nil {
		e.Histogram = s.observe(r, anew)
	} else {
		e.Value = s.value
	}
	if s.says && s.kind.Grows() && s.begun < e.Time {
		e.Start = s.begun
	}
	events = append(events, e)
	if s.point && len(s.before) > 0 && r.IntN(5) == 0 { // Sent again.
		again := s.before[r.IntN(len(s.before))]
		if r.IntN(2) == 0 && again.Histogram == nil { // With another value.
			again.Value += float64(r.IntN(9) - 4)
		}
		events = append(events, again)
	}
	s.before = append(s.before[max(0, len(s.before)-5):], e)
	return events
}

// What counters and gauges are computed as from slices is what their definition says of all events.
func TestCountersEqualTextbookForm(t *testing.T) {
	c, queries := counterCase(t)
	compareForms(t, c, queries, 5*time.Second, false)
}
