package sources

import (
	"testing"
	"time"
)

func newTestPartition(o *Options, a assignment) (*partition, chan response) {
	queue := make(chan response, 100)
	return newPartition(o, a, queue, new(readAhead)), queue
}

// recordsAt is a response with records at these timestamps, from an offset on.
func recordsAt(offset int64, times ...int64) response {
	a := response{next: offset + int64(len(times))}
	for i, at := range times {
		a.records = append(a.records, Record{Offset: offset + int64(i), Time: at, Newest: at})
	}
	return a
}

// The pipeline time of a partition is that of the record that comes next, and does not go back.
func TestAPartitionsTimeIsThatOfTheNextRecord(t *testing.T) {
	p, queue := newTestPartition(testOptions(), assignment{end: -1})
	if p.collect(); p.begun {
		t.Error("a partition of which nothing is known has a time")
	}
	queue <- recordsAt(0, base+1000, base+500, base+3100)
	queue <- recordsAt(3, base+9000)
	p.collect()
	for i, want := range []int64{800, 800, 2900, 8800} {
		p.collect()
		if p.Time != base+want || p.Next != int64(i) || p.peek().Offset != p.Next || !p.begun {
			t.Errorf("before record %d: %+v, want the time %d", i, p.Offset, want)
		}
		p.take()
	}
	if p.peek() != nil || p.Next != 4 || p.Time != base+8800 {
		t.Errorf("at the end: %+v", p.Offset)
	}
	queue <- response{next: 7} // Offsets that hold no record.
	if p.collect(); p.Next != 7 {
		t.Errorf("behind offsets without records: %+v", p.Offset)
	}
	if n := p.share.responses.Load(); n != -3 {
		t.Errorf("%d responses are given back, want 3", -n)
	}
}

// Only a partition that has nothing more, as the broker confirmed, follows the clock.
func TestAnIdlePartitionFollowsTheBroker(t *testing.T) {
	p, queue := newTestPartition(testOptions(), assignment{end: -1})
	a := recordsAt(0, base)
	a.caughtUp, a.at = true, time.UnixMilli(base+5000)
	queue <- a
	if p.collect(); p.Time != base-200 {
		t.Errorf("with a record to be emitted the time is %d", p.Time-base)
	}
	p.take()
	if p.collect(); p.Time != base+5000-250 {
		t.Errorf("idle, the time is %d, want 1.25 times the out-of-orderness behind the confirmation", p.Time-base)
	}
	queue <- response{next: 1, at: time.UnixMilli(base + 9000)}
	if p.collect(); p.Time != base+5000-250 {
		t.Errorf("without a confirmation the time is %d", p.Time-base)
	}
	queue <- response{next: 1, at: time.UnixMilli(base + 1000), caughtUp: true}
	if p.collect(); p.Time != base+5000-250 {
		t.Errorf("by an old confirmation the time is %d", p.Time-base)
	}
}

// A position within a transaction names the marker, and the record within.
func TestAPositionWithinATransaction(t *testing.T) {
	p, queue := newTestPartition(testOptions(), assignment{Offset: Offset{Partition: 3, Next: 1}, end: 9})
	queue <- response{next: 8, from: 4, records: []Record{{Offset: 4, marker: 7, Newest: base}, {Offset: 6, marker: 7, Newest: base}}}
	queue <- response{next: 10, from: 8, records: []Record{{Offset: 8, Newest: base + 1}, {Offset: 9, Newest: base + 2}}}
	p.collect()
	p.take()
	if want := (Offset{Partition: 3, Next: 7, Inner: 5, From: 4, Time: base - 200, Newest: base}); p.Offset != want {
		t.Errorf("%+v, want %+v", p.Offset, want)
	}
	p.take()
	p.collect()
	if want := (Offset{Partition: 3, Next: 8, From: 8, Time: base - 199, Newest: base}); p.Offset != want || p.atEnd() {
		t.Errorf("%+v, at the end %v; want %+v", p.Offset, p.atEnd(), want)
	}
	// The read ends before offset 9.
	if p.take(); p.peek() != nil || !p.atEnd() {
		t.Errorf("%+v: %+v", p.Offset, p.peek())
	}
}

// A cut is where the partition came into the first slice from then on.
func TestCuts(t *testing.T) {
	p, queue := newTestPartition(testOptions(), assignment{end: -1})
	queue <- recordsAt(0, base+300, base+700, base+1300, base+5200, base+5300)
	for p.collect(); p.peek() != nil; {
		p.take()
	}
	for _, c := range []struct{ end, next int64 }{{base, 0}, {base + 1000, 2}, {base + 2000, 3}, {base + 4000, 3}, {base + 5000, 3}} {
		if got := p.cut(c.end); got.Next != c.next {
			t.Errorf("cut at %d: %+v, want offset %d", c.end-base, got, c.next)
		}
	}
	if len(p.cuts) != 1 {
		t.Errorf("%+v are kept, want the last", p.cuts)
	}
}
