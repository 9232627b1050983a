package sources

import (
	"context"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"

	"pulseboard/metric"
)

// The SDK finds these by reflection, so the compiler is asked here.
var (
	_ sdf.RTracker           = (*tracker)(nil)
	_ sdf.WatermarkEstimator = (*watermark)(nil)
)

func TestPositionCodec(t *testing.T) {
	for _, p := range []Position{
		{},
		{Started: true},
		{Done: true},
		{Started: true, Since: 1_763_892_000_000, Next: []Offset{{}, {15, 1 << 40, 1<<40 - 5, 1 << 39, 1_763_892_000_000, 1_763_892_000_200}, {300, 7, 0, -1, -1, 1}}},
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
	golden := "\x03\x01\x02\x03\xc8\x01\x08\xfc\x02\x0a\x0c"
	if got := string(encodePosition(Position{Started: true, Since: 1, Next: []Offset{{3, 200, 4, 190, 5, 6}}})); got != golden {
		t.Errorf("encoded as %q, was %q", got, golden)
	}
	if _, err := decodePosition([]byte{1, 0, 0}); err == nil {
		t.Error("an unknown version reads without an error")
	}
}

// Only the checkpoint splits: a split in the middle would make a second
// restriction, with which Prism loses data.
func TestTrackerSplitsAtTheCheckpointOnly(t *testing.T) {
	pos := Position{Started: true, Next: []Offset{{Partition: 0, Next: 10}}}
	tr := &tracker{pos: Position{}}
	if !tr.TryClaim(pos) {
		t.Fatal("cannot claim")
	}
	for _, fraction := range []float64{0.01, 0.5, 1} {
		if _, residual, err := tr.TrySplit(fraction); residual != nil || err != nil || tr.IsDone() {
			t.Errorf("split at %v: residual %v, %v", fraction, residual, err)
		}
	}
	primary, residual, err := tr.TrySplit(0)
	if err != nil || !reflect.DeepEqual(residual, pos) || !primary.(Position).Done || !tr.IsDone() {
		t.Errorf("checkpoint: primary %+v, residual %+v, done %v, %v", primary, residual, tr.IsDone(), err)
	}
	if tr.TryClaim(pos) {
		t.Error("claimed after the checkpoint")
	}
	if _, residual, _ := tr.TrySplit(0); residual != nil {
		t.Errorf("a second checkpoint gives %+v", residual)
	}
}

func TestWatermarkNeverGoesBack(t *testing.T) {
	w := newWatermark(int64(mtime.MinTimestamp))
	for _, step := range [][2]int64{{5000, 5000}, {3000, 5000}, {6000, 6000}} {
		if w.advance(step[0]); w.ms.Load() != step[1] {
			t.Errorf("after %d it is %d, want %d", step[0], w.ms.Load(), step[1])
		}
	}
	if got := w.CurrentWatermark(); !got.Equal(time.UnixMilli(6000)) {
		t.Errorf("as a time it is %v", got)
	}
}

// shard is a reader whose partitions are filled by the test instead of a broker.
type shard struct {
	t *testing.T
	*reader
	w       *watermark
	tr      *tracker
	started bool
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
	s := &shard{t: t, w: newWatermark(int64(mtime.MinTimestamp)), tr: &tracker{}}
	s.reader = &reader{options: o, progress: ProgressOf(o.Run), arrived: make(chan struct{}, 1), found: make(chan found), complete: true}
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
	d := drain{reader: s.reader, watermark: s.w, tracker: s.tr, started: s.started, until: time.Now().Add(budget), emit: func(b *Batch) {
		s.batches = append(s.batches, b)
		for _, r := range b.Records {
			s.emitted = append(s.emitted, fmt.Sprintf("%d:%d@%d", r.Partition, r.Time, r.PipelineTime))
		}
	}}
	if _, err := d.run(context.Background()); err != nil {
		s.t.Fatal(err)
	}
	s.started = d.started
}

func (s *shard) want(watermark int64, emitted ...string) {
	s.t.Helper()
	if got := fmt.Sprint(s.emitted); got != fmt.Sprint(emitted) {
		s.t.Errorf("emitted %s, want %v", got, emitted)
	}
	if got := s.w.ms.Load(); got != watermark {
		s.t.Errorf("watermark %d, want %d", got, watermark)
	}
}

const base = int64(946_684_800_000) // The clock of a synctest bubble begins here.

func TestPipelineTimeNeverGoesBackInAPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{BoundMs: 200, AlignMs: 10_000, LeadMs: 60_000}, 1)
		s.answers(0, false, base+1000, base+500, base+3100, base+2000)
		s.drain()
		s.want(base+2000, fmt.Sprint("0:", base+1000, "@", base+800), fmt.Sprint("0:", base+500, "@", base+800),
			fmt.Sprint("0:", base+3100, "@", base+2900), fmt.Sprint("0:", base+2000, "@", base+2900))
		if first := s.batches[0]; first.Records != nil || first.PipelineTime != base+800 {
			t.Errorf("the first batch is %+v, want the one that starts the key groups", first)
		}
	})
}

