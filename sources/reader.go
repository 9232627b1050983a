package sources

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pulseboard/internal/clock"
)

// readers are kept for the whole process, since the SDK may call any DoFn
// instance for the next bundle; what was fetched ahead must not be thrown away.
var readers = readerSet{open: make(map[readerID]*reader)}

type readerID struct {
	run   string
	shard Shard
}

type readerSet struct {
	mu   sync.Mutex
	open map[readerID]*reader
}

// get returns the reader of a shard, standing at pos. A reader that stands
// elsewhere (a bundle was tried again, or a checkpoint restored), or failed in the
// middle of a call, is replaced.
func (s *readerSet) get(o Options, pos Position) *reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := readerID{o.Run, pos.Shard}
	r := s.open[id]
	if r != nil && !r.busy && r.standsAt(pos) {
		r.busy = true
		return r
	}
	if r != nil {
		r.close()
	}
	r = newReader(o, pos)
	s.open[id] = r
	return r
}

// Close ends the readers of a run and waits for their goroutines.
func Close(run string) {
	readers.mu.Lock()
	defer readers.mu.Unlock()
	for id, r := range readers.open {
		if id.run == run {
			r.close()
			delete(readers.open, id)
		}
	}
	progress.Delete(run)
	endpoints.Delete(run)
	setBacks.Delete(run)
}

// reader fetches and decodes the partitions of one shard in the background.
type reader struct {
	options  Options
	shard    Shard
	broker   *broker
	progress *Progress
	ctx      context.Context // Of the background goroutines, which outlive any bundle.
	cancel   context.CancelFunc
	running  sync.WaitGroup

	arrived          chan struct{} // Holds a token when something was queued.
	found            chan found    // Partitions, as they are discovered.
	lags             sync.Map      // Partition → *lag.
	ahead            sync.Map      // Partition → *ahead.
	openTransactions sync.Map      // Partition → since when the oldest is open, epoch ms.
	told             atomic.Int64  // The watermark that Beam was told, epoch ms; 0 = none.

	// The fields below belong to drain, which one bundle at a time runs.
	busy       bool // In a call.
	since      int64
	fresh      bool         // Nothing has left yet.
	begun      bool         // It has started the key groups,
	origin     int64        // at this pipeline time.
	partitions []*partition // Rising by id.
	complete   bool         // All partitions that the shard starts with are known.
	position   Position     // What is before it has left.
	kept       any          // See Batch.Held.
}

// found is a partition to be read: its first offset, its end when the read is bounded.
type found struct {
	id                  int32
	start               int64
	end                 int64 // -1: none.
	since               int64
	inner, from, newest int64 // See Offset.
	time                int64 // Pipeline time that it had when the position was taken.
	last                bool  // The last of those that the shard starts with.
}

func newReader(o Options, pos Position) *reader {
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{
		options: o, shard: pos.Shard, ctx: ctx, cancel: cancel, broker: newBroker(endpointOf(o.Run), o.Topic), progress: ProgressOf(o.Run),
		arrived: make(chan struct{}, 1), found: make(chan found), since: pos.Since, position: pos, fresh: !pos.Started, busy: true,
	}
	r.running.Go(func() { r.discover(ctx, pos) })
	return r
}

func (r *reader) close() {
	r.cancel()
	r.running.Wait()
	r.broker.close()
}

func (r *reader) standsAt(pos Position) bool {
	return pos.Started == r.position.Started && slices.Equal(pos.Next, r.position.Next)
}

// How often partitions are counted: a new one is read from its beginning.
const discoverEvery = 5 * time.Second

// discover hands the partitions of the shard to drain, first those at the
// position or the start time, later those that were added to the topic.
func (r *reader) discover(ctx context.Context, pos Position) {
	known := make(map[int32]bool)
	first := r.startAll(ctx, pos)
	for i, f := range first {
		known[f.id] = true
		f.last = i == len(first)-1
		if !r.hand(ctx, f) {
			return
		}
	}
	for clock.Sleep(ctx, discoverEvery) {
		ids, err := r.broker.partitions(ctx)
		if err != nil || r.options.ToEnd {
			continue // The fetch loops report what is wrong with the broker.
		}
		for _, id := range ids {
			if int(id)%r.shard.Of != r.shard.Index || known[id] {
				continue
			}
			known[id] = true
			if !r.hand(ctx, found{id: id, end: -1}) {
				return
			}
		}
	}
}

func (r *reader) hand(ctx context.Context, f found) bool {
	select {
	case r.found <- f:
		return true
	case <-ctx.Done():
		return false
	}
}

// startAll looks up where each partition begins, and tries until it knows.
func (r *reader) startAll(ctx context.Context, pos Position) []found {
	for delay := 50 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		fs, err := r.lookUp(ctx, pos)
		if err == nil && len(fs) > 0 {
			return fs
		}
		if err == nil {
			err = errors.New("the topic has no partition for this shard yet")
		}
		if ctx.Err() == nil {
			readErrors.WithLabelValues("start").Inc()
			slog.Warn("cannot look up where to begin reading; trying again", "topic", r.options.Topic, "error", err)
		}
		if !clock.Sleep(ctx, delay) {
			return nil
		}
	}
}

func (r *reader) lookUp(ctx context.Context, pos Position) ([]found, error) {
	ids, err := r.broker.partitions(ctx)
	if err != nil {
		return nil, err
	}
	var fs []found
	for _, id := range ids {
		if int(id)%r.shard.Of != r.shard.Index {
			continue
		}
		f := found{id: id, end: -1, since: pos.Since, from: -1}
		if i := slices.IndexFunc(pos.Next, func(o Offset) bool { return o.Partition == id }); i >= 0 {
			o := &pos.Next[i]
			f.start, f.inner, f.from, f.newest, f.time = o.Next, o.Inner, o.From, o.Newest, o.Time
		} else if !pos.Started {
			if f.start, f.since, err = r.broker.startAt(ctx, id, r.options.StartMs, r.isOldAhead); err != nil {
				return nil, err
			}
			if f.since > 0 {
				f.since += r.options.MaxFutureMs
			}
		}
		if r.options.ToEnd {
			if f.end, err = r.broker.offset(ctx, id, toEnd); err != nil {
				return nil, err
			}
		}
		fs = append(fs, f)
	}
	return fs, nil
}
