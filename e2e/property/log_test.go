package property_test

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What the pipeline is started with; docs/protocol.md and docs/semantics.md state the rest.
const (
	boundMs    = 1000
	latenessMs = 60_000
	skewMs     = 2000
)

// logged is one event that counts, as the topic holds it.
type logged struct {
	at        int64 // Event time.
	passes    int64 // Pipeline time: the highest record timestamp of the partition so far, less the bound.
	late      int64 // How much older than its record.
	partition int32
	value     float64
	series    *series

	kind         string // Absent = an event.
	start        int64
	point, stale bool
	nanos        int32 // Of a point, after at.
	histogram    *histogram
}

// series is the tags of events. Equal ones are the same.
type series struct{ tags map[string]string }

// topicLog is the events that count, by metric, by their pipeline time and so in the
// order of each partition: what a window holds is the first of them. It says of every
// record what became of it.
type topicLog struct {
	events                                map[string][]logged
	sent, duplicate, tooLate, future, bad int
	leftOut                               int // Samples that another agent has sent too.
	records, committed, aborted           int
	ahead, slow                           int // Records.
	letters                               map[place]int
	marks                                 map[mark]*sightings // Of records that have a mark.
	posted                                map[mark]int        // Events of HTTP senders that count.
	all                                   map[string]*series
}

// place is where a record stands.
type place struct {
	partition int32
	offset    int64
}

// mark says who wrote a record, and which of theirs it is.
type mark struct {
	client string
	seq    int64
}

// sightings is how often a record stands in the log, and how often it counts there.
type sightings struct{ times, counts int }

func newLog() *topicLog {
	return &topicLog{events: map[string][]logged{}, letters: map[place]int{}, marks: map[mark]*sightings{}, posted: map[mark]int{}, all: map[string]*series{}}
}

// eachRecord calls f with the records of a partition up to its end, markers too.
func eachRecord(t *testing.T, addr, topic string, partition int, f func(*kgo.Record)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	asked := &kafka.Client{Addr: kafka.TCP(addr)}
	ends, err := asked.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: {kafka.LastOffsetOf(partition)}}})
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {int32(partition): kgo.NewOffset().AtStart()}}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for next, end := int64(0), ends.Topics[topic][0].LastOffset; next < end; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			next = rec.Offset + 1
			f(rec)
		})
	}
}

// readLog reads a topic to its ends and decides about each event by the rules. It
// sees what is in the log, markers of transactions too, and reads them as committed
// by itself.
func readLog(t *testing.T, addr string) *topicLog {
	t.Helper()
	l := newLog()
	for p := range partitions {
		d := decider{log: l, ids: map[string]int64{}, pairs: map[*series]*pair{}, open: map[int64][]*kgo.Record{}}
		eachRecord(t, addr, topic, p, d.record)
	}
	for _, events := range l.events {
		slices.SortStableFunc(events, func(a, b logged) int { return cmp.Compare(a.passes, b.passes) })
	}
	return l
}

// decider reads one partition.
type decider struct {
	log    *topicLog
	newest int64
	ids    map[string]int64
	pairs  map[*series]*pair
	open   map[int64][]*kgo.Record // Of transactions, by their producer.
}

// isAhead reports whether the clock of a record's producer was ahead, by what it says
// that the time really was. Those of the tests are right, or ahead by more than a test
// takes, so that they are ahead in every replay too.
func isAhead(rec *kgo.Record) bool {
	wall, err := strconv.ParseInt(header(rec, "wall"), 10, 64)
	return err == nil && !byBroker(rec) && rec.Timestamp.UnixMilli() > wall+skewMs
}

func byBroker(rec *kgo.Record) bool { return rec.Attrs.TimestampType() == 1 }

func (d *decider) record(rec *kgo.Record) {
	at := rec.Timestamp.UnixMilli()
	if rec.Attrs.IsControl() {
		records := d.open[rec.ProducerID]
		delete(d.open, rec.ProducerID)
		if rec.Key[3] != 1 { // Aborted.
			d.log.aborted += len(records)
			return
		}
		if len(records) > 0 {
			d.newest = max(d.newest, at)
		}
		for _, r := range records {
			d.log.committed++
			d.add(r, at)
		}
		return
	}
	d.log.records++
	if m, ok := markOf(rec); ok {
		if d.log.marks[m] == nil {
			d.log.marks[m] = new(sightings)
		}
		d.log.marks[m].times++
	}
	switch {
	case rec.Attrs.IsTransactional():
		d.open[rec.ProducerID] = append(d.open[rec.ProducerID], rec)
		return
	case isAhead(rec):
		d.log.ahead++
		d.bury(rec)
		return
	}
	d.newest = max(d.newest, at)
	if d.newest-at > latenessMs {
		d.log.slow++
	}
	if id := header(rec, "id"); id != "" {
		before, known := d.ids[id]
		d.ids[id] = d.newest
		if known && before >= d.newest-120_000 {
			d.log.duplicate++
			return
		}
	}
	d.add(rec, at)
}

