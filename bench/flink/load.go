package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"pulseboard/metric"
	"pulseboard/wire"
)

// load writes records to Kafka in an open loop: record k is due at begin + k ×
// interval, is of metric k modulo their number, and has its due time as timestamp
// and as the event time of all its events, however late it is written.
//
//	one goroutine a partition ──acks=all──▶ Kafka; records that are due together are one request
type load struct {
	o        *options
	client   *kafka.Client
	begin    time.Time
	interval time.Duration
	prefix   string // Of the records' ids.
	texts    [][]template
	cancel   context.CancelFunc
	senders  sync.WaitGroup
	failed   chan error

	measuring atomic.Bool
	next      [partitions]atomic.Int64 // When the next record of each partition is due, epoch ms; 0 = it gets none.

	mu    sync.Mutex
	sent  []ledger        // By metric.
	lates []time.Duration // From due to the begin of the request, while measuring.
	acks  []time.Duration // From due to Kafka's acknowledgement.
	count int64           // Events, while measuring.
}

// ledger is what was sent of a metric, by slice since begin.
type ledger struct{ counts, sums []int64 }

// template is a record without its times.
type template struct {
	json   []byte
	at     []int // Where the times are.
	values []int // Where the values are, that are others in each record; none = they repeat.
	sum    int64
}

// As many digits as any time of this age, and as any value of those that do not repeat.
const (
	timePlace  = 1_000_000_000_000
	valuePlace = 100_000_000
	marked     = 100_000
)

func metricName(m int) string { return fmt.Sprintf("flink.m%03d", m) }

// templates makes enough records of a metric that all its series are in them,
// with values that differ, so that a record in the place of another is seen.
func (o *options) templates(m int) []template {
	out := make([]template, max(4, (o.series+o.batch-1)/o.batch))
	r := rand.New(rand.NewPCG(uint64(m), 7))
	for n := range out {
		events := make([]metric.Event, o.batch)
		for i := range events {
			v := r.Int64N(1000) + 1
			if o.fresh {
				v = marked
			}
			out[n].sum += v
			host := "h" + strconv.Itoa((n*o.batch+i)%o.series)
			events[i] = metric.Event{Value: float64(v), Time: timePlace, Tags: metric.NewTags(map[string]string{"host": host, "region": "eu"})}
		}
		out[n].json = wire.AppendRecord(nil, metricName(m), events)
		if o.fresh {
			// Nine digits would be written with an exponent.
			out[n].json = bytes.ReplaceAll(out[n].json, []byte(`"value":`+strconv.Itoa(marked)), []byte(`"value":`+strconv.Itoa(valuePlace)))
			out[n].values = places(out[n].json, `"value":`)
		}
		out[n].at = places(out[n].json, `"event_time":`)
	}
	return out
}

// places are where the values of a field begin.
func places(json []byte, field string) (at []int) {
	for from := 0; ; {
		i := bytes.Index(json[from:], []byte(field))
		if i < 0 {
			return at
		}
		from += i + len(field)
		at = append(at, from)
	}
}

func startLoad(ctx context.Context, o *options, addr string) *load {
	transport := &kafka.Transport{}
	ctx, cancel := context.WithCancel(ctx)
	l := &load{
		o: o, client: &kafka.Client{Addr: kafka.TCP(addr), Timeout: 30 * time.Second, Transport: transport}, prefix: strconv.FormatInt(time.Now().UnixMilli(), 36),
		interval: time.Duration(float64(time.Second) * float64(o.batch) / float64(o.rate)), cancel: cancel,
		failed: make(chan error, partitions), sent: make([]ledger, o.metrics),
	}
	ids := make([]int, partitions)
	for i := range ids {
		ids[i] = i
	}
	balancer := kafka.Murmur2Balancer{Consistent: true}
	var metrics [partitions][]int
	for m := range o.metrics {
		l.texts = append(l.texts, o.templates(m))
		p := balancer.Balance(kafka.Message{Key: []byte(metricName(m))}, ids...)
		metrics[p] = append(metrics[p], m)
	}
	l.begin = time.Now().Add(-o.past).Truncate(time.Second).Add(time.Second)
	for p, ms := range metrics {
		if len(ms) > 0 {
			l.next[p].Store(l.begin.UnixMilli())
			l.senders.Go(func() {
				if err := l.send(ctx, p, ms); err != nil {
					l.failed <- fmt.Errorf("cannot write to Kafka: %w", err)
				}
			})
		}
	}
	return l
}

