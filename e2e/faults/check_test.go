package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"

	"pulseboard/e2e/testenv"
	"pulseboard/metric"
	"pulseboard/wire"
)

type result struct {
	Key       string `json:"key"`
	WindowEnd int64  `json:"window_end"`
	Complete  bool   `json:"complete"`
	Series    []struct {
		Value *float64 `json:"value"`
		Count int64    `json:"count"`
	} `json:"series"`

	text string
}

func (r *result) count() (n int64) {
	for _, s := range r.Series {
		n += s.Count
	}
	return n
}

// arrival is when a message came.
type arrival struct{ end, at int64 }

// watch sees everything that a reader of Redis sees, over the whole run: each
// message, and each entry of each history, also those that are written again.
type watch struct {
	client *redis.Client

	mu       sync.Mutex
	arrivals map[string][]arrival         // By metric key, in order.
	entries  map[string]map[int64]*result // By metric key and window end.
	seen     map[string]string            // Newest id that was read.
	twice    []string
	changed  []*result // As they were before.
}

func startWatch(t *testing.T, addr string) *watch {
	t.Helper()
	w := &watch{
		client:   redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialTimeout: time.Second}),
		arrivals: map[string][]arrival{}, entries: map[string]map[int64]*result{}, seen: map[string]string{},
	}
	n := 0
	testenv.Watch(t, w.client, "load.*", w.message, 500*time.Millisecond, func(ctx context.Context) {
		n++
		w.read(ctx, n%20 == 0) // Now and then all of it: an emptied Redis gets its past again.
	})
	return w
}

func (w *watch) message(m *redis.Message) {
	r := &result{text: m.Payload}
	if json.Unmarshal([]byte(m.Payload), r) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.arrivals[r.Key] {
		if a.end == r.WindowEnd {
			w.twice = append(w.twice, fmt.Sprint("message ", r.Key, " ", r.WindowEnd))
		}
	}
	w.arrivals[r.Key] = append(w.arrivals[r.Key], arrival{r.WindowEnd, time.Now().UnixMilli()})
	w.keep(r)
}

func (w *watch) keep(r *result) {
	if w.entries[r.Key] == nil {
		w.entries[r.Key] = map[int64]*result{}
	}
	if before, ok := w.entries[r.Key][r.WindowEnd]; ok && !same(before, r) {
		w.changed = append(w.changed, before)
	}
	w.entries[r.Key][r.WindowEnd] = r
}

func same(a, b *result) bool {
	if len(a.Series) != len(b.Series) || a.Complete != b.Complete {
		return false
	}
	for i := range a.Series {
		if a.Series[i].Count != b.Series[i].Count || (a.Series[i].Value == nil) != (b.Series[i].Value == nil) ||
			a.Series[i].Value != nil && *a.Series[i].Value != *b.Series[i].Value {
			return false
		}
	}
	return true
}

func (w *watch) read(ctx context.Context, all bool) {
	for key := range demands() {
		w.mu.Lock()
		from := "-"
		if id := w.seen[key]; id != "" && !all {
			from = "(" + id
		}
		w.mu.Unlock()
		entries, err := w.client.XRange(ctx, "history:"+key+"@1000", from, "+").Result()
		if err != nil {
			return // Redis is away.
		}
		w.mu.Lock()
		for _, e := range entries {
			text, _ := e.Values["r"].(string)
			r := &result{text: text}
			if json.Unmarshal([]byte(text), r) == nil {
				w.keep(r)
			}
			w.seen[key] = e.ID
		}
		w.mu.Unlock()
	}
}

// newest is the end that all queries have come to.
func (w *watch) newest() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all int64
	for key := range demands() {
		var newest int64
		for end := range w.entries[key] {
			newest = max(newest, end)
		}
		if all == 0 || newest < all {
			all = newest
		}
	}
	return all
}

// fresh is how old a result is at most that counts as current: a refresh, and the delay of the pipeline.
const fresh = 2200

// recovery is how long after a moment the results of all queries were current again, in seconds.
func (w *watch) recovery(since, until int64) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var worst int64
	for _, as := range w.arrivals {
		// What a reader has at each moment is the newest end so far.
		end, stale := int64(0), int64(0)
		for _, a := range as {
			if a.at > until {
				break
			}
			if a.at > since && end > 0 && a.at-end > fresh {
				stale = a.at // Up to now the newest result was too old.
			}
			if a.at > since && a.at-a.end > fresh {
				stale = a.at
			}
			end = max(end, a.end)
		}
		worst = max(worst, stale-since)
	}
	return float64(worst) / 1000
}

// verdict is what the comparison of a whole run says.
type verdict struct {
	windows, loose     int // Compared; of those, with an event that Kafka got later than the bound.
	lost, twice, wrong int
	sent, lateEvents   int64
	details            []string
}

// How much later than its time an event may reach Kafka without being overtaken: a
// quarter of the bound, by which the clock of a partition without records is held back (ARCHITECTURE.md, "Time").
const inTime = 50

