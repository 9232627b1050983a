package gateway

import (
	"bytes"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/metric"
)

func counter() prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: "hidden"})
}

func testFeed(refreshMs int64) *feed {
	return newFeed(spec{key: "m:count:1s", refreshMs: refreshMs, query: metric.Query{Metric: "m", Aggregation: metric.Count, WindowSeconds: 1}}, 1000, &horizon{hidden: counter()})
}

func resultAt(end time.Time, refreshMs int64) *metric.Result {
	ms := end.UnixMilli() / refreshMs * refreshMs
	return &metric.Result{Key: "m:count:1s", WindowStart: ms - 1000, WindowEnd: ms, PrevEnd: ms - refreshMs, Due: []int64{refreshMs}, Complete: true, Matched: 1}
}

// What a clock that is ahead has published is not shown, from a message or from a history; and once
// the clocks are right what was shown goes.
func TestNothingOfTheFutureIsShown(t *testing.T) {
	now := time.Now()
	f := testFeed(1000)
	f.beginRead()
	f.endRead([]*metric.Result{resultAt(now.Add(-time.Second), 1000), resultAt(now.Add(2*time.Hour), 1000)}, now)
	if len(f.points) != 1 {
		t.Fatalf("%d points of a history that has one of the future", len(f.points))
	}
	late := resultAt(now.Add(2*time.Hour), 1000)
	late.PrevEnd = f.last()
	if f.receive(late, now) || len(f.points) != 1 {
		t.Error("a message of the future is shown")
	}
	// The clocks of all are two hours ahead for a while.
	ahead := now.Add(2 * time.Hour)
	if !f.receive(late, ahead) || f.check(ahead, false) && f.state != stateLive {
		t.Errorf("by a clock that is ahead: %v", f.state)
	}
	t1 := &teller{layout: &layout{widgets: []widget{{feed: f}}}, cursors: []cursor{{told: told{end: f.last(), state: stateLive}}}}
	if t1.goBack() {
		t.Error("a stream goes back for nothing")
	}
	if !f.check(now.Add(time.Second), false) || f.last() != 0 || f.state != stateWaiting {
		t.Errorf("set back: newest %d, %v", f.last(), f.state)
	}
	if !t1.goBack() || t1.cursors[0].need != needAll || t1.goBack() {
		t.Errorf("a stream that was told of it: %+v", t1.cursors[0])
	}
	f.beginRead()
	f.endRead([]*metric.Result{resultAt(now, 1000)}, now.Add(time.Second))
	s := new(scratch)
	if !t1.snapshot(s) || t1.cursors[0].end != resultAt(now, 1000).WindowEnd {
		t.Errorf("the snapshot is %s", s.text)
	}
	if want := `"reset":true`; !bytes.Contains(s.text, []byte(want)) {
		t.Errorf("the snapshot is %s; it must have %s", s.text, want)
	}
}

// Where Redis is right and this machine is slow, results are not of the future.
func TestASlowClockHidesNothing(t *testing.T) {
	now := time.Now()
	f := testFeed(1000)
	f.horizon.behind.Store(time.Minute.Milliseconds())
	f.beginRead()
	f.endRead([]*metric.Result{resultAt(now.Add(time.Minute), 1000)}, now)
	if len(f.points) != 1 {
		t.Error("it is hidden")
	}
}

// After a night, by the wall clock, nothing is live before something newer has come.
func TestAfterANightNothingIsLive(t *testing.T) {
	now := time.Now()
	f := testFeed(1000)
	f.beginRead()
	f.endRead([]*metric.Result{resultAt(now, 1000)}, now)
	if f.check(now, false); f.state != stateLive {
		t.Fatalf("it is %v", f.state)
	}
	// The wall clock alone has gone on: such a time has no monotonic part.
	f.arrived = f.arrived.Round(0)
	if f.check(now.Round(0).Add(8*time.Hour), false); f.state != stateStale {
		t.Errorf("after a night it is %v", f.state)
	}
}
