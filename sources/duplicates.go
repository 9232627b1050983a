package sources

import (
	"context"
	"hash/maphash"
	"log/slog"
	"time"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"

	"pulseboard/internal/clock"
	"pulseboard/wire"
)

// recordID is 128 bits of hash of a header id: two different ids are taken for
// one with a probability of about 1e-25 when a hundred million are remembered.
type recordID [2]uint64

// Seeds of the process: ids are hashed anew by each, so nobody can choose colliding ones.
var idSeeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// Transactions need no ids: their producers write nothing twice, and what is aborted
// must not hide what follows.
func idOf(rec *kgo.Record) (id recordID, ok bool) {
	if rec.Attrs.IsTransactional() {
		return id, false
	}
	for i := range rec.Headers {
		if h := &rec.Headers[i]; h.Key == wire.IDHeader && len(h.Value) > 0 {
			return recordID{maphash.Bytes(idSeeds[0], h.Value), maphash.Bytes(idSeeds[1], h.Value)}, true
		}
	}
	return id, false
}

// seenIDs remembers the ids of the records of one partition for a horizon of
// record time: the highest record timestamp so far, less the horizon.
//
// A duplicate renews the memory of its id. Whether a record is one is then a
// function of the records in the horizon before it, and the same in every
// replay that reads those, wherever it begins.
type seenIDs struct {
	horizonMs int64
	limit     int // Most sightings in the queue; 0 = no limit.
	newest    int64
	last      map[recordID]int64 // Timestamp of the newest record with an id.
	queue     []sighting         // In the order of the log; it goes round, see push.
	first, n  int
}

type sighting struct {
	id   recordID
	time int64
}

func newSeenIDs(horizonMs int64, limit int) *seenIDs {
	return &seenIDs{horizonMs: horizonMs, limit: limit, last: make(map[recordID]int64)}
}

// see remembers an id and returns whether it was known.
func (s *seenIDs) see(id recordID, time int64) (duplicate bool) {
	if time < s.newest-tolerance {
		s.newest = time // A broker's clock that was ahead was set back.
	}
	s.newest = max(s.newest, time)
	oldest := s.newest - s.horizonMs
	for s.n > 0 && s.queue[s.first].time < oldest {
		s.forget()
	}
	// A function of the log too: the ids of the last so many records.
	if s.limit > 0 && s.n >= s.limit {
		s.forget()
		forgottenIDs.Inc()
	}
	// One older than the newest record of its partition lingers in the queue
	// behind it, and is forgotten here.
	before, known := s.last[id]
	s.last[id] = max(before, time)
	s.push(sighting{id, time})
	return known && before >= oldest
}

// forget forgets the oldest sighting.
func (s *seenIDs) forget() {
	if f := s.queue[s.first]; s.last[f.id] == f.time {
		delete(s.last, f.id)
	}
	s.first = (s.first + 1) % len(s.queue)
	s.n--
}

// IDBytes is about what an id takes: its sighting, and its place in a map.
const IDBytes = 96

func (s *seenIDs) size() int64 {
	return int64(len(s.queue))*int64(unsafe.Sizeof(sighting{})) + int64(len(s.last))*40
}

func (s *seenIDs) push(x sighting) {
	if s.n == len(s.queue) {
		grown := make([]sighting, max(64, 2*s.n))
		for i := range s.n {
			grown[i] = s.queue[(s.first+i)%s.n]
		}
		s.queue, s.first = grown, 0
	}
	s.queue[(s.first+s.n)%len(s.queue)] = x
	s.n++
}

// dropDuplicates takes the events out of the records of an answer that were
// there before. Their timestamps go on to count: time must be the same with them.
func (s *seenIDs) dropDuplicates(a *answer) {
	for i := range a.records {
		rec := &a.records[i]
		if rec.hasID && s.see(rec.id, rec.Newest) {
			*rec = Record{Partition: rec.Partition, Offset: rec.Offset, Time: rec.Time, Newest: rec.Newest}
			duplicates.Inc()
		}
	}
}

// remember reads the records of the horizon before an offset for their ids
// only, so that a duplicate of one of them is known, and tries until it could.
func (r *reader) remember(ctx context.Context, partition int32, offset int64) *seenIDs {
	for delay := 20 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		seen := newSeenIDs(r.options.DedupeMs, r.options.MaxIDs)
		err := r.preRead(ctx, partition, offset, seen)
		if err == nil || ctx.Err() != nil {
			return seen
		}
		readErrors.WithLabelValues("pre-read").Inc()
		slog.Warn("cannot read back the ids of records; trying again", "topic", r.options.Topic, "partition", partition, "before_offset", offset, "error", err)
		r.broker.forgetLeaders()
		clock.Sleep(ctx, delay)
	}
}

func (r *reader) preRead(ctx context.Context, partition int32, offset int64, seen *seenIDs) error {
	first, err := r.broker.offset(ctx, partition, fromStart)
	if err != nil || first >= offset {
		return err
	}
	newest, ok, err := r.timeBefore(ctx, partition, first, offset)
	if err != nil || !ok {
		return err
	}
	// Records before this one are older than the horizon whatever their order.
	from, err := r.broker.offset(ctx, partition, max(0, newest-r.options.DedupeMs))
	if err != nil || from < 0 {
		return err
	}
	c := cursor{}
	return r.broker.each(ctx, partition, max(from, first), offset, func(rec logged) {
		rec.wrong = !rec.isTime(r.isOldAhead(rec))
		c.follow(rec)
		if id, ok := idOf(rec.Record); ok {
			seen.see(id, c.newest)
		}
	})
}

// timeBefore returns the timestamp of the last record before an offset that counts as time.
func (r *reader) timeBefore(ctx context.Context, partition int32, first, offset int64) (ms int64, ok bool, err error) {
	// Nearly always the first step finds it; offsets without a record are few.
	for back := int64(1); !ok; back *= 32 {
		from := max(first, offset-back)
		err := r.broker.each(ctx, partition, from, offset, func(rec logged) {
			if rec.isTime(r.isOldAhead(rec)) {
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
