package gateway

import (
	"bytes"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/results"
	"pulseboard/wire"
)

func counter() prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: "hidden"})
}

func testFeed(refreshMs int64) *feed {
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
	late := resultAt(now.Add(2*time.Hour), 1000)
	late.PrevEnd = f.last()
	if f.receive(late, now) || len(f.points) != 1 {
		t.Error("a message of the future is shown")
	}
	// The clocks of all are two hours ahead for a while.
	ahead := now.Add(2 * time.Hour)
	if !f.receive(late, ahead) || f.check(ahead, false) && f.state != wire.StateLive {
		t.Errorf("by a clock that is ahead: %v", f.state)
	}
	t1 := &deltaEncoder{layout: &layout{widgets: []widget{{feed: f}}}, cursors: []widgetCursor{{cursor: cursor{end: f.last(), state: wire.StateLive}}}}
	if t1.goBack() {
		t.Error("a stream goes back for nothing")
	}
	if !f.check(now.Add(time.Second), false) || f.last() != 0 || f.state != wire.StateWaiting {
		t.Errorf("set back: newest %d, %v", f.last(), f.state)
	}
	if !t1.goBack() || t1.cursors[0].pending != pendingAll || t1.goBack() {
		t.Errorf("a stream that was told of it: %+v", t1.cursors[0])
	}
	f.beginRead()
	f.endRead([]*wire.Result{resultAt(now, 1000)}, now.Add(time.Second))
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
	sp := wire.WidgetView{ID: "w", Key: f.key, KeyID: "id", RefreshMs: 1000, WindowMs: 1000}
	l := &layout{widgets: []widget{{sp, f}}}
	var cursor, slow, back deltaEncoder
	cursor.adopt(l, nil, nil)
	slow.adopt(l, nil, nil)
	s := &scratch{full: 1 << 16}
	for _, tl := range []*deltaEncoder{&cursor, &slow} {
		if s.reset(); !tl.snapshot(s) {
			t.Fatal("no snapshot")
		}
	}
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
	if s.reset(); cursor.snapshot(s) || cursor.cursors[0].pending != pendingAll {
		t.Errorf("before it is read again: %s", s.text)
	}
	f.beginRead()
	f.endRead(ends(-5, 5), now)
	if f.check(now, false) {
		t.Error("it goes twice")
	}
	// slow comes so late that its newest point is there again, back was away meanwhile.
	back.adopt(l, map[string]wire.ResumePoint{"w": {Key: f.key, WindowEnd: now.Add(4 * time.Second).UnixMilli()}}, nil)
	for name, tl := range map[string]*deltaEncoder{"told": &cursor, "slow": &slow, "back": &back} {
		if s.reset(); tl.update(s, now) {
			t.Errorf("%s: %s", name, s.text)
		}
		if !tl.snapshot(s) || !bytes.Contains(s.text, []byte(`"reset":true`)) {
			t.Errorf("%s: the snapshot is %s; it must begin anew", name, s.text)
		}
		if s.reset(); tl.snapshot(s) {
			t.Errorf("%s: twice: %s", name, s.text)
		}
	}
	// Of another time than what was taken back: goes on where it was.
	var on deltaEncoder
	on.adopt(l, map[string]wire.ResumePoint{"w": {Key: f.key, WindowEnd: now.UnixMilli()}}, nil)
	if s.reset(); !on.snapshot(s) || !bytes.Contains(s.text, []byte(`"reset":false`)) {
		t.Errorf("the snapshot is %s; it must go on", s.text)
	}
}
