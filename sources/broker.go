package sources

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/internal/clock"
	"pulseboard/internal/kafkaconn"
)

// broker asks Kafka, with a deadline each time.
type broker struct {
	at    kafkaconn.Endpoint
	topic string
	dial  kafkaconn.Dial // Tests take another.

	mu      sync.Mutex
	asked   *kgo.Client      // For metadata.
	id      [16]byte         // Of the topic.
	leaders map[int32]string // Partition → host:port; nil = to be learnt.
	lines   map[int32]*line
}

// line is the connection over which one partition is read. Each has its own: a
// broker answers the fetches of one connection in turn, and holds them.
type line struct {
	addr   string
	client *kgo.Client
}

const (
	requestTimeout = 5 * time.Second
	dialTimeout    = 3 * time.Second
)

// fromStart and toEnd are what a request for an offset asks for in place of a timestamp.
const (
	fromStart int64 = -2
	toEnd     int64 = -1
)

func newBroker(at kafkaconn.Endpoint, topic string) *broker {
	return &broker{at: at, topic: topic, dial: at.Dial(dialTimeout), lines: make(map[int32]*line)}
}

func (b *broker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked != nil {
		b.asked.Close()
	}
	for id, l := range b.lines {
		l.client.Close()
		delete(b.lines, id)
	}
	b.asked = nil
}

// client makes one that tries nothing again by itself: a fault must be seen, since
// the word of a broker does not count for a while after it.
func (b *broker) client(seeds ...string) (*kgo.Client, error) {
	return kgo.NewClient(append(b.at.Options(b.dial), kgo.SeedBrokers(seeds...), kgo.ClientID("pulseboard-pipeline"), kgo.RequestRetries(0))...)
}

// partitions returns the ids of the topic's partitions, and learns their leaders.
func (b *broker) partitions(ctx context.Context) ([]int32, error) {
	fail := func(err error) ([]int32, error) {
		return nil, fmt.Errorf("cannot read the metadata of topic %s: %w", b.topic, err)
	}
	b.mu.Lock()
	if b.asked == nil {
		client, err := b.client(b.at.Brokers...)
		if err != nil {
			b.mu.Unlock()
			return fail(err)
		}
		b.asked = client
	}
	client := b.asked
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(b.topic)
	req.Topics = append(req.Topics, topic)
	res, err := req.RequestWith(ctx, client)
	if err != nil {
		return fail(err)
	}
	if len(res.Topics) != 1 {
		return fail(errors.New("the answer is empty"))
	}
	t := &res.Topics[0]
	if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
		return fail(err)
	}
	addrs := make(map[int32]string)
	for _, broker := range res.Brokers {
		addrs[broker.NodeID] = net.JoinHostPort(broker.Host, strconv.Itoa(int(broker.Port)))
	}
	ids, leaders := make([]int32, 0, len(t.Partitions)), make(map[int32]string)
	for _, p := range t.Partitions {
		ids = append(ids, p.Partition)
		if addr, ok := addrs[p.Leader]; ok {
			leaders[p.Partition] = addr
		}
	}
	slices.Sort(ids)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.id, b.leaders = t.TopicID, leaders
	return ids, nil
}

// leader returns the line to the leader of a partition, and the topic's id.
func (b *broker) leader(ctx context.Context, partition int32) (*line, [16]byte, error) {
	b.mu.Lock()
	known := b.leaders != nil
	b.mu.Unlock()
	if !known {
		if _, err := b.partitions(ctx); err != nil {
			return nil, [16]byte{}, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	addr, ok := b.leaders[partition]
	if !ok {
		return nil, b.id, kerr.LeaderNotAvailable
	}
	l := b.lines[partition]
	if l != nil && l.addr == addr {
		return l, b.id, nil
	}
	if l != nil {
		l.client.Close()
	}
	client, err := b.client(addr)
	if err != nil {
		return nil, b.id, err
	}
	l = &line{addr, client}
	b.lines[partition] = l
	return l, b.id, nil
}

// forgetLeaders makes the next request learn the leaders anew.
func (b *broker) forgetLeaders() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leaders = nil
}

func (l *line) request(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return l.client.SeedBrokers()[0].Request(ctx, req)
}

// offset asks where a partition begins or ends, or for the first record at or after a
// timestamp, epoch ms: -1 when there is none that young.
func (b *broker) offset(ctx context.Context, partition int32, timestamp int64) (int64, error) {
	offset, err := b.tryOffset(ctx, partition, timestamp)
	if err != nil {
		b.forgetLeaders()
		return 0, fmt.Errorf("cannot list the offsets of %s/%d: %w", b.topic, partition, err)
	}
	return offset, nil
}

func (b *broker) tryOffset(ctx context.Context, partition int32, timestamp int64) (int64, error) {
	l, _, err := b.leader(ctx, partition)
	if err != nil {
		return 0, err
	}
	req := kmsg.NewPtrListOffsetsRequest()
	topic, p := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	topic.Topic, p.Partition, p.Timestamp = b.topic, partition, timestamp
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	answer, err := l.request(ctx, req)
	if err != nil {
		return 0, err
	}
	res := answer.(*kmsg.ListOffsetsResponse)
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
		return 0, errors.New("the answer is empty")
	}
	return res.Topics[0].Partitions[0].Offset, kerr.ErrorForCode(res.Topics[0].Partitions[0].ErrorCode)
}

