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

	"pulseboard/internal/kafkaconn"
)

const (
	clientID = "pulseboard-ingest"
	// A produce request holds less than the 1 MiB that brokers take by default.
	maxBatchBytes  = 900 << 10
	recordOverhead = 192 // Bytes of a record besides key and value, at most.
	// More than one batch, as long as the broker takes it without effort.
	maxRequestBytes = 4 << 20
	// Requests to one leader at a time, of which each but the first has this much.
	maxFlying      = 2
	worthFlying    = 64 << 10
	attemptTimeout = 5 * time.Second
	firstBackoff   = 20 * time.Millisecond
	longestBackoff = 500 * time.Millisecond
	refreshEvery   = 10 * time.Second
	answerTimeout  = 5 * time.Second // Of metadata and topics.
)

// errExpired is the fate of a record that nobody waits for any more.
var errExpired = errors.New("Kafka did not acknowledge it in time") //nolint:staticcheck // A name begins the text.

var errNoAnswer = errors.New("the broker's answer says nothing of the partition")

// producer writes records to one topic, acknowledged by all in-sync replicas.
type producer struct {
	at        kafkaconn.Endpoint
	topic     string
	client    *kafka.Client
	transport *kafka.Transport
	metrics   *metrics
	log       *slog.Logger
	last      lastOutcome // Of the requests to Kafka.
	buffers   sync.Pool   // Of *[]byte, for batches.

	wg sync.WaitGroup // Of requests and retries.

	mu      sync.Mutex
	parts   []*part // By their number; nil before the first metadata.
	numbers []int   // Of the partitions that there are, for the balancer.
	leaders map[int]*leader
}

// part is a partition: records that wait, in their order.
type part struct {
	number int
	leader *leader
	queue  []*record
	bytes  int
	busy   bool // Some of its records are in a request, or are tried again.
	listed bool // It is in its leader's ready.
}

// leader is a broker, to which the records of its partitions go together.
type leader struct {
	ready  []*part // That wait, the longest first.
	bytes  int     // Of ready.
	flying int     // Requests without an answer.
}