func number(v *float64) float64 {
	if v == nil {
		return 0
	}
	return *v
}

func header(rec *kgo.Record, key string) string {
	for _, h := range rec.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func markOf(rec *kgo.Record) (m mark, ok bool) {
	n, err := strconv.ParseInt(header(rec, "seq"), 10, 64)
	return mark{header(rec, "from"), n}, err == nil
}

// bury expects a dead letter. Those of dead records count as read too.
func (d *decider) bury(rec *kgo.Record) {
	d.log.letters[place{rec.Partition, rec.Offset}]++
	if m, ok := markOf(rec); ok {
		d.log.marks[m].counts++
	}
}

// add decides about the events of a record that counts at this time.
func (d *decider) add(rec *kgo.Record, at int64) {
	l := d.log
	if m, ok := markOf(rec); ok {
		l.marks[m].counts++
	}
	var value struct {
		MetricName string `json:"metric_name"`
		Events     []struct {
			Value     *float64          `json:"value"`
			Tags      map[string]string `json:"tags"`
			EventTime *int64            `json:"event_time"`
			Kind      string            `json:"kind"`
			Start     int64             `json:"start"`
			Point     json.RawMessage   `json:"point"` // true, or nanoseconds.
			Stale     bool              `json:"stale"`
			Histogram *histogram        `json:"histogram"`
		} `json:"events"`
	}
	here := place{rec.Partition, rec.Offset}
	if json.Unmarshal(rec.Value, &value) != nil || value.MetricName == "" {
		l.bad++
		l.letters[here]++
		return
	}
	for _, e := range value.Events {
		l.sent++
		eventTime := at
		if e.EventTime != nil {
			eventTime = *e.EventTime
		}
		switch {
		case e.Value == nil && !e.Stale && e.Histogram == nil:
			l.bad++
			l.letters[here]++
		case eventTime > d.newest+skewMs:
			l.future++
			l.letters[here]++
		case eventTime < d.newest-latenessMs:
			l.tooLate++
		case e.Tags[agentTag] != "" && !d.counts(withoutAgent(e.Tags), reading{
			agent: e.Tags[agentTag], at: eventTime, came: d.newest, value: number(e.Value), counter: e.Kind == "cumulative",
		}):
			l.leftOut++
		default:
			one := logged{
				at: eventTime, passes: d.newest - boundMs, late: d.newest - eventTime, partition: rec.Partition, series: l.seriesOf(withoutAgent(e.Tags)),
				kind: e.Kind, start: e.Start, point: e.Point != nil, nanos: nanosOf(e.Point), stale: e.Stale, histogram: e.Histogram,
			}
			if e.Value != nil {
				one.value = *e.Value
			}
			l.events[value.MetricName] = append(l.events[value.MetricName], one)
			if sender := e.Tags["sender"]; sender != "" {
				l.posted[mark{sender, int64(*e.Value)}]++
			}
		}
	}
}

// counts decides about a sample of a series that two agents send.
func (d *decider) counts(tags map[string]string, s reading) bool {
	of := d.log.seriesOf(tags)
	if d.pairs[of] == nil {
		d.pairs[of] = new(pair)
	}
	return d.pairs[of].counts(s)
}

// nanosOf is what a point says that its time is after the millisecond.
func nanosOf(point json.RawMessage) (nanos int32) {
	_ = json.Unmarshal(point, &nanos) // true is none.
	return nanos
}

func (l *topicLog) seriesOf(tags map[string]string) *series {
	text, err := json.Marshal(tags) // Sorted.
	if err != nil {
		panic(err) // Of a map of strings.
	}
	s := l.all[string(text)]
	if s == nil {
		s = &series{tags}
		l.all[string(text)] = s
	}
	return s
}

// late is how many of them were late by a second or more.
func (l *topicLog) late() (n int) {
	for _, events := range l.events {
		for i := range events {
			if events[i].late >= 1000 {
				n++
			}
		}
	}
	return n
}

// counted is how many events count.
func (l *topicLog) counted() (n int) {
	for _, events := range l.events {
		n += len(events)
	}
	return n
}

// window returns the events that a query can ever find in [start, end), and those before that it hangs on, in their order.
func (l *topicLog) window(q *query, start, end int64) []*logged {
	events := l.events[q.metric]
	if q.reaches() {
		start -= lookbackMs
	}
	// An event is at most so much ahead of the newest timestamp of its partition, or behind it.
	first := search(events, start-skewMs-boundMs)
	last := search(events, end+latenessMs-boundMs+1)
	var in []*logged
	for i := first; i < last; i++ {
		if e := &events[i]; e.at >= start && e.at < end && q.of(e.series).matches {
			in = append(in, e)
		}
	}
	return in
}

// search finds the first event whose pipeline time is not before at.
func search(events []logged, at int64) int {
	i, _ := slices.BinarySearchFunc(events, at, func(e logged, at int64) int { return cmp.Compare(e.passes, at) })
	return i
}
