package sources

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"

	"pulseboard/job"
)

// shard is a read loop whose partitions are filled by the test instead of fetchers.
type shard struct {
	t *testing.T
	*readLoop

	queues  []chan response
	w       int64
	emitted []string
	batches []*Batch
}

func newShard(t *testing.T, o Options, partitions int) *shard {
	t.Helper()
	o.SliceMs = 1000
	s := &shard{t: t, w: int64(mtime.MinTimestamp)}
	s.readLoop = newReadLoop(&o, Position{}, job.NewProgress(), nil)
	for i := range partitions {
		p, queue := newTestPartition(&o, assignment{Offset: Offset{Partition: int32(i)}, end: -1})
		s.alignment.add(p, i == partitions-1)
		s.queues = append(s.queues, queue)
	}
	return s
}

// respond queues what a fetch brought: records with these timestamps, and whether the end was reached.
func (s *shard) respond(partition int, caughtUp bool, times ...int64) {
	p, queue := s.alignment.partitions[partition], s.queues[partition]
	if len(queue) > 0 {
		s.t.Fatal("one response at a time")
	}
	a := recordsAt(p.Next, times...)
	a.at, a.caughtUp = time.Now(), caughtUp
	for i := range a.records {
		a.records[i].Partition = int32(partition)
	}
	queue <- a
}

// call calls the loop once and writes down what it emitted, as "partition:time@pipeline time".
func (s *shard) call() {
	s.t.Helper()
	s.emitted = nil
	c := call{readLoop: s.readLoop, watermark: s.w, emit: func(b *Batch) {
		s.batches = append(s.batches, b)
		for _, r := range b.Records {
			s.emitted = append(s.emitted, fmt.Sprintf("%d:%d@%d", r.Partition, r.Time, r.PipelineTime))
		}
	}}
	if _, err := c.run(context.Background(), time.Now()); err != nil {
		s.t.Fatal(err)
	}
	s.w = c.watermark
}

func (s *shard) want(watermark int64, emitted ...string) {
	s.t.Helper()
	if got := fmt.Sprint(s.emitted); got != fmt.Sprint(emitted) {
		s.t.Errorf("emitted %s, want %v", got, emitted)
	}
	if got := s.w; got != watermark {
		s.t.Errorf("watermark %d, want %d", got, watermark)
	}
}

func TestPipelineTimeNeverGoesBackInAPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{OutOfOrderMs: 200, MaxDriftMs: 10_000, MaxLeadMs: 60_000}, 1)
		s.respond(0, false, base+1000, base+500, base+3100, base+2000)
		s.call()
		s.want(base+2000, fmt.Sprint("0:", base+1000, "@", base+800), fmt.Sprint("0:", base+500, "@", base+800),
			fmt.Sprint("0:", base+3100, "@", base+2900), fmt.Sprint("0:", base+2000, "@", base+2900))
		if first := s.batches[0]; first.Kind != Started || first.PipelineTime != base+800 {
			t.Errorf("the first batch is %+v, want the one that starts the key groups", first)
		}
	})
}

// The watermark waits for the partition that is behind, and for one that says
// nothing: only a fresh confirmation of the broker makes a partition idle.
func TestWatermarkIsTheMinimum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{OutOfOrderMs: 200, MaxDriftMs: 10_000, MaxLeadMs: 60_000}, 2)
		s.respond(0, false, base+5000)
		s.call()
		s.want(int64(mtime.MinTimestamp)) // Nothing is known of partition 1.
		s.respond(1, false, base+1500)
		s.call()
		s.want(base+1000, fmt.Sprint("1:", base+1500, "@", base+1300), fmt.Sprint("0:", base+5000, "@", base+4800))
		s.respond(0, false, base+9000)
		s.call()
		s.want(base+1000, fmt.Sprint("0:", base+9000, "@", base+8800)) // Partition 1 is unreachable: it holds.
		time.Sleep(20 * time.Second)                                   //nolint:forbidigo // Virtual time.
		s.respond(1, true)
		s.call() // Idle now: the clock is at base + 20 s and a bit.
		s.want(base + 8000)
		s.respond(0, true)
		s.call()
		if s.w < base+19_000 {
			t.Errorf("both are idle, and the watermark is %d", s.w-base)
		}
		// The confirmation grows old: an idle partition does not move on by itself.
		time.Sleep(20 * time.Second) //nolint:forbidigo // Virtual time.
		s.call()
		if s.w > base+21_000 {
			t.Errorf("no word for 20 s, and the watermark is %d", s.w-base)
		}
	})
}

