package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	clientID = "pulseboard-ingest"
	// A produce request holds less than the 1 MiB that brokers take by default.
	maxBatchBytes  = 900 << 10
	recordOverhead = 128 // Bytes of a record besides key and value, at most.
	attemptTimeout = 5 * time.Second
	firstBackoff   = 20 * time.Millisecond
	longestBackoff = 500 * time.Millisecond
	refreshEvery   = 10 * time.Second
	answerTimeout  = 5 * time.Second // Of metadata and topics.
)

// errExpired is the fate of a record that nobody waits for any more.
var errExpired = errors.New("Kafka did not acknowledge it in time") //nolint:staticcheck // A name begins the text.

// producer writes records to one topic, acknowledged by all in-sync replicas.
type producer struct {
	brokers   string
	topic     string
	client    *kafka.Client
	transport *kafka.Transport
	metrics   *metrics
	log       *slog.Logger

	partitions atomic.Pointer[[]int] // 0 to n − 1; nil before the first metadata.
	wg         sync.WaitGroup        // Of writers.

	mu     sync.Mutex
	queues map[int]*queue
}

// queue is the records of a partition that wait for its writer.
type queue struct {
	records []*record
	writing bool // Somebody is in write.
}

func newProducer(cfg Config, m *metrics) *producer {
	transport := &kafka.Transport{
		ClientID: clientID, DialTimeout: time.Second, IdleTimeout: time.Minute,
		// The default of 6 s is how long a moved leader would go unnoticed.
		MetadataTTL: time.Second, MetadataTopics: []string{cfg.Topic},
	}
	return &producer{
		brokers: strings.Join(cfg.Brokers, ","), topic: cfg.Topic, metrics: m, log: cfg.Log, transport: transport,
		client: &kafka.Client{Addr: kafka.TCP(cfg.Brokers...), Transport: transport},
		queues: make(map[int]*queue),
	}
}

// partition is where the Java client's default partitioner puts the metric, so
// that other producers agree.
func partition(name string, partitions []int) int {
	return kafka.Murmur2Balancer{Consistent: true}.Balance(kafka.Message{Key: []byte(name)}, partitions...)
}

// put starts the writing of records; each tells its done when it is decided.
func (p *producer) put(ctx context.Context, records []*record) error {
	all := p.partitions.Load()
	if all == nil {
		if err := p.refresh(ctx); err != nil {
			return err
		}
		all = p.partitions.Load()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range records {
		n := partition(r.metric, *all)
		q := p.queues[n]
		if q == nil {
			q = new(queue)
			p.queues[n] = q
		}
		q.records = append(q.records, r)
		if !q.writing {
			q.writing = true
			p.wg.Go(func() { p.write(n, q) })
		}
	}
	return nil
}

// next takes the records of the next produce request from q; none ends the writer.
func (p *producer) next(q *queue) []*record {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, bytes := 0, 0
	for n < len(q.records) {
		r := q.records[n]
		if bytes += len(r.value) + len(r.metric) + recordOverhead; bytes > maxBatchBytes && n > 0 {
			break
		}
		n++
	}
	batch := q.records[:n:n]
	q.records = q.records[n:]
	if n == 0 {
		q.records, q.writing = nil, false
	}
	return batch
}

func (p *producer) write(partition int, q *queue) {
	for batch := p.next(q); len(batch) > 0; batch = p.next(q) {
		p.writeBatch(partition, batch)
	}
}

// writeBatch decides the fate of every record of batch. One whose request has
// ended before it was sent is not sent any more; one that was sent and is not
// acknowledged may be there or not.
func (p *producer) writeBatch(partition int, batch []*record) {
	backoff := firstBackoff
	var err error
	for attempt := 0; ; attempt++ {
		if batch = expire(batch, err); len(batch) == 0 {
			return
		}
		begin := time.Now()
		if err = p.attempt(partition, batch); err == nil {
			p.metrics.produce.Observe(time.Since(begin).Seconds())
			finish(batch, nil)
			return
		}
		if errors.Is(err, kafka.MessageSizeTooLarge) || errors.Is(err, kafka.TopicAuthorizationFailed) {
			p.log.Error("the broker refuses records", "topic", p.topic, "partition", partition, "error", err)
			finish(batch, err)
			return
		}
		p.metrics.retries.Inc()
		if attempt == 0 {
			p.log.Warn("records are not acknowledged yet", "topic", p.topic, "partition", partition, "error", err)
		}
		// The leader may have moved: connections and what they know are given up.
		p.transport.CloseIdleConnections()
		wait(batch, backoff/2+rand.N(backoff))
		backoff = min(2*backoff, longestBackoff)
	}
}

// expire finishes the records that nobody waits for and returns the others.
func expire(batch []*record, cause error) []*record {
	kept := batch[:0:0]
	for _, r := range batch {
		if r.ctx.Err() == nil {
			kept = append(kept, r)
			continue
		}
		finish([]*record{r}, expired(cause))
	}
	return kept
}

func expired(cause error) error {
	if cause == nil {
		return errExpired
	}
	return fmt.Errorf("%w: %w", errExpired, cause)
}

func finish(batch []*record, err error) {
	for _, r := range batch {
		r.err = err
		r.done.Done()
	}
}

// wait waits d, or until the first record is given up.
func wait(batch []*record, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-batch[0].ctx.Done():
	}
}

