package sources

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"pulseboard/metric"
)

// The clock of a broker that was wrong for a while: what it stamped then counts at the
// time of the log before it, and the log goes on where the clock is right again.
func TestAWrongClockOfABroker(t *testing.T) {
	for name, c := range map[string]struct{ stamps, times []int64 }{ // Seconds from now.
		"right":                   {[]int64{-20, -19, -18}, []int64{-20, -19, -18}},
		"a pause":                 {[]int64{-600, -599, -299, -298}, []int64{-600, -599, -299, -298}},
		"a pause at the end":      {[]int64{-600, -599, -1}, []int64{-600, -599, -1}},
		"slewed":                  {[]int64{-50, -46, -47, -45}, []int64{-50, -46, -47, -45}},
		"some seconds ahead":      {[]int64{-50, -46, -49, -45}, []int64{-50, -50, -49, -45}},
		"ten seconds ahead":       {[]int64{-50, -39, -38, -47, -46}, []int64{-50, -50, -50, -47, -46}},
		"a pause, then set back":  {[]int64{-50, -39, -38, -41, -40}, []int64{-50, -39, -38, -41, -40}},
		"a pause long before":     {[]int64{-200, -190, -189, -120, -129}, []int64{-200, -190, -189, -120, -129}},
		"ahead again and again":   {[]int64{-50, -43, -42, -47, -46, -40, -39, -44, -43}, []int64{-50, -50, -50, -47, -46, -46, -46, -44, -43}},
		"late by a leader's":      {[]int64{-90, -89, -120, -88}, []int64{-90, -89, -120, -88}},
		"ahead of now":            {[]int64{-10, -9, 7200, 7201, -7, -6}, []int64{-10, -9, -9, -9, -7, -6}},
		"ahead of now at the end": {[]int64{-10, -9, 7200, 7201}, []int64{-10, -9, -9, -9}},
		"half a minute ahead":     {[]int64{-10, -9, 30, -7}, []int64{-10, -9, -9, -7}},
		"ahead, long ago":         {[]int64{-900, -899, -599, -598, -897, -896, -895, -894, -500}, []int64{-900, -899, -899, -899, -897, -896, -895, -894, -500}},
		"ahead twice":             {[]int64{-900, -599, -899, -898, -300, -897, -896}, []int64{-900, -900, -899, -898, -898, -897, -896}},
		"behind":                  {[]int64{-100, -99, -7300, -7299, -96}, []int64{-100, -99, -99, -99, -96}},
		"behind, and nothing yet": {[]int64{-100, -99, -7300, -7299}, []int64{-100, -99, -99, -99}},
		"behind at the beginning": {[]int64{-7300, -7299, -100, -99}, []int64{-7300, -7299, -100, -99}},
	} {
		t.Run(name, func(t *testing.T) {
			log := newFakeLog()
			now := time.Now().UnixMilli()
			for _, s := range c.stamps {
				log.append(stamped, -1, fakeRecord{name: "m", at: now + 1000*s})
			}
			for _, perFetch := range []int{0, 1, 2} { // What follows a record is in the same response, or its head is read.
				log.perFetch = perFetch
				var times []int64
				newest := int64(math.MinInt64)
				for _, rec := range readAll(t, log, testOptions(), Offset{}) {
					times = append(times, int64(math.Round(float64(rec.Time-now)/1000)))
					if newest = max(newest, rec.Time); rec.Newest != newest || len(rec.Events) != 1 {
						t.Errorf("%+v; the newest is %d", rec, newest)
					}
				}
				if !slices.Equal(times, c.times) {
					t.Errorf("stamps %v, read by %d, count at %v, want %v", c.stamps, perFetch, times, c.times)
				}
			}
		})
	}
}