// A record behind the watermark, after an idle stretch, gets the watermark's time: Beam would drop it else.
func TestNothingIsEmittedBeforeTheWatermark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{OutOfOrderMs: 200, MaxDriftMs: 10_000, MaxLeadMs: 60_000}, 1)
		time.Sleep(5 * time.Second) //nolint:forbidigo // Virtual time.
		s.respond(0, true)
		s.call()
		mark := s.w
		if mark < base+4000 {
			t.Fatalf("watermark %d", mark-base)
		}
		s.respond(0, false, base+1000)
		s.call()
		i := slices.IndexFunc(s.batches, func(b *Batch) bool { return len(b.Records) > 0 })
		if at := s.batches[i].Records[0].PipelineTime; at < mark {
			t.Errorf("emitted at %d, watermark %d", at-base, mark-base)
		}
	})
}

func TestPartitionsAreReadTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{MaxDriftMs: 2000, MaxLeadMs: 60_000}, 2)
		s.respond(0, false, base, base+1000, base+2000, base+5000, base+60_000)
		s.respond(1, false, base)
		s.call()
		// Partition 1 has nothing more and is not idle: 0 stops 2 s ahead of it.
		s.want(base, fmt.Sprint("0:", base, "@", base), fmt.Sprint("0:", base+1000, "@", base+1000), fmt.Sprint("0:", base+2000, "@", base+2000), fmt.Sprint("1:", base, "@", base))
		s.respond(1, false, base+4000, base+70_000)
		s.call()
		s.want(base+60_000, fmt.Sprint("1:", base+4000, "@", base+4000), fmt.Sprint("0:", base+5000, "@", base+5000), fmt.Sprint("0:", base+60_000, "@", base+60_000))
	})
}

func TestSourceWaitsForTheSlowestKeyGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{MaxDriftMs: 1000, MaxLeadMs: 3000}, 1)
		s.respond(0, false, base, base+2000, base+4000, base+6000)
		s.call()
		s.want(base+4000, fmt.Sprint("0:", base, "@", base), fmt.Sprint("0:", base+2000, "@", base+2000))
		s.lead.progress.Report(0, base+9000, base+10_000)
		s.lead.progress.Report(1, base+2000, base+3000)
		s.call()
		s.want(base+6000, fmt.Sprint("0:", base+4000, "@", base+4000))
		s.lead.progress.Report(1, base+3000, base+4000)
		s.call()
		s.want(base+6000, fmt.Sprint("0:", base+6000, "@", base+6000))
	})
}

// With too much under way the source comes as far as the first timer needs it, and no further.
func TestSourceWaitsForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{MaxDriftMs: 1000, MaxLeadMs: 60_000, PartialBytes: 1000}, 1)
		s.respond(0, false, base, base+2000, base+4000, base+6000)
		s.lead.progress.Report(0, base, base+3000)
		s.lead.progress.Report(1, base, base+5000)
		s.lead.progress.Emitted(0, base+3000, 1001)
		s.call()
		s.want(base+4000, fmt.Sprint("0:", base, "@", base), fmt.Sprint("0:", base+2000, "@", base+2000))
		s.lead.progress.Arrived(0, base+3000)
		s.lead.progress.Report(0, base+3000, base+4000)
		if n := s.lead.progress.UnderWay(); n != 0 {
			t.Errorf("%d bytes are under way", n)
		}
		s.call()
		s.want(base+6000, fmt.Sprint("0:", base+4000, "@", base+4000), fmt.Sprint("0:", base+6000, "@", base+6000))
	})
}

// A shard goes on from the end of the last slice that was whole, whatever was read beyond, and in
// whatever order partitions came so far.
func TestPositionsAreEndsOfSlices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{MaxDriftMs: 100_000, MaxLeadMs: 1_000_000}, 2)
		s.coveredSince = 77
		at := func(i int, p int32, next, time, newest int64) {
			t.Helper()
			if want := (Offset{Partition: p, Next: next, Time: time, Newest: newest}); len(s.position.Next) != 2 || s.position.Next[i] != want {
				t.Errorf("position %+v, want %+v", s.position, want)
			}
		}
		s.respond(0, false, base+100, base+200, base+1500, base+1600, base+5000)
		s.respond(1, false, base+300)
		s.call()
		if s.position.Started {
			t.Errorf("nothing is whole, and the position is %+v", s.position)
		}
		s.respond(1, false, base+900, base+4100, base+4200)
		s.call() // Partition 1 ends at 4.2 s.
		at(0, 0, 4, base+5000, base+1600)
		at(1, 1, 2, base+4100, base+900)
		passed := s.batches[len(s.batches)-1]
		if want := base + 4000; s.w != want || passed.Kind != Passed || passed.PipelineTime != want || !s.position.Started || s.position.CoveredSince != 77 {
			t.Errorf("%+v, %+v; want what ended by %d", passed, s.position, want)
		}
		s.respond(1, false, base+4300, base+7000)
		s.respond(0, false, base+5100)
		s.call()
		at(0, 0, 4, base+5000, base+1600)
		at(1, 1, 5, base+7000, base+4300)
		if !s.standsAt(s.position) || s.standsAt(Position{Started: true, Next: s.position.Next[:1]}) {
			t.Error("a reader does not know where it stands")
		}
	})
}

