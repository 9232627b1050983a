package sources

import "time"

// recordID is 96 bits of the hash of a header id; no id has low 0. Of a hundred million that are remembered, two
// different ones are taken for one with a probability of about 1e-21 a record.
type recordID struct {
	high uint64
	low  uint32
}

// seenIDs remembers the ids of the records of one partition for a horizon of
// record time: the highest record timestamp so far, less the horizon.
//
// A duplicate renews the memory of its id. So whether a record is a duplicate is a
// function of the records in the horizon before it, and the same in every
// replay that reads those, wherever the replay begins.
//
// Sightings have numbers, in the order of the log. Tables have the number of the last sighting of each id, and moments
// those with which the timestamps in the horizon begin: an id is known when its number is one of those that count. Ids of
// numbers that do not count stay in a table until others take their places, or it is made anew.
type seenIDs struct {
	horizonMs   int64
	limit       uint32 // Most sightings that count; 0 = no limit.
	newest      int64
	first, next uint32 // The sightings that count, from first on, before next. Numbers begin again after the highest.
	moments     []moment
	tables      [idTables]idTable
	turn        int    // The table of which is looked next how much of it counts,
	turnAt      int64  // and after when, in record time.
	slots       int    // Of all tables.
	sum         uint32 // Of what was touched. It means nothing, but without it nothing would be read.
}

// moment is where a timestamp of the log begins.
type moment struct {
	ms    uint32 // Its lowest 32 bits: it is never older than the horizon, which is shorter than they are.
	first uint32 // The number of its first sighting.
}

// MaxDedupe is the longest horizon.
const MaxDedupe = 24 * 24 * time.Hour

func newSeenIDs(horizonMs int64, limit int) *seenIDs {
	return &seenIDs{horizonMs: horizonMs, limit: uint32(limit)}
}

// see remembers an id and returns whether it was known.
func (s *seenIDs) see(id recordID, at int64) (duplicate bool) {
	s.moveTo(at)
	// The ids of the last limit records are a function of the log too.
	if s.limit > 0 && s.next-s.first >= s.limit {
		s.first++
		forgottenIDs.Inc()
	}
	t := s.tableOf(id)
	if t.isFull() {
		s.renew(t)
	}
	known := t.put(id, s.next, s.first, s.next)
	s.next++
	return known
}

// touched is for how many records memory is fetched at once.
const touched = 32

// touch reads the slots where the ids of records are looked for next, which are anywhere in memory: so the processor waits
// for all of them together, where it would wait for each while it sees one after another.
func (s *seenIDs) touch(records []Record) {
	for i := range records {
		if t := s.tableOf(records[i].id); len(t.slots) > 0 {
			s.sum += t.slots[t.place(records[i].id)].number
		}
	}
}

func (s *seenIDs) tableOf(id recordID) *idTable { return &s.tables[id.high>>(64-idTableBits)] }

// moveTo makes at the time of the sightings that follow, and forgets those before its horizon. It goes back only where what was
// read back had the clock of a broker that was ahead: its records count as no newer than what follows.
func (s *seenIDs) moveTo(at int64) {
	if at == s.newest && len(s.moments) > 0 {
		return
	}
	if at < s.newest {
		s.setBack(at)
	}
	for len(s.moments) > 0 && s.timeOf(s.moments[0]) < at-s.horizonMs {
		s.moments = s.moments[1:]
		end := s.next
		if len(s.moments) > 0 {
			end = s.moments[0].first
		}
		if s.next-end < s.next-s.first {
			s.first = end
		}
	}
	s.newest = at
	s.moments = append(s.moments, moment{uint32(at), s.next})
	// What a table holds follows the rate down.
	if every := s.horizonMs / idTables; at-s.turnAt > every {
		s.turnAt = at
		if t := &s.tables[s.turn]; t.alive(s.first, s.next) < t.used/2 {
			s.renew(t)
		}
		s.turn = (s.turn + 1) % idTables
	}
}

// timeOf returns the timestamp of a moment.
func (s *seenIDs) timeOf(m moment) int64 { return s.newest - int64(uint32(s.newest)-m.ms) }

// setBack makes no sighting newer than at.
func (s *seenIDs) setBack(at int64) {
	n := len(s.moments)
	for n > 0 && s.timeOf(s.moments[n-1]) > at {
		n--
	}
	if n < len(s.moments) {
		s.moments = append(s.moments[:n], moment{uint32(at), s.moments[n].first})
	}
	s.newest, s.turnAt = at, min(s.turnAt, at)
}

func (s *seenIDs) renew(t *idTable) {
	s.slots -= len(t.slots)
	t.renew(s.first, s.next)
	s.slots += len(t.slots)
}

// IDBytes is about what an id takes in memory: its part of a table, and of the moments.
const IDBytes = 32

func (s *seenIDs) size() int64 { return int64(s.slots)*slotSize + int64(cap(s.moments))*momentSize }

// The ids of a partition are in this many tables, each of which grows by itself: what is copied then is a small part.
const (
	idTableBits = 6
	idTables    = 1 << idTableBits
)

// idTable is an open-addressed table with linear probing. No place becomes empty again but by making the table anew.
type idTable struct {
	slots []slot
	used  int
}

// slot holds an id with the number of its last sighting; the zero slot is empty.
type slot struct {
	high        uint64
	low, number uint32
}

// counts reports whether a slot has an id with a number in [first, next).
func (x *slot) counts(first, next uint32) bool { return x.low != 0 && x.number-first < next-first }

const (
	slotSize   = 16
	momentSize = 8

	leastSlots = 16
)

// isFull reports whether seven tenths of the slots are used. A table is made anew with half of them: an id takes 23 to 32 bytes.
func (t *idTable) isFull() bool { return t.used*10 >= len(t.slots)*7 }

// place is where an id is looked for first.
func (t *idTable) place(id recordID) int {
	return int(uint64(uint32(id.high)) * uint64(len(t.slots)) >> 32)
}

// put gives an id a number, and reports whether it had one that counts: in [first, next).
func (t *idTable) put(id recordID, number, first, next uint32) (known bool) {
	var free *slot
	for i := t.place(id); ; i++ {
		if i == len(t.slots) {
			i = 0
		}
		x := &t.slots[i]
		if x.low == 0 {
			if free == nil {
				free = x
				t.used++
			}
			*free = slot{id.high, id.low, number}
			return false
		}
		counts := x.number-first < next-first
		if x.high == id.high && x.low == id.low {
			x.number = number
			return counts
		}
		if !counts && free == nil {
			free = x
		}
	}
}

// alive is how many ids have a number in [first, next).
func (t *idTable) alive(first, next uint32) (n int) {
	for i := range t.slots {
		if t.slots[i].counts(first, next) {
			n++
		}
	}
	return n
}

// renew takes out the ids whose numbers are not in [first, next), and makes the table as large as the others need.
func (t *idTable) renew(first, next uint32) {
	old := t.slots
	*t = idTable{slots: make([]slot, max(leastSlots, 2*t.alive(first, next)))}
	for i := range old {
		if x := &old[i]; x.counts(first, next) {
			t.put(recordID{x.high, x.low}, x.number, first, next)
		}
	}
}
