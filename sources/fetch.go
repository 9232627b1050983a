package sources

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"pulseboard/internal/clock"
	"pulseboard/metric"
	"pulseboard/wire"
)

// answer is what an answer to a fetch, or a part of it, says of a partition.
type answer struct {
	records []Record
	next    int64     // The offset to go on from when they are out.
	from    int64     // Where to read from after a restart, see Offset.From.
	at      time.Time // The broker gave it then or later, by the clock of this machine.
	end     int64     // The end of the partition then.
	quiet   bool      // next was the end.
	slow    bool      // The broker was away meanwhile, or this process was.
	taken   int       // How many records drain has taken.
	lost    int64     // Records that are missing between those.
	bytes   int64     // About what records take in memory.
}

// cursor is where a partition is read, and what must be known of the log before it.
type cursor struct {
	partition int32
	start     int64 // Where the read began.
	offset    int64 // To be fetched next.
	inner     int64 // Of the transaction whose marker is there, records before this offset are out.
	newest    int64 // The newest timestamp of its records, epoch ms; at the beginning the start time.
	seen      int64 // The same, of what was read only.
	sane      int64 // What newest was last that was not ahead of the clock of this machine.
	known     int64 // The end of the log when the read began; -1 = not asked yet.
	sky       skyline
	stretch   stretch // The last one that was ahead.
	topic     [16]byte
	epoch     int32            // Of the leader that took the record before offset; -1 = not known.
	decoder   *wire.Decoder    // It knows the tags of a partition after a while.
	open      map[int64]*begun // Transactions without a marker yet, by the id of their producer.
	complete  bool             // open has all: also those that began before the read did.
	back      int64            // While it is not: where to look for those, see Offset.From; -1 = not known.
}

func (r *reader) newCursor(f found) *cursor {
	seen := int64(math.MinInt64)
	if f.newest > 0 {
		seen = f.newest
	}
	newest := max(f.newest, r.options.StartMs)
	return &cursor{
		seen: seen, sane: newest, partition: f.id, start: f.start, offset: f.start, inner: f.inner, newest: newest, known: -1, epoch: -1,
		decoder: r.decoder(), open: make(map[int64]*begun), complete: f.start == 0 || f.from == f.start, back: f.from,
	}
}

// fetchLoop reads a partition, until ctx ends, into a queue that bounds how far
// it is ahead. It never gives up: a partition that cannot be reached holds the
// watermark, so that no window is published without it.
func (r *reader) fetchLoop(ctx context.Context, f found, queue chan<- answer, own *ahead) {
	const slowest = time.Second
	delay := 20 * time.Millisecond
	var quiet time.Time                  // Since when no answer has been asked for that says that there is nothing more.
	trusted, fault := false, time.Time{} // See settle.
	c := r.newCursor(f)
	defer r.openTransactions.Delete(c.partition)
	var seen *seenIDs
	if r.options.DedupeMs > 0 {
		seen = r.remember(ctx, c.partition, c.offset)
	}
	send := func(a *answer) bool {
		if a.lost > 0 {
			lostRecords.Add(float64(a.lost))
			slog.Error("records are missing in the partition: damaged, or compacted away", "topic", r.options.Topic, "partition", c.partition,
				"before", a.next, "records", a.lost)
		}
		if a.slow {
			trusted, fault = false, time.Now()
		}
		if !trusted {
			a.quiet = false
			// An answer that is asked for after this one counts.
			trusted = time.Since(fault) >= settle && r.knowsItsEnd(ctx, c.partition)
		}
		if a.quiet {
			quiet = a.at
		}
		if seen != nil {
			seen.dropDuplicates(a) // Not before the answer is whole: one that is read again holds no duplicates.
		}
		own.put(a, c.decoder, seen)
		select {
		case queue <- *a:
		case <-ctx.Done():
			return false
		}
		select {
		case r.arrived <- struct{}{}:
		default: // drain has been told already.
		}
		return true
	}
	for ctx.Err() == nil && r.room(ctx, own) {
		err := r.read(ctx, c, quiet, send)
		if err == nil {
			delay = 20 * time.Millisecond
			continue
		}
		if ctx.Err() != nil {
			return
		}
		trusted, fault = false, time.Now()
		readErrors.WithLabelValues("fetch").Inc()
		slog.Warn("cannot fetch; trying again", "topic", r.options.Topic, "partition", c.partition, "offset", c.offset, "error", err)
		r.broker.forgetLeaders()
		if errors.Is(err, kerr.OffsetOutOfRange) || errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.InconsistentTopicID) {
			r.findAgain(ctx, c)
		}
		clock.Sleep(ctx, delay)
		delay = min(2*delay, slowest)
	}
}

