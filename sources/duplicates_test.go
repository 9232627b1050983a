package sources

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"pulseboard/internal/kafkaconn"
)

const minute = int64(60_000)

// A topic is written as "minute.second id" per record, and read back as the
// offsets whose events count.
type topic struct {
	t       *testing.T
	addr    string
	client  *kafka.Client
	written [2]int
}

// newCluster is a broker in this process, with a topic.
func newCluster(t *testing.T, partitions int32, topic string) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

func newTopic(t *testing.T) *topic {
	t.Helper()
	cluster := newCluster(t, 2, "events")
	transport := &kafka.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	addr := cluster.ListenAddrs()[0]
	return &topic{t: t, addr: addr, client: &kafka.Client{Addr: kafka.TCP(addr), Timeout: 10 * time.Second, Transport: transport}}
}

const topicBegin = 1_763_892_000_000

// write appends one batch to a partition.
func (tp *topic) write(partition int, records ...string) {
	tp.t.Helper()
	rs := make([]kafka.Record, 0, len(records))
	for _, text := range records {
		var m, s int64
		when, id, _ := strings.Cut(text, " ")
		if _, err := fmt.Sscanf(when, "%d.%d", &m, &s); err != nil {
			tp.t.Fatal(err)
		}
		r := kafka.Record{Time: time.UnixMilli(topicBegin + m*minute + s*1000), Key: kafka.NewBytes([]byte("m")), Value: kafka.NewBytes([]byte(`{"metric_name":"m","value":1}`))}
		if id != "" {
			r.Headers = []kafka.Header{{Key: "traceparent", Value: []byte("x")}, {Key: "id", Value: []byte(id)}}
		}
		rs = append(rs, r)
	}
	res, err := tp.client.Produce(tp.t.Context(), &kafka.ProduceRequest{Topic: "events", Partition: partition, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(rs...)})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		tp.t.Fatal(err)
	}
	tp.written[partition] += len(rs)
}

func (tp *topic) options() Options {
	Connect(tp.t.Name(), kafkaconn.At(tp.addr))
	return Options{Run: tp.t.Name(), Topic: "events", Shards: 1, SliceMs: 1000, MaxDriftMs: 1 << 50, MaxLeadMs: 1 << 50, DedupeMs: 2 * minute}
}

// counted reads a partition from an offset to its end and returns the offsets of the records that count.
func (tp *topic) counted(partition int, from int64) string {
	tp.t.Helper()
	ctx, cancel := context.WithCancel(tp.t.Context())
	r := &reader{options: tp.options(), broker: newBroker(kafkaconn.At(tp.addr), "events"), arrived: make(chan struct{}, 1)}
	queue := make(chan answer, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.fetchLoop(ctx, found{id: int32(partition), start: from, from: -1}, queue, new(ahead))
	}()
	var offsets []string
	for next := from; next < int64(tp.written[partition]); {
		a := <-queue
		next = a.next
		for _, rec := range a.records {
			if len(rec.Events) > 0 {
				offsets = append(offsets, fmt.Sprint(rec.Offset))
			} else if rec.Time == 0 {
				tp.t.Errorf("the duplicate at offset %d has lost its timestamp", rec.Offset)
			}
		}
	}
	cancel()
	<-done
	r.broker.close()
	return strings.Join(offsets, " ")
}

// gather writes the values of a metric down as "label:value".
func gather(t *testing.T, name string, c prometheus.Collector) string {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(c)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				label := ""
				for _, l := range m.GetLabel() {
					label = l.GetValue() + ":"
				}
				values = append(values, fmt.Sprint(label, m.GetGauge().GetValue()+m.GetCounter().GetValue()))
			}
		}
	}
	slices.Sort(values)
	return strings.Join(values, " ")
}

func difference(t *testing.T, a, b string) float64 {
	t.Helper()
	x, err := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return x - y
}

func TestDuplicatesAreDropped(t *testing.T) {
	tp := newTopic(t)
	before := gather(t, "pulseboard_source_duplicates_total", duplicates)
	tp.write(0, "0.00 a", "0.01 b", "0.02 a", "0.03", "0.03") // In one batch; without an id none is a duplicate.
	tp.write(0, "0.10 b", "0.11 c")                           // Of an earlier batch.
	tp.write(1, "0.20 a")                                     // Of another partition, so of another metric.
	tp.write(0, "2.10 a", "2.11 b")                           // a beyond two minutes, b again within two of its duplicate at 0.10 (2:01): forgotten.
	tp.write(0, "2.12 c", "1.00 a")                           // c after 2:01; a late record with a known id.
	if got, want := tp.counted(0, 0), "0 1 3 4 6 7 8 9"; got != want {
		t.Errorf("counted %q, want %q", got, want)
	}
	if got := tp.counted(1, 0); got != "0" {
		t.Errorf("counted %q in the other partition, want 0", got)
	}
	if after := gather(t, "pulseboard_source_duplicates_total", duplicates); difference(t, after, before) != 3 {
		t.Errorf("duplicates were counted from %s to %s, want 3 more", before, after)
	}
}