// A record that was taken while the clock was wrong was taken before the clock was right
// again: up to then its events may state.
func TestWhenAWrongClockTookARecord(t *testing.T) {
	const now = 1000                                                  // Stands for the time of the read.
	for name, c := range map[string]struct{ stamps, latest []int64 }{ // Seconds from now.
		"right":                   {[]int64{-20, -19}, []int64{-20, -19}},
		"ahead of now":            {[]int64{-10, -9, 7200, 7201, -7, -6}, []int64{-10, -9, -7, -7, -7, -6}},
		"ahead of now at the end": {[]int64{-10, -9, 30, 31}, []int64{-10, -9, now, now}},
		"ahead, long ago":         {[]int64{-900, -899, -869, -868, -895, -894, -893, -892}, []int64{-900, -899, -895, -895, -895, -894, -893, -892}},
		"ahead twice":             {[]int64{-900, -599, -899, -898, -300, -897, -896}, []int64{-900, -899, -899, -898, -897, -897, -896}},
		"ten seconds ahead":       {[]int64{-50, -39, -38, -47, -46}, []int64{-50, -47, -47, -47, -46}},
		"behind":                  {[]int64{-100, -99, -7300, -7299, -90}, []int64{-100, -99, -90, -90, -90}},
		"behind, and nothing yet": {[]int64{-100, -99, -7300}, []int64{-100, -99, now}},
		"ahead, and then behind":  {[]int64{-100, 600, -7300, -90}, []int64{-100, -90, -90, -90}},
	} {
		t.Run(name, func(t *testing.T) {
			log := newFakeLog()
			began := time.Now().UnixMilli()
			for _, s := range c.stamps {
				log.append(stamped, -1, fakeRecord{name: "m", at: began + 1000*s})
			}
			records := readAll(t, log, testOptions(), Offset{})
			for i, want := range c.latest {
				first, last := began+1000*want, began+1000*want
				if want == now {
					first, last = began, time.Now().UnixMilli()
				}
				if got := records[i].Latest; got < first || got > last {
					t.Errorf("stamp %d: events of up to %+d ms, want %+d", c.stamps[i], got-began, first-began)
				}
			}
		})
	}
}

// What is read again begins elsewhere, and judges the same of what it needs.
func TestAWrongClockInAReplay(t *testing.T) {
	log := newFakeLog()
	now := time.Now().UnixMilli()
	for _, s := range []int64{-900, -899, -599, -598, -897, -896, -895, -500, -499} {
		log.append(stamped, -1, fakeRecord{name: "m", at: now + 1000*s})
	}
	whole := readAll(t, log, testOptions(), Offset{})
	o := testOptions()
	o.StartMs = now - 700_000
	for from := int64(2); from < int64(len(whole)); from++ {
		for i, rec := range readAll(t, log, o, Offset{Next: from}) {
			if want := whole[int(from)+i]; rec.Time != want.Time && (rec.Time > o.StartMs || want.Time > o.StartMs) {
				t.Errorf("read from %d, record %d counts at %d, else at %d", from, rec.Offset, rec.Time-now, want.Time-now)
			}
		}
	}
}

// A clock of ours that is slow, of which Redis knows, makes no broker's wrong.
func TestASlowClockOfOurs(t *testing.T) {
	log := newFakeLog()
	now := time.Now().UnixMilli()
	for _, s := range []int64{20, 21, 22} {
		log.append(stamped, -1, fakeRecord{name: "m", at: now + 1000*s})
	}
	o := testOptions()
	o.ClockMs = 22_000
	for i, rec := range readAll(t, log, o, Offset{}) {
		if want := now + 20_000 + int64(i)*1000; rec.Time != want {
			t.Errorf("record %d counts at %+d ms, want %+d", i, rec.Time-now, want-now)
		}
	}
}