// The start of a shard is an element of its own, emitted once, and again only by a reader that begins again.
func TestAShardStartsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kinds := func(s *shard) (kinds []Kind) {
			for _, b := range s.batches {
				if (len(b.Records) > 0) != (b.Kind == Records) || b.Held != &s.held {
					t.Errorf("%+v is no batch of records, and no signal", b)
				}
				kinds = append(kinds, b.Kind)
			}
			s.batches = nil
			return kinds
		}
		s := newShard(t, Options{MaxDriftMs: 10_000, MaxLeadMs: 60_000}, 1)
		s.coveredSince = 77
		if s.call(); len(s.batches) > 0 {
			t.Errorf("nothing is known, and %+v is emitted", s.batches[0])
		}
		s.respond(0, false, base+300)
		s.call()
		if b := s.batches[0]; b.CoveredSince != 77 || b.PipelineTime != base+300 {
			t.Errorf("the start is %+v", b)
		}
		// The slice in which it started is not whole: after a fault it starts again.
		if got := kinds(s); !slices.Equal(got, []Kind{Started, Records}) || s.position.Started {
			t.Errorf("emitted %v, at %+v", got, s.position)
		}
		s.respond(0, false, base+1200)
		if s.call(); !s.position.Started {
			t.Error("a slice is whole, and the position is that of the beginning")
		}
		if got := kinds(s); !slices.Equal(got, []Kind{Records, Passed}) {
			t.Errorf("emitted %v", got)
		}
		restored := newShard(t, Options{MaxDriftMs: 10_000}, 1)
		restored.started = newReadLoop(testOptions(), s.position, job.NewProgress(), nil).started
		restored.respond(0, false, base+2200)
		restored.call()
		if got := kinds(restored); !slices.Equal(got, []Kind{Records, Passed}) {
			t.Errorf("emitted %v after a restore", got)
		}
	})
}

// A bounded read ends when all partitions have come to their ends, and everything has passed then.
func TestABoundedReadEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{MaxDriftMs: 10_000, MaxLeadMs: 60_000, ToEnd: true}, 2)
		for i, p := range s.alignment.partitions {
			p.end = int64(i) + 1
		}
		c := call{readLoop: s.readLoop, watermark: s.w, emit: func(b *Batch) { s.batches = append(s.batches, b) }}
		s.respond(0, false, base, base+100) // The second one is beyond the end.
		s.respond(1, false, base)
		if done, err := c.run(t.Context(), time.Now()); done || err != nil {
			t.Fatalf("ended %v, %v, before the end of partition 1", done, err)
		}
		s.respond(1, false, base+200)
		if done, err := c.run(t.Context(), time.Now()); !done || err != nil {
			t.Fatalf("ended %v, %v", done, err)
		}
		n := 0
		for _, b := range s.batches {
			n += len(b.Records)
		}
		if last := s.batches[len(s.batches)-1]; n != 3 || last.Kind != Passed || last.PipelineTime != math.MaxInt64 {
			t.Errorf("%d records, %+v; want 3, and that everything has passed", n, last)
		}
	})
}

// When the loop is called again, and how long a call may last.
func TestWhenTheLoopIsCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{OutOfOrderMs: 200, MaxDriftMs: 1 << 40, MaxLeadMs: 1 << 40}, 1)
		c := call{readLoop: s.readLoop, watermark: s.w, emit: func(*Batch) {}}
		next := func(when string, want time.Duration) {
			t.Helper()
			if got := time.Until(c.next(time.Now())); got != want {
				t.Errorf("%s: again in %v, want %v", when, got, want)
			}
		}
		run := func() (took time.Duration) {
			began := time.Now()
			if done, err := c.run(t.Context(), began); done || err != nil {
				t.Errorf("ended %v, %v", done, err)
			}
			return time.Since(began)
		}
		run()
		next("nothing is known", shortRest)
		s.respond(0, false, base+300) // Pipeline time 100: the slice ends at 1000, is due at 1250.
		run()
		next("the slice is due later", rest)
		c.emitting = much + 1
		next("much comes", shortRest)
		c.emitting = 0
		time.Sleep(1200 * time.Millisecond) //nolint:forbidigo // Of virtual time.
		c.emitted = false
		run()
		next("the slice is due in 50 ms", 51*time.Millisecond)
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // Of virtual time.
		if took := run(); took != lastWait {
			t.Errorf("a call with a slice that is due took %v, want %v", took, lastWait)
		}
		next("a partition is late", lateRest)
		c.emitted = true
		next("it is behind", 0)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.run(ended, time.Now()); err == nil {
			t.Error("the end of the context is no error")
		}
	})
}
