package sources

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// transactions are those of a partition that have no marker yet, where it is read.
//
// A record of a transaction counts where and when the marker of its commit stands in the
// log: before, it was visible to no consumer. So an open transaction holds up nothing, however long it
// is, and what is aborted counts nothing. Records are passed over until their
// marker comes, and are read then, so that an open transaction takes no memory.
type transactions struct {
	start    int64                      // The offset where the read began.
	open     map[int64]*openTransaction // By the id of their producer.
	complete bool                       // open has all of them, also those that began before start.
	back     int64                      // While it is not complete: where to look for those, see Offset.From; -1 = not known.
}

// openTransaction is a transaction whose marker has not come yet.
type openTransaction struct {
	first   int64 // Offset of its first record.
	time    int64 // Timestamp of that, epoch ms.
	records int64
}

func newTransactions(start, from int64) transactions {
	return transactions{start: start, open: make(map[int64]*openTransaction), complete: start == 0 || from == start, back: from}
}

// restart begins at an offset of a log that another one has replaced: of its transactions none is known.
func (t *transactions) restart(offset int64) {
	clear(t.open)
	t.start, t.complete = offset, true
}

// add notes a record of a transaction.
func (t *transactions) add(rec *kgo.Record) {
	o := t.open[rec.ProducerID]
	if o == nil {
		o = &openTransaction{first: rec.Offset, time: rec.Timestamp.UnixMilli()}
		t.open[rec.ProducerID] = o
	}
	o.records++
}

// end notes a marker. It returns the transaction if it is committed, which stays open until remove.
func (t *transactions) end(marker *kgo.Record) *openTransaction {
	o := t.open[marker.ProducerID]
	switch {
	case o == nil:
		return nil
	case isCommit(marker):
		return o
	case isAbort(marker):
		abortedRecords.Add(float64(o.records))
		t.remove(marker)
	}
	return nil
}

// remove forgets the transaction that a marker ends.
func (t *transactions) remove(marker *kgo.Record) { delete(t.open, marker.ProducerID) }

// from is the offset from which a restart at offset must read to know the transactions that are open; -1 = not known.
func (t *transactions) from(offset int64) int64 {
	from := offset
	if !t.complete {
		from = t.back
	}
	for _, o := range t.open {
		from = min(from, o.first)
	}
	return from
}

// openSince is when the oldest open transaction began, epoch ms; 0 = none is open.
func (t *transactions) openSince() (since int64) {
	for _, o := range t.open {
		if since == 0 || o.time < since {
			since = o.time
		}
	}
	return since
}

// longest is how long a transaction may be open: brokers allow 15 minutes, unless transaction.max.timeout.ms
// is longer. A transaction that began longer before the first marker that a read meets, and was committed
// after it, is not found.
const longest = 15 * time.Minute

// needsLookBack reports whether open lacks what a marker may end.
func (t *transactions) needsLookBack(marker *kgo.Record) bool {
	return !t.complete && (isCommit(marker) || isAbort(marker))
}

// lookBack learns which transactions were open where the read began. It is called with the time of the first
// marker after that, so that a topic without transactions is never read back, and because
// markers have the broker's time, while records may have any.
func (t *transactions) lookBack(ctx context.Context, log partitionLog, marker time.Time, say *slog.Logger) error {
	from := t.back
	if from < 0 {
		var err error
		if from, err = log.offsetAt(ctx, max(0, marker.Add(-longest).UnixMilli())); err != nil {
			return err
		}
		if from < 0 || from > t.start {
			from = t.start
		}
	}
	before := transactions{open: make(map[int64]*openTransaction)}
	err := each(ctx, log, from, t.start, func(rec logged) {
		switch {
		case rec.Attrs.IsControl():
			before.remove(rec.Record)
		case rec.Attrs.IsTransactional():
			before.add(rec.Record)
		}
	})
	if err != nil {
		return err
	}
	say.Debug("transactions that were open before the records read", "from", from, "open", len(before.open))
	for producer, o := range before.open {
		if now := t.open[producer]; now != nil {
			o.records += now.records
		}
		t.open[producer] = o
	}
	t.complete = true
	return nil
}
