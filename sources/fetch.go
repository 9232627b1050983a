package sources

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"pulseboard/metric"
)

// answer is one answer to a fetch, decoded.
type answer struct {
	records []Record
	next    int64     // The offset to fetch next.
	at      time.Time // When the broker gave it, or earlier.
	end     int64     // The end of the partition then.
	quiet   bool      // next was the end.
	taken   int       // How many records drain has taken.
}

// fetchLoop reads a partition from offset on, until ctx ends, into a queue that
// bounds how far it is ahead. It never gives up: a partition that cannot be
// reached holds the watermark, so that no window is published without it.
func (r *reader) fetchLoop(ctx context.Context, partition int32, offset int64, queue chan<- answer) {
	const slowest = time.Second
	delay := 20 * time.Millisecond
	var seen *seenIDs
	if r.options.DedupeMs > 0 {
		seen = r.remember(ctx, partition, offset)
	}
	for ctx.Err() == nil {
		a, err := r.fetchOnce(ctx, partition, offset)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			readErrors.WithLabelValues("fetch").Inc()
			slog.Warn("cannot fetch; trying again", "topic", r.options.Topic, "partition", partition, "offset", offset, "error", err)
			r.broker.forgetLeaders()
			if errors.Is(err, kafka.OffsetOutOfRange) {
				offset = r.skipLost(ctx, partition, offset)
			}
			wait(ctx, delay)
			delay = min(2*delay, slowest)
			continue
		}
		delay = 20 * time.Millisecond
		offset = a.next
		if seen != nil {
			seen.dropDuplicates(&a) // Not before the answer is whole: one that is read again holds no duplicates.
		}
		select {
		case queue <- a:
		case <-ctx.Done():
			return
		}
		select {
		case r.arrived <- struct{}{}:
		default: // drain has been told already.
		}
	}
}

// skipLost moves on over records that retention deleted before they were read, and counts them.
func (r *reader) skipLost(ctx context.Context, partition int32, offset int64) int64 {
	first, err := r.broker.offset(ctx, partition, kafka.FirstOffset)
	if err != nil || first <= offset {
		return offset
	}
	lostRecords.Add(float64(first - offset))
	slog.Error("records were deleted by retention before they were read", "topic", r.options.Topic, "partition", partition,
		"first_lost", offset, "records", first-offset)
	return first
}

func (r *reader) fetchOnce(ctx context.Context, partition int32, offset int64) (answer, error) {
	// The broker answers by then; else it was stopped, or this process, with the
	// answer in its socket. By the wall clock: the other stops while the machine sleeps.
	latest := time.Now().Round(0).Add(maxWait)
	res, err := r.broker.fetch(ctx, partition, offset)
	if err != nil {
		return answer{}, err
	}
	a := answer{next: offset, at: time.Now().Round(0)}
	if a.at.After(latest) {
		a.at = latest
	}
	for {
		rec, err := res.Records.ReadRecord()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if len(a.records) > 0 {
				break // What was good is kept; the next fetch meets the fault again, at its beginning.
			}
			return answer{}, err
		}
		if rec.Offset < offset {
			closeRecord(rec) // A record batch may begin before the offset that was asked for.
			continue
		}
		out, err := decode(rec, partition)
		closeRecord(rec)
		if err != nil {
			return answer{}, err
		}
		a.records = append(a.records, out)
		a.next = rec.Offset + 1
	}
	if _, isControl := res.Records.(*protocol.ControlBatch); isControl && a.next == offset {
		a.next++ // A transaction's marker has no record to count.
	}
	a.quiet = a.next >= res.HighWatermark
	a.end = res.HighWatermark
	return a, nil
}

func decode(rec *kafka.Record, partition int32) (Record, error) {
	out := Record{Partition: partition, Offset: rec.Offset, Time: rec.Time.UnixMilli()}
	out.id, out.hasID = idOf(rec)
	value, err := kafka.ReadAll(rec.Value)
	if err == nil {
		out.Key, err = kafka.ReadAll(rec.Key)
	}
	if err != nil {
		return out, err
	}
	b, err := metric.DecodeRecord(value)
	if err != nil {
		out.Unreadable, out.Value = faultOf(err), value
		return out, nil
	}
	out.Events, out.Faults = b.Events, b.Faults
	if len(out.Faults) > 0 {
		out.Value = value
	}
	return out, nil
}

func faultOf(err error) metric.Fault {
	if f, ok := errors.AsType[*metric.Fault](err); ok {
		return *f
	}
	return metric.Fault{Code: metric.CodeNotJSON, Detail: err.Error()}
}
