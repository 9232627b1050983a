package sources

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// brokerLog is the partitionLog of a partition in Kafka.
type brokerLog struct {
	*broker

	partition int32
}

func (l brokerLog) offsetAt(ctx context.Context, timestamp int64) (int64, error) {
	offset, err := l.listOffsets(ctx, timestamp)
	if err != nil {
		l.forgetLeaders()
		return 0, fmt.Errorf("cannot list the offsets of %s/%d: %w", l.topic, l.partition, err)
	}
	return offset, nil
}

//nolint:dupl // As endOfEpoch but for the generated types of another request, which have nothing in common.
func (l brokerLog) listOffsets(ctx context.Context, timestamp int64) (int64, error) {
	c, _, err := l.leader(ctx, l.partition)
	if err != nil {
		return 0, err
	}
	req := kmsg.NewPtrListOffsetsRequest()
	topic, p := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	topic.Topic, p.Partition, p.Timestamp = l.topic, l.partition, timestamp
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	response, err := c.request(ctx, req)
	if err != nil {
		return 0, err
	}
	res := response.(*kmsg.ListOffsetsResponse)
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
		return 0, errEmpty
	}
	return res.Topics[0].Partitions[0].Offset, kerr.ErrorForCode(res.Topics[0].Partitions[0].ErrorCode)
}

//nolint:dupl // As listOffsets.
func (l brokerLog) endOfEpoch(ctx context.Context, epoch int32) (int64, error) {
	c, _, err := l.leader(ctx, l.partition)
	if err != nil {
		return 0, err
	}
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	topic, p := kmsg.NewOffsetForLeaderEpochRequestTopic(), kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	topic.Topic, p.Partition, p.LeaderEpoch = l.topic, l.partition, epoch
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	response, err := c.request(ctx, req)
	if err != nil {
		return 0, err
	}
	res := response.(*kmsg.OffsetForLeaderEpochResponse)
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
		return 0, errEmpty
	}
	return res.Topics[0].Partitions[0].EndOffset, kerr.ErrorForCode(res.Topics[0].Partitions[0].ErrorCode)
}

// maxFetch is the most bytes of a response. Eight MiB were not faster than one.
const maxFetch = 1 << 20

// fetchRaw is a fetch as Kafka responds to it, and the id of the topic.
func (l brokerLog) fetchRaw(ctx context.Context, offset int64, maxWait time.Duration, minBytes int32) (id [16]byte, res *kmsg.FetchResponseTopicPartition, err error) {
	c, id, err := l.leader(ctx, l.partition)
	if err != nil {
		return id, nil, err
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(maxWait.Milliseconds()), minBytes, maxFetch
	topic, p := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	topic.Topic, topic.TopicID = l.topic, id
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = l.partition, offset, maxFetch
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	response, err := c.request(ctx, req)
	if err != nil {
		return id, nil, err
	}
	all := response.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(all.ErrorCode); err != nil {
		return id, nil, err
	}
	if len(all.Topics) != 1 || len(all.Topics[0].Partitions) != 1 {
		return id, nil, errEmpty
	}
	return id, &all.Topics[0].Partitions[0], nil
}

func (l brokerLog) fetch(ctx context.Context, offset int64, maxWait time.Duration, minBytes int32) (*fetched, error) {
	id, res, err := l.fetchRaw(ctx, offset, maxWait, minBytes)
	var f *fetched
	if err == nil {
		f, err = decodeFetch(id, l.topic, offset, res)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot fetch from offset %d of %s/%d: %w", offset, l.topic, l.partition, err)
	}
	return f, nil
}

// decompressor takes batches of any size: Kafka has bounded those that producers send.
var decompressor = kgo.DefaultDecompressor() //nolint:gochecknoglobals // It holds pools that all readers share, and is never set.

// decodeFetch decodes the batches in the response to a fetch from an offset on. A fault behind some records is not
// reported: the next fetch meets it at its beginning.
func decodeFetch(id [16]byte, topic string, offset int64, res *kmsg.FetchResponseTopicPartition) (*fetched, error) {
	opts := kgo.ProcessFetchPartitionOpts{KeepControlRecords: true, Offset: offset, Topic: topic, Partition: res.Partition}
	fp, next := kgo.ProcessFetchPartition(opts, res, decompressor, nil)
	if fp.Err != nil && len(fp.Records) == 0 {
		return nil, fp.Err
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

func (l brokerLog) heads(ctx context.Context, offset int64) (iter.Seq[batch], error) {
	_, res, err := l.fetchRaw(ctx, offset, maxWait, anything)
	if err == nil {
		err = kerr.ErrorForCode(res.ErrorCode)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look ahead from offset %d of %s/%d: %w", offset, l.topic, l.partition, err)
	}
	return batches(res.RecordBatches), nil
}
