package property_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"pulseboard/e2e/testenv"
	"pulseboard/metric"
	"pulseboard/wire"
)

const (
	topic      = "metric-events"
	partitions = 4
	metrics    = 8

	silentPartition = 3 // For some seconds now and then.
)

// world is the producers of a case: what they send depends on the seed alone,
// when on the clock.
type world struct {
	t      *testing.T
	rand   *rand.Rand
	long   bool
	addr   string
	client *kafka.Client
	begun  time.Time
	again  []resend
	ids    int

	senders []sender // Of counters and what stands somewhere.
	wanted  []query  // What is asked for in every case, before anything by chance.
}

// sender says what a record of a metric is, nil where there is none now.
type sender struct {
	metric string
	batch  func(now time.Time) []byte
}

// resend is a record to be written a second time.
type resend struct {
	at        time.Time
	partition int
	record    func(now time.Time) kafka.Record
}

func newWorld(t *testing.T, p *plan) *world {
	t.Helper()
	transport := &kafka.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	addr := testenv.Kafka(t, testenv.Topic{Name: topic, Partitions: partitions, LogAppendTime: p.byBroker},
		testenv.Topic{Name: "metric-dead-letters", Partitions: 1}, testenv.Topic{Name: againLetters, Partitions: 1})
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(p.seed, 1)), long: p.long, addr: addr, begun: time.Now(),
		client: &kafka.Client{Addr: kafka.TCP(addr), Timeout: 10 * time.Second, Transport: transport},
		wanted: []query{
			{metric: "scraped", aggregation: "sum"},
			{metric: "gauge", aggregation: "avg"},
			{metric: "scraped", aggregation: "rate", fromZero: true},
			{metric: "counted", aggregation: "increase"},
			{metric: histograms, aggregation: "p50"},
			{metric: histograms, aggregation: "sum"},
			{metric: paired, aggregation: "increase"},
			{metric: paired, aggregation: "count"},
			{metric: paired, aggregation: "last_sum"},
			{metric: "gauge", aggregation: "last_count"},
			{metric: "scraped", aggregation: "rate_avg"},
			{metric: "counted", aggregation: "increase_avg"},
		},
	}
	for _, name := range counterNames() {
		w.senders = append(w.senders, sender{name, newCounters(name, w.rand, w.begun.UnixMilli()).batch})
	}
	w.senders = append(w.senders, sender{paired, newAgents(w.rand, w.begun.Add(-pastLength)).batch})
	return w
}

func metricName(i int) string { return fmt.Sprintf("m%d", i) }

// batch is the value of one record of a metric at a moment.
func (w *world) batch(name string, now time.Time) []byte {
	type event struct {
		Value     any               `json:"value"`
		Tags      map[string]string `json:"tags,omitempty"`
		EventTime int64             `json:"event_time"`
	}
	var events []event
	most := 4
	if w.long {
		most = 1
	}
	for range 1 + w.rand.IntN(most) {
		e := event{Tags: map[string]string{}, EventTime: now.UnixMilli() - w.rand.Int64N(100)}
		switch w.rand.IntN(4) {
		case 0:
			e.Value = w.rand.IntN(100)
		case 1:
			e.Value = -w.rand.Float64() * 1e6
		default:
			e.Value = w.rand.NormFloat64() * 1000
		}
		if w.rand.IntN(10) > 0 {
			e.Tags["host"] = "h" + strconv.Itoa(w.rand.IntN(6))
		}
		if w.rand.IntN(3) > 0 {
			e.Tags["region"] = []string{"eu", "us", "euro\"n"}[w.rand.IntN(3)]
		}
		switch w.rand.IntN(200) {
		default: // Nine in ten are in time.
		case 0, 1:
			e.EventTime = now.UnixMilli() - latenessMs - 1 - w.rand.Int64N(5000)
		case 2:
			e.EventTime = now.UnixMilli() + skewMs + 1 + w.rand.Int64N(5000)
		case 3, 4:
			e.EventTime = now.UnixMilli() + w.rand.Int64N(skewMs) // Ahead, but not too far.
		case 5:
			e.Value = nil
		case 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23:
			e.EventTime = now.UnixMilli() - 1000 - w.rand.Int64N(50_000)
		}
		events = append(events, e)
	}
	value, err := json.Marshal(map[string]any{"metric_name": name, "events": events})
	if err != nil {
		w.t.Fatal(err)
	}
	return value
}

