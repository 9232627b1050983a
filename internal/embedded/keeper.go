package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/internal/clock"
)

// keeper holds a topic within its bound on disk. The broker has bounds of partitions
// only: a flood of one metric would shorten what its partition keeps while the others
// are nearly empty. Here the largest partition loses records first.
type keeper struct {
	client  *kgo.Client
	dir     string // The broker's folder.
	topic   string
	bound   int64
	segment int64 // Records go away in whole segments.
	expiry  *expiry
	log     *slog.Logger
}

// run keeps until ctx ends.
func (k *keeper) run(ctx context.Context) {
	failing := false
	for range clock.Every(ctx, cleanEvery) {
		err := k.keep(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			k.log.Warn("the embedded Kafka could not be held within its bound; trying again", "topic", k.topic, "error", err)
		}
		failing = err != nil
	}
}

// keep removes the oldest segments of the largest partitions until the topic is within its bound.
func (k *keeper) keep(ctx context.Context) error {
	partitions, err := k.held()
	if err != nil {
		return err
	}
	first, err := k.expiry.look(partitions, time.Now())
	if err != nil {
		return fmt.Errorf("cannot look for records that are too old: %w", err)
	}
	trimmed, removed, left := trim(partitions, k.bound-k.segment)
	if first == nil {
		first = trimmed
	}
	for p, offset := range trimmed {
		first[p] = max(first[p], offset)
	}
	topicBytes.Set(float64(left))
	if len(first) == 0 {
		return nil
	}
	req := kmsg.NewPtrDeleteRecordsRequest()
	topic := kmsg.NewDeleteRecordsRequestTopic()
	topic.Topic = k.topic
	for partition, offset := range first {
		p := kmsg.NewDeleteRecordsRequestTopicPartition()
		p.Partition, p.Offset = partition, offset
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = append(req.Topics, topic)
	res, err := req.RequestWith(ctx, k.client)
	if err != nil {
		return fmt.Errorf("cannot delete records: %w", err)
	}
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			// Out of range: they were gone before.
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil && !errors.Is(err, kerr.OffsetOutOfRange) {
				return fmt.Errorf("cannot delete records of partition %d: %w", p.Partition, err)
			}
			removedBytes.WithLabelValues(strconv.Itoa(int(p.Partition))).Add(float64(removed[p.Partition]))
		}
	}
	return nil
}

// trim chooses what goes: for each partition that loses something its new first
// offset, and the bytes. The last segment of a partition stays: it is being written.
func trim(partitions map[int32][]segment, bound int64) (first map[int32]int64, removed map[int32]int64, left int64) {
	sizes := make(map[int32]int64)
	for p, files := range partitions {
		for _, f := range files {
			sizes[p] += f.size
		}
		left += sizes[p]
	}
	first, removed = make(map[int32]int64), make(map[int32]int64)
	for left > bound {
		largest := int32(-1)
		for p, files := range partitions {
			if len(files) > 1 && (largest < 0 || sizes[p] > sizes[largest] || sizes[p] == sizes[largest] && p < largest) {
				largest = p
			}
		}
		if largest < 0 {
			break
		}
		files := partitions[largest]
		partitions[largest] = files[1:]
		first[largest] = files[1].base
		removed[largest] += files[0].size
		sizes[largest] -= files[0].size
		left -= files[0].size
	}
	return first, removed, left
}

// held lists the segments of each partition of the topic, oldest first.
func (k *keeper) held() (map[int32][]segment, error) {
	all, err := findSegments(k.dir)
	if err != nil {
		return nil, err
	}
	found := make(map[int32][]segment)
	for folder, segments := range all {
		number, ours := strings.CutPrefix(filepath.Base(folder), k.topic+"-")
		if p, err := strconv.ParseInt(number, 10, 32); ours && err == nil {
			found[int32(p)] = segments
		}
	}
	return found, nil
}