// topicID is the id of the topic as it was last learnt.
func (b *broker) topicID() [16]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.id
}

// endOfEpoch asks where the records end that a leader took, by its epoch.
func (b *broker) endOfEpoch(ctx context.Context, partition, epoch int32) (int64, error) {
	l, _, err := b.leader(ctx, partition)
	if err != nil {
		return 0, err
	}
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	topic, p := kmsg.NewOffsetForLeaderEpochRequestTopic(), kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	topic.Topic, p.Partition, p.LeaderEpoch = b.topic, partition, epoch
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	answer, err := l.request(ctx, req)
	if err != nil {
		return 0, err
	}
	res := answer.(*kmsg.OffsetForLeaderEpochResponse)
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
		return 0, errors.New("the answer is empty")
	}
	return res.Topics[0].Partitions[0].EndOffset, kerr.ErrorForCode(res.Topics[0].Partitions[0].ErrorCode)
}

// startAt returns the offset of the first record at or after startMs, and from
// when on every record is read: 0 when that is since the partition's first.
func (b *broker) startAt(ctx context.Context, partition int32, startMs int64, isAhead func(logged) bool) (start, since int64, err error) {
	first, err := b.offset(ctx, partition, fromStart)
	if err != nil || startMs == 0 && first == 0 {
		return first, 0, err
	}
	// Asked for first: what comes between the two answers lies behind this end, and is found or read from there.
	end, err := b.offset(ctx, partition, toEnd)
	if err != nil {
		return 0, 0, err
	}
	if start, err = b.offset(ctx, partition, max(startMs, 0)); err != nil {
		return 0, 0, err
	}
	switch {
	case start < 0 && end > 0:
		return end, startMs, nil
	case start <= 0:
		return 0, 0, nil
	case start > first:
		// Older records are there, and not needed.
		if start, err = b.batchAt(ctx, partition, start, startMs); err != nil {
			return 0, 0, err
		}
		if first == 0 {
			return start, startMs, nil
		}
	}
	// Retention took what is older than the first that is left, whose timestamp may be any.
	since, err = b.timeAt(ctx, partition, first, isAhead)
	return start, max(since, startMs), err
}

// sample is of how many records timeAt takes the middle one: half of them less one may have wrong clocks.
const sample = 9