// round writes what falls to one moment: mostly a record for each metric, twice
// for some.
func (w *world) round(now time.Time) {
	w.t.Helper()
	var out [partitions][]kafka.Record
	for _, r := range w.again {
		if !r.at.After(now) {
			out[r.partition] = append(out[r.partition], r.record(now))
		}
	}
	w.again = slices.DeleteFunc(w.again, func(r resend) bool { return !r.at.After(now) })
	silent := int(now.Sub(w.begun).Seconds())%11 > 6
	for m := range metrics + len(w.senders) {
		p := m % partitions
		if p == silentPartition && silent || w.rand.IntN(5) == 0 || w.long && w.rand.IntN(2) == 0 {
			continue
		}
		name, value := metricName(m), []byte(nil)
		if m < metrics {
			value = w.batch(name, now)
		} else {
			name, value = w.senders[m-metrics].metric, w.senders[m-metrics].batch(now)
		}
		if value == nil {
			continue
		}
		w.ids++
		id := fmt.Sprintf("%d", w.ids)
		record := func(now time.Time) kafka.Record {
			return kafka.Record{Time: now, Key: kafka.NewBytes([]byte(name)), Value: kafka.NewBytes(value), Headers: []kafka.Header{{Key: "id", Value: []byte(id)}}}
		}
		out[p] = append(out[p], record(now))
		if w.rand.IntN(30) == 0 {
			w.again = append(w.again, resend{now.Add(time.Duration(w.rand.Int64N(8000)) * time.Millisecond), p, record})
		}
	}
	if w.rand.IntN(50) == 0 {
		out[0] = append(out[0], kafka.Record{Time: now, Key: kafka.NewBytes([]byte("m0")), Value: kafka.NewBytes([]byte("no JSON"))})
	}
	for p, records := range out {
		if len(records) == 0 {
			continue
		}
		res, err := w.client.Produce(w.t.Context(), &kafka.ProduceRequest{Topic: topic, Partition: p, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...)})
		if err == nil {
			err = res.Error
		}
		if err != nil {
			w.t.Fatalf("cannot produce to partition %d: %v", p, err)
		}
	}
}

// pastLength is more than is read back, so that windows of the past are incomplete.
const pastLength = 480 * time.Second

// past fills the topic with what was sent before the pipeline's first start.
func (w *world) past() {
	now := w.begun
	for at := now.Add(-pastLength); at.Before(now); at = at.Add(500 * time.Millisecond) {
		w.round(at)
	}
}

var aggregations = []string{"sum", "avg", "min", "max", "count", "stddev", "p50", "p95", "p99", "histogram"}

// ofCounters are asked for of counters and gauges mostly.
var ofCounters = []string{"increase", "rate", "increase", "last", "last_sum", "last_avg", "last_min", "last_max", "last_count", "increase_avg", "rate_avg", "sum", "count"}

var filters = []map[string]any{
	nil, nil, nil,
	{"region": "eu"},
	{"host": []string{"h1", "h3"}},
	{"region": map[string]any{"not": "us"}},
	{"host": map[string]any{"not": []string{"h0", "h1"}}},
	{"region": map[string]any{"exists": true}},
	{"region": map[string]any{"exists": false}, "host": map[string]any{"prefix": "h"}},
	{"region": map[string]any{"prefix": "eu"}},
	{"host": map[string]any{"regex": "h[02]|[35]|h"}, "region": map[string]any{"not_regex": "e.+"}},
}

// demand is a random query, the oracle's form and that of the registry.
type demand struct {
	query
	key     string
	refresh []int64 // Milliseconds.
	entry   wire.QueryEntry
}

func (w *world) demand() *demand {
	w.t.Helper()
	d := &demand{query: query{
		metric: metricName(w.rand.IntN(metrics)), aggregation: aggregations[w.rand.IntN(len(aggregations))],
		window: []int64{1, 2, 5, 10, 17, 30, 60, 120}[w.rand.IntN(8)],
		filter: filters[w.rand.IntN(len(filters))], groupBy: [][]string{nil, nil, {"host"}, {"region"}, {"host", "region"}}[w.rand.IntN(5)],
	}}
	if w.rand.IntN(3) == 0 {
		d.aggregation = ofCounters[w.rand.IntN(len(ofCounters))]
		if w.rand.IntN(5) > 0 {
			d.metric = []string{"scraped", "counted", "gauge", paired}[w.rand.IntN(4)]
		}
	} else if w.rand.IntN(6) == 0 {
		d.metric, d.aggregation = histograms, []string{"p50", "p99", "histogram", "count", "sum", "avg"}[w.rand.IntN(6)]
	}
	if n := len(w.wanted); n > 0 {
		d.metric, d.aggregation, d.fromZero = w.wanted[0].metric, w.wanted[0].aggregation, w.wanted[0].fromZero
		w.wanted = w.wanted[1:]
	} else if grows(d.aggregation) {
		d.fromZero = w.rand.IntN(3) == 0
	}
	if d.reaches() {
		d.window = min(d.window, 30) // With what it hangs on before that is long enough.
	}
	if w.rand.IntN(5) == 0 {
		d.delay = 1 + w.rand.Int64N(5)
	}
	d.refresh = [][]int64{{1000}, {1000}, {2000}, {5000}, {2000, 3000}}[w.rand.IntN(5)]
	q := metric.Query{
		Metric: d.metric, Aggregation: metric.Aggregation(d.aggregation), WindowSeconds: int(d.window), DelaySeconds: int(d.delay), GroupBy: d.groupBy,
	}
	if d.fromZero {
		q.First = metric.FirstCounts
	}
	if d.filter != nil {
		text, err := json.Marshal(d.filter)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := json.Unmarshal(text, &q.Filter); err != nil {
			w.t.Fatal(err)
		}
	}
	d.key = q.Key()
	d.entry = wire.QueryEntry{Query: q, RefreshMs: d.refresh}
	return d
}