// atPresent reports whether all of the past is written.
func (l *load) atPresent() bool {
	now := time.Now().Add(-time.Second).UnixMilli()
	for p := range l.next {
		if at := l.next[p].Load(); at != 0 && at < now {
			return false
		}
	}
	return true
}

// stop ends the sending and waits for it.
func (l *load) stop() {
	l.cancel()
	l.senders.Wait()
	l.client.Transport.(*kafka.Transport).CloseIdleConnections()
}

// At most so many records are in a request: less than a megabyte.
const maxRecords = 50

// send writes the records of a partition, whose metrics are ms, in the order of their times.
func (l *load) send(ctx context.Context, p int, ms []int) error {
	due := func(i int) (k int, at time.Time) {
		k = i/len(ms)*l.o.metrics + ms[i%len(ms)]
		return k, l.begin.Add(time.Duration(k) * l.interval)
	}
	t := time.NewTimer(0)
	defer t.Stop()
	for i := 0; ; {
		_, at := due(i)
		l.next[p].Store(at.UnixMilli())
		t.Reset(time.Until(at))
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		now := time.Now()
		var records []kafka.Record
		var dues []time.Time
		for len(records) < maxRecords {
			k, at := due(i)
			if at.After(now) {
				break
			}
			records = append(records, l.record(k, at))
			dues = append(dues, at)
			i++
		}
		// A request that has begun is ended, so that what was sent is known.
		res, err := l.client.Produce(context.WithoutCancel(ctx), &kafka.ProduceRequest{Topic: topic, Partition: p, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...)})
		if err == nil {
			err = res.Error
		}
		if err != nil {
			return err
		}
		l.note(dues, now)
	}
}

// record makes the record k, and counts it as sent: its events may be in a
// result before Kafka's acknowledgement is here.
func (l *load) record(k int, at time.Time) kafka.Record {
	m := k % l.o.metrics
	text := &l.texts[m][k/l.o.metrics%len(l.texts[m])]
	value := bytes.Clone(text.json)
	ms := strconv.AppendInt(make([]byte, 0, 16), at.UnixMilli(), 10)
	for _, i := range text.at {
		copy(value[i:], ms)
	}
	sum := text.sum
	if len(text.values) > 0 {
		sum = 0
		r := rand.New(rand.NewPCG(uint64(k), 7))
		for _, i := range text.values {
			v := valuePlace + r.Int64N(9*valuePlace)
			strconv.AppendInt(value[i:i], v, 10)
			sum += v
		}
	}
	slice := int((at.UnixMilli() - l.begin.UnixMilli()) / l.o.sliceMs())
	l.mu.Lock()
	s := &l.sent[m]
	for len(s.counts) <= slice {
		s.counts, s.sums = append(s.counts, 0), append(s.sums, 0)
	}
	s.counts[slice] += int64(l.o.batch)
	s.sums[slice] += sum
	l.mu.Unlock()
	id := binary.BigEndian.AppendUint64([]byte(l.prefix), uint64(k))
	return kafka.Record{
		Time: at, Key: kafka.NewBytes([]byte(metricName(m))), Value: kafka.NewBytes(value),
		Headers: []kafka.Header{{Key: "id", Value: id}},
	}
}

func (l *load) note(dues []time.Time, sent time.Time) {
	if !l.measuring.Load() {
		return
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range dues {
		l.lates = append(l.lates, sent.Sub(at))
		l.acks = append(l.acks, now.Sub(at))
	}
	l.count += int64(len(dues) * l.o.batch)
}

// within returns what was sent of a metric with times in [from, to), ms, where slices begin.
func (l *load) within(m int, from, to int64) (count, sum int64) {
	begin := l.begin.UnixMilli()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.sent[m]
	slice := l.o.sliceMs()
	for i := max(0, (from-begin)/slice); i < min(int64(len(s.counts)), (to-begin)/slice); i++ {
		count += s.counts[i]
		sum += s.sums[i]
	}
	return count, sum
}
