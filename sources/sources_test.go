package sources

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"

	"pulseboard/internal/kafkaconn"
	"pulseboard/wire"
)

func TestPositionCodec(t *testing.T) {
	for _, p := range []Position{
		{},
		{Shard: Shard{0, 1}, Started: true},
		{Shard: Shard{299, 300}},
		{Shard: Shard{3, 4}, Started: true, Since: 1_763_892_000_000, Next: []Offset{{}, {15, 1 << 40, 1<<40 - 5, 1 << 39, 1_763_892_000_000, 1_763_892_000_200}, {300, 7, 0, -1, -1, 1}}},
		{Since: -1},
	} {
		b := encodePosition(p)
		got, err := decodePosition(b)
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%+v reads back as %+v, %v", p, got, err)
		}
		if n := len(p.Next); n > 0 {
			if got, err := decodePosition(b[:len(b)-1]); err == nil && len(got.Next) == n {
				t.Errorf("a truncated position reads as %+v", got)
			}
		}
	}
	// Kept byte by byte: checkpoints hold positions.
	golden := "\x04\x01\x01\x02\x02\x03\xc8\x01\x08\xfc\x02\x0a\x0c"
	if got := string(encodePosition(Position{Shard: Shard{1, 2}, Started: true, Since: 1, Next: []Offset{{3, 200, 4, 190, 5, 6}}})); got != golden {
		t.Errorf("encoded as %q, was %q", got, golden)
	}
	if _, err := decodePosition([]byte{1, 0, 0}); err == nil {
		t.Error("an unknown version reads without an error")
	}
}

// shard is a reader whose partitions are filled by the test instead of a broker.
type shard struct {
	t *testing.T
	*reader
	w       int64
	emitted []string
	batches []*Batch
}

func newShard(t *testing.T, o Options, partitions int) *shard {
	t.Helper()
	if o.SliceMs == 0 {
		o.SliceMs = 1000
	}
	o.Run = t.Name()
	t.Cleanup(func() { progress.Delete(t.Name()) })
	s := &shard{t: t, w: int64(mtime.MinTimestamp)}
	s.reader = &reader{options: o, progress: ProgressOf(o.Run), arrived: make(chan struct{}, 1), found: make(chan found), complete: true, fresh: true}
	for i := range partitions {
		s.partitions = append(s.partitions, &partition{id: int32(i), queue: make(chan answer, 100), end: -1})
	}
	return s
}

// answers queues what a fetch brought: records with these timestamps, and whether the end was reached.
func (s *shard) answers(partition int, quiet bool, times ...int64) {
	p := s.partitions[partition]
	first := p.next
	if n := len(p.queue); n > 0 {
		s.t.Fatal("one answer at a time")
	}
	a := answer{at: time.Now(), quiet: quiet, next: first + int64(len(times))}
	for i, ms := range times {
		a.records = append(a.records, Record{Partition: int32(partition), Offset: first + int64(i), Time: ms, Newest: ms})
	}
	p.queue <- a
}

// drain runs one call and writes down what it emitted, as "partition:time@pipeline time".
func (s *shard) drain() {
	s.t.Helper()
	s.emitted = nil
	d := drain{reader: s.reader, watermark: s.w, emit: func(b *Batch) {
		s.batches = append(s.batches, b)
		for _, r := range b.Records {
			s.emitted = append(s.emitted, fmt.Sprintf("%d:%d@%d", r.Partition, r.Time, r.PipelineTime))
		}
	}}
	if _, err := d.run(context.Background(), time.Now()); err != nil {
		s.t.Fatal(err)
	}
	s.w = d.watermark
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

const base = int64(946_684_800_000) // The clock of a synctest bubble begins here.

func TestPipelineTimeNeverGoesBackInAPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{OutOfOrderMs: 200, MaxDriftMs: 10_000, MaxLeadMs: 60_000}, 1)
		s.answers(0, false, base+1000, base+500, base+3100, base+2000)
		s.drain()
		s.want(base+2000, fmt.Sprint("0:", base+1000, "@", base+800), fmt.Sprint("0:", base+500, "@", base+800),
			fmt.Sprint("0:", base+3100, "@", base+2900), fmt.Sprint("0:", base+2000, "@", base+2900))
		if first := s.batches[0]; first.Kind != Started || first.PipelineTime != base+800 {
			t.Errorf("the first batch is %+v, want the one that starts the key groups", first)
		}
	})
}

