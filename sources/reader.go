package sources

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"pulseboard/internal/kafkaconn"
	"pulseboard/job"
)

// Readers are the reader shards of a run in this process, and what they share. None of this may be in Options, or
// passwords would go over the network to the workers, and into checkpoints. Readers outlive the bundles: the SDK may call
// any DoFn instance for the next one, and what was fetched ahead must not be thrown away.
type Readers struct {
	kafka    kafkaconn.Endpoint
	progress *job.Progress
	setBack  func(why error, since time.Time)

	mu     sync.Mutex
	open   map[Shard]*reader
	closed bool
}

// NewReaders returns those of a run that reads from kafka and stays as near to its key groups as progress wants. setBack,
// unless nil, is called when time must go back in a run, which no runner can, so that the run must begin anew: the clock of
// a broker was set back, after it was ahead of this machine's. The log's time was right until since.
func NewReaders(kafka kafkaconn.Endpoint, progress *job.Progress, setBack func(why error, since time.Time)) *Readers {
	if setBack == nil {
		setBack = func(error, time.Time) {}
	}
	return &Readers{kafka: kafka, progress: progress, setBack: setBack, open: make(map[Shard]*reader)}
}

// get returns the reader of a shard, standing at pos. A reader that stands elsewhere (a bundle was tried again, or
// a checkpoint restored) is replaced. So is one that failed in the middle of a call, also where its
// position is still right: records that it took are in no table. It returns nil once they are closed.
func (s *Readers) get(o Options, pos Position) *reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	r := s.open[pos.Shard]
	if r != nil && !r.busy && r.loop.standsAt(pos) {
		r.busy = true
		return r
	}
	if r != nil {
		r.close()
	}
	r = newReader(o, pos, s)
	s.open[pos.Shard] = r
	return r
}

// Close ends the readers and waits for their goroutines.
func (s *Readers) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for shard, r := range s.open {
		r.close()
		delete(s.open, shard)
	}
	return nil
}

// reader reads the partitions of one shard: goroutines that outlive any bundle fetch into queues, from which
// the read loop emits.
type reader struct {
	options   Options
	shared    *Readers // Of the run.
	broker    *broker
	say       *slog.Logger // Names the topic.
	ctx       context.Context
	cancel    context.CancelFunc
	running   sync.WaitGroup
	loop      *readLoop
	readAhead readAhead
	spares    spares
	lags      sync.Map // Partition → *lag.
	busy      bool     // In a call. The set of readers has it.
}

func newReader(o Options, pos Position, shared *Readers) *reader {
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{
		options: o, shared: shared, broker: newBroker(shared.kafka, o.Topic), say: slog.With("topic", o.Topic), ctx: ctx, cancel: cancel, busy: true,
	}
	r.readAhead.limit, r.readAhead.texts = o.ReadBytes, newRoom(o.ReadBytes)
	r.loop = newReadLoop(&r.options, pos, shared.progress, r.fetch)
	d := discovery{r.broker, &r.options, pos.Shard, r.say}
	r.running.Go(func() { d.run(ctx, pos, r.loop.found) })
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
	log := r.broker.log(a.Partition)
	scanner := newScanner(log, &r.options, a.Offset, r.readAhead.texts, r.say, r.shared.setBack)
	scanner.spares = &r.spares
	f := fetcher{
		options: &r.options, scanner: scanner, idle: idleness{log: log, options: &r.options},
		share: &p.share, lag: &p.lag, queue: queue, arrived: r.loop.arrived,
	}
	r.running.Go(func() { f.run(r.ctx) })
	return p
}
