package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"pulseboard/metric"
	"pulseboard/wire"
)

const (
	topic      = "metric-events"
	partitions = 8
	metrics    = 20
	hosts      = 100 // Of each metric: 2,000 series.
	rate       = 10_000
)

func metricName(m int) string { return fmt.Sprintf("load.m%02d", m) }

// sent is one record, as the producer knows it.
type sent struct {
	id     string
	metric int
	events int64
	at     int64 // Timestamp of the record and of its events, epoch ms.
	sum    int64
	max    int64
	acked  int64 // When Kafka had it, epoch ms.
}

// load writes 10,000 events a second, each record until it is acknowledged, in
// the order of its partition. The records carry ids: one that was written and
// not acknowledged is written again.
type load struct {
	client *kafka.Client
	tick   time.Duration // Between two records of a metric.
	queues [partitions]chan record
	wg     sync.WaitGroup

	mu  sync.Mutex
	all []*sent
}

type record struct {
	*sent

	value []byte
}

func startLoad(t *testing.T, addrs []string, tick time.Duration) *load {
	t.Helper()
	transport := &kafka.Transport{MetadataTTL: 200 * time.Millisecond, DialTimeout: time.Second}
	l := &load{tick: tick, client: &kafka.Client{Addr: kafka.TCP(addrs...), Timeout: 3 * time.Second, Transport: transport}}
	ctx, cancel := context.WithCancel(context.Background())
	for p := range partitions {
		l.queues[p] = make(chan record, 100_000)
		l.wg.Go(func() { l.send(p) })
	}
	made := make(chan struct{})
	go func() {
		defer close(made)
		l.produce(ctx)
	}()
	t.Cleanup(transport.CloseIdleConnections)
	t.Cleanup(func() { cancel(); <-made })
	return l
}

// produce makes what is due, on time also when the senders are held up.
func (l *load) produce(ctx context.Context) {
	next := time.Now().Truncate(l.tick)
	each := int(rate * l.tick.Milliseconds() / 1000 / metrics)
	for n := 0; ; n++ {
		next = next.Add(l.tick)
		select {
		case <-ctx.Done():
			for _, q := range l.queues {
				close(q)
			}
			return
		case <-time.After(time.Until(next)):
		}
		for m := range metrics {
			r := makeRecord(m, n, each, next.UnixMilli())
			l.queues[m%partitions] <- r
		}
	}
}

func makeRecord(m, n, size int, at int64) record {
	type event struct {
		Value     int64             `json:"value"`
		Tags      map[string]string `json:"tags"`
		EventTime int64             `json:"event_time"`
	}
	s := &sent{id: fmt.Sprintf("%d-%d", m, n), metric: m, events: int64(size), at: at}
	events := make([]event, size)
	for i := range events {
		v := int64((n*7+i*3)%1000 + 1)
		events[i] = event{v, map[string]string{"host": "h" + strconv.Itoa((n*size+i)%hosts)}, at}
		s.sum += v
		s.max = max(s.max, v)
	}
	value, _ := json.Marshal(map[string]any{"metric_name": metricName(m), "events": events}) // It has a form for all of it.
	return record{s, value}
}

// retryPause is the producer's own, between its tries.
const retryPause = 50 * time.Millisecond

func (l *load) send(p int) {
	for r := range l.queues[p] {
		batch := []record{r}
		for more := true; more && len(batch) < 50; {
			select {
			case r, ok := <-l.queues[p]:
				if more = ok; ok {
					batch = append(batch, r)
				}
			default:
				more = false
			}
		}
		for !l.try(p, batch) {
			l.client.Transport.(*kafka.Transport).CloseIdleConnections() // The leader may be another.
			<-time.After(retryPause)
		}
		now := time.Now().UnixMilli()
		l.mu.Lock()
		for _, r := range batch {
			r.acked = now
			l.all = append(l.all, r.sent)
		}
		l.mu.Unlock()
	}
}

func (l *load) try(p int, batch []record) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	var records []kafka.Record
	for _, r := range batch {
		records = append(records, kafka.Record{
			Time: time.UnixMilli(r.at), Key: kafka.NewBytes([]byte(metricName(r.metric))), Value: kafka.NewBytes(r.value),
			Headers: []kafka.Header{{Key: "id", Value: []byte(r.id)}},
		})
	}
	res, err := l.client.Produce(ctx, &kafka.ProduceRequest{Topic: topic, Partition: p, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...)})
	return err == nil && res.Error == nil && len(res.RecordErrors) == 0
}

// acknowledged is what Kafka has, in the order of time.
func (l *load) acknowledged() []*sent {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Clone(l.all)
	slices.SortStableFunc(all, func(a, b *sent) int { return int(a.at - b.at) })
	return all
}

// demands are 100 queries, with windows of 5 s to 10 min.
func demands() map[string]wire.QueryEntry {
	entries := map[string]wire.QueryEntry{}
	for m := range metrics {
		for _, q := range []metric.Query{
			{Aggregation: metric.Count, WindowSeconds: 5},
			{Aggregation: metric.Avg, WindowSeconds: 10},
			{Aggregation: metric.Sum, WindowSeconds: 60},
			{Aggregation: metric.Max, WindowSeconds: 300},
			{Aggregation: metric.Count, WindowSeconds: 600, GroupBy: []string{"host"}},
		} {
			q.Metric = metricName(m)
			entries[q.Key()] = wire.QueryEntry{Query: q, RefreshMs: []int64{1000}}
		}
	}
	return entries
}