// settle is how long a broker's word that it has no more does not count after a
// fault. One that was stopped or cut off believes for a moment that it still
// leads its partitions, while others have taken records of them. And one that has
// just become a leader may not know yet how far they are acknowledged: it lists
// offsets only when it does (KIP-207).
const settle = 2 * time.Second

func (r *reader) knowsItsEnd(ctx context.Context, partition int32) bool {
	_, err := r.broker.offset(ctx, partition, toEnd)
	return err == nil
}

// findAgain moves a cursor to where the log goes on that it has lost: over what
// retention deleted before it was read, back to where a leader that lacked records
// cut the log, or to the beginning of a topic that was made anew. What was lost on
// the way is counted as far as offsets tell.
func (r *reader) findAgain(ctx context.Context, c *cursor) {
	first, err := r.broker.offset(ctx, c.partition, fromStart)
	if err != nil {
		return
	}
	end, err := r.broker.offset(ctx, c.partition, toEnd)
	if err != nil {
		return
	}
	say := slog.With("topic", r.options.Topic, "partition", c.partition, "read_up_to", c.offset, "goes_on_at", first)
	switch id := r.broker.topicID(); {
	case c.topic != [16]byte{} && id != c.topic:
		remade.Inc()
		say.Error("the topic was deleted and made anew: it is read from its beginning; what the old one held beyond this offset is lost, and nothing tells how much that was")
		c.restart(first)
	case first > c.offset:
		lostRecords.Add(float64(first - c.offset))
		say.Error("records were deleted before they were read", "records", first-c.offset)
		c.offset, c.inner = first, 0
	case end < c.offset:
		at, err := r.broker.endOfEpoch(ctx, c.partition, c.epoch)
		if err != nil || at < first || at > end {
			at = end
		}
		remade.Inc()
		say.With("goes_on_at", at).Error("the partition is shorter than what was read of it: a leader that lacked acknowledged records was elected; what it lacked was counted and stays so, what it has taken since is read")
		c.restart(at)
	}
}

// restart lets a cursor go on in another log than before.
func (c *cursor) restart(offset int64) {
	c.offset, c.inner, c.topic, c.epoch = offset, 0, [16]byte{}, -1
	c.sky, c.stretch = skyline{}, stretch{}
	clear(c.open)
	c.start, c.complete = offset, true
}

// hold is how long the broker may wait for records before it answers that there
// are none: until a slice has ended for the partition by that answer (see
// collect), the first one after what is known. Without it the answer would come
// any time later, and every result with it.
func (o *Options) hold(known, now time.Time) time.Duration {
	behind := o.OutOfOrderMs + o.OutOfOrderMs/idleMargin
	at := known.UnixMilli() - behind
	ends := time.UnixMilli(at - mod(at, o.SliceMs) + o.SliceMs + behind)
	whole := (ends.Sub(now) + time.Millisecond - 1).Truncate(time.Millisecond) // As the protocol counts.
	return min(max(whole, time.Millisecond), maxWait)
}

// stall is how much later than it may an answer must be to count as a fault: less
// than the shortest session after which Kafka takes a broker for dead.
const stall = time.Second

// read asks once, and hands over what the answer brought in the order of the log;
// known is what the partition is known to be quiet up to. It stops when send says so.
// After an error the cursor stands where the next call goes on.
func (r *reader) read(ctx context.Context, c *cursor, known time.Time, send func(*answer) bool) error {
	// By the wall clock: the other stops while the machine sleeps.
	sent := time.Now().Round(0)
	hold := r.options.hold(known, sent)
	res, err := r.broker.fetch(ctx, c.partition, c.offset, hold, enough)
	if err != nil {
		return err
	}
	took := time.Now().Round(0).Sub(sent)
	c.topic = res.topic
	a := c.answer(sent, res.end)
	a.slow = took >= hold+stall
	a.lost = res.next - c.offset - int64(len(res.records))
	now := sent.Add(took)
	if c.known < 0 {
		c.known = res.end
	}
	for i := range res.records {
		rec, err := r.judge(ctx, c, res, i, now)
		if err != nil {
			return r.sendFirst(c, &a, send, err)
		}
		c.epoch = rec.LeaderEpoch
		switch {
		case rec.Attrs.IsControl():
			if !c.complete && (isCommit(rec.Record) || isAbort(rec.Record)) {
				marker := rec.Timestamp
				if rec.wrong {
					marker = time.UnixMilli(c.newest)
				}
				if err := r.lookBack(ctx, c, marker); err != nil {
					return r.sendFirst(c, &a, send, err)
				}
			}
			if committed := c.ends(rec.Record); committed != nil {
				// What came before goes first.
				a.next = rec.Offset
				if len(a.records) > 0 && !send(&a) {
					return nil
				}
				c.offset = rec.Offset
				if more, err := r.readTransaction(ctx, c, committed, rec, res.end, sent, send); err != nil || !more {
					return err
				}
				delete(c.open, rec.ProducerID)
				a = c.answer(sent, res.end)
			}
		case rec.Attrs.IsTransactional():
			c.begins(rec.Record)
		default:
			r.add(c, &a, rec, now)
		}
		c.offset, c.inner = rec.Offset+1, 0
		a.next = c.offset
	}
	c.offset = res.next
	a.next = res.next
	// One that brings nothing was given when the broker had waited, one that brings
	// something at any time since it was asked for: what came after that may lie
	// behind it, however late this process gets to read either.
	if len(res.records) == 0 && took >= hold {
		a.at = sent.Add(hold)
	}
	a.quiet = a.next == res.end
	r.openTransactions.Store(c.partition, c.openSince())
	send(&a)
	return nil
}

