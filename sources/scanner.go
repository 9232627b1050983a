package sources

import (
	"context"
	"fmt"
	"log/slog"
	"time"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"

	"pulseboard/metric"
	"pulseboard/wire"
)

// scanner reads the log of one partition in its order, and decides for each record
// whether, when and where it counts.
type scanner struct {
	log          partitionLog
	say          *slog.Logger // Names the topic and the partition.
	partition    int32
	offset       int64    // To be fetched next.
	inner        int64    // Of the transaction whose marker is at offset, records before this offset have been handed over.
	topicID      [16]byte // Of the newest response.
	epoch        int32    // Of the leader that took the record before offset; -1 = not known.
	clock        logClock
	transactions transactions
	decoder      *wire.Decoder
	spares       *spares // nil: the memory of responses is not used again.
}

// newScanner returns a scanner that stands at an offset of a log. texts is the room for what it remembers of records, say
// names the topic, setBack is that of NewReaders.
func newScanner(log partitionLog, o *Options, at Offset, texts *wire.Room, say *slog.Logger, setBack func(error, time.Time)) *scanner {
	back := func(by time.Duration, since time.Time) {
		setBack(fmt.Errorf("the clock of the broker of partition %d was set back by %v", at.Partition, by), since)
	}
	return &scanner{
		log: log, say: say.With("partition", at.Partition), partition: at.Partition, offset: at.Next, inner: at.Inner, epoch: -1,
		clock:        newLogClock(log, o, at.Newest, back),
		transactions: newTransactions(at.Next, at.From), decoder: wire.NewDecoder(texts),
	}
}

// stall is by how much more than the max wait a response must be late to count as a fault: less
// than the shortest session after which Kafka takes a broker for dead.
const stall = time.Second

// read fetches once, and hands over what the response brought in the order of the log, until
// send returns false. sent is now, by the wall clock: the monotonic one stops while the machine
// sleeps. After an error the scanner stands where the next call goes on.
func (s *scanner) read(ctx context.Context, sent time.Time, maxWait time.Duration, send func(*response) bool) error {
	res, err := s.log.fetch(ctx, s.offset, maxWait, enough)
	if err != nil {
		return err
	}
	took := time.Now().Round(0).Sub(sent)
	s.topicID = res.topic
	a := s.response(sent, res.end)
	s.lend(&a, len(res.records))
	defer s.decoder.Into(nil) // What comes next is of another response.
	a.slow = took >= maxWait+stall
	a.lost = res.next - s.offset - int64(len(res.records))
	now := sent.Add(took)
	if s.clock.knownEnd < 0 {
		s.clock.knownEnd = res.end
	}
	for i := range res.records {
		rec, err := s.clock.judge(ctx, res, i, now)
		if err != nil {
			return s.sendBefore(&a, send, err)
		}
		s.epoch = rec.LeaderEpoch
		switch {
		case rec.Attrs.IsControl():
			if err := s.lookBack(ctx, rec); err != nil {
				return s.sendBefore(&a, send, err)
			}
			if committed := s.transactions.end(rec.Record); committed != nil {
				// What came before the marker goes first.
				a.next, a.memory = rec.Offset, nil // Events of the next response may be in it too.
				if len(a.records) > 0 && !send(&a) {
					return nil
				}
				s.offset = rec.Offset
				if more, err := s.readTransaction(ctx, committed, rec, res.end, sent, send); err != nil || !more {
					return err
				}
				s.transactions.remove(rec.Record)
				a = s.response(sent, res.end)
			}
		case rec.Attrs.IsTransactional():
			s.transactions.add(rec.Record)
		default:
			s.add(&a, rec, now)
		}
		s.offset, s.inner = rec.Offset+1, 0
		a.next = s.offset
	}
	s.offset = res.next
	a.next = res.next
	// A response without records was given when the broker had waited. One with records may have been given
	// any time since the request, before the broker had the record that comes next: so it is as old as
	// its request, however late this process reads either.
	if len(res.records) == 0 && took >= maxWait {
		a.at = sent.Add(maxWait)
	}
	a.caughtUp = a.next == res.end
	send(&a)
	return nil
}

// lend gives a response memory for so many records.
func (s *scanner) lend(a *response, records int) {
	switch {
	case s.spares == nil:
		a.records = make([]Record, 0, records)
	case records > 0:
		a.memory = s.spares.take(records)
		a.records = a.memory.records
		s.decoder.Into(a.memory.events)
	}
}

func (s *scanner) response(at time.Time, end int64) response {
	return response{next: s.offset, from: s.transactions.from(s.offset), at: at, end: end}
}

// sendBefore hands over what came before the record at which something failed.
func (s *scanner) sendBefore(a *response, send func(*response) bool, err error) error {
	if a.next = s.offset; len(a.records) > 0 {
		send(a)
	}
	return err
}

