package statsd

import (
	"bytes"
	"context"
	"sync"
	"time"

	"pulseboard/internal/clock"
	"pulseboard/wire"
)

const (
	// batchEvents is how many events go on together at most, but for what the last line holds.
	batchEvents = 5000
	// gatherTime is how long an event waits for others.
	gatherTime = 200 * time.Millisecond
)

// Sink brings the events of a batch to Kafka. The batch is its own until it returns.
type Sink func(context.Context, *wire.Batch)

// intake gathers the events of lines into batches, and hands them to the sink, several at a time.
type intake struct {
	metrics *metrics
	refuse  func(line []byte, f Fault)
	now     func() time.Time
	most    int // Events that may wait, in batches being gathered or with the sink.
	sink    Sink
	kick    chan struct{} // Something is there that must not wait for long.
	flights sync.WaitGroup
	spare   sync.Pool // Of *wire.Batch.

	mu      sync.Mutex
	decoder *decoder
	waiting int // Events with the sink.
}

func newIntake(d *decoder, m *metrics, most int) *intake {
	in := &intake{metrics: m, decoder: d, most: most, now: time.Now, kick: make(chan struct{}, 1)}
	in.spare.New = func() any { return new(wire.Batch) }
	d.into(new(wire.Batch))
	return in
}

// take reads lines until too many events wait, and returns those that are left.
func (in *intake) take(ctx context.Context, lines []byte) (left []byte) {
	now := in.now().UnixMilli()
	in.mu.Lock()
	defer in.mu.Unlock()
	taken := 0
	in.decoder.endSets(now)
	for len(lines) > 0 {
		if in.waiting+len(in.decoder.batch.Events) >= in.most {
			break
		}
		var line []byte
		line, lines, _ = bytes.Cut(lines, []byte{'\n'})
		if line = trim(line); len(line) == 0 {
			continue
		}
		if f := in.decoder.line(line, now); f.Code != "" {
			in.refuse(line, f)
			continue
		}
		taken++
		if len(in.decoder.batch.Events) >= batchEvents {
			in.ship(ctx)
		}
	}
	in.metrics.taken.Add(float64(taken))
	if taken > 0 {
		select {
		case in.kick <- struct{}{}:
		default:
		}
	}
	return lines
}

// trim takes away what stands around a line.
func trim(line []byte) []byte {
	for len(line) > 0 && (line[len(line)-1] == '\r' || line[len(line)-1] == ' ') {
		line = line[:len(line)-1]
	}
	for len(line) > 0 && line[0] == ' ' {
		line = line[1:]
	}
	return line
}

// countLines is how many lines of a text are not empty.
func countLines(text []byte) (n int) {
	for line := range bytes.SplitSeq(text, []byte{'\n'}) {
		if len(trim(line)) > 0 {
			n++
		}
	}
	return n
}

// run has no event wait for longer than gatherTime, until ctx ends.
func (in *intake) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-in.kick:
		}
		if !clock.Sleep(ctx, gatherTime) {
			return
		}
		in.mu.Lock()
		in.decoder.endSets(in.now().UnixMilli())
		in.ship(ctx)
		sets := len(in.decoder.held.sets) > 0
		in.mu.Unlock()
		if sets { // Their interval ends whether anything comes or not.
			select {
			case in.kick <- struct{}{}:
			default:
			}
		}
	}
}

// end sends on all that is there, sets whose interval has not ended too, and waits for the sink.
func (in *intake) end(ctx context.Context) {
	in.mu.Lock()
	in.decoder.endAllSets(in.now().UnixMilli())
	in.ship(ctx)
	in.mu.Unlock()
	in.flights.Wait()
}

// ship hands the batch that is gathered to the sink. The lock is held.
func (in *intake) ship(ctx context.Context) {
	b := in.decoder.batch
	b.N = len(b.Events)
	if b.N == 0 {
		return
	}
	for i := len(b.Index); i < b.N; i++ {
		b.Index = append(b.Index, i)
	}
	in.waiting += b.N
	in.metrics.waiting.Set(float64(in.waiting))
	ctx = context.WithoutCancel(ctx) // What was received is stored, also at the end.
	in.flights.Go(func() {
		in.sink(ctx, b)
		in.landed(b)
	})
	in.decoder.into(in.spare.Get().(*wire.Batch))
}

// landed makes room for others.
func (in *intake) landed(b *wire.Batch) {
	n := b.N
	clear(b.Events) // Their names and tags may be forgotten meanwhile.
	*b = wire.Batch{Events: b.Events[:0], Index: b.Index}
	in.spare.Put(b)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.waiting -= n
	in.metrics.waiting.Set(float64(in.waiting))
}
