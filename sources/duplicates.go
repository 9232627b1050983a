package sources

import (
	"context"
	"hash/maphash"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"pulseboard/internal/clock"
	"pulseboard/wire"
)

// The seeds are chosen by each process, so that a producer cannot choose ids that collide.
var idSeeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()} //nolint:gochecknoglobals // Of the process, never set.

// idOf returns the hash of the header id of a record. Records of transactions have none: their producers write
// nothing twice, and one that is aborted must not hide one that follows.
func idOf(rec *kgo.Record) (id recordID, ok bool) {
	if rec.Attrs.IsTransactional() {
		return id, false
	}
	for i := range rec.Headers {
		if h := &rec.Headers[i]; h.Key == wire.IDHeader && len(h.Value) > 0 {
			return hashID(h.Value), true
		}
	}
	return id, false
}

func hashID(id []byte) recordID {
	return recordID{maphash.Bytes(idSeeds[0], id), max(1, uint32(maphash.Bytes(idSeeds[1], id)))}
}

// dropDuplicates takes the events out of the records that are duplicates. Their timestamps
// still count, so that time is the same with and without them.
func (s *seenIDs) dropDuplicates(records []Record) {
	for some := range slices.Chunk(records, touched) {
		s.touch(some)
		for i := range some {
			rec := &some[i]
			if rec.hasID && s.see(rec.id, rec.Newest) {
				*rec = Record{Partition: rec.Partition, Offset: rec.Offset, Time: rec.Time, Newest: rec.Newest}
				duplicates.Inc()
			}
		}
	}
}

// recall is what is known of the records before, by which those are left out that count already.
type recall struct {
	ids      *seenIDs  // nil: none is looked for.
	replicas *replicas // nil: none are told apart.
}

// newRecall returns nil where nothing need be known.
func newRecall(o *Options) *recall {
	k := recall{replicas: newReplicas(o)}
	if o.DedupeMs > 0 {
		k.ids = newSeenIDs(o.DedupeMs, o.MaxIDs)
	}
	if k == (recall{}) {
		return nil
	}
	return &k
}

// leaveOut takes out of records what counts already.
func (k *recall) leaveOut(records []Record) {
	if k.ids != nil {
		k.ids.dropDuplicates(records)
	}
	if k.replicas != nil {
		for i := range records {
			replicaEvents.Add(float64(k.replicas.leaveOut(&records[i])))
		}
	}
}

func (k *recall) size() (bytes int64) {
	if k.ids != nil {
		bytes = k.ids.size()
	}
	if k.replicas != nil {
		bytes += k.replicas.size()
	}
	return bytes
}

// horizonMs is for how long, in record time, something is known.
func (k *recall) horizonMs() (ms int64) {
	if k.ids != nil {
		ms = k.ids.horizonMs
	}
	if k.replicas != nil {
		ms = max(ms, replicaHorizon)
	}
	return ms
}

// remember returns what is to be known of the records before an offset, nil where that is nothing. It tries until they could be
// read, or ctx ended.
func remember(ctx context.Context, s *scanner, o *Options, offset int64) *recall {
	for delay := 20 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		known := newRecall(o)
		if known == nil {
			return nil
		}
		err := known.readBack(ctx, s, o, offset)
		if err == nil || ctx.Err() != nil {
			return known
		}
		readErrors.WithLabelValues("pre-read").Inc()
		s.say.Warn("cannot read back the ids of records; trying again", "before_offset", offset, "error", err)
		s.log.forgetLeaders()
		clock.Sleep(ctx, delay)
	}
}

// readBack sees the records before an offset that are within the horizon.
func (k *recall) readBack(ctx context.Context, s *scanner, o *Options, offset int64) error {
	first, err := s.log.offsetAt(ctx, fromStart)
	if err != nil || first >= offset {
		return err
	}
	newest, ok, err := timeBefore(ctx, s.log, o, first, offset)
	if err != nil || !ok {
		return err
	}
	// Records before this one are older than the horizon whatever their order.
	from, err := s.log.offsetAt(ctx, max(0, newest-k.horizonMs()))
	if err != nil || from < 0 {
		return err
	}
	var time logClock
	return each(ctx, s.log, max(from, first), offset, func(rec logged) {
		rec.wrong = !rec.isTime(o.isOldAhead(rec))
		time.follow(rec)
		if id, ok := idOf(rec.Record); ok && k.ids != nil && k.ids.see(id, time.newest) {
			return
		}
		if k.replicas != nil && !rec.wrong && !rec.Attrs.IsControl() {
			k.replicas.recall(rec, time.newest, s.decoder)
		}
	})
}

// timeBefore returns the timestamp of the last record before an offset that counts as time, epoch ms;
// ok is false when none from first on does.
func timeBefore(ctx context.Context, log partitionLog, o *Options, first, offset int64) (ms int64, ok bool, err error) {
	// Nearly always the first step finds it; offsets without a record are few.
	for back := int64(1); !ok; back *= 32 {
		from := max(first, offset-back)
		err := each(ctx, log, from, offset, func(rec logged) {
			if rec.isTime(o.isOldAhead(rec)) {
				ms, ok = rec.Timestamp.UnixMilli(), true
			}
		})
		if err != nil {
			return 0, false, err
		}
		if from == first {
			break
		}
	}
	return ms, ok, nil
}