func (p *producer) attempt(partition int, batch []*record) error {
	// Not that of one request: the records are those of many.
	ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
	defer cancel()
	records := make([]kafka.Record, 0, len(batch))
	for _, r := range batch {
		headers := []kafka.Header{{Key: "id", Value: []byte(r.id)}}
		if r.traceparent != "" {
			headers = append(headers, kafka.Header{Key: "traceparent", Value: []byte(r.traceparent)})
		}
		records = append(records, kafka.Record{
			Time: r.stamp, Key: kafka.NewBytes([]byte(r.metric)), Value: kafka.NewBytes(r.value), Headers: headers,
		})
	}
	res, err := p.client.Produce(ctx, &kafka.ProduceRequest{
		Topic: p.topic, Partition: partition, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...),
	})
	if err != nil {
		return err
	}
	// Some faults come in the answer only.
	errs := []error{res.Error}
	for _, err := range res.RecordErrors {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// run looks for new partitions until ctx ends, then waits for the writers.
func (p *producer) run(ctx context.Context) {
	t := time.NewTicker(refreshEvery)
	defer t.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-t.C:
			if err := p.refresh(ctx); err != nil && ctx.Err() == nil {
				p.log.Warn("Kafka cannot be asked for partitions", "error", err)
			}
		}
	}
	p.wg.Wait()
	p.transport.CloseIdleConnections()
}

// refresh learns how many partitions there are.
func (p *producer) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	t, err := p.metadata(ctx, p.topic)
	switch {
	case err != nil:
		return err
	case t.Error != nil:
		return fmt.Errorf("cannot write to the topic %s: %w", p.topic, t.Error)
	case len(t.Partitions) == 0:
		return fmt.Errorf("cannot write to the topic %s: it has no partition", p.topic)
	}
	all := make([]int, len(t.Partitions))
	for i, part := range t.Partitions {
		if part.Leader.Host == "" {
			err = fmt.Errorf("partition %d of the topic %s has no leader", part.ID, p.topic)
		}
		all[i] = i
	}
	if old := p.partitions.Load(); old == nil || len(*old) != len(all) {
		p.partitions.Store(&all)
	}
	return err
}

func (p *producer) metadata(ctx context.Context, topic string) (kafka.Topic, error) {
	res, err := p.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return kafka.Topic{}, fmt.Errorf("cannot reach Kafka at %s: %w", p.brokers, err)
	}
	for _, t := range res.Topics {
		if t.Name == topic {
			return t, nil
		}
	}
	return kafka.Topic{}, fmt.Errorf("Kafka at %s says nothing of the topic %s", p.brokers, topic) //nolint:staticcheck // A name begins the text.
}

// pause waits, and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