// The watermark waits for the partition that is behind, and for one that says
// nothing: only the broker's fresh word makes a partition idle.
func TestWatermarkIsTheMinimum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{OutOfOrderMs: 200, MaxDriftMs: 10_000, MaxLeadMs: 60_000}, 2)
		s.answers(0, false, base+5000)
		s.drain()
		s.want(int64(mtime.MinTimestamp)) // Nothing is known of partition 1.
		s.answers(1, false, base+1500)
		s.drain()
		s.want(base+1000, fmt.Sprint("1:", base+1500, "@", base+1300), fmt.Sprint("0:", base+5000, "@", base+4800))
		s.answers(0, false, base+9000)
		s.drain()
		s.want(base+1000, fmt.Sprint("0:", base+9000, "@", base+8800)) // Partition 1 is unreachable: it holds.
		time.Sleep(20 * time.Second)                                   //nolint:forbidigo // Virtual time.
		s.answers(1, true)
		s.drain() // Idle now: the clock is at base + 20 s and a bit.
		s.want(base + 8000)
		s.answers(0, true)
		s.drain()
		if s.w < base+19_000 {
			t.Errorf("both are idle, and the watermark is %d", s.w-base)
		}
		// The word of an idle partition grows old: it does not move on by itself.
		time.Sleep(20 * time.Second) //nolint:forbidigo // Virtual time.
		s.drain()
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
		s.answers(0, true)
		s.drain()
		mark := s.w
		if mark < base+4000 {
			t.Fatalf("watermark %d", mark-base)
		}
		s.answers(0, false, base+1000)
		s.drain()
		i := slices.IndexFunc(s.batches, func(b *Batch) bool { return len(b.Records) > 0 })
		if at := s.batches[i].Records[0].PipelineTime; at < mark {
			t.Errorf("emitted at %d, watermark %d", at-base, mark-base)
		}
	})
}

func TestPartitionsAreReadTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{MaxDriftMs: 2000, MaxLeadMs: 60_000}, 2)
		s.answers(0, false, base, base+1000, base+2000, base+5000, base+60_000)
		s.answers(1, false, base)
		s.drain()
		// Partition 1 has nothing more and is not idle: 0 stops 2 s ahead of it.
		s.want(base, fmt.Sprint("0:", base, "@", base), fmt.Sprint("0:", base+1000, "@", base+1000), fmt.Sprint("0:", base+2000, "@", base+2000), fmt.Sprint("1:", base, "@", base))
		s.answers(1, false, base+4000, base+70_000)
		s.drain()
		s.want(base+60_000, fmt.Sprint("1:", base+4000, "@", base+4000), fmt.Sprint("0:", base+5000, "@", base+5000), fmt.Sprint("0:", base+60_000, "@", base+60_000))
	})
}

func TestSourceWaitsForTheSlowestKeyGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{MaxDriftMs: 1000, MaxLeadMs: 3000}, 1)
		s.answers(0, false, base, base+2000, base+4000, base+6000)
		s.drain()
		s.want(base+4000, fmt.Sprint("0:", base, "@", base), fmt.Sprint("0:", base+2000, "@", base+2000))
		s.progress.Report(0, base+9000, base+10_000)
		s.progress.Report(1, base+2000, base+3000)
		s.drain()
		s.want(base+6000, fmt.Sprint("0:", base+4000, "@", base+4000))
		s.progress.Report(1, base+3000, base+4000)
		s.drain()
		s.want(base+6000, fmt.Sprint("0:", base+6000, "@", base+6000))
	})
}

