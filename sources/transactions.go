package sources

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A record of a transaction counts where and when the marker of its commit stands
// in the log: it did not exist for anybody before. So a transaction that is open
// holds nobody up, however long it is, and nothing of one that is aborted counts.
// Records are passed over until their marker comes, and are then read, so that an
// open transaction takes no memory.

// begun is a transaction whose marker has not come yet.
type begun struct {
	first   int64 // Offset of its first record here.
	time    int64 // Timestamp of that, epoch ms.
	records int64
}

// longest is how long a transaction may be open: brokers allow 15 minutes, unless
// transaction.max.timeout.ms says otherwise. One that began longer before the first
// marker that a read meets, and was committed after, is not found.
const longest = 15 * time.Minute

// isCommit reports what kind of marker a control record is; others mark changes
// of leaders, and snapshots.
func isCommit(rec *kgo.Record) bool { return markerType(rec) == 1 }

func isAbort(rec *kgo.Record) bool { return markerType(rec) == 0 }

func markerType(rec *kgo.Record) int {
	if len(rec.Key) < 4 {
		return -1
	}
	return int(rec.Key[2])<<8 | int(rec.Key[3])
}

func (c *cursor) begins(rec *kgo.Record) {
	t := c.open[rec.ProducerID]
	if t == nil {
		t = &begun{first: rec.Offset, time: rec.Timestamp.UnixMilli()}
		c.open[rec.ProducerID] = t
	}
	t.records++
}

// ends takes notice of a marker. It returns the transaction when it is committed.
func (c *cursor) ends(marker *kgo.Record) *begun {
	t := c.open[marker.ProducerID]
	switch {
	case t == nil:
		return nil
	case isCommit(marker):
		return t
	case isAbort(marker):
		abortedRecords.Add(float64(t.records))
		delete(c.open, marker.ProducerID)
	}
	return nil
}

// from is where a restart must read from to know the transactions that are open.
func (c *cursor) from() int64 {
	from := c.offset
	if !c.complete {
		from = c.back // Which may be -1, not known.
	}
	for _, t := range c.open {
		from = min(from, t.first)
	}
	return from
}

// openSince is when the oldest transaction began that is open, epoch ms; 0 = none is.
func (c *cursor) openSince() (since int64) {
	for _, t := range c.open {
		if since == 0 || t.time < since {
			since = t.time
		}
	}
	return since
}

// readTransaction hands over the records of a transaction that is committed. more
// is false when send wants none.
func (r *reader) readTransaction(ctx context.Context, c *cursor, t *begun, marker logged, end int64, at time.Time, send func(*answer) bool) (more bool, err error) {
	committed := marker.Timestamp.UnixMilli()
	if c.follow(marker); marker.wrong {
		committed = c.newest
	}
	for offset := max(t.first, c.inner); offset < marker.Offset; {
		res, err := r.broker.fetch(ctx, c.partition, offset, maxWait, anything)
		if err != nil {
			return false, err
		}
		a := answer{next: marker.Offset, from: c.from(), at: at, end: end}
		for _, rec := range res.records {
			if rec.Offset >= marker.Offset || rec.ProducerID != marker.ProducerID || !rec.Attrs.IsTransactional() || rec.Attrs.IsControl() {
				continue
			}
			out := Record{Partition: c.partition, Offset: rec.Offset, Time: committed, Newest: c.newest, Latest: max(c.seen, marker.takenBy), marker: marker.Offset}
			c.decode(&out, rec.Record)
			a.put(out, rec.Record)
		}
		offset = max(res.next, offset+1)
		if len(a.records) > 0 && !send(&a) {
			return false, nil
		}
		c.inner = offset
	}
	return true, nil
}

// lookBack learns which transactions were open where the read began. It is called
// at the first marker after that, so that a topic without any is never read back; the
// time of a marker is the broker's, which those of records need not be.
func (r *reader) lookBack(ctx context.Context, c *cursor, marker time.Time) error {
	from, stop := c.back, c.start
	if from < 0 {
		var err error
		if from, err = r.broker.offset(ctx, c.partition, max(0, marker.Add(-longest).UnixMilli())); err != nil {
			return err
		}
		if from < 0 || from > stop {
			from = stop
		}
	}
	before := cursor{open: make(map[int64]*begun)}
	err := r.broker.each(ctx, c.partition, from, stop, func(rec logged) {
		switch {
		case rec.Attrs.IsControl():
			delete(before.open, rec.ProducerID)
		case rec.Attrs.IsTransactional():
			before.begins(rec.Record)
		}
	})
	if err != nil {
		return err
	}
	slog.Debug("transactions that were open before the records read", "topic", r.options.Topic, "partition", c.partition, "from", from, "open", len(before.open))
	for producer, t := range before.open {
		if now := c.open[producer]; now != nil {
			t.records += now.records
		}
		c.open[producer] = t
	}
	c.complete = true
	return nil
}