// stored are the offsets of each record in Kafka, by its id.
func (l *load) stored(t *testing.T) map[string][]int64 {
	t.Helper()
	offsets := map[string][]int64{}
	for p := range partitions {
		testenv.ReadPartition(t, l.client, topic, p, func(r *kafka.Record) {
			id := string(r.Headers[0].Value)
			offsets[id] = append(offsets[id], r.Offset)
		})
	}
	return offsets
}

// suspects names the records that are in windows that are wrong, and in none that
// is right, with where they are in Kafka: what is missing there is no fault of the pipeline.
func (w *watch) suspects(all []*sent, stored map[string][]int64) (lines []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var byMetric [metrics][]*sent
	for _, s := range all {
		byMetric[s.metric] = append(byMetric[s.metric], s)
	}
	for key, e := range demands() {
		if e.Query.WindowSeconds > 10 {
			continue
		}
		records := byMetric[metricOf(e)]
		wrong, right := map[*sent]bool{}, map[*sent]bool{}
		for end, r := range w.entries[key] {
			text, _ := compare(e, records, r)
			for _, s := range records {
				if s.at >= end-int64(e.Query.WindowSeconds)*1000 && s.at < end {
					if text != "" {
						wrong[s] = true
					} else if s.acked-s.at <= inTime || end >= s.acked+2000 {
						right[s] = true
					}
				}
			}
		}
		for s := range wrong {
			if !right[s] {
				lines = append(lines, fmt.Sprintf("%s lacks record %s of %d, acknowledged %d ms later, partition %d, offsets %d", key, s.id, s.at, s.acked-s.at, s.metric%partitions, stored[s.id]))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// judge compares every result with what was acknowledged, by its definition.
// An event that Kafka got later than the bound allows may be left out of windows
// that ended before it was there, and of none that ended afterwards.
func (w *watch) judge(all []*sent, from, to int64) verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := verdict{twice: len(w.twice), details: w.twice}
	var byMetric [metrics][]*sent
	for _, s := range all {
		v.sent += s.events
		byMetric[s.metric] = append(byMetric[s.metric], s)
		if s.acked-s.at > inTime {
			v.lateEvents += s.events
		}
	}
	// A history that is written again also has the events that were overtaken the
	// first time. Nothing else may change.
	queries := demands()
	for _, before := range w.changed {
		entry := queries[before.Key]
		if text, loose := compare(entry, byMetric[metricOf(entry)], before); text != "" || !loose {
			v.wrong++
			v.details = append(v.details, fmt.Sprintf("changed: %s %d was %d events and is %.300s; %.300s", before.Key, before.WindowEnd, before.count(), w.entries[before.Key][before.WindowEnd].text, text))
		}
	}
	for key, entry := range queries {
		m := metricOf(entry)
		for end := from; end <= to; end += 1000 {
			r := w.entries[key][end]
			if r == nil {
				v.lost++
				v.details = append(v.details, fmt.Sprint("lost: ", key, " ", end))
				continue
			}
			v.windows++
			if text, loose := compare(entry, byMetric[m], r); text != "" {
				v.wrong++
				v.details = append(v.details, text)
			} else if loose {
				v.loose++
			}
		}
	}
	return v
}

func metricOf(e wire.QueryEntry) (m int) {
	_, _ = fmt.Sscanf(e.Query.Metric, "load.m%d", &m) // It is one of ours.
	return m
}

func compare(e wire.QueryEntry, all []*sent, r *result) (fault string, loose bool) {
	begin := r.WindowEnd - int64(e.Query.WindowSeconds)*1000
	var must, may struct{ count, sum, max int64 }
	for _, s := range all {
		if s.at < begin || s.at >= r.WindowEnd {
			continue
		}
		may.count += s.events
		may.sum += s.sum
		may.max = max(may.max, s.max)
		if s.acked-s.at > inTime && r.WindowEnd < s.acked+2000 {
			continue
		}
		must.count += s.events
		must.sum += s.sum
		must.max = max(must.max, s.max)
	}
	count := r.count()
	fail := func() (string, bool) {
		return fmt.Sprintf("wrong: %s %d, complete %v: count %d, want %d to %d; %.200s", r.Key, r.WindowEnd, r.Complete, count, must.count, may.count, r.text), false
	}
	loose = must != may
	if !r.Complete || count < must.count || count > may.count {
		return fail()
	}
	if e.Query.GroupBy != nil || count == 0 {
		return "", loose
	}
	value := *r.Series[0].Value
	low, high := float64(must.sum), float64(may.sum)
	switch e.Query.Aggregation {
	case metric.Count:
		low, high = float64(count), float64(count)
	case metric.Max:
		low, high = float64(must.max), float64(may.max)
	case metric.Avg:
		low, high = low/float64(count)-1e-9, high/float64(count)+1e-9
	default:
	}
	if value < low || value > high {
		return fail()
	}
	return "", loose
}
