package sources

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pulseboard/metric"
)

// stamps are what producers write by mistake, or by a clock of their own.
var stamps = map[string]func(now int64) int64{
	"none":         func(int64) int64 { return -1 },
	"zero":         func(int64) int64 { return 0 },
	"seconds":      func(now int64) int64 { return now / 1000 },
	"microseconds": func(now int64) int64 { return now * 1000 },
	"nanoseconds":  func(now int64) int64 { return now * 1_000_000 },
	"last-week":    func(now int64) int64 { return now - 7*86_400_000 },
	"next-year":    func(now int64) int64 { return now + 365*86_400_000 },
	"ahead-40-s":   func(now int64) int64 { return now + 40_000 },
	"hour-slow":    func(now int64) int64 { return now - 3_600_000 },
}

// On a topic whose timestamps are the producers', a wrong one moves no time: the
// record is too late, or a dead letter, and those beside it count where they are.
func TestNoClockMovesOthers(t *testing.T) {
	log := newFakeLog()
	now := time.Now().UnixMilli() - int64(10*len(stamps))
	for name, at := range stamps {
		now += 10
		log.append(plain, -1, fakeRecord{name: "honest", at: now})
		log.append(plain, -1, fakeRecord{name: name, at: at(now)})
		log.append(plain, -1, fakeRecord{name: "honest", at: now + 1})
	}
	newest := int64(0)
	records := readAll(t, log, testOptions(), Offset{})
	if len(records) != 3*len(stamps) {
		t.Fatalf("%d records of %d", len(records), 3*len(stamps))
	}
	for _, rec := range records {
		switch isHonest := len(rec.Events) > 0 && rec.Events[0].Metric == "honest"; {
		case isHonest && rec.Newest != rec.Time:
			t.Errorf("a record of %d counts at %d", rec.Time, rec.Newest)
		case isHonest:
			newest = rec.Time
		case rec.Time > newest:
			t.Errorf("%s moves time on by %d ms", rec.Key, rec.Time-newest)
		case rec.Unreadable.Code == metric.CodeFromTheFuture:
		case len(rec.Events) == 1 && rec.Newest-rec.Time > 60_000: // Too late.
		default:
			t.Errorf("%s is neither a dead letter nor too late: %+v", rec.Key, rec)
		}
	}
}

// A read that begins with the record of a clock that is ahead begins at its own start all
// the same: without a time of its own, that record was of 1970, and so was the pipeline.
func TestAFastClockDoesNotBeginTime(t *testing.T) {
	now := time.Now().UnixMilli()
	o := testOptions()
	o.StartMs = now - 60_000
	for name, before := range map[string][]int64{"it is the first": nil, "behind one that is not needed": {now - 600_000}} {
		t.Run(name, func(t *testing.T) {
			log := newFakeLog()
			for _, at := range before {
				log.append(plain, -1, fakeRecord{name: "m", at: at})
			}
			log.append(plain, -1, fakeRecord{name: "m", at: now + 3_540_000})
			first, err := (&discovery{&fakeTopic{logs: []*fakeLog{log}}, o, Shard{0, 1}, quietly}).lookUp(t.Context(), Position{})
			if err != nil || len(first) != 1 || first[0].Next != int64(len(before)) {
				t.Fatalf("%+v, %v", first, err)
			}
			a, err := newTestScanner(log, o, first[0].Offset).readOnce(t.Context(), time.Millisecond)
			if err != nil || len(a.records) != 1 {
				t.Fatalf("%+v, %v", a, err)
			}
			p, queue := newTestPartition(o, first[0])
			queue <- a
			if p.collect(); !p.begun || p.Time < o.StartMs-200 || p.Time > now {
				t.Errorf("the partition begins, %v, at %d, the read at %d", p.begun, p.Time, o.StartMs)
			}
		})
	}
}

// A response says of the time up to which the partition is known no more than the broker knew, however late it is read.
func TestHowOldAResponseIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			records int
			delay   time.Duration
			at      time.Duration // After the request.
			slow    bool
		}{
			"without records, in time":    {0, 0, maxWait, false},
			"without records, late":       {0, stall - time.Millisecond, maxWait, false},
			"without records, far later":  {0, stall, maxWait, true},
			"with records":                {1, 0, 0, false},
			"with records, late":          {1, maxWait, 0, false},
			"with records, far too later": {1, maxWait + stall, 0, true},
		} {
			log := newFakeLog()
			s := newTestScanner(log, testOptions(), Offset{})
			for range c.records {
				log.append(plain, -1, fakeRecord{name: "m", at: base})
			}
			log.delay = c.delay
			sent := time.Now().Round(0)
			a, err := s.readOnce(t.Context(), maxWait)
			if err != nil || !a.caughtUp || a.end != int64(c.records) || a.next != a.end || a.slow != c.slow || !a.at.Equal(sent.Add(c.at)) {
				t.Errorf("%s: %+v, %v; want %v after the request, slow %v", name, a, err, c.at, c.slow)
			}
		}
	})
}

// What the log holds no more is counted, and only that: markers have offsets too.
func TestMissingOffsetsAreCounted(t *testing.T) {
	log := newFakeLog()
	log.append(plain, -1, fakeRecord{name: "a", at: base})
	log.append(transactional, 5, fakeRecord{name: "b", at: base})
	log.mark(5, base, 1)
	log.append(plain, -1, fakeRecord{name: "c", at: base}, fakeRecord{name: "d", at: base})
	log.append(plain, -1, fakeRecord{name: "e", at: base})
	s := newTestScanner(log, testOptions(), Offset{})
	if a, err := s.readOnce(t.Context(), 0); err != nil || a.lost != 0 || len(a.records) != 5 {
		t.Errorf("%d records, %d missing, %v", len(a.records), a.lost, err)
	}
	log.change(func() { log.batches = slices.Delete(log.batches, 3, 4) })
	s = newTestScanner(log, testOptions(), Offset{})
	if a, err := s.readOnce(t.Context(), 0); err != nil || a.lost != 2 || len(a.records) != 3 {
		t.Errorf("%d records, %d missing, %v; want 3 and 2", len(a.records), a.lost, err)
	}
}