// add decodes a record of no transaction. A producer's timestamp that is ahead makes it a dead letter;
// a broker's that is wrong is not the producer's fault: the record counts at the time of the log before it.
func (s *scanner) add(a *response, rec logged, now time.Time) {
	c := &s.clock
	c.advance(rec, now)
	out := Record{
		Partition: s.partition, Offset: rec.Offset, Time: max(rec.Timestamp.UnixMilli(), 0), Newest: c.newest, Latest: max(c.seen, rec.takenBy),
	}
	out.id, out.hasID = idOf(rec.Record)
	switch {
	case rec.wrong && rec.byBroker:
		wrongClock.Inc()
		out.Time = c.newest
		out.decode(s.decoder, rec.Record)
	case rec.wrong:
		out.Time, out.Key, out.Value = c.newest, rec.Key, rec.Value
		out.Unreadable = metric.Fault{
			Code:   metric.CodeFromTheFuture,
			Detail: "the record's timestamp, " + rec.Timestamp.UTC().Format("2006-01-02T15:04:05.000Z") + ", is ahead of the clock of the pipeline",
		}
	default:
		out.decode(s.decoder, rec.Record)
	}
	a.add(out, rec.Record)
}

// lookBack makes the transactions known that began before the read, if the marker may end one.
func (s *scanner) lookBack(ctx context.Context, marker logged) error {
	if !s.transactions.needsLookBack(marker.Record) {
		return nil
	}
	at := marker.Timestamp
	if marker.wrong {
		at = time.UnixMilli(s.clock.newest)
	}
	return s.transactions.lookBack(ctx, s.log, at, s.say)
}

// readTransaction hands over the records of a transaction that a marker commits; more
// is false when send returned false.
func (s *scanner) readTransaction(ctx context.Context, t *openTransaction, marker logged, end int64, at time.Time, send func(*response) bool) (more bool, err error) {
	c := &s.clock
	committed := marker.Timestamp.UnixMilli()
	if c.follow(marker); marker.wrong {
		committed = c.newest
	}
	for offset := max(t.first, s.inner); offset < marker.Offset; {
		res, err := s.log.fetch(ctx, offset, maxWait, anything)
		if err != nil {
			return false, err
		}
		a := s.response(at, end)
		a.next = marker.Offset
		for _, rec := range res.records {
			if rec.Offset >= marker.Offset || rec.ProducerID != marker.ProducerID || !rec.Attrs.IsTransactional() || rec.Attrs.IsControl() {
				continue
			}
			out := Record{
				Partition: s.partition, Offset: rec.Offset, Time: committed, Newest: c.newest, Latest: max(c.seen, marker.takenBy), marker: marker.Offset,
			}
			out.decode(s.decoder, rec.Record)
			a.add(out, rec.Record)
		}
		offset = max(res.next, offset+1)
		if len(a.records) > 0 && !send(&a) {
			return false, nil
		}
		s.inner = offset
	}
	return true, nil
}

// findAgain moves the scanner to where the log goes on after its offset was lost: over what
// retention deleted before it was read, back to where a leader that lacked records
// cut the log, or to the beginning of a topic that was made anew. What was lost is counted as far as offsets tell.
func (s *scanner) findAgain(ctx context.Context) {
	first, err := s.log.offsetAt(ctx, fromStart)
	if err != nil {
		return
	}
	end, err := s.log.offsetAt(ctx, toEnd)
	if err != nil {
		return
	}
	say := s.say.With("read_up_to", s.offset, "goes_on_at", first)
	switch id := s.log.topicID(); {
	case s.topicID != [16]byte{} && id != s.topicID:
		remade.Inc()
		say.Error("the topic was deleted and made anew: it is read from its beginning; what the old one held beyond this offset is lost, and nothing tells how much that was")
		s.restart(first)
	case first > s.offset:
		lostRecords.Add(float64(first - s.offset))
		say.Error("records were deleted before they were read", "records", first-s.offset)
		s.offset, s.inner = first, 0
	case end < s.offset:
		at, err := s.log.endOfEpoch(ctx, s.epoch)
		if err != nil || at < first || at > end {
			at = end
		}
		remade.Inc()
		say.With("goes_on_at", at).Error("the partition is shorter than what was read of it: a leader that lacked acknowledged records was elected; what it lacked was counted and stays so, what it has taken since is read")
		s.restart(at)
	}
}

// restart goes on at an offset of another log than before.
func (s *scanner) restart(offset int64) {
	s.offset, s.inner, s.topicID, s.epoch = offset, 0, [16]byte{}, -1
	s.clock.restart()
	s.transactions.restart(offset)
}

// response is what the response to a fetch, or a part of it, says of a partition.
type response struct {
	records  []Record
	next     int64     // The offset to go on from behind them.
	from     int64     // Where to read from after a restart, see Offset.From.
	at       time.Time // The broker gave it then or later, by the clock of this machine.
	end      int64     // The end of the partition then.
	caughtUp bool      // next was the end.
	slow     bool      // It came so late that the broker was unavailable meanwhile, or this process was stopped.
	lost     int64     // Offsets of the response that hold no record: damaged, or compacted away.
	bytes    int64     // About what records take in memory.
	events   int       // In the records.
	memory   *memory   // That records and their events are in, and nothing else is; nil = they are the collector's.
}

const (
	recordSize = int64(unsafe.Sizeof(Record{}))
	eventSize  = int64(unsafe.Sizeof(metric.Event{})) * 5 / 4 // And what is spare in the memory of several.
)

// add appends a decoded record.
func (r *response) add(decoded Record, rec *kgo.Record) {
	r.records = append(r.records, decoded)
	r.events += len(decoded.Events)
	r.bytes += recordSize + int64(len(rec.Value)) + int64(len(decoded.Events))*eventSize
}