// timeAt returns the time of the log at an offset, epoch ms: the timestamp of the record
// there where the broker set it. Those of producers may be anything, so of the first that are
// not ahead the middle one counts.
func (b *broker) timeAt(ctx context.Context, partition int32, offset int64, isAhead func(logged) bool) (ms int64, err error) {
	end, err := b.offset(ctx, partition, toEnd)
	if err != nil {
		return 0, err
	}
	var times []int64
	for from := offset; from < end && len(times) < sample; {
		res, err := b.fetch(ctx, partition, from, maxWait, anything)
		if err != nil {
			return 0, err
		}
		for _, rec := range res.records {
			switch {
			case isAhead(rec) || len(times) == sample:
			case rec.byBroker && len(times) == 0:
				return rec.Timestamp.UnixMilli(), nil
			default:
				times = append(times, rec.Timestamp.UnixMilli())
			}
		}
		from = max(res.next, from+1)
	}
	if len(times) == 0 {
		return time.Now().UnixMilli(), nil // Nothing there has a time that counts: what was before it is gone.
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// How long a broker may hold a fetch that has nothing to bring, at most: then it is
// heard of again. Lag is told by its last word.
const maxWait = 400 * time.Millisecond

// One MiB is the sweet spot: eight were not faster.
const maxFetch = 1 << 20

// fetched is what a fetch brought: whatever lies in the log from the offset on,
// markers of transactions and what was aborted too.
type fetched struct {
	topic   [16]byte // Its id.
	records []logged
	first   int64 // Where the first batch begins; it may be before the offset that was asked for.
	next    int64 // To be fetched next. It may lie behind the last record, over offsets that hold none.
	end     int64 // Of the partition.
}

// logged is a record, and whether its timestamp is the broker's.
type logged struct {
	*kgo.Record
	byBroker bool
	wrong    bool  // Its timestamp does not count, see judge.
	takenBy  int64 // The latest time at which a broker took it that stamped it wrongly, epoch ms.
}

// decompressor takes batches of any size: a producer's, which Kafka has bounded.
var decompressor = kgo.DefaultDecompressor()

// How many bytes a broker waits for.
const (
	anything = 1
	// enough bounds how much is left to be decoded when a slice ends. Each request costs as much as some hundred
	// events: with anything, one was sent for each that a producer sent.
	enough = 32 << 10
)

// fetch asks for a partition from offset on, and waits for so many bytes, up to hold.
func (b *broker) fetch(ctx context.Context, partition int32, offset int64, hold time.Duration, least int32) (*fetched, error) {
	res, err := b.tryFetch(ctx, partition, offset, hold, least)
	if err != nil {
		return nil, fmt.Errorf("cannot fetch from offset %d of %s/%d: %w", offset, b.topic, partition, err)
	}
	return res, nil
}

// each calls f with what lies in the log from one offset up to another.
func (b *broker) each(ctx context.Context, partition int32, from, to int64, f func(logged)) error {
	for from < to {
		res, err := b.fetch(ctx, partition, from, maxWait, anything)
		if err != nil {
			return err
		}
		for _, rec := range res.records {
			if rec.Offset >= to {
				break
			}
			f(rec)
		}
		from = max(res.next, from+1)
	}
	return nil
}

// ask is a fetch as Kafka answers it, and the id of the topic.
func (b *broker) ask(ctx context.Context, partition int32, offset int64, hold time.Duration, least int32) (id [16]byte, res *kmsg.FetchResponseTopicPartition, err error) {
	l, id, err := b.leader(ctx, partition)
	if err != nil {
		return id, nil, err
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(hold.Milliseconds()), least, maxFetch
	topic, p := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	topic.Topic, topic.TopicID = b.topic, id
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, maxFetch
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	answer, err := l.request(ctx, req)
	if err != nil {
		return id, nil, err
	}
	all := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(all.ErrorCode); err != nil {
		return id, nil, err
	}
	if len(all.Topics) != 1 || len(all.Topics[0].Partitions) != 1 {
		return id, nil, errors.New("the answer is empty")
	}
	return id, &all.Topics[0].Partitions[0], nil
}

func (b *broker) tryFetch(ctx context.Context, partition int32, offset int64, hold time.Duration, least int32) (*fetched, error) {
	id, res, err := b.ask(ctx, partition, offset, hold, least)
	if err != nil {
		return nil, err
	}
	opts := kgo.ProcessFetchPartitionOpts{KeepControlRecords: true, Offset: offset, Topic: b.topic, Partition: partition}
	fp, next := kgo.ProcessFetchPartition(opts, res, decompressor, nil)
	if fp.Err != nil && len(fp.Records) == 0 {
		return nil, fp.Err // Else what was good is kept; the next fetch meets the fault again, at its beginning.
	}
	f := &fetched{topic: id, records: make([]logged, len(fp.Records)), first: offset, next: next, end: fp.HighWatermark}
	for i, rec := range fp.Records {
		f.records[i] = logged{Record: rec, byBroker: rec.Attrs.TimestampType() == byBroker}
	}
	for b := range batches(res.RecordBatches) {
		f.first = min(f.first, b.first)
		b.stamp(f.records)
	}
	return f, nil
}

// AwaitTopic returns when a topic is there. Its error is that of Partitions: a
// Kafka that cannot be reached is not waited for.
func AwaitTopic(ctx context.Context, brokers kafkaconn.Endpoint, topic string, log *slog.Logger) error {
	const every, tell = time.Second, 30
	for n := 0; ; n++ {
		_, err := Partitions(ctx, brokers, topic)
		if err == nil || !errors.Is(err, kerr.UnknownTopicOrPartition) {
			return err
		}
		if n%tell == 0 {
			log.Warn("the topic is not there yet: waiting for it; ingest makes it when it starts, or make it yourself", "topic", topic, "kafka", brokers)
		}
		if clock.Sleep(ctx, every); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// Partitions counts the partitions of a topic. Its error says in one line when
// Kafka or the topic cannot be reached.
func Partitions(ctx context.Context, at kafkaconn.Endpoint, topic string) (int, error) {
	b := newBroker(at, topic)
	defer b.close()
	ids, err := b.partitions(ctx)
	if err == nil && len(ids) == 0 {
		err = kerr.UnknownTopicOrPartition
	}
	if err != nil {
		return 0, at.Explain(err)
	}
	return len(ids), nil
}

// endpoints say where the runs of this process read. A job holds nothing of it: it
// goes over the network to the workers, and into checkpoints.
var endpoints sync.Map // Run → kafkaconn.Endpoint.

// Connect says where a run reads; Close ends it.
func Connect(run string, at kafkaconn.Endpoint) { endpoints.Store(run, at) }

func endpointOf(run string) kafkaconn.Endpoint {
	at, _ := endpoints.Load(run)
	e, _ := at.(kafkaconn.Endpoint)
	return e
}
