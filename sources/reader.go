package sources

import (
	"context"
	"log/slog"
	"sync"
)

// readers are kept for the whole process, since the SDK may call any DoFn
// instance for the next bundle, and what was fetched ahead must not be thrown away.
var readers = readerSet{open: make(map[readerID]*reader)}

type readerID struct {
	run   string
	shard Shard
}

type readerSet struct {
	mu   sync.Mutex
	open map[readerID]*reader
}

// get returns the reader of a shard, standing at pos. A reader that stands elsewhere (a bundle was tried again, or
// a checkpoint restored) is replaced. So is one that failed in the middle of a call, also where its
// position is still right: records that it took are in no table.
func (s *readerSet) get(o Options, pos Position) *reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := readerID{o.Run, pos.Shard}
	r := s.open[id]
	if r != nil && !r.busy && r.loop.standsAt(pos) {
		r.busy = true
		return r
	}
	if r != nil {
		r.close()
	}
	r = newReader(o, pos, environmentOf(o.Run))
	s.open[id] = r
	return r
}

// closeAll closes the readers of a run and waits for their goroutines.
func (s *readerSet) closeAll(run string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, r := range s.open {
		if id.run == run {
			r.close()
			delete(s.open, id)
		}
	}
}

// reader reads the partitions of one shard: goroutines that outlive any bundle fetch into queues, from which
// the read loop emits.
type reader struct {
	options   Options
	env       environment
	broker    *broker
	say       *slog.Logger // Names the topic.
	ctx       context.Context
	cancel    context.CancelFunc
	running   sync.WaitGroup
	loop      *readLoop
	readAhead readAhead
	lags      sync.Map // Partition → *lag.
	busy      bool     // In a call. The set of readers has it.
}

func newReader(o Options, pos Position, env environment) *reader {
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{
		options: o, env: env, broker: newBroker(env.kafka, o.Topic), say: slog.With("topic", o.Topic), ctx: ctx, cancel: cancel, busy: true,
	}
	r.readAhead.limit = o.ReadBytes
	r.loop = newReadLoop(&r.options, pos, env.progress, r.fetch)
	r.running.Go(func() { newDiscovery(r.broker, &r.options, pos.Shard, r.say).run(ctx, pos, r.loop.found) })
	return r
}

func (r *reader) close() {
	r.cancel()
	r.running.Wait()
	r.broker.close()
}

// queueLength is how many responses a partition may be ahead of the read loop, besides the one that is being decoded:
// what comes between two calls. readAhead bounds their bytes.
const queueLength = 64

// fetch begins to fetch a partition.
func (r *reader) fetch(a assignment) *partition {
	queue := make(chan response, queueLength)
	p := newPartition(&r.options, a, queue, &r.readAhead)
	r.lags.Store(a.Partition, &p.lag)
	f := newFetcher(&r.options, r.broker.log(a.Partition), a.Offset, r.say, r.env.setBack)
	f.share, f.lag, f.queue, f.arrived = &p.share, &p.lag, queue, r.loop.arrived
	r.running.Go(func() { f.run(r.ctx) })
	return p
}