// With too much under way the source comes as far as the first timer needs it, and no further.
func TestSourceWaitsForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{MaxDriftMs: 1000, MaxLeadMs: 60_000, PacketBytes: 1000}, 1)
		s.answers(0, false, base, base+2000, base+4000, base+6000)
		s.progress.Report(0, base, base+3000)
		s.progress.Report(1, base, base+5000)
		s.progress.Emitted(0, base+3000, 1000)
		s.drain()
		s.want(base+4000, fmt.Sprint("0:", base, "@", base), fmt.Sprint("0:", base+2000, "@", base+2000))
		s.progress.Arrived(0, base+3000)
		s.progress.Report(0, base+3000, base+4000)
		if n := s.progress.UnderWay(); n != 0 {
			t.Errorf("%d bytes are under way", n)
		}
		s.drain()
		s.want(base+6000, fmt.Sprint("0:", base+4000, "@", base+4000), fmt.Sprint("0:", base+6000, "@", base+6000))
	})
}

// A reader that holds more than it may fetches for those partitions only that hold nothing.
func TestReadingAheadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := &reader{options: Options{ReadBytes: 1000}}
		var full, empty ahead
		r.ahead.Store(int32(0), &full)
		r.ahead.Store(int32(1), &empty)
		a := answer{bytes: 2000}
		full.put(&a, new(wire.Decoder), nil)
		if !r.room(ctx, &empty) {
			t.Error("a partition that holds nothing may not fetch")
		}
		var let atomic.Bool
		go func() { let.Store(r.room(ctx, &full)) }()
		time.Sleep(time.Minute) //nolint:forbidigo // Of virtual time.
		if let.Load() {
			t.Error("a partition fetches beyond what may be held")
		}
		full.take(&a)
		time.Sleep(time.Second) //nolint:forbidigo // Of virtual time.
		if !let.Load() {
			t.Error("a partition waits though there is room")
		}
		full.put(&a, new(wire.Decoder), nil)
		cancel()
		if r.room(ctx, &full) {
			t.Error("the end of the reader is not seen")
		}
	})
}

// A shard goes on from the end of the last slice that was whole, whatever was read beyond, and in
// whatever order partitions came so far.
func TestPositionsAreEndsOfSlices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{MaxDriftMs: 100_000, MaxLeadMs: 1_000_000}, 2)
		s.since = 77
		at := func(i int, p int32, next, time, newest int64) {
			t.Helper()
			if want := (Offset{Partition: p, Next: next, Time: time, Newest: newest}); len(s.position.Next) != 2 || s.position.Next[i] != want {
				t.Errorf("position %+v, want %+v", s.position, want)
			}
		}
		s.answers(0, false, base+100, base+200, base+1500, base+1600, base+5000)
		s.answers(1, false, base+300)
		s.drain()
		if s.position.Started {
			t.Errorf("nothing is whole, and the position is %+v", s.position)
		}
		s.answers(1, false, base+900, base+4100, base+4200)
		s.drain() // Partition 1 ends at 4.2 s.
		at(0, 0, 4, base+5000, base+1600)
		at(1, 1, 2, base+4100, base+900)
		passed := s.batches[len(s.batches)-1]
		if want := base + 4000; s.w != want || passed.Kind != Passed || passed.PipelineTime != want || !s.position.Started || s.position.Since != 77 {
			t.Errorf("%+v, %+v; want what ended by %d", passed, s.position, want)
		}
		s.answers(1, false, base+4300, base+7000)
		s.answers(0, false, base+5100)
		s.drain()
		at(0, 0, 4, base+5000, base+1600)
		at(1, 1, 5, base+7000, base+4300)
		if !s.standsAt(s.position) || s.standsAt(Position{Started: true, Next: s.position.Next[:1]}) {
			t.Error("a reader does not know where it stands")
		}
	})
}

// A reader that a call left in its middle is not used again: what it took is nowhere.
func TestReaderOfAFailedCallIsReplaced(t *testing.T) {
	o := Options{Run: t.Name(), Topic: "t", SliceMs: 1000}
	Connect(o.Run, kafkaconn.At("127.0.0.1:1"))
	t.Cleanup(func() { Close(o.Run) })
	first := readers.get(o, Position{Shard: Shard{0, 1}})
	first.busy = false
	if r := readers.get(o, Position{Shard: Shard{0, 1}}); r != first {
		t.Error("a reader that stands there is replaced")
	}
	if r := readers.get(o, Position{Shard: Shard{0, 1}}); r == first {
		t.Error("a reader that is in the middle of a call is used")
	}
}
