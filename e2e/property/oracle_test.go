package property_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What the pipeline is started with; protocol.md and architecture.md state the rest.
const (
	boundMs    = 1000
	latenessMs = 60_000
	skewMs     = 2000
)

// logged is one event that counts, as the topic holds it.
type logged struct {
	at     int64 // Event time.
	passes int64 // Pipeline time: the highest record timestamp of the partition so far, less the bound.
	late   int64 // How much older than its record.
	value  float64
	tags   map[string]string
}

// topicLog is the events that count, by metric, in the order of the log: a metric
// lies in one partition. passes never falls in it, so what a window holds is a
// prefix of the log.
type topicLog struct {
	events                                map[string][]logged
	sent, duplicate, tooLate, future, bad int
	committed, aborted, ahead, slow       int // Records.
}

// readLog reads a topic to its ends and decides about each event by the rules. It
// sees what is in the log, markers of transactions too, and reads them as committed
// by itself.
func readLog(t *testing.T, addr string) *topicLog {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l := &topicLog{events: map[string][]logged{}}
	asked := &kafka.Client{Addr: kafka.TCP(addr)}
	for p := range partitions {
		ends, err := asked.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: {kafka.LastOffsetOf(p)}}})
		if err != nil {
			t.Fatal(err)
		}
		client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.KeepControlRecords(),
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {int32(p): kgo.NewOffset().AtStart()}}))
		if err != nil {
			t.Fatal(err)
		}
		d := decider{log: l, ids: map[string]int64{}, open: map[int64][]*kgo.Record{}}
		for next, end := int64(0), ends.Topics[topic][0].LastOffset; next < end; {
			fetches := client.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(rec *kgo.Record) {
				next = rec.Offset + 1
				d.record(rec)
			})
		}
		client.Close()
	}
	return l
}

// decider reads one partition.
type decider struct {
	log    *topicLog
	newest int64
	ids    map[string]int64
	open   map[int64][]*kgo.Record // Of transactions, by their producer.
}

// Producers' clocks here are right, or ahead by more than a test takes, so that
// those are out in every replay too.
const farAhead = 10 * time.Minute

func (d *decider) record(rec *kgo.Record) {
	at := rec.Timestamp.UnixMilli()
	switch {
	case rec.Attrs.IsControl():
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
			d.log.add(r.Value, at, d.newest)
		}
		return
	case rec.Attrs.IsTransactional():
		d.open[rec.ProducerID] = append(d.open[rec.ProducerID], rec)
		return
	case rec.Timestamp.After(time.Now().Add(farAhead)):
		d.log.ahead++
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
	d.log.add(rec.Value, at, d.newest)
}

func header(rec *kgo.Record, key string) string {
	for _, h := range rec.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// add decides about the events of a record with a timestamp, after records of which the newest is of newest.
func (l *topicLog) add(value []byte, record, newest int64) {
	var rec struct {
		MetricName string `json:"metric_name"`
		Events     []struct {
			Value     *float64          `json:"value"`
			Tags      map[string]string `json:"tags"`
			EventTime *int64            `json:"event_time"`
		} `json:"events"`
	}
	if json.Unmarshal(value, &rec) != nil || rec.MetricName == "" {
		l.bad++
		return
	}
	for _, e := range rec.Events {
		l.sent++
		at := record
		if e.EventTime != nil {
			at = *e.EventTime
		}
		switch {
		case e.Value == nil:
			l.bad++
		case at > newest+skewMs:
			l.future++
		case at < newest-latenessMs:
			l.tooLate++
		default:
			l.events[rec.MetricName] = append(l.events[rec.MetricName], logged{at, newest - boundMs, newest - at, *e.Value, e.Tags})
		}
	}
}

// query is what a metric key says, read by itself so that a mistake of ours in
// writing keys would be seen.
type query struct {
	metric, aggregation string
	window, delay       int64 // Seconds.
	filter              map[string]any
	groupBy             []string
}

// matches is the definition of filters in documents (protocol.md, "Metric key").
func (q *query) matches(tags map[string]string) bool {
	for tag, want := range q.filter {
		v := tags[tag]
		switch w := want.(type) {
		case string:
			if v != w {
				return false
			}
		case []string:
			if !slices.Contains(w, v) {
				return false
			}
		case map[string]any:
			for op, x := range w {
				holds := false
				switch op {
				case "not":
					if s, ok := x.(string); ok {
						holds = v != s
					} else {
						holds = !slices.Contains(x.([]string), v)
					}
				case "exists":
					holds = (v != "") == x.(bool)
				case "prefix":
					holds = v != "" && strings.HasPrefix(v, x.(string))
				}
				if !holds {
					return false
				}
			}
		}
	}
	return true
}

// group names the resulting series of an event.
func (q *query) group(tags map[string]string) string {
	var b strings.Builder
	for _, g := range q.groupBy {
		if v := tags[g]; v != "" {
			fmt.Fprintf(&b, "%s=%s;", g, v)
		}
	}
	return b.String()
}

// content is the events of one resulting series in one window.
type content struct {
	values []float64
	newest int64
	late   int // How many of them were a second late or more.
}

// window collects the events of the first n in the log of a metric that lie in [start, end), by group.
func (l *topicLog) window(q *query, start, end int64, n int) map[string]*content {
	groups := map[string]*content{}
	for _, e := range l.events[q.metric][:n] {
		if e.at < start || e.at >= end || !q.matches(e.tags) {
			continue
		}
		g := q.group(e.tags)
		c := groups[g]
		if c == nil {
			c = &content{newest: e.at}
			groups[g] = c
		}
		c.values = append(c.values, e.value)
		c.newest = max(c.newest, e.at)
		if e.late >= 1000 {
			c.late++
		}
	}
	return groups
}

// passed is how many events of a metric have a pipeline time before at.
func (l *topicLog) passed(metric string, at int64) int {
	events := l.events[metric]
	i, _ := slices.BinarySearchFunc(events, at, func(e logged, at int64) int { return int(e.passes - at) })
	for i > 0 && events[i-1].passes == at {
		i--
	}
	return i
}

// check compares a value with its definition. A nil got is an absent value.
func check(aggregation string, got *float64, c *content) error {
	n := 0
	if c != nil {
		n = len(c.values)
	}
	if n == 0 {
		switch {
		case aggregation == "sum" || aggregation == "count":
			if got == nil || *got != 0 {
				return errors.New("want 0")
			}
		case got != nil:
			return errors.New("want null")
		}
		return nil
	}
	if got == nil {
		return errors.New("it is null")
	}
	sum, abs, low, high := 0.0, 0.0, math.Inf(1), math.Inf(-1)
	for _, v := range c.values {
		sum += v
		abs += math.Abs(v)
		low, high = math.Min(low, v), math.Max(high, v)
	}
	var want, tolerance float64
	switch aggregation {
	case "count":
		want = float64(n)
	case "min":
		want = low
	case "max":
		want = high
	case "sum":
		want, tolerance = sum, 1e-9*math.Abs(sum)+1e-12*abs
	case "avg":
		want, tolerance = sum/float64(n), (1e-9*math.Abs(sum)+1e-12*abs)/float64(n)
	default:
		p, err := strconv.ParseFloat(aggregation[1:], 64)
		if err != nil {
			return err
		}
		sorted := slices.Sorted(slices.Values(c.values))
		want = sorted[int(math.Floor(p*float64(n-1)/100))]
		tolerance = 0.01 * math.Abs(want)
	}
	if math.Abs(*got-want) > tolerance {
		return fmt.Errorf("want %v", want)
	}
	return nil
}
