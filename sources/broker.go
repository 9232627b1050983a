package sources

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"pulseboard/internal/kafkaconn"
)

// broker asks Kafka, with a deadline each time: without one kafka-go sets no
// deadline on the socket either, and a half-open connection would hang for ever.
type broker struct {
	client    *kafka.Client
	transport *kafka.Transport
	topic     string
}

const requestTimeout = 5 * time.Second

func newBroker(at kafkaconn.Endpoint, topic string) *broker {
	t := at.Transport(&kafka.Transport{
		ClientID: "pulseboard-pipeline", DialTimeout: 3 * time.Second,
		// Leaders are learnt anew only this often; the default of 6 s makes a leader change hurt.
		MetadataTTL: time.Second, MetadataTopics: []string{topic},
	})
	return &broker{&kafka.Client{Addr: at.Addr(), Transport: t, Timeout: requestTimeout}, t, topic}
}

func (b *broker) close() { b.transport.CloseIdleConnections() }

// partitions returns the ids of the topic's partitions.
func (b *broker) partitions(ctx context.Context) ([]int32, error) {
	m, err := b.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{b.topic}})
	if err != nil {
		return nil, fmt.Errorf("cannot read the metadata of topic %s: %w", b.topic, err)
	}
	var ids []int32
	for _, t := range m.Topics {
		if t.Error != nil {
			return nil, fmt.Errorf("cannot read the metadata of topic %s: %w", b.topic, t.Error)
		}
		for _, p := range t.Partitions {
			ids = append(ids, int32(p.ID))
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// offset asks for kafka.FirstOffset or kafka.LastOffset.
func (b *broker) offset(ctx context.Context, partition int32, which int64) (int64, error) {
	p, err := b.listOffsets(ctx, partition, which)
	if err != nil {
		return 0, err
	}
	if which == kafka.FirstOffset {
		return p.FirstOffset, nil
	}
	return p.LastOffset, nil
}

// startAt returns the offset of the first record at or after startMs, and from
// when on every record is read: 0 when that is since the partition's first.
func (b *broker) startAt(ctx context.Context, partition int32, startMs int64) (start, since int64, err error) {
	first, err := b.offset(ctx, partition, kafka.FirstOffset)
	if err != nil || startMs == 0 && first == 0 {
		return first, 0, err
	}
	if start, err = b.offsetAt(ctx, partition, max(startMs, 0)); err != nil {
		return 0, 0, err
	}
	switch {
	case start < 0:
		start, err = b.offset(ctx, partition, kafka.LastOffset)
		if start == 0 {
			return 0, 0, err
		}
		return start, startMs, err
	case start == 0:
		return 0, 0, nil
	case start > first:
		return start, startMs, nil // Older records are there, and not needed.
	}
	// Retention took the older ones: covered from the first that is left.
	since, err = b.timeOf(ctx, partition, start)
	return start, max(since, startMs), err
}

// timeOf returns the timestamp of the record at an offset, which must be there.
func (b *broker) timeOf(ctx context.Context, partition int32, offset int64) (int64, error) {
	res, err := b.fetch(ctx, partition, offset, maxWait)
	if err != nil {
		return 0, err
	}
	for {
		rec, err := res.Records.ReadRecord()
		if err != nil {
			return 0, fmt.Errorf("cannot read the record at offset %d of %s/%d: %w", offset, b.topic, partition, err)
		}
		closeRecord(rec)
		if rec.Offset >= offset {
			return rec.Time.UnixMilli(), nil
		}
	}
}

// How long a broker may hold a fetch that has nothing to bring, at most: then it is
// heard of again. Lag is told by its last word.
const maxWait = 400 * time.Millisecond

// One MiB is the sweet spot: eight were not faster.
const maxFetch = 1 << 20

// fetch asks for the records of a partition from offset on, and waits for some up to hold.
func (b *broker) fetch(ctx context.Context, partition int32, offset int64, hold time.Duration) (*kafka.FetchResponse, error) {
	res, err := b.client.Fetch(ctx, &kafka.FetchRequest{
		Topic: b.topic, Partition: int(partition), Offset: offset, MinBytes: 1, MaxBytes: maxFetch, MaxWait: hold,
	})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		return nil, fmt.Errorf("cannot fetch from offset %d of %s/%d: %w", offset, b.topic, partition, err)
	}
	return res, nil
}

func closeRecord(rec *kafka.Record) {
	// Pages are reference counted; Close of one in memory returns no error.
	if rec.Key != nil {
		_ = rec.Key.Close()
	}
	if rec.Value != nil {
		_ = rec.Value.Close()
	}
}

// listOffsets asks for one timestamp: answers come as a map by offset, in which two would collapse.
func (b *broker) listOffsets(ctx context.Context, partition int32, timestamp int64) (kafka.PartitionOffsets, error) {
	fail := func(err error) (kafka.PartitionOffsets, error) {
		return kafka.PartitionOffsets{}, fmt.Errorf("cannot list the offsets of %s/%d: %w", b.topic, partition, err)
	}
	res, err := b.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{b.topic: {{Partition: int(partition), Timestamp: timestamp}}},
	})
	if err != nil {
		b.forgetLeaders()
		return fail(err)
	}
	ps := res.Topics[b.topic]
	if len(ps) != 1 {
		return fail(errors.New("the answer is empty"))
	}
	if ps[0].Error != nil {
		b.forgetLeaders()
		return fail(ps[0].Error)
	}
	return ps[0], nil
}

// forgetLeaders makes the next request learn the leaders anew, about a millisecond after a leader change.
func (b *broker) forgetLeaders() { b.transport.CloseIdleConnections() }

// AwaitTopic returns when a topic is there. Its error is that of Partitions: a
// Kafka that cannot be reached is not waited for.
func AwaitTopic(ctx context.Context, brokers kafkaconn.Endpoint, topic string, log *slog.Logger) error {
	const every, tell = time.Second, 30
	for n := 0; ; n++ {
		_, err := Partitions(ctx, brokers, topic)
		if err == nil || !errors.Is(err, kafka.UnknownTopicOrPartition) {
			return err
		}
		if n%tell == 0 {
			log.Warn("the topic is not there yet: waiting for it; ingest makes it when it starts, or make it yourself", "topic", topic, "kafka", brokers)
		}
		if wait(ctx, every); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// Partitions counts the partitions of a topic. Its error says in one line when
// Kafka or the topic cannot be reached.
func Partitions(ctx context.Context, at kafkaconn.Endpoint, topic string) (int, error) {
	b := newBroker(at, topic)
	defer b.close()
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ids, err := b.partitions(ctx)
	if err == nil && len(ids) == 0 {
		err = kafka.UnknownTopicOrPartition
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
