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
			return recordID{maphash.Bytes(idSeeds[0], h.Value), maphash.Bytes(idSeeds[1], h.Value)}, true
		}
	}
	return id, false
}

// seenIDs remembers the ids of the records of one partition for a horizon of
// record time: the highest record timestamp so far, less the horizon.
//
// A duplicate renews the memory of its id. So whether a record is a duplicate is a
// function of the records in the horizon before it, and the same in every
// replay that reads those, wherever the replay begins.
type seenIDs struct {
	horizonMs int64
	limit     int // Most sightings in the queue; 0 = no limit.
	newest    int64
	last      map[recordID]int64 // Timestamp of the newest record with an id.
	queue     []sighting         // A ring, in the order of the log.
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
	// The ids of the last limit records are a function of the log too.
	if s.limit > 0 && s.n >= s.limit {
		s.forget()
		forgottenIDs.Inc()
	}
	// The sighting of a record that was older than the newest of its partition is removed from the queue
	// too late: its age is compared here.
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

// IDBytes is about what an id takes in memory: its sighting, and its place in a map.
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

// dropDuplicates takes the events out of the records that are duplicates. Their timestamps
// still count, so that time is the same with and without them.
func (s *seenIDs) dropDuplicates(records []Record) {
	for i := range records {
		rec := &records[i]
		if rec.hasID && s.see(rec.id, rec.Newest) {
			*rec = Record{Partition: rec.Partition, Offset: rec.Offset, Time: rec.Time, Newest: rec.Newest}
			duplicates.Inc()
		}
	}
}

// remember returns the ids of the records before an offset that are within the horizon, so that a duplicate
// of one of them is known. It tries until they could be read, or ctx ended.
func remember(ctx context.Context, log partitionLog, o *Options, offset int64, say *slog.Logger) *seenIDs {
	for delay := 20 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		seen := newSeenIDs(o.DedupeMs, o.MaxIDs)
		err := seen.readBack(ctx, log, o, offset)
		if err == nil || ctx.Err() != nil {
			return seen
		}
		readErrors.WithLabelValues("pre-read").Inc()
		say.Warn("cannot read back the ids of records; trying again", "before_offset", offset, "error", err)
		log.forgetLeaders()
		clock.Sleep(ctx, delay)
	}
}

// readBack sees the ids of the records before an offset that are within the horizon.
func (s *seenIDs) readBack(ctx context.Context, log partitionLog, o *Options, offset int64) error {
	first, err := log.offsetAt(ctx, fromStart)
	if err != nil || first >= offset {
		return err
	}
	newest, ok, err := timeBefore(ctx, log, o, first, offset)
	if err != nil || !ok {
		return err
	}
	// Records before this one are older than the horizon whatever their order.
	from, err := log.offsetAt(ctx, max(0, newest-s.horizonMs))
	if err != nil || from < 0 {
		return err
	}
	var time logClock
	return each(ctx, log, max(from, first), offset, func(rec logged) {
		rec.wrong = !rec.isTime(o.isOldAhead(rec))
		time.follow(rec)
		if id, ok := idOf(rec.Record); ok {
			s.see(id, time.newest)
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
