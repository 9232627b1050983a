package sources

import (
	"errors"
	"testing"
	"time"
)

// Where a read begins, and from when on it has everything.
func TestStartAt(t *testing.T) {
	now := time.Now().UnixMilli()
	for name, c := range map[string]struct {
		attributes int16
		records    []int64 // Seconds ago, one a batch.
		deleted    int64   // The records before this offset are.
		startAgo   int64   // Seconds; 0 = from the beginning.
		start      int64
		since      int64 // Seconds ago; 0 = all.
	}{
		"an empty log":                             {plain, nil, 0, 50, 0, 0},
		"from the beginning":                       {plain, []int64{90, 80}, 0, 0, 0, 0},
		"from the beginning, which was deleted":    {logAppendTime, []int64{90, 80, 70}, 1, 0, 1, 80},
		"all records are younger":                  {plain, []int64{40, 30}, 0, 50, 0, 0},
		"in the middle":                            {plain, []int64{90, 60, 40, 30}, 0, 50, 2, 50},
		"all records are older":                    {plain, []int64{90, 60}, 0, 50, 2, 50},
		"what is older was deleted":                {logAppendTime, []int64{90, 60, 40, 30}, 2, 50, 2, 40},
		"in the middle of what is left":            {logAppendTime, []int64{90, 60, 40, 30}, 1, 50, 2, 50},
		"by the broker's time":                     {logAppendTime, []int64{90, 60, 40, 30}, 0, 50, 2, 50},
		"by the broker's time, and that was wrong": {logAppendTime, []int64{90, 40, 60, 30}, 0, 50, 1, 50},
	} {
		t.Run(name, func(t *testing.T) {
			log := newFakeLog()
			for _, ago := range c.records {
				log.append(c.attributes, -1, fakeRecord{name: "m", at: now - 1000*ago})
			}
			log.retain(c.deleted)
			startMs, since := int64(0), int64(0)
			if c.startAgo > 0 {
				startMs = now - 1000*c.startAgo
			}
			if c.since > 0 {
				since = now - 1000*c.since
			}
			if start, got, err := startAt(t.Context(), log, optionsFrom(startMs)); err != nil || start != c.start || got != since {
				t.Errorf("from offset %d covered since %+d ms, %v; want %d, %+d ms", start, got-now, err, c.start, since-now)
			}
		})
	}
}

// The embedded broker finds records by timestamps of producers within a batch: those before that came
// after the start by its own time are read too.
func TestABatchThatTheBrokerStampedIsReadWhole(t *testing.T) {
	log := newFakeLog()
	now := time.Now().UnixMilli()
	log.append(stamped, -1, fakeRecord{name: "old", at: now - 90_000})
	log.append(stamped, -1, fakeRecord{name: "a", at: now - 80_000}, fakeRecord{name: "b", at: now - 70_000}, fakeRecord{name: "c", at: now - 10_000})
	if start, _, err := startAt(t.Context(), log, optionsFrom(now-50_000)); err != nil || start != 1 {
		t.Errorf("from offset %d, %v; want 1", start, err)
	}
}

// An oldest record with a wrong time does not decide from when on everything is read.
func TestCoveredSinceIsNoProducersMistake(t *testing.T) {
	for name, wrong := range map[string]int64{"nanoseconds": time.Now().UnixNano(), "next year": time.Now().UnixMilli() + 365*86_400_000, "zero": 0} {
		log := newFakeLog()
		now := time.Now().UnixMilli()
		log.append(plain, -1, fakeRecord{name: "m", at: now - 50_000})
		log.append(plain, -1, fakeRecord{name: "m", at: wrong})
		for i := range int64(20) {
			log.append(plain, -1, fakeRecord{name: "m", at: now - 40_000 + i})
		}
		log.retain(1)
		for _, perFetch := range []int{0, 2} {
			log.perFetch = perFetch
			start, since, err := startAt(t.Context(), log, optionsFrom(now-60_000))
			if err != nil || start > 2 || since < now-40_000 || since > now-39_000 {
				t.Errorf("%s: from offset %d covered since %+d ms, %v", name, start, since-now, err)
			}
		}
	}
}

// A record that comes while it is asked where to begin is read: the end that the read goes on
// from, when no record is young enough, is that of before.
func TestWhatComesWhileTheStartIsFoundIsRead(t *testing.T) {
	now := time.Now().UnixMilli()
	for _, older := range []int64{0, 1} {
		for before := range 3 {
			log := newFakeLog()
			for range older {
				log.append(plain, -1, fakeRecord{name: "m", at: now - 10*minute})
			}
			requests := 0
			log.fail = func(string) error {
				if requests == before {
					log.append(plain, -1, fakeRecord{name: "m", at: now})
				}
				requests++
				return nil
			}
			start, _, err := startAt(t.Context(), log, optionsFrom(now-minute))
			if err != nil || start > older || requests <= before {
				t.Errorf("with %d older records the read begins at %d, %v; a record that came before request %d has the offset %d", older, start, err, before, older)
			}
		}
	}
}

func TestStartAtFails(t *testing.T) {
	want := errors.New("it does not answer")
	for failing := range 5 {
		log := newFakeLog()
		now := time.Now().UnixMilli()
		for i := range int64(3) {
			log.append(logAppendTime, -1, fakeRecord{name: "m", at: now - 90_000 + 30_000*i})
		}
		log.retain(1)
		n := -1
		log.fail = func(string) error {
			if n++; n == failing {
				return want
			}
			return nil
		}
		if _, _, err := startAt(t.Context(), log, optionsFrom(now-10_000)); !errors.Is(err, want) && n >= failing {
			t.Errorf("request %d fails, and the start with %v", failing, err)
		}
	}
}
