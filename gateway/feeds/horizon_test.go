package feeds

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/results"
	"pulseboard/wire"
)

func counter() prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: "hidden"})
}

func testFeed(refreshMs int64) *Feed {
	return newFeed(&wire.WidgetView{Key: "m:count:1s", RefreshMs: refreshMs, WindowMs: 1000}, 1000, &horizon{hidden: counter()})
}

func resultAt(end time.Time, refreshMs int64) *wire.Result {
	ms := end.UnixMilli() / refreshMs * refreshMs
	return &wire.Result{Key: "m:count:1s", WindowStart: ms - 1000, WindowEnd: ms, PrevEnd: ms - refreshMs, Due: []int64{refreshMs}, Complete: true, Matched: 1}
}

// What a clock that is ahead has published is not shown, from a message or from a history; and once
// the clocks are right what was shown goes.
func TestNothingOfTheFutureIsShown(t *testing.T) {
	now := time.Now()
	f := testFeed(1000)
	f.beginRead()
	f.endRead([]*wire.Result{resultAt(now.Add(-time.Second), 1000), resultAt(now.Add(2*time.Hour), 1000)}, now)
	if len(f.points) != 1 {
		t.Fatalf("%d points of a history that has one of the future", len(f.points))
	}
	future := resultAt(now.Add(2*time.Hour), 1000)
	future.PrevEnd = f.last()
	if f.receive(future, now) || len(f.points) != 1 {
		t.Error("a message of the future is shown")
	}
	// The clocks of all are two hours ahead for a while.
	ahead := now.Add(2 * time.Hour)
	if !f.receive(future, ahead) || f.check(ahead, false) && f.state != wire.StateLive {
		t.Errorf("by a clock that is ahead: %v", f.state)
	}
	before := f.View().Generation
	if !f.check(now.Add(time.Second), false) || f.last() != 0 || f.state != wire.StateWaiting || f.View().Generation == before {
		t.Errorf("set back: newest %d, %v, generation %d", f.last(), f.state, f.View().Generation)
	}
	f.beginRead()
	f.endRead([]*wire.Result{resultAt(now, 1000)}, now.Add(time.Second))
	if want := resultAt(now, 1000).WindowEnd; f.last() != want {
		t.Errorf("read again: newest %d, want %d", f.last(), want)
	}
}

// Where Redis is right and this machine is slow, results are not of the future.
func TestASlowClockHidesNothing(t *testing.T) {
	now := time.Now()
	f := testFeed(1000)
	f.horizon.behind.Store(time.Minute.Milliseconds())
	f.beginRead()
	f.endRead([]*wire.Result{resultAt(now.Add(time.Minute), 1000)}, now)
	if len(f.points) != 1 {
		t.Error("it is hidden")
	}
}

// After a night, by the wall clock, nothing is live before something newer has come.
func TestAfterANightNothingIsLive(t *testing.T) {
	now := time.Now()
	f := testFeed(1000)
	f.beginRead()
	f.endRead([]*wire.Result{resultAt(now, 1000)}, now)
	if f.check(now, false); f.state != wire.StateLive {
		t.Fatalf("it is %v", f.state)
	}
	// The wall clock alone has gone on: such a time has no monotonic part.
	f.arrived = f.arrived.Round(0)
	if f.check(now.Round(0).Add(8*time.Hour), false); f.state != wire.StateStale {
		t.Errorf("after a night it is %v", f.state)
	}
}

// What was taken back goes from the pages that show it, also where they show nothing of the future.
func TestWhatWasTakenBackGoes(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	ends := func(from, to int) (rs []*wire.Result) {
		for i := from; i <= to; i++ {
			rs = append(rs, resultAt(now.Add(time.Duration(i)*time.Second), 1000))
		}
		return rs
	}
	f := testFeed(1000)
	f.beginRead()
	f.endRead(ends(-5, 4), now)
	if f.check(now, false) {
		t.Error("it goes for nothing")
	}
	// A read that began before does not bring it back.
	f.beginRead()
	taken := results.TakenBack{ID: "1", Since: now.UnixMilli(), Until: now.Add(4 * time.Second).UnixMilli()}
	f.horizon.taken.Store(&taken)
	if !f.check(now, false) || len(f.points) > 0 {
		t.Fatalf("%d points are left", len(f.points))
	}
	if f.endRead(ends(5, 5), now) || f.loaded {
		t.Error("a history that was read before is shown")
	}
	f.beginRead()
	f.endRead(ends(-5, 5), now)
	if f.check(now, false) {
		t.Error("it goes twice")
	}
	if !f.TookBack(now.Add(time.Second).UnixMilli()) || f.TookBack(now.UnixMilli()) {
		t.Error("what was taken back is not what was after now")
	}
}
