package sources

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// simpleIDs says what seenIDs says, with a map and the times of all sightings.
type simpleIDs struct {
	horizonMs int64
	limit     int
	times     []int64
	first     int // Those before it do not count any more.
	last      map[recordID]int
}

func (s *simpleIDs) see(id recordID, time int64) (duplicate bool) {
	for i := len(s.times) - 1; i >= 0 && s.times[i] > time; i-- {
		s.times[i] = time
	}
	now := len(s.times)
	for s.first < now && (s.times[s.first] < time-s.horizonMs || s.limit > 0 && now-s.first >= s.limit) {
		s.first++
	}
	before, known := s.last[id]
	s.last[id] = now
	s.times = append(s.times, time)
	return known && before >= s.first
}

func testID(n uint64) recordID { return hashID(binary.BigEndian.AppendUint64(nil, n)) }

// What is a duplicate is what a map of all ids says, at any rate, limit and pause, also where the clock is set back and
// where the numbers of sightings begin again.
func TestSeenIDsAgainstAMap(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		horizon := []int64{0, 100, 3000, 2 * minute}[r.IntN(4)]
		limit := []int{0, 1, 50, 3000}[r.IntN(4)]
		s := newSeenIDs(horizon, limit)
		if r.IntN(2) == 0 {
			s.first -= uint32(r.IntN(5000))
			s.next = s.first
		}
		simple := simpleIDs{horizonMs: horizon, limit: limit, last: make(map[recordID]int)}
		time, step, ids, known := base, int64(1), 1+r.IntN(4000), 0
		for i := range 10_000 {
			switch r.IntN(2000) {
			case 0:
				time += r.Int64N(2*horizon + 1)
			case 1:
				time -= r.Int64N(2*horizon + 1)
			case 2:
				time += 1 << 33
			case 3:
				step, ids = []int64{0, 1, 100}[r.IntN(3)], 1+r.IntN(4000)
			}
			time += r.Int64N(step + 1)
			id := testID(uint64(r.IntN(ids)))
			got, want := s.see(id, time), simple.see(id, time)
			if got != want {
				t.Fatalf("seed %d, record %d, horizon %d, limit %d: duplicate %v, want %v", seed, i, horizon, limit, got, want)
			}
			if got {
				known++
			}
		}
		if known == 0 && limit != 1 && horizon > 0 {
			t.Errorf("seed %d: no duplicate", seed)
		}
	}
}

// What does not count any more is not held, whether ids go on to come in numbers or not.
func TestSeenIDsForget(t *testing.T) {
	s := newSeenIDs(2*minute, 0)
	see := func(n, everyUs int64) {
		from := max(s.newest, base)
		for i := range n {
			s.see(testID(rand.Uint64()), from+i*everyUs/1000)
		}
	}
	mostly := func(when string, alive, least, most int64) {
		t.Helper()
		if n := int64(s.next - s.first); n < alive*99/100 || n > alive*101/100 {
			t.Errorf("%s %d ids count, want %d", when, n, alive)
		}
		if got := s.size() / alive; got < least || got > most {
			t.Errorf("%s an id takes %d bytes, want %d to %d", when, got, least, most)
		}
	}
	see(300_000, 400)
	mostly("in the first horizon", 300_000, 21, 40)
	see(700_000, 400)
	mostly("at a steady rate", 300_000, 21, 40)
	see(20_000, 12_000)
	mostly("at a thirtieth of the rate", 10_000, 21, 60)
}

// A partition with more ids than memory is for remembers the newest, wherever a reader began.
func TestSeenIDsAreBounded(t *testing.T) {
	long, short := newSeenIDs(2*minute, 100), newSeenIDs(2*minute, 100)
	forgotten := counted(t, forgottenIDs)
	for i := range int64(5000) {
		id := testID(uint64(i % 150))
		if i >= 4000 {
			if i%150 < 50 { // Three of these in a row are 150 records apart, more than are remembered.
				id = testID(uint64(1000 + i%75))
			}
			if a, b := long.see(id, i), short.see(id, i); a != b && i >= 4100 {
				t.Fatalf("record %d is a duplicate for one reader only", i)
			}
		} else {
			long.see(id, i)
		}
	}
	if n := long.next - long.first; n != 100 {
		t.Errorf("%d sightings count, want 100", n)
	}
	if n := counted(t, forgottenIDs) - forgotten; n != 4900+900 {
		t.Errorf("%v ids were forgotten before their time, want 5,800", n)
	}
}

// A horizon with so many ids, of which none comes twice, is full, and goes on.
func BenchmarkSeenIDs(b *testing.B) {
	for _, ids := range []int64{10_000, 1_000_000, 12_000_000} {
		b.Run(fmt.Sprint(ids), func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			s := newSeenIDs(2*minute, 0)
			n := int64(0)
			see := func() {
				s.see(testID(uint64(n)), base+n*2*minute/ids)
				n++
			}
			for n < ids*3/2 {
				see()
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportAllocs()
			for b.Loop() {
				see()
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(ids), "bytes/id")
		})
	}
}