// shipment is what a request has for one partition.
type shipment struct {
	part    *part
	records []*record
	batch   *[]byte // As it goes over the wire.
	err     error
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

// partition is where the Java client's default partitioner puts the metric, so
// that other producers agree.
func partition(name string, partitions []int) int {
	return kafka.Murmur2Balancer{Consistent: true}.Balance(kafka.Message{Key: []byte(name)}, partitions...)
}

// put starts the writing of records; each tells its done when it is decided.
func (p *producer) put(ctx context.Context, records []*record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.parts == nil {
		p.mu.Unlock()
		err := p.refresh(ctx)
		p.mu.Lock()
		if err != nil {
			return err
		}
	}
	for _, r := range records {
		part := p.parts[partition(r.metric, p.numbers)]
		n := recordBytes(r)
		part.queue = append(part.queue, r)
		p.metrics.waiting.Inc()
		part.bytes += n
		if part.listed {
			part.leader.bytes += n
		} else {
			p.list(part)
		}
		p.dispatch(part.leader)
	}
	return nil
}

func recordBytes(r *record) int { return len(r.value) + len(r.metric) + recordOverhead }

// list makes a partition ready, if there is something to send. The lock is held.
func (p *producer) list(part *part) {
	if part.busy || part.listed || len(part.queue) == 0 {
		return
	}
	part.listed = true
	part.leader.ready = append(part.leader.ready, part)
	part.leader.bytes += part.bytes
}

// dispatch sends what is ready: at once when nothing is under way to the leader,
// else when it is worth a request of its own. So a lone event does not wait, and
// many go together. A partition is in one request at a time: its order is
// that of the queue, also when a request fails. The lock is held.
func (p *producer) dispatch(l *leader) {
	for len(l.ready) > 0 && (l.flying == 0 || l.flying < maxFlying && l.bytes >= worthFlying) {
		ships := p.load(l)
		if len(ships) == 0 {
			continue // All of it had expired.
		}
		l.flying++
		p.wg.Go(func() { p.fly(l, ships) })
	}
}

// load takes the next request from what is ready.
func (p *producer) load(l *leader) (ships []shipment) {
	total := 0
	for len(l.ready) > 0 && total < maxRequestBytes {
		part := l.ready[0]
		l.ready = l.ready[1:]
		l.bytes -= part.bytes
		part.listed = false
		waited := len(part.queue)
		records, bytes := part.take()
		p.metrics.waiting.Sub(float64(waited - len(part.queue)))
		if len(records) == 0 {
			continue
		}
		total += bytes
		part.busy = true
		ships = append(ships, shipment{part: part, records: records})
	}
	if len(l.ready) == 0 {
		l.ready = nil
	}
	return ships
}

// take takes the records of the next batch.
func (part *part) take() (batch []*record, bytes int) {
	n := 0
	for ; n < len(part.queue); n++ {
		size := recordBytes(part.queue[n])
		if n > 0 && bytes+size > maxBatchBytes {
			break
		}
		bytes += size
	}
	batch = expire(part.queue[:n:n], nil)
	part.queue = part.queue[n:]
	part.bytes -= bytes
	if len(part.queue) == 0 {
		part.queue = nil
	}
	return batch, bytes
}

// fly sends a request and sees to what becomes of each partition's records.
func (p *producer) fly(l *leader, ships []shipment) {
	for i := range ships {
		ships[i].batch = p.buffers.Get().(*[]byte)
		*ships[i].batch = appendBatch((*ships[i].batch)[:0], ships[i].records)
	}
	p.attempt(ships)
	p.land(l, ships)
	// A shipment belongs to its retry from here on. Each is alone: partitions whose
	// leaders have parted must not hold each other up.
	for i := range ships {
		if ship := &ships[i]; ship.err != nil {
			p.wg.Go(func() {
				p.retry(ship)
				p.settle(ship.part)
			})
		}
	}
}

// land ends what was acknowledged of a request. The partitions of the rest stay busy until
// their retries settle them: a second request of a partition at the same time could
// overtake the first.
func (p *producer) land(l *leader, ships []shipment) {
	for i := range ships {
		if ships[i].err == nil {
			p.delivered(&ships[i])
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l.flying--
	for i := range ships {
		if ships[i].err == nil {
			ships[i].part.busy = false
			p.list(ships[i].part)
		}
	}
	p.dispatch(l)
}

// delivered ends a shipment that Kafka has acknowledged. Its buffer is free: the
// answer shows that it was read to its end, which nothing else does.
func (p *producer) delivered(ship *shipment) {
	finish(ship.records, nil)
	if cap(*ship.batch) <= 2*maxBatchBytes {
		p.buffers.Put(ship.batch)
	}
	ship.batch = nil
}

// settle gives a partition back after its retries, to its leader of today.
func (p *producer) settle(part *part) {
	p.refreshQuietly()
	p.mu.Lock()
	defer p.mu.Unlock()
	part.busy = false
	p.list(part)
	p.dispatch(part.leader)
}

// retry decides the fate of every record of a shipment that failed once. One
// whose request has ended is given up: it may be there or not. The others are
// tried again, as the same bytes while they are the same records.
func (p *producer) retry(ship *shipment) {
	backoff := firstBackoff
	p.log.Warn("records are not acknowledged yet", "topic", p.topic, "partition", ship.part.number, "error", ship.err)
	for {
		if errors.Is(ship.err, kafka.MessageSizeTooLarge) || errors.Is(ship.err, kafka.TopicAuthorizationFailed) {
			p.log.Error("the broker refuses records", "topic", p.topic, "partition", ship.part.number, "error", ship.err)
			finish(ship.records, ship.err)
			return
		}
		p.metrics.retries.Inc()
		// The leader may have moved: connections and what they know are given up.
		p.transport.CloseIdleConnections()
		wait(ship.records, backoff/2+rand.N(backoff))
		backoff = min(2*backoff, longestBackoff)
		wanted := expire(ship.records, ship.err)
		if len(wanted) == 0 {
			return
		}
		if len(wanted) < len(ship.records) {
			// In a buffer of its own: the old one may still be on its way into a connection.
			batch := appendBatch(nil, wanted)
			ship.records, ship.batch = wanted, &batch
		}
		one := []shipment{*ship}
		one[0].err = nil
		p.attempt(one)
		if ship.err = one[0].err; ship.err == nil {
			finish(ship.records, nil)
			return
		}
	}
}

// expire finishes the records that nobody waits for and returns the others.
func expire(batch []*record, cause error) []*record {
	given := func(r *record) bool { return r.ctx.Err() != nil }
	if !slices.ContainsFunc(batch, given) {
		return batch
	}
	kept := make([]*record, 0, len(batch))
	for _, r := range batch {
		if given(r) {
			r.err = expired(cause)
			r.done.Done()
		} else {
			kept = append(kept, r)
		}
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

// attempt sends a request once and gives each shipment its error.
func (p *producer) attempt(ships []shipment) {
	// Not the context of one request: the records are those of many.
	ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
	defer cancel()
	parts := make([]rawproduce.RequestPartition, len(ships))
	for i := range ships {
		parts[i] = rawproduce.RequestPartition{
			Partition: int32(ships[i].part.number), //nolint:gosec // Kafka numbers them so.
			RecordSet: protocol.RawRecordSet{Reader: bytes.NewReader(*ships[i].batch)},
		}
	}
	begin := time.Now()
	answer, err := p.transport.RoundTrip(ctx, p.client.Addr, &rawproduce.Request{
		Acks: int16(kafka.RequireAll), Timeout: int32(attemptTimeout.Milliseconds()), Topics: []rawproduce.RequestTopic{{Topic: p.topic, Partitions: parts}},
	})
	if err == nil {
		p.metrics.produce.Observe(time.Since(begin).Seconds())
	}
	for i := range ships {
		if ships[i].err = err; err == nil {
			ships[i].err = errorOf(answer, parts[i].Partition)
		}
		if !errors.Is(ships[i].err, kafka.MessageSizeTooLarge) { // That is one record's fault.
			p.last.note(ships[i].err)
		}
	}
}

// errorOf finds what an answer says of a partition. What it says nothing of is not acknowledged.
func errorOf(answer protocol.Message, partition int32) error {
	res, ok := answer.(*produce.Response)
	if !ok || len(res.Topics) != 1 {
		return errNoAnswer
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
	return errNoAnswer
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
	for _, part := range t.Partitions {
		if part.Leader.Host == "" {
			err = fmt.Errorf("partition %d of the topic %s has no leader", part.ID, p.topic)
		}
	}
	p.adopt(t.Partitions)
	return err
}

// refreshQuietly is refresh after a failure, of which the log has told.
func (p *producer) refreshQuietly() {
	if err := p.refresh(context.Background()); err != nil {
		p.log.Debug("Kafka cannot be asked for leaders", "error", err)
	}
}

// adopt takes over the number of partitions and their leaders.
func (p *producer) adopt(partitions []kafka.Partition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, found := range partitions {
		for len(p.parts) <= found.ID {
			p.parts = append(p.parts, &part{number: len(p.parts), leader: p.leader(-1)})
		}
		// One that is listed stays where it is until it is sent.
		if part := p.parts[found.ID]; !part.listed {
			part.leader = p.leader(found.Leader.ID)
		}
	}
	// A topic that was made anew may have fewer than before: what still waits for one of
	// those is not acknowledged, and nothing more goes there.
	for p.numbers = p.numbers[:min(len(p.numbers), len(partitions))]; len(p.numbers) < len(partitions); {
		p.numbers = append(p.numbers, len(p.numbers))
	}
}

func (p *producer) leader(id int) *leader {
	l := p.leaders[id]
	if l == nil {
		l = new(leader)
		p.leaders[id] = l
	}
	return l
}

// unreachableError is what clients are told; what to do about it is for whoever starts ingest.
type unreachableError struct {
	at  kafkaconn.Endpoint
	err error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("cannot reach Kafka at %s: %v", e.at, e.err)
}

func (e *unreachableError) Unwrap() error { return e.err }

func (p *producer) metadata(ctx context.Context, topic string) (kafka.Topic, error) {
	res, err := p.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return kafka.Topic{}, &unreachableError{p.at, err}
	}
	for _, t := range res.Topics {
		if t.Name == topic {
			return t, nil
		}
	}
	return kafka.Topic{}, fmt.Errorf("Kafka at %s says nothing of the topic %s", p.at, topic) //nolint:staticcheck // A name begins the text.
}
