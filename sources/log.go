package sources

import (
	"context"
	"iter"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// topic is what a reader needs of the topic in Kafka: broker, or a fake in tests.
type topic interface {
	// partitions returns the ids of the partitions, ascending.
	partitions(ctx context.Context) ([]int32, error)
	log(partition int32) partitionLog
}

// partitionLog is the log of one partition: brokerLog, or one in memory in tests.
type partitionLog interface {
	// fetch returns what the log holds from offset on. The broker waits for minBytes, for maxWait at most.
	fetch(ctx context.Context, offset int64, maxWait time.Duration, minBytes int32) (*fetched, error)
	// heads returns the heads of the batches of one fetch from offset on, without their records.
	heads(ctx context.Context, offset int64) (iter.Seq[batch], error)
	// offsetAt returns the offset of the first record at or after a timestamp, epoch ms, -1 when all are older.
	// fromStart and toEnd in place of a timestamp return where the log begins and ends.
	offsetAt(ctx context.Context, timestamp int64) (int64, error)
	// endOfEpoch returns the offset behind the last record that the leader of an epoch took.
	endOfEpoch(ctx context.Context, epoch int32) (int64, error)
	// topicID returns the id of the topic as it was last learnt: a topic that is deleted and made anew has another.
	topicID() [16]byte
	// forgetLeaders makes the next request learn the leaders of the topic anew.
	forgetLeaders()
}

// fromStart and toEnd stand for a timestamp in requests for offsets.
const (
	fromStart int64 = -2
	toEnd     int64 = -1
)

// maxWait is the longest that a broker may wait with its response to a fetch: lag is computed from the newest one.
const maxWait = 400 * time.Millisecond

// For how many bytes a broker waits.
const (
	anything = 1
	// enough bounds how much is left to be decoded when a slice ends: of 16 partitions two MiB, some ten milliseconds. Each
	// request costs as much as some hundred events.
	enough = 128 << 10
)

// fetched is what a fetch brought: all records from the offset on, with the markers of
// transactions and what was aborted.
type fetched struct {
	topic   [16]byte // Its id.
	records []logged
	first   int64 // Where the first batch begins; it may be before the offset that was asked for.
	next    int64 // To be fetched next. It may lie behind the last record, over offsets that hold none.
	end     int64 // Of the partition: its high watermark.
}

// logged is a record as it stands in the log.
type logged struct {
	*kgo.Record
	byBroker bool  // Its timestamp is the broker's.
	wrong    bool  // Its timestamp does not count, see logClock.
	takenBy  int64 // With wrong and byBroker: the latest time at which the broker may have taken it, epoch ms.
}

// isTime reports whether a record moves the time of the log on, judged without what came
// before it: the marker of a commit does, records of transactions do not.
func (l logged) isTime(ahead bool) bool {
	if l.Attrs.IsControl() {
		return isCommit(l.Record)
	}
	return !l.Attrs.IsTransactional() && !ahead
}

// isCommit reports whether a control record marks a commit. Other control records mark aborts,
// changes of leaders and snapshots.
func isCommit(rec *kgo.Record) bool { return markerType(rec) == 1 }

func isAbort(rec *kgo.Record) bool { return markerType(rec) == 0 }

func markerType(rec *kgo.Record) int {
	if len(rec.Key) < 4 {
		return -1
	}
	return int(rec.Key[2])<<8 | int(rec.Key[3])
}

// each calls f with the records from one offset up to another.
func each(ctx context.Context, log partitionLog, from, to int64, f func(logged)) error {
	for from < to {
		res, err := log.fetch(ctx, from, maxWait, anything)
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

// eachHead calls f with the heads of the batches from one offset up to another.
func eachHead(ctx context.Context, log partitionLog, from, to int64, f func(batch)) error {
	for from < to {
		heads, err := log.heads(ctx, from)
		if err != nil {
			return err
		}
		next := from
		for head := range heads {
			if next = max(next, head.last+1); head.last >= from {
				f(head)
			}
		}
		if next == from {
			return nil // Nothing there can be read; the fetch that comes to it reports why.
		}
		from = next
	}
	return nil
}
