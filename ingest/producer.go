package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"

	"pulseboard/internal/clock"
	"pulseboard/internal/kafkaconn"
)

const (
	clientID = "pulseboard-ingest"
	// maxBatchBytes keeps a batch below the 1 MiB that brokers take by default.
	maxBatchBytes  = 900 << 10
	recordOverhead = 192 // Bytes of a record besides key and value, at most.
	// maxRequestBytes is more than one batch, as long as a broker takes it without effort.
	maxRequestBytes = 4 << 20
	// maxInFlight is how many requests one leader may have without a response; all
	// but the first hold at least minFurtherBytes.
	maxInFlight     = 2
	minFurtherBytes = 64 << 10
	requestTimeout  = 5 * time.Second // Of one produce request; a record may be in several.
	firstBackoff    = 20 * time.Millisecond
	longestBackoff  = 500 * time.Millisecond
	refreshEvery    = 10 * time.Second
	metadataTimeout = 5 * time.Second
)

// errExpired is the error of a record whose request has ended, by its delivery
// timeout or because its client is gone.
var errExpired = errors.New("Kafka did not acknowledge it in time") //nolint:staticcheck // A name begins the text.

var errNoResponse = errors.New("the broker's response says nothing of the partition")

// producer writes records to one topic, acknowledged by all in-sync replicas.
//
//	enqueue ─▶ partition.queue ─ markReady ─▶ leader.ready ─ dispatch ─▶ send: produce ─▶ complete
//	                                                                       └ failed ─▶ retry ─▶ release
//
// A partition is in one request at a time, so that its records stay in the order of
// its queue whatever fails: it is busy from dispatch until its batch is acknowledged or
// its retries have ended.
type producer struct {
	at        kafkaconn.Endpoint
	topic     string
	client    *kafka.Client
	transport *kafka.Transport
	metrics   *metrics
	log       *slog.Logger
	last      lastOutcome // Of the requests to Kafka.
	buffers   sync.Pool   // Of *[]byte, for encoded batches.

	wg sync.WaitGroup // Of requests and retries.

	mu         sync.Mutex
	partitions []*partition // By id; nil before the first metadata.
	ids        []int        // Of the partitions that the topic has now, for the partitioner.
	leaders    map[int]*leader
}

// partition holds the records that wait for it, in their order.
type partition struct {
	id     int
	leader *leader
	queue  []*record
	bytes  int  // Of queue.
	busy   bool // Some of its records are in a request, or are retried.
	ready  bool // It is in its leader's ready.
}

// leader is a broker, to which the records of its partitions go together.
type leader struct {
	ready    []*partition // Have records and are not busy, the longest waiting first.
	bytes    int          // Of ready.
	inFlight int          // Requests without a response.
}

// batch is what a request holds for one partition.
type batch struct {
	partition *partition
	records   []*record
	encoded   *[]byte // The record batch as it goes over the wire.
	err       error
}

func newProducer(cfg Config, m *metrics) *producer {
	transport := cfg.Kafka.Transport(&kafka.Transport{
		ClientID: clientID, DialTimeout: time.Second, IdleTimeout: time.Minute,
		// The default of 6 s is how long a moved leader would go unnoticed.
		MetadataTTL: time.Second, MetadataTopics: []string{cfg.Topic},
	})
	p := &producer{
		at: cfg.Kafka, topic: cfg.Topic, metrics: m, log: cfg.Log, transport: transport,
		client:  &kafka.Client{Addr: cfg.Kafka.Addr(), Transport: transport},
		leaders: make(map[int]*leader),
	}
	p.buffers.New = func() any { return new([]byte) }
	return p
}

// partitionOf is where the Java client's default partitioner puts the metric, so
// that other producers agree.
func partitionOf(name string, partitions []int) int {
	return kafka.Murmur2Balancer{Consistent: true}.Balance(kafka.Message{Key: []byte(name)}, partitions...)
}

// enqueue starts the writing of records. The done of each is called once its err is
// final. An error means that none of them was taken.
func (p *producer) enqueue(ctx context.Context, records []*record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.partitions == nil {
		p.mu.Unlock()
		err := p.refresh(ctx)
		p.mu.Lock()
		if err != nil {
			return err
		}
	}
	for _, r := range records {
		part := p.partitions[partitionOf(r.metric, p.ids)]
		n := recordBytes(r)
		part.queue = append(part.queue, r)
		p.metrics.waiting.Inc()
		part.bytes += n
		if part.ready {
			part.leader.bytes += n
		} else {
			p.markReady(part)
		}
		p.dispatch(part.leader)
	}
	return nil
}