// Once results were published by a clock that was ahead, the run must begin anew.
func TestTheRunIsToldThatTimeGoesBack(t *testing.T) {
	log := newFakeLog()
	var told []error
	began := time.Now()
	s := newScanner(log, testOptions(), Offset{Partition: 3}, newRoom(0), quietly, func(err error, since time.Time) {
		if told = append(told, err); since.After(time.Now()) || since.Before(began.Add(-2*time.Second)) {
			t.Errorf("right until %v, want a second ago", time.Since(since))
		}
	})
	for _, second := range []int64{-1, 30, 31, 1} { // From the second on they come while it reads.
		log.append(stamped, -1, fakeRecord{name: "m", at: time.Now().UnixMilli() + 1000*second})
		if _, err := s.readOnce(t.Context(), time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if (second == 1) != (len(told) == 1) {
			t.Errorf("after %d s: told %v", second, told)
		}
	}
	if len(told) > 0 && told[0].Error()[:len("the clock of the broker of partition 3 was set back by 3")] != "the clock of the broker of partition 3 was set back by 3" {
		t.Errorf("told %v", told)
	}
}

// Times at the ends of what fits a timestamp end in one place, and move nothing.
func TestTimesAtTheEnds(t *testing.T) {
	log := newFakeLog()
	now := time.Now()
	log.append(plain, -1, fakeRecord{name: "honest", at: now.UnixMilli()})
	for _, at := range []int64{math.MinInt64, math.MinInt64 + 1, -1, 0, now.UnixMicro(), now.UnixNano(), math.MaxInt64 - 1, math.MaxInt64} {
		log.append(plain, -1, fakeRecord{name: "wrong", at: at})
		log.append(plain, -1, fakeRecord{name: "honest", at: now.UnixMilli()})
	}
	p, queue := newTestPartition(testOptions(), assignment{end: -1})
	for _, rec := range readAll(t, log, testOptions(), Offset{}) {
		isHonest := string(rec.Key) == "honest"
		dead, late := rec.Unreadable.Code == metric.CodeFromTheFuture, rec.Newest-rec.Time > 60_000
		if isHonest == (dead || late) || dead && late || rec.Newest != now.UnixMilli() {
			t.Errorf("%+v: dead letter %v, too late %v", rec, dead, late)
		}
		queue <- response{records: []Record{rec}, next: rec.Offset + 1}
		p.collect()
		if p.Time != now.UnixMilli()-200 {
			t.Errorf("after %+v the time is %d, want %d", rec, p.Time, now.UnixMilli()-200)
		}
		p.take()
	}
}

// A look ahead counts the records of all batches up to the end, of those that brokers stamped, once.
func TestALookAheadCountsRecords(t *testing.T) {
	log := newFakeLog()
	now := time.Now().UnixMilli()
	at := func(seconds int64) fakeRecord { return fakeRecord{name: "m", at: now + 1000*seconds} }
	log.append(stamped, -1, at(-50), at(-50))
	log.append(stamped, -1, at(-39), at(-39), at(-39))
	log.append(plain, -1, at(-30))
	log.append(stamped, -1, at(-20), at(-20))
	log.perFetch = 1
	s := newTestScanner(log, testOptions(), Offset{Newest: now - 60_000})
	for s.offset < log.end() {
		if _, err := s.readOnce(t.Context(), time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	var records, firsts []int64
	for _, r := range s.clock.sky.runs {
		records, firsts = append(records, r.records), append(firsts, r.first)
	}
	if !slices.Equal(records, []int64{2, 3, 2}) || !slices.Equal(firsts, []int64{0, 2, 6}) || s.clock.sky.end != log.end() || log.asked("heads") != 3 {
		t.Errorf("runs of %v records at %v, up to %d, by %d requests", records, firsts, s.clock.sky.end, log.asked("heads"))
	}
}

// A look ahead that fails is made again, of the whole: what is known of the log only in part would judge otherwise.
func TestALookAheadThatFailsIsMadeAgain(t *testing.T) {
	log := newFakeLog()
	now := time.Now().UnixMilli()
	for _, s := range []int64{-50, -39, -38, -47, -46} {
		log.append(stamped, -1, fakeRecord{name: "m", at: now + 1000*s})
	}
	log.perFetch = 2
	fails := true
	log.fail = func(what string) error {
		if what == "heads" && fails {
			return errors.New("it does not answer")
		}
		return nil
	}
	s := newTestScanner(log, testOptions(), Offset{Newest: now - 50_000})
	a, err := s.readOnce(t.Context(), time.Millisecond)
	if err == nil || len(a.records) != 1 || s.offset != 1 {
		t.Fatalf("%d records, at offset %d, %v; want the one before the fault", len(a.records), s.offset, err)
	}
	fails = false
	for s.offset < 5 {
		more, err := s.readOnce(t.Context(), time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		a.records = append(a.records, more.records...)
	}
	for i, want := range []int64{-50, -50, -50, -47, -46} {
		if got := a.records[i].Time; got != now+1000*want {
			t.Errorf("record %d counts at %d ms, want %d", i, got-now, 1000*want)
		}
	}
}
