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
	at      time.Time // The broker gave it then or later, by the clock of this machine.
	end     int64     // The end of the partition then.
	quiet   bool      // next was the end.
	slow    bool      // The broker was away meanwhile, or this process was.
	taken   int       // How many records drain has taken.
	lost    int64     // Records that are missing between those.
	bytes   int64     // About what records take in memory.
}

// fetchLoop reads a partition from offset on, until ctx ends, into a queue that
// bounds how far it is ahead. It never gives up: a partition that cannot be
// reached holds the watermark, so that no window is published without it.
func (r *reader) fetchLoop(ctx context.Context, partition int32, offset int64, queue chan<- answer, own *ahead) {
	const slowest = time.Second
	delay := 20 * time.Millisecond
	var quiet time.Time                  // Since when no answer has been asked for that says that there is nothing more.
	trusted, fault := false, time.Time{} // See settle.
	d := r.decoder()                     // It knows the tags of a partition after a while.
	var seen *seenIDs
	if r.options.DedupeMs > 0 {
		seen = r.remember(ctx, partition, offset)
	}
	for ctx.Err() == nil && r.room(ctx, own) {
		a, err := r.fetchOnce(ctx, d, partition, offset, quiet)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			trusted, fault = false, time.Now()
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
		if a.lost > 0 {
			lostRecords.Add(float64(a.lost))
			slog.Error("records are missing in the partition: damaged, or compacted away", "topic", r.options.Topic, "partition", partition,
				"from", offset, "before", a.next, "records", a.lost)
		}
		offset = a.next
		if a.slow {
			trusted, fault = false, time.Now()
		}
		if !trusted {
			a.quiet = false
			// An answer that is asked for after this one counts.
			trusted = time.Since(fault) >= settle && r.knowsItsEnd(ctx, partition)
		}
		if a.quiet {
			quiet = a.at
		}
		if seen != nil {
			seen.dropDuplicates(&a) // Not before the answer is whole: one that is read again holds no duplicates.
		}
		own.put(&a, d, seen)
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

// settle is how long a broker's word that it has no more does not count after a
// fault. One that was stopped or cut off believes for a moment that it still
// leads its partitions, while others have taken records of them. And one that has
// just become a leader may not know yet how far they are acknowledged: it lists
// offsets only when it does (KIP-207).
const settle = 2 * time.Second

func (r *reader) knowsItsEnd(ctx context.Context, partition int32) bool {
	_, err := r.broker.offset(ctx, partition, kafka.LastOffset)
	return err == nil
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

// hold is how long the broker may wait for records before it answers that there
// are none: until a slice has ended for the partition by that answer (see
// collect), the first one after what is known. Without it the answer would come
// any time later, and every result with it.
func (o *Options) hold(known, now time.Time) time.Duration {
	behind := o.BoundMs + o.BoundMs/idleMargin
	at := known.UnixMilli() - behind
	ends := time.UnixMilli(at - mod(at, o.SliceMs) + o.SliceMs + behind)
	whole := (ends.Sub(now) + time.Millisecond - 1).Truncate(time.Millisecond) // As the protocol counts.
	return min(max(whole, time.Millisecond), maxWait)
}

// stall is how much later than it may an answer must be to count as a fault: less
// than the shortest session after which Kafka takes a broker for dead.
const stall = time.Second

// fetchOnce asks once; known is what the partition is known to be quiet up to.
func (r *reader) fetchOnce(ctx context.Context, d *metric.Decoder, partition int32, offset int64, known time.Time) (answer, error) {
	// By the wall clock: the other stops while the machine sleeps.
	sent := time.Now().Round(0)
	hold := r.options.hold(known, sent)
	res, err := r.broker.fetch(ctx, partition, offset, hold)
	if err != nil {
		return answer{}, err
	}
	a := answer{next: offset, at: sent}
	empty := true
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
		empty = false
		if rec.Offset < offset {
			closeRecord(rec) // A record batch may begin before the offset that was asked for.
			continue
		}
		size := int64(0)
		if rec.Value != nil {
			size = int64(rec.Value.Len())
		}
		out, err := decode(d, rec, partition)
		closeRecord(rec)
		if err != nil {
			return answer{}, err
		}
		if rec.Offset > a.next {
			a.lost += missing(res.Records, a.next, rec.Offset)
		}
		a.records = append(a.records, out)
		a.bytes += recordSize + size + int64(len(out.Events))*eventSize
		a.next = rec.Offset + 1
	}
	if _, isControl := res.Records.(*protocol.ControlBatch); isControl && a.next == offset {
		a.next++ // A transaction's marker has no record to count.
		empty = false
	}
	// One that brings nothing was given when the broker had waited, one that brings
	// something at any time since it was asked for: what came after that may lie
	// behind it, however late this process gets to read either.
	took := time.Now().Round(0).Sub(sent)
	if empty && took >= hold {
		a.at = sent.Add(hold)
	}
	a.slow = took >= hold+stall
	a.quiet = a.next == res.HighWatermark
	a.end = res.HighWatermark
	return a, nil
}

// missing counts the records that should lie from one offset up to another and do
// not; the markers of transactions have offsets too, and are no records.
func missing(answer protocol.RecordReader, from, to int64) int64 {
	n := to - from
	if stream, ok := answer.(*protocol.RecordStream); ok {
		for _, batch := range stream.Records {
			if c, ok := batch.(*protocol.ControlBatch); ok && c.Offset() >= from && c.Offset() < to {
				n--
			}
		}
	}
	return n
}

func decode(d *metric.Decoder, rec *kafka.Record, partition int32) (Record, error) {
	out := Record{Partition: partition, Offset: rec.Offset, Time: rec.Time.UnixMilli()}
	out.id, out.hasID = idOf(rec)
	value, err := kafka.ReadAll(rec.Value)
	if err == nil {
		out.Key, err = kafka.ReadAll(rec.Key)
	}
	if err != nil {
		return out, err
	}
	b, err := d.Record(value)
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
