package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"pulseboard/wire"
)

// producer writes records to Kafka.
type producer struct {
	client     *kgo.Client
	content    *content
	names      []string // Of the metrics.
	partitions []int    // By metric.
	batches    []batch  // By partition.
	id         []byte   // Begins those of all records.
	table      *crc32.Table
}

func newProducer(o *order) (*producer, error) {
	// Later produce requests name topics by id.
	client, err := kgo.NewClient(kgo.SeedBrokers(o.To), kgo.MaxVersions(kversion.V3_0_0()))
	if err != nil {
		return nil, err
	}
	c := &o.Content
	p := &producer{
		client: client, content: c, batches: make([]batch, c.partitionsOr()), table: crc32.MakeTable(crc32.Castagnoli),
		id: []byte(strconv.FormatInt(time.Now().UnixNano(), 36) + "-"),
	}
	ids := make([]int, c.partitionsOr())
	for i := range ids {
		ids[i] = i
	}
	for m := range c.Metrics {
		name := c.metric(m)
		p.names = append(p.names, name)
		p.partitions = append(p.partitions, (&kafka.Murmur2Balancer{Consistent: true}).Balance(kafka.Message{Key: []byte(name)}, ids...))
	}
	return p, nil
}

func (p *producer) close() error {
	p.client.Close()
	return nil
}

// A broker takes batches of a megabyte, by default; no record here is longer than the rest of it.
const fullBatch = 200_000

func (p *producer) add(k int64, m int, t *text) (full bool) {
	b := &p.batches[p.partitions[m]]
	b.add(p.content.due(k), p.names[m], t.value, strconv.AppendInt(p.id, k, 36))
	return len(b.bytes) > fullBatch
}

// flush writes what was added in one request, and waits for its acknowledgement.
func (p *producer) flush(ctx context.Context) error {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 30_000
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic = wire.Topic
	for i := range p.batches {
		if b := &p.batches[i]; b.n > 0 {
			of := kmsg.NewProduceRequestTopicPartition()
			of.Partition, of.Records = int32(i), b.end(p.table)
			topic.Partitions = append(topic.Partitions, of)
		}
	}
	if len(topic.Partitions) == 0 {
		return nil
	}
	req.Topics = append(req.Topics, topic)
	answer, err := p.client.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return fmt.Errorf("cannot write to Kafka: %w", err)
	}
	for _, of := range answer.(*kmsg.ProduceResponse).Topics[0].Partitions {
		if err := kerr.ErrorForCode(of.ErrorCode); err != nil {
			return fmt.Errorf("cannot write to partition %d: %w", of.Partition, err)
		}
	}
	return nil
}

// batch is a record batch (version 2 of Kafka's format) that is being made; its space is used again.
type batch struct {
	bytes         []byte
	record        []byte
	first, newest int64 // Timestamps.
	n             int
}

const batchHead = 61

func (b *batch) add(at int64, key string, value, id []byte) {
	if b.n == 0 {
		b.bytes, b.first = append(b.bytes[:0], make([]byte, batchHead)...), at
	}
	b.newest = at
	r := kmsg.Record{TimestampDelta64: at - b.first, OffsetDelta: int32(b.n), Key: []byte(key), Value: value, Headers: []kmsg.Header{{Key: wire.IDHeader, Value: id}}}
	b.record = r.AppendTo(b.record[:0]) // After one byte for the length, which is known now.
	b.bytes = append(binary.AppendVarint(b.bytes, int64(len(b.record)-1)), b.record[1:]...)
	b.n++
}

func (b *batch) end(table *crc32.Table) []byte {
	const length, sum, summed = 12, 17, 21 // Where what stands after the length begins, the sum, and what it is of.
	h := kmsg.RecordBatch{
		Length: int32(len(b.bytes) - length), PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: int32(b.n - 1),
		FirstTimestamp: b.first, MaxTimestamp: b.newest, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(b.n),
	}
	copy(b.bytes, h.AppendTo(nil))
	binary.BigEndian.PutUint32(b.bytes[sum:], crc32.Checksum(b.bytes[summed:], table))
	b.n = 0
	return b.bytes
}
