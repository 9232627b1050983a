package sources

import (
	"math"
	"testing"
	"time"
)

// The time of a shard is that of its slowest partition, and the others stay near.
func TestAlignment(t *testing.T) {
	o := testOptions()
	a := alignment{maxDriftMs: 1000}
	queues := make(map[int32]chan response)
	for i, id := range []int32{5, 1, 3} {
		if _, known := a.time(); known {
			t.Error("the time is known before all partitions are")
		}
		p, queue := newTestPartition(o, assignment{Offset: Offset{Partition: id}, end: 2})
		queues[id] = queue
		a.add(p, i == 2)
	}
	if a.partitions[0].Partition != 1 || a.partitions[2].Partition != 5 {
		t.Error("the partitions are not in their order")
	}
	queues[1] <- recordsAt(0, base+2200, base+2300)
	queues[3] <- recordsAt(0, base+700)
	if a.collect(math.MinInt64); a.furthestBehind() != a.partitions[1] {
		t.Errorf("%+v is furthest behind", a.furthestBehind())
	}
	if _, known := a.time(); known {
		t.Error("the time is known though nothing is of one partition")
	}
	queues[5] <- response{next: 0, at: time.UnixMilli(base + 1250), caughtUp: true}
	a.collect(math.MinInt64)
	if at, known := a.time(); at != base+500 || !known {
		t.Errorf("the time is %d, %v; want the lowest", at-base, known)
	}
	// 500, 1000 and 2000: the first may go as far as the second and the drift; the others not on.
	for i, want := range []int64{1500, 2000, 1500} {
		if got := a.limit(a.partitions[i]); got != base+want {
			t.Errorf("partition %d up to %d, want %d", i, got-base, want)
		}
	}
	a.partitions[1].take()
	if a.furthestBehind() != a.partitions[0] {
		t.Error("a partition without records is furthest behind")
	}
	// Nothing is before the watermark.
	a.collect(base + 2100)
	if at, _ := a.time(); at != base+2100 || a.partitions[0].Time != base+2100 {
		t.Errorf("the time is %d, the watermark 2100", at-base)
	}
	if next := a.cut(base + 2000); len(next) != 3 || next[0].Partition != 1 || next[0].Next != 0 || next[1].Next != 1 {
		t.Errorf("cut at %+v", next)
	}
	if a.atEnd() {
		t.Error("it is at the end")
	}
	for _, p := range a.partitions {
		p.Next = 2
	}
	if !a.atEnd() {
		t.Error("it is not at the end")
	}
}
