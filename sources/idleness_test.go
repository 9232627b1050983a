package sources

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A broker waits with its response until a slice has ended for an idle partition, and not longer.
func TestTheBrokerAnswersWhenASliceHasEnded(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(base + ms) }
	for _, test := range []struct {
		until, now time.Time
		want       time.Duration
	}{
		{at(900), at(900), 350 * time.Millisecond},          // The slice that ends at 1000 has ended at 1250.
		{at(900), at(1249), time.Millisecond},               // Soon.
		{at(900), at(3000), time.Millisecond},               // Long ago: at once.
		{at(1250), at(1250), maxWait},                       // The next at 2250, and it is heard of before.
		{at(1250), at(2000), 250 * time.Millisecond},        // Nothing came since.
		{time.Time{}, at(500), time.Millisecond},            // Nothing is known yet.
		{at(900), at(1200).Add(500), 50 * time.Millisecond}, // Whole milliseconds, and not before the end.
	} {
		i := idleness{options: testOptions()}
		i.until = test.until
		if got := i.maxWait(test.now); got != test.want {
			t.Errorf("idle until %d, asked at %d: %v, want %v", test.until.UnixMilli()-base, test.now.UnixMilli()-base, got, test.want)
		}
	}
}

// That a partition has no more counts once its leader lists offsets, a grace period after the last fault, and from the
// response after that on.
func TestWhenABrokersWordCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog()
		knows := true
		log.fail = func(string) error {
			if !knows {
				return errors.New("the leader does not know its high watermark")
			}
			return nil
		}
		i := idleness{log: log, options: testOptions()}
		judge := func(a response) (caughtUp bool) {
			a.at = time.Now()
			i.judge(t.Context(), &a)
			if a.caughtUp && !i.until.Equal(a.at) {
				t.Errorf("idle until %v, want %v", i.until, a.at)
			}
			return a.caughtUp
		}
		want := func(when string, a response, caughtUp bool) {
			t.Helper()
			if before := i.until; judge(a) != caughtUp || !caughtUp && i.until != before {
				t.Errorf("%s: caught up %v, until %v", when, !caughtUp, i.until)
			}
		}
		end := response{caughtUp: true}
		want("the first response", end, false)
		want("the second one", end, true)
		want("one with more to come", response{}, false)
		asked := len(log.requests)
		want("the next one", end, true)
		if len(log.requests) != asked {
			t.Error("a leader that is trusted is asked for its end")
		}
		i.doubt()
		for range 4 {
			want("after a fault", end, false)
			time.Sleep(grace/4 - time.Millisecond) //nolint:forbidigo // Virtual time.
		}
		want("just before the grace period is over", end, false)
		time.Sleep(4 * time.Millisecond) //nolint:forbidigo // Virtual time.
		knows = false
		for range 3 {
			want("the leader does not know its end", end, false)
		}
		knows = true
		want("the leader has just listed its end", end, false)
		want("what was asked for after that", end, true)
		want("a response that came too late", response{caughtUp: true, slow: true}, false)
		want("soon after that", end, false)
		time.Sleep(grace) //nolint:forbidigo // Virtual time.
		want("a grace period later", end, false)
		want("and then", end, true)
	})
}

func TestSliceOf(t *testing.T) {
	for at, want := range map[int64]int64{0: 0, 999: 0, 1000: 1000, 1999: 1000, -1: -1000, -1000: -1000} {
		if got := testOptions().sliceOf(at); got != want {
			t.Errorf("%d is in the slice of %d, want %d", at, got, want)
		}
	}
}