// skipping is a log of which each response ends with offsets that hold no record.
type skipping struct{ *fakeLog }

func (l skipping) fetch(ctx context.Context, offset int64, maxWait time.Duration, least int32) (*fetched, error) {
	f, err := l.fakeLog.fetch(ctx, offset, maxWait, least)
	f.next, f.end = f.next+3, f.end+3
	return f, err
}

func TestOffsetsWithoutRecordsArePassed(t *testing.T) {
	log := newFakeLog()
	log.append(plain, -1, fakeRecord{name: "a", at: base})
	s := newTestScanner(skipping{log}, testOptions(), Offset{})
	if a, err := s.readOnce(t.Context(), 0); err != nil || a.next != 4 || s.offset != 4 || !a.caughtUp || len(a.records) != 1 {
		t.Errorf("%+v, at offset %d, %v; want to go on from 4", a, s.offset, err)
	}
}

// A scanner whose offset is lost goes on where the log does.
func TestALostOffsetIsFoundAgain(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*fakeLog)
		offset int64
		anew   bool // Another log: what was learnt of the one before is forgotten.
	}{
		"deleted by retention": {func(l *fakeLog) { l.retain(6) }, 6, false},
		"cut by a leader": {func(l *fakeLog) {
			l.change(func() { l.batches, l.epochs = l.batches[:3], map[int32]int64{7: 2} })
		}, 2, true},
		"cut by a leader that does not know where": {func(l *fakeLog) {
			l.change(func() { l.batches, l.epochs = l.batches[:3], map[int32]int64{7: 8} })
		}, 3, true},
		"cut by a leader that knows no epochs": {func(l *fakeLog) { l.change(func() { l.batches = l.batches[:3] }) }, 3, true},
		"made anew": {func(l *fakeLog) {
			l.change(func() { l.id, l.batches = [16]byte{2}, l.batches[:1] })
		}, 0, true},
		"nothing is lost": {func(*fakeLog) {}, 4, false},
		"the broker does not answer": {func(l *fakeLog) {
			l.retain(6)
			l.fail = func(string) error { return errors.New("it does not answer") }
		}, 4, false},
	} {
		log := newFakeLog()
		for range 4 {
			log.append(plain, -1, fakeRecord{name: "m", at: base})
		}
		s := newTestScanner(log, testOptions(), Offset{})
		if _, err := s.readOnce(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			log.append(plain, -1, fakeRecord{name: "m", at: base})
		}
		s.clock.stretch.until = 100
		c.change(log)
		if s.findAgain(t.Context()); s.offset != c.offset || (s.epoch == -1) != c.anew || (s.clock.stretch == stretch{}) != c.anew {
			t.Errorf("%s: goes on at %d, epoch %d, %+v; want %d, anew %v", name, s.offset, s.epoch, s.clock.stretch, c.offset, c.anew)
		}
	}
}

// A read stops when no more is wanted, and an error hands over what came before it: whatever is read again, each record
// is handed over once.
func TestEachRecordIsHandedOverOnce(t *testing.T) {
	log := newFakeLog()
	var want []string
	count := func(names ...string) { want = append(want, names...) }
	log.append(transactional, 5, fakeRecord{name: "t1", at: base}, fakeRecord{name: "t2", at: base})
	log.append(plain, -1, fakeRecord{name: "a", at: base})
	log.append(transactional, 6, fakeRecord{name: "u1", at: base})
	log.append(transactional, 5, fakeRecord{name: "t3", at: base})
	log.append(plain, -1, fakeRecord{name: "b", at: base})
	log.mark(5, base, 1)
	count("a", "b", "t1", "t2", "t3")
	log.append(plain, -1, fakeRecord{name: "c", at: base})
	log.append(transactional, 7, fakeRecord{name: "v1", at: base})
	log.mark(6, base, 1)
	log.mark(7, base, 0)
	log.mark(5, base, 1) // Of nothing.
	log.append(plain, -1, fakeRecord{name: "d", at: base})
	count("c", "u1", "d")
	for _, perFetch := range []int{0, 1, 2, 3} {
		log.perFetch = perFetch
		for fault := range 16 {
			requests := 0
			log.fail = func(what string) error {
				if what == "fetch" {
					requests++
				}
				if requests == fault {
					return errors.New("it does not answer")
				}
				return nil
			}
			s := newTestScanner(log, testOptions(), Offset{})
			var names []string
			for n := 0; s.offset < log.end(); n++ {
				err := s.read(t.Context(), time.Now(), 0, func(a *response) bool {
					for _, rec := range a.records {
						names = append(names, string(rec.Key))
					}
					return true
				})
				if n > 30 {
					t.Fatal(err)
				}
			}
			if !slices.Equal(names, want) {
				t.Errorf("by %d, with fault %d: %v, want %v", perFetch, fault, names, want)
			}
		}
	}
	log.fail, log.perFetch = nil, 0
	for stop := range 3 {
		s := newTestScanner(log, testOptions(), Offset{})
		sent := 0
		err := s.read(context.Background(), time.Now(), 0, func(*response) bool { sent++; return sent <= stop })
		if err != nil || sent != stop+1 {
			t.Errorf("stopped after %d responses, %d came, %v", stop, sent, err)
		}
	}
}
