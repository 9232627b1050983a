package bridge

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// topic is how far this process is with its partitions of a topic.
type topic struct {
	name string

	mu     sync.Mutex
	mine   map[int32]bool  // The partitions that the group has given to this process.
	next   map[int32]int64 // The first offset that is not decided, of those that were read.
	end    map[int32]int64 // What may be read ended there, when it was read last.
	oldest time.Time       // Of the records that are under way; zero = none are.
}

func newTopic(name string) *topic {
	return &topic{name: name, mine: make(map[int32]bool), next: make(map[int32]int64), end: make(map[int32]int64)}
}

// begin notes what was read of a partition, and returns how many records were deleted before they could be: those between what is decided,
// or was committed when the partition became ours, -1 = nothing was, and the oldest that is left.
func (t *topic) begin(f *kgo.FetchPartition, committed int64) (lost int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(f.Records) == 0 {
		return 0
	}
	next, known := t.next[f.Partition]
	if !known {
		next = committed
	}
	first := f.Records[0].Offset
	if next >= 0 {
		lost = max(0, min(first, f.LogStartOffset)-next)
	}
	t.next[f.Partition], t.end[f.Partition] = first, f.LastStableOffset
	for _, r := range f.Records {
		if t.oldest.IsZero() || r.Timestamp.Before(t.oldest) {
			t.oldest = r.Timestamp
		}
	}
	return lost
}

func (t *topic) decided(r *kgo.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next[r.Partition] = r.Offset + 1
}

// idle says that nothing is under way.
func (t *topic) idle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.oldest = time.Time{}
}

// state returns how many partitions this process has, how many records of them are not decided, and how old the oldest of those is
// that were read.
func (t *topic) state(now time.Time) (partitions int, records int64, age time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p, end := range t.end {
		records += max(0, end-t.next[p])
	}
	if !t.oldest.IsZero() {
		age = max(0, now.Sub(t.oldest))
	}
	return len(t.mine), records, age
}

// assigned is called when the group gives partitions to this process.
func (b *Bridge) assigned(_ context.Context, _ *kgo.Client, all map[string][]int32) {
	for name, partitions := range all {
		t := b.topics[name]
		t.mu.Lock()
		for _, p := range partitions {
			t.mine[p] = true
		}
		t.mu.Unlock()
	}
}

// revoked is called when the group takes partitions away, or goes on without this process.
func (b *Bridge) revoked(_ context.Context, _ *kgo.Client, all map[string][]int32) {
	for name, partitions := range all {
		t := b.topics[name]
		t.mu.Lock()
		for _, p := range partitions {
			delete(t.mine, p)
			delete(t.next, p)
			delete(t.end, p)
		}
		t.mu.Unlock()
	}
}

// failure is since when topics cannot be read.
type failure struct {
	mu          sync.Mutex
	since, last time.Time
}

// failureTime is how long a failure is held against the topics when no other follows: reading does not say that all is well while nothing
// comes.
const failureTime = 2 * watchEvery

func (f *failure) note(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.last) > failureTime {
		f.since = now
	}
	f.last = now
}

// lasts returns for how long topics have not been read.
func (f *failure) lasts(now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.last) > failureTime {
		return 0
	}
	return now.Sub(f.since)
}
