package property_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
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
}

// readLog reads a topic to its ends and decides about each event by the rules.
func readLog(t *testing.T, addr string) *topicLog {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := &kafka.Client{Addr: kafka.TCP(addr)}
	l := &topicLog{events: map[string][]logged{}}
	for p := range partitions {
		newest := int64(math.MinInt64)
		ids := map[string]int64{}
		for offset := int64(0); ; {
			res, err := client.Fetch(ctx, &kafka.FetchRequest{Topic: topic, Partition: p, Offset: offset, MinBytes: 0, MaxBytes: 1 << 20, MaxWait: 100 * time.Millisecond})
			if err == nil {
				err = res.Error
			}
			if err != nil {
				t.Fatal(err)
			}
			for {
				rec, err := res.Records.ReadRecord()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if rec.Offset < offset {
					continue
				}
				offset = rec.Offset + 1
				value, err := kafka.ReadAll(rec.Value)
				if err != nil {
					t.Fatal(err)
				}
				at := rec.Time.UnixMilli()
				newest = max(newest, at)
				if id := header(rec, "id"); id != "" {
					before, known := ids[id]
					ids[id] = at
					if known && before >= newest-120_000 {
						l.duplicate++
						continue
					}
				}
				l.add(value, at, newest-boundMs)
			}
			if offset >= res.HighWatermark {
				break
			}
		}
	}
	return l
}

func header(rec *kafka.Record, key string) string {
	for _, h := range rec.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func (l *topicLog) add(value []byte, record, passes int64) {
	var rec struct {
		MetricName string `json:"metric_name"`
		Events     []struct {
			Value     *float64          `json:"value"`
			Tags      map[string]string `json:"tags"`
			EventTime int64             `json:"event_time"`
		} `json:"events"`
	}
	if json.Unmarshal(value, &rec) != nil || rec.MetricName == "" {
		l.bad++
		return
	}
	for _, e := range rec.Events {
		l.sent++
		switch {
		case e.Value == nil:
			l.bad++
		case e.EventTime > record+skewMs:
			l.future++
		case e.EventTime < record-latenessMs:
			l.tooLate++
		default:
			l.events[rec.MetricName] = append(l.events[rec.MetricName], logged{e.EventTime, passes, record - e.EventTime, *e.Value, e.Tags})
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