func (c *cursor) answer(at time.Time, end int64) answer {
	return answer{next: c.offset, from: c.from(), at: at, end: end}
}

// sendFirst hands over what came before something that failed: the cursor stands behind it.
func (*reader) sendFirst(c *cursor, a *answer, send func(*answer) bool, err error) error {
	if a.next = c.offset; len(a.records) > 0 {
		send(a)
	}
	return err
}

// isTime reports whether a record moves the time of the log on, without knowing what came
// before it: of transactions the marker of a commit does, and what is aborted does not.
func (l logged) isTime(ahead bool) bool {
	if l.Attrs.IsControl() {
		return isCommit(l.Record)
	}
	return !l.Attrs.IsTransactional() && !ahead
}

// follow moves the time of the log on with a record, unless its own does not count.
func (c *cursor) follow(rec logged) {
	if !rec.wrong {
		c.newest, c.seen = max(c.newest, rec.Timestamp.UnixMilli()), max(c.seen, rec.Timestamp.UnixMilli())
	}
}

// add decodes a record that counts where it stands in the log. A producer's timestamp that
// is ahead makes it a dead letter; a broker's that is wrong is not the producer's fault: it
// counts at the time of the log before it.
func (r *reader) add(c *cursor, a *answer, rec logged, now time.Time) {
	at := rec.Timestamp.UnixMilli()
	limit := now.UnixMilli() + r.options.ClockMs + tolerance
	if rec.byBroker && at <= limit && at < c.newest-tolerance && c.newest > limit {
		r.setBack(c, at)
	}
	if c.newest <= limit {
		c.sane = c.newest
	}
	c.follow(rec)
	out := Record{Partition: c.partition, Offset: rec.Offset, Time: max(at, 0), Newest: c.newest, Latest: max(c.seen, rec.takenBy)}
	out.id, out.hasID = idOf(rec.Record)
	switch {
	case rec.wrong && rec.byBroker:
		wrongClock.Inc()
		out.Time = c.newest
		c.decode(&out, rec.Record)
	case rec.wrong:
		out.Time, out.Key, out.Value = c.newest, rec.Key, rec.Value
		out.Unreadable = metric.Fault{
			Code:   metric.CodeFromTheFuture,
			Detail: "the record's timestamp, " + rec.Timestamp.UTC().Format("2006-01-02T15:04:05.000Z") + ", is ahead of the clock of the pipeline",
		}
	default:
		c.decode(&out, rec.Record)
	}
	a.put(out, rec.Record)
}

func (a *answer) put(out Record, rec *kgo.Record) {
	a.records = append(a.records, out)
	a.bytes += recordSize + int64(len(rec.Value)) + int64(len(out.Events))*eventSize
}

// decode reads what a record holds.
func (c *cursor) decode(out *Record, rec *kgo.Record) {
	out.Key = rec.Key
	b, err := c.decoder.Record(rec.Value)
	if err != nil {
		out.Unreadable, out.Value = faultOf(err), rec.Value
		return
	}
	out.Events, out.Faults = b.Events, b.Faults
	if len(out.Faults) > 0 {
		out.Value = rec.Value
	}
}

func faultOf(err error) metric.Fault {
	if f, ok := errors.AsType[*metric.Fault](err); ok {
		return *f
	}
	return metric.Fault{Code: metric.CodeNotJSON, Detail: err.Error()}
}