func recordBytes(r *record) int { return len(r.value) + len(r.metric) + recordOverhead }

// markReady adds a partition to its leader's ready when it has records that may be
// sent. The lock is held.
func (p *producer) markReady(part *partition) {
	if part.busy || part.ready || len(part.queue) == 0 {
		return
	}
	part.ready = true
	part.leader.ready = append(part.leader.ready, part)
	part.leader.bytes += part.bytes
}

// dispatch sends what is ready: at once when the leader has no request in flight, so
// that a lone event does not wait, else when there is enough for a further request, so
// that under load many events share one. The lock is held.
func (p *producer) dispatch(l *leader) {
	for len(l.ready) > 0 && (l.inFlight == 0 || l.inFlight < maxInFlight && l.bytes >= minFurtherBytes) {
		batches := p.nextRequest(l)
		if len(batches) == 0 {
			continue // All of it had expired.
		}
		l.inFlight++
		p.wg.Go(func() { p.send(l, batches) })
	}
}

// nextRequest takes a batch of each ready partition until the request is full. The
// lock is held.
func (p *producer) nextRequest(l *leader) (batches []batch) {
	total := 0
	for len(l.ready) > 0 && total < maxRequestBytes {
		part := l.ready[0]
		l.ready = l.ready[1:]
		l.bytes -= part.bytes
		part.ready = false
		waited := len(part.queue)
		records, bytes := part.take()
		p.metrics.waiting.Sub(float64(waited - len(part.queue)))
		if len(records) == 0 {
			continue
		}
		total += bytes
		part.busy = true
		batches = append(batches, batch{partition: part, records: records})
	}
	if len(l.ready) == 0 {
		l.ready = nil
	}
	return batches
}

// take removes the records of the next batch from the queue, and returns those that
// have not expired.
func (part *partition) take() (records []*record, bytes int) {
	n := 0
	for ; n < len(part.queue); n++ {
		size := recordBytes(part.queue[n])
		if n > 0 && bytes+size > maxBatchBytes {
			break
		}
		bytes += size
	}
	records = expire(part.queue[:n:n], nil)
	part.queue = part.queue[n:]
	part.bytes -= bytes
	if len(part.queue) == 0 {
		part.queue = nil
	}
	return records, bytes
}

// send sends a request and retries the batches of it that failed.
func (p *producer) send(l *leader, batches []batch) {
	for i := range batches {
		batches[i].encoded = p.buffers.Get().(*[]byte)
		*batches[i].encoded = appendBatch((*batches[i].encoded)[:0], batches[i].records)
	}
	p.produce(batches)
	p.complete(l, batches)
	// Not before complete has looked at all errors: from here on a failed batch belongs
	// to its retry, which writes them. Each is retried alone: partitions whose leaders
	// have parted must not hold each other up.
	for i := range batches {
		if b := &batches[i]; b.err != nil {
			p.wg.Go(func() {
				p.retry(b)
				p.release(b.partition)
			})
		}
	}
}

