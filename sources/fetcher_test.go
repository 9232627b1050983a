package sources

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// fetching is a fetcher of a fakeLog with the queue that it fills.
type fetching struct {
	*fetcher

	p     *partition
	queue chan response
}

// startFetcher runs one until the test, or the context that it returns the end of, ends.
func startFetcher(t *testing.T, log partitionLog, o *Options, at Offset, queue int) (fetching, context.CancelFunc) {
	t.Helper()
	f := fetching{&fetcher{options: o, scanner: newTestScanner(log, o, at), idle: idleness{log: log, options: o}}, nil, make(chan response, queue)}
	f.p = newPartition(o, assignment{Offset: at, end: -1}, f.queue, &readAhead{limit: o.ReadBytes})
	f.share, f.lag, f.fetcher.queue, f.arrived = &f.p.share, &f.p.lag, f.queue, make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); f.run(ctx) }()
	return f, func() { cancel(); <-ended }
}

// names reads the keys of so many records from the queue.
func (f *fetching) names(n int) (names []string) {
	for len(names) < n {
		for _, rec := range (<-f.queue).records {
			names = append(names, string(rec.Key))
		}
	}
	return names
}

// A fetch that fails is tried again from where it was, after pauses that double up to a second.
func TestAFailedFetchIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog()
		log.append(plain, -1, fakeRecord{name: "a", at: base})
		var mu sync.Mutex
		var tried []time.Duration // After the one before.
		fails, last := 8, time.Now()
		log.fail = func(what string) error {
			mu.Lock()
			defer mu.Unlock()
			if what != "fetch" {
				return nil
			}
			tried = append(tried, time.Since(last))
			last = time.Now()
			if fails--; fails >= 0 {
				return errors.New("it does not answer")
			}
			return nil
		}
		f, stop := startFetcher(t, log, testOptions(), Offset{}, 10)
		if got := f.names(1); got[0] != "a" {
			t.Errorf("read %v", got)
		}
		ms := time.Millisecond
		mu.Lock()
		if want := []time.Duration{0, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 640 * ms, time.Second, time.Second}; !slices.Equal(tried[:9], want) {
			t.Errorf("tried after %v, want %v", tried, want)
		}
		fails, tried = 2, nil
		mu.Unlock()
		if log.asked("forget") != 8 {
			t.Errorf("leaders are forgotten %d times, want after each fault", log.asked("forget"))
		}
		for again := 0; again < 4; {
			<-f.queue
			mu.Lock()
			again = len(tried)
			mu.Unlock()
		}
		stop()
		if i := slices.Index(tried, 20*ms); i < 0 || tried[i+1] != 40*ms {
			t.Errorf("tried after %v: after a success pauses begin at 20 ms again", tried)
		}
		if _, ok := f.p.lag.openSeconds(time.Now()); ok {
			t.Error("a partition that is not read any more has open transactions")
		}
	})
}

// A leader that has just been elected may lack the newest of what was acknowledged, and one that was stopped does not
// know that it leads no more: that it has no more counts a while after a fault, and once it lists offsets.
func TestANewLeaderIsDoubted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog()
		var elected, fault atomic.Bool
		log.fail = func(what string) error {
			switch {
			case what == "offset" && elected.Load():
				return kerr.OffsetNotAvailable
			case what == "fetch" && fault.CompareAndSwap(true, false):
				return kerr.NotLeaderForPartition
			}
			return nil
		}
		f, stop := startFetcher(t, log, testOptions(), Offset{}, 0)
		defer stop()
		for a := range f.queue {
			if a.caughtUp {
				break // It is idle, by a leader that knows.
			}
		}
		synctest.Wait()
		elected.Store(true)
		fault.Store(true)
		faulty := time.Now()
		<-f.queue // It was on its way.
		for time.Since(faulty) < 2*grace {
			if a := <-f.queue; a.caughtUp {
				t.Fatal("the partition is idle by the word of a leader that does not know")
			}
		}
		elected.Store(false)
		for a := range f.queue {
			if a.caughtUp {
				return
			}
		}
	})
}

// The queue bounds how far a fetcher is ahead, and so do bytes; what it holds is counted.
func TestAFetcherWaitsForTheReadLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			queue    int
			bytes    int64
			most     int // Fetches without the read loop.
			afterOne int
		}{{3, 0, 5, 6}, {100, 1000, 3, 4}} {
			o := testOptions()
			o.ReadBytes = c.bytes
			log := newFakeLog()
			log.perFetch = 1
			for range 50 {
				log.append(plain, -1, fakeRecord{name: "m", at: base})
			}
			f, stop := startFetcher(t, log, o, Offset{}, c.queue)
			time.Sleep(time.Minute) //nolint:forbidigo // Of virtual time.
			if got := log.asked("fetch"); got > c.most || got < 2 {
				t.Errorf("%+v: fetched %d times without anything taken", c, got)
			}
			before := log.asked("fetch")
			f.p.collect()
			f.p.take()
			time.Sleep(time.Minute) //nolint:forbidigo // Of virtual time.
			if got := log.asked("fetch"); got != before+1 {
				t.Errorf("%+v: fetched %d times after one response was taken, %d before", c, got, before)
			}
			stop()
			for n := f.p.share.responses.Load(); n > 0; n-- {
				if f.p.collect(); f.p.peek() != nil {
					f.p.take()
				}
			}
			if held := f.p.share.all.bytes.Load(); held != 0 && c.bytes > 0 {
				t.Errorf("%+v: %d bytes are held of nothing", c, held)
			}
		}
	})
}

// What a fault makes the fetcher read again is no duplicate.
func TestWhatIsReadAgainIsNoDuplicate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions()
		o.DedupeMs = 2 * minute
		log := newFakeLog()
		log.append(transactional, 5, fakeRecord{name: "t", at: base})
		log.append(plain, -1, fakeRecord{name: "a", at: base, id: "1"})
		log.mark(5, base, 1)
		log.append(plain, -1, fakeRecord{name: "b", at: base, id: "1"}, fakeRecord{name: "c", at: base, id: "2"})
		fetches := 0
		log.fail = func(what string) error {
			if what == "fetch" {
				if fetches++; fetches == 2 { // Of the transaction: the records before its marker have been handed over.
					return errors.New("it does not answer")
				}
			}
			return nil
		}
		f, stop := startFetcher(t, log, o, Offset{}, 10)
		var counted []string
		for next := int64(0); next < log.end(); {
			a := <-f.queue
			next = a.next
			for _, rec := range a.records {
				if len(rec.Events) > 0 {
					counted = append(counted, string(rec.Key))
				}
			}
		}
		if want := []string{"a", "t", "c"}; !slices.Equal(counted, want) {
			t.Errorf("counted %v, want %v", counted, want)
		}
		stop()
	})
}