// The watermark waits for the partition that is behind, and for one that says
// nothing: only the broker's fresh word makes a partition idle.
func TestWatermarkIsTheMinimum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{BoundMs: 200, AlignMs: 10_000, LeadMs: 60_000}, 2)
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
		if s.w.ms.Load() < base+19_000 {
			t.Errorf("both are idle, and the watermark is %d", s.w.ms.Load()-base)
		}
		// The word of an idle partition grows old: it does not move on by itself.
		time.Sleep(20 * time.Second) //nolint:forbidigo // Virtual time.
		s.drain()
		if s.w.ms.Load() > base+21_000 {
			t.Errorf("no word for 20 s, and the watermark is %d", s.w.ms.Load()-base)
		}
	})
}

// A record behind the watermark, after an idle stretch, gets the watermark's time: Beam would drop it else.
func TestNothingIsEmittedBeforeTheWatermark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{BoundMs: 200, AlignMs: 10_000, LeadMs: 60_000}, 1)
		time.Sleep(5 * time.Second) //nolint:forbidigo // Virtual time.
		s.answers(0, true)
		s.drain()
		mark := s.w.ms.Load()
		if mark < base+4000 {
			t.Fatalf("watermark %d", mark-base)
		}
		s.answers(0, false, base+1000)
		s.drain()
		if at := s.batches[len(s.batches)-1].Records[0].PipelineTime; at < mark {
			t.Errorf("emitted at %d, watermark %d", at-base, mark-base)
		}
	})
}

func TestPartitionsAreReadTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{AlignMs: 2000, LeadMs: 60_000}, 2)
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
		s := newShard(t, Options{AlignMs: 1000, LeadMs: 3000}, 1)
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
		s := newShard(t, Options{AlignMs: 1000, LeadMs: 60_000, PacketBytes: 1000}, 1)
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
		full.put(&a, new(metric.Decoder), nil)
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
		full.put(&a, new(metric.Decoder), nil)
		cancel()
		if r.room(ctx, &full) {
			t.Error("the end of the reader is not seen")
		}
	})
}

// What was claimed is where a restored shard goes on.
func TestPositionFollowsWhatWasEmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShard(t, Options{AlignMs: 1000, LeadMs: 60_000}, 2)
		s.since = 77
		s.answers(0, false, base, base+100)
		s.answers(1, false, base, base+50_000)
		s.drain()
		want := Position{Started: true, Since: 77, Next: []Offset{{Next: 2, Time: base + 100, Newest: base + 100}, {Partition: 1, Next: 1, Time: base + 50_000, Newest: base}}}
		if got := s.tr.GetRestriction(); !reflect.DeepEqual(got, want) || !s.standsAt(want) {
			t.Errorf("position %+v, want %+v", got, want)
		}
		if s.standsAt(Position{Started: true, Next: []Offset{{Next: 1, Time: base + 100, Newest: base + 100}, {Partition: 1, Next: 1, Time: base + 50_000, Newest: base}}}) {
			t.Error("a reader that is elsewhere says that it stands there")
		}
	})
}