// A reader that begins in the middle knows the ids before its beginning: what
// counts is the same wherever a replay begins.
func TestDuplicatesAreKnownAfterARestart(t *testing.T) {
	tp := newTopic(t)
	for m := range 8 {
		tp.write(0, fmt.Sprintf("%d.00 a%d", m, m), fmt.Sprintf("%d.10 b%d", m, m%3), fmt.Sprintf("%d.20 a%d", m, m), fmt.Sprintf("%d.15", m), fmt.Sprintf("%d.59 b%d", m, m%2))
	}
	whole := strings.Fields(tp.counted(0, 0))
	if n := tp.written[0]; len(whole) == n || len(whole) < n/3 {
		t.Fatalf("%d of %d count: the case is too easy", len(whole), n)
	}
	for from := range tp.written[0] {
		var want []string
		for _, o := range whole {
			var offset int
			if _, err := fmt.Sscan(o, &offset); err == nil && offset >= from {
				want = append(want, o)
			}
		}
		if got := tp.counted(0, int64(from)); got != strings.Join(want, " ") {
			t.Errorf("from offset %d counted %q, want %q", from, got, strings.Join(want, " "))
		}
	}
}

// What is aborted is no time, nor is its marker: an id is not forgotten the sooner for it,
// wherever a reader begins.
func TestAnAbortForgetsNoIDs(t *testing.T) {
	tp := newTopic(t)
	tp.write(0, "0.00 a")
	client, err := kgo.NewClient(kgo.SeedBrokers(tp.addr), kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	rec := &kgo.Record{Topic: "events", Value: []byte(`{"metric_name":"m","value":1}`), Timestamp: time.UnixMilli(topicBegin + 3*minute)}
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := client.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	tp.written[0] += 2 // The marker is one too.
	tp.write(0, "1.50 a", "1.51 b")
	if got := tp.counted(0, 0); got != "0 4" {
		t.Errorf("counted %q, want 0 4", got)
	}
	for from := range int64(4) {
		if got := tp.counted(0, from+1); got != "4" {
			t.Errorf("from offset %d counted %q, want 4", from+1, got)
		}
	}
}

func TestSeenIDsForget(t *testing.T) {
	s := newSeenIDs(2*minute, 0)
	for i := range int64(100_000) {
		s.see(recordID{uint64(i), 1}, i*100)
	}
	if len(s.last) != s.n || s.n > 1201+1 {
		t.Errorf("%d ids and %d sightings are held, want 1,201 of two minutes", len(s.last), s.n)
	}
	if len(s.queue) > 2048+2048 {
		t.Errorf("the queue has grown to %d", len(s.queue))
	}
}

// A partition with more ids than memory is for remembers the newest, wherever a reader began.
func TestSeenIDsAreBounded(t *testing.T) {
	long, short := newSeenIDs(2*minute, 100), newSeenIDs(2*minute, 100)
	for i := range int64(5000) {
		id := recordID{uint64(i % 150), 1}
		if i >= 4000 {
			if i%150 < 50 { // Three of these in a row are 150 records apart, more than are remembered.
				id = recordID{uint64(i % 75), 2}
			}
			if a, b := long.see(id, i), short.see(id, i); a != b && i >= 4100 {
				t.Fatalf("record %d is a duplicate for one reader only", i)
			}
		} else {
			long.see(id, i)
		}
	}
	if long.n > 100 || len(long.last) > 100 {
		t.Errorf("%d sightings of %d ids are held, want 100", long.n, len(long.last))
	}
}

func BenchmarkSeenIDs(b *testing.B) {
	s := newSeenIDs(2*minute, 0)
	b.ReportAllocs()
	for i := int64(0); b.Loop(); i++ {
		s.see(recordID{uint64(i), 7}, i)
	}
}

// The lag counts what has not been emitted, and its age grows while nothing is read.
func TestLag(t *testing.T) {
	now := time.UnixMilli(topicBegin)
	l := new(lag)
	l.heard.Store(topicBegin - 100)
	steps := []struct {
		end, next, time, heard int64
		records                int64
		seconds                float64
	}{
		{0, 0, 0, topicBegin - 100, 0, 0},                         // Empty, just heard of.
		{0, 0, 0, topicBegin - 5000, 0, 5},                        // The broker is silent.
		{10, 4, topicBegin - 30_000, topicBegin - 100, 6, 30},     // Behind.
		{10, 10, topicBegin - 30_000, topicBegin - 100, 0, 0},     // All emitted.
		{10, 10, topicBegin - 30_000, topicBegin - 60_000, 0, 60}, // All that is known of.
		{10, 4, topicBegin + 1000, topicBegin - 100, 6, 0},        // A clock ahead of ours.
	}
	for i, s := range steps {
		l.end.Store(s.end)
		l.next.Store(s.next)
		l.time.Store(s.time)
		l.heard.Store(s.heard)
		if l.records() != s.records || l.seconds(now) != s.seconds {
			t.Errorf("step %d: %d records, %v s; want %d, %v", i, l.records(), l.seconds(now), s.records, s.seconds)
		}
	}
}

// Metrics of a reader are there while it reads, and gone with it.
func TestLagIsCollected(t *testing.T) {
	tp := newTopic(t)
	tp.write(0, "0.00", "0.01", "0.02")
	o := tp.options()
	r := readers.get(o, Position{Shard: Shard{0, 1}})
	d := drain{reader: r, emit: func(*Batch) {}}
	lags := func() string { return gather(t, "pulseboard_source_lag_records", lagCollector{}) }
	// The first answer is taken over, nothing emitted: three records are behind.
	for limit := time.Now().Add(time.Minute); lags() != "0:3 1:0"; {
		if time.Now().After(limit) {
			t.Fatalf("the lag is %s", lags())
		}
		r.collect(0)
	}
	for d.emitOldest() {
	}
	if got := lags(); got != "0:0 1:0" {
		t.Errorf("with all emitted the lag is %s", got)
	}
	Close(o.Run)
	if got := lags(); got != "" {
		t.Errorf("after the end the lag is %s", got)
	}
}