// complete ends the batches of a request that were acknowledged. The partitions of the
// others stay busy until release: a second request of such a partition at the same time
// could overtake the first.
func (p *producer) complete(l *leader, batches []batch) {
	for i := range batches {
		if batches[i].err == nil {
			p.acknowledged(&batches[i])
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l.inFlight--
	for i := range batches {
		if batches[i].err == nil {
			batches[i].partition.busy = false
			p.markReady(batches[i].partition)
		}
	}
	p.dispatch(l)
}

// acknowledged ends a batch that Kafka has acknowledged. Only now its buffer may be
// used again: after a failure a connection may still be reading from it, and nothing
// but a response shows that it was read to its end.
func (p *producer) acknowledged(b *batch) {
	resolve(b.records, nil)
	if cap(*b.encoded) <= 2*maxBatchBytes {
		p.buffers.Put(b.encoded)
	}
	b.encoded = nil
}

// release lets a partition be sent again after its retries, to the leader that it has now.
func (p *producer) release(part *partition) {
	if err := p.refresh(context.Background()); err != nil {
		p.log.Debug("Kafka cannot be asked for leaders", "error", err) // What failed before is in the log already.
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	part.busy = false
	p.markReady(part)
	p.dispatch(part.leader)
}

// retry resolves every record of a batch that failed once. Records whose request has
// ended are given up: they may be stored or not. The others are sent again, as the
// same bytes while they are the same records.
func (p *producer) retry(b *batch) {
	backoff := firstBackoff
	p.log.Warn("records are not acknowledged yet", "topic", p.topic, "partition", b.partition.id, "error", b.err)
	for {
		if errors.Is(b.err, kafka.MessageSizeTooLarge) || errors.Is(b.err, kafka.TopicAuthorizationFailed) {
			p.log.Error("the broker refuses records", "topic", p.topic, "partition", b.partition.id, "error", b.err)
			resolve(b.records, b.err)
			return
		}
		p.metrics.retries.Inc()
		// The leader may have moved: connections and the metadata that they hold are given up.
		p.transport.CloseIdleConnections()
		clock.Sleep(b.records[0].ctx, backoff/2+rand.N(backoff))
		backoff = min(2*backoff, longestBackoff)
		wanted := expire(b.records, b.err)
		if len(wanted) == 0 {
			return
		}
		if len(wanted) < len(b.records) {
			// Into a buffer of its own: a connection may still be reading from the old one.
			encoded := appendBatch(nil, wanted)
			b.records, b.encoded = wanted, &encoded
		}
		one := []batch{*b}
		one[0].err = nil
		p.produce(one)
		if b.err = one[0].err; b.err == nil {
			resolve(b.records, nil)
			return
		}
	}
}

// expire resolves the records whose request has ended and returns the others.
func expire(records []*record, cause error) []*record {
	ended := func(r *record) bool { return r.ctx.Err() != nil }
	if !slices.ContainsFunc(records, ended) {
		return records
	}
	kept := make([]*record, 0, len(records))
	for _, r := range records {
		if ended(r) {
			if r.err = errExpired; cause != nil {
				r.err = fmt.Errorf("%w: %w", errExpired, cause)
			}
			r.done.Done()
		} else {
			kept = append(kept, r)
		}
	}
	return kept
}

func resolve(records []*record, err error) {
	for _, r := range records {
		r.err = err
		r.done.Done()
	}
}

// produce sends a request once and gives each batch its error.
func (p *producer) produce(batches []batch) {
	// Not the context of one HTTP request: the records are those of many.
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	parts := make([]rawproduce.RequestPartition, len(batches))
	for i := range batches {
		parts[i] = rawproduce.RequestPartition{
			Partition: int32(batches[i].partition.id), // Kafka's ids are of 32 bits.
			RecordSet: protocol.RawRecordSet{Reader: bytes.NewReader(*batches[i].encoded)},
		}
	}
	begin := time.Now()
	response, err := p.transport.RoundTrip(ctx, p.client.Addr, &rawproduce.Request{
		Acks: int16(kafka.RequireAll), Timeout: int32(requestTimeout.Milliseconds()), Topics: []rawproduce.RequestTopic{{Topic: p.topic, Partitions: parts}},
	})
	if err == nil {
		p.metrics.produce.Observe(time.Since(begin).Seconds())
	}
	for i := range batches {
		if batches[i].err = err; err == nil {
			batches[i].err = errorOf(response, parts[i].Partition)
		}
		if !errors.Is(batches[i].err, kafka.MessageSizeTooLarge) { // That is one record's fault.
			p.last.note(batches[i].err)
		}
	}
}

// errorOf finds the error of a partition in a response; one without an entry is not acknowledged.
func errorOf(response protocol.Message, partition int32) error {
	res, ok := response.(*produce.Response)
	if !ok || len(res.Topics) != 1 {
		return errNoResponse
	}
	for i := range res.Topics[0].Partitions {
		p := &res.Topics[0].Partitions[i]
		if p.Partition != partition {
			continue
		}
		var errs []error
		if p.ErrorCode != 0 {
			errs = append(errs, kafka.Error(p.ErrorCode))
		}
		for _, e := range p.RecordErrors {
			errs = append(errs, fmt.Errorf("record %d of the batch: %s", e.BatchIndex, e.BatchIndexErrorMessage))
		}
		return errors.Join(errs...)
	}
	return errNoResponse
}
