package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"pulseboard/internal/clock"
	"pulseboard/internal/kafkaconn"
	"pulseboard/metric"
)

// Config is what a bridge needs. Metrics may be nil.
type Config struct {
	Kafka      kafkaconn.Endpoint
	Group      string   // Of the consumers that share the topics.
	Topics     []string // Each is read from its oldest record on, until the group has committed an offset.
	DeadLetter string   // Topic of the records of which something is refused.
	// Begin starts to write what a record holds, in the order of the calls, and returns what waits until it is decided. It is called
	// again after an error, and when not all was acknowledged.
	Begin func(context.Context, *kgo.Record) (End, error)
	// Grace is how long what was begun may take after the end of Run's context.
	Grace   time.Duration
	Metrics prometheus.Registerer
	Log     *slog.Logger
}

// End waits until a record is decided.
type End func() Outcome

// Outcome is what became of a record.
type Outcome struct {
	Stored  int           // Events that Kafka has acknowledged.
	Refused int           // Events, or the record as a whole.
	Unknown int           // Events that Kafka did not acknowledge: the record must be written again.
	Fault   *metric.Fault // Why the record is a dead letter; nil = it is none.
}

// Bounds of what is in memory and of how long things take.
const (
	pollRecords = 10_000
	partRecords = 1000
	partBytes   = 4 << 20
	// A fetch of a broker brings so much of all partitions and of one, except where one batch is larger.
	fetchBytes          = 8 << 20
	fetchPartitionBytes = 1 << 20
	// A partition that becomes ours waits for the fetch of the others that is under way, so long at most.
	fetchWait = 500 * time.Millisecond

	// sessionTimeout is when the group goes on without a process that was killed. Events may be a minute late.
	sessionTimeout    = 10 * time.Second
	heartbeatInterval = 2 * time.Second
	// rebalanceTimeout is how long others wait for a process that writes what it has polled.
	rebalanceTimeout = 30 * time.Second
	commitTimeout    = 10 * time.Second
	firstBackoff     = 50 * time.Millisecond
	longestBackoff   = 2 * time.Second
	sayEvery         = 10 * time.Second
	watchEvery       = 10 * time.Second
	dialTimeout      = 5 * time.Second
)

// Bridge reads topics.
type Bridge struct {
	Config

	client  *kgo.Client
	metrics *metrics
	topics  map[string]*topic // By name; the map is never changed.
	failing failure

	// When the log may be told of it again.
	unread, unwritten, uncommitted, undelivered seldom
}

// seldom says when something that happens often may be told again.
type seldom struct{ next time.Time }

func (s *seldom) do(tell func()) {
	if now := time.Now(); !now.Before(s.next) {
		s.next = now.Add(sayEvery)
		tell()
	}
}

// New returns a bridge that does nothing before Check and Run are called.
func New(c Config) (*Bridge, error) {
	b := &Bridge{Config: c, topics: make(map[string]*topic)}
	for _, name := range c.Topics {
		b.topics[name] = newTopic(name)
	}
	var err error
	if b.metrics, err = newMetrics(c.Metrics, b); err != nil {
		return nil, fmt.Errorf("cannot register the metrics of the bridge: %w", err)
	}
	b.client, err = kgo.NewClient(append(c.Kafka.Options(c.Kafka.Dial(dialTimeout)),
		kgo.SeedBrokers(c.Kafka.Brokers...), kgo.ClientID("pulseboard-bridge"),
		kgo.ConsumerGroup(c.Group), kgo.ConsumeTopics(c.Topics...), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(sessionTimeout), kgo.HeartbeatInterval(heartbeatInterval), kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(fetchPartitionBytes), kgo.FetchMaxWait(fetchWait), kgo.DisableClientMetrics(),
		kgo.OnPartitionsAssigned(b.assigned), kgo.OnPartitionsRevoked(b.revoked), kgo.OnPartitionsLost(b.revoked),
		kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1), // Dead letters may come twice.
	)...)
	if err != nil {
		return nil, fmt.Errorf("cannot read other topics: %w", err)
	}
	return b, nil
}

// watch asks whether the topics are there: reading alone would not tell of one that is gone.
func (b *Bridge) watch(ctx context.Context) {
	for range clock.Every(ctx, watchEvery) {
		if err := b.Check(ctx); err != nil && ctx.Err() == nil {
			b.failing.note(time.Now())
			b.Log.Error("other topics are not read", "error", err)
		}
	}
}

// Run reads until ctx ends, waits for what was begun, leaves the group and returns nil.
func (b *Bridge) Run(ctx context.Context) error {
	defer b.client.CloseAllowingRebalance()
	// What was begun is wanted for a while after the end.
	write, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(b.Grace, cancel) })()
	var watch sync.WaitGroup
	watch.Go(func() { b.watch(ctx) })
	defer watch.Wait()
	for {
		fetches := b.client.PollRecords(ctx, pollRecords)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return nil
		}
		failed, anew := b.note(fetches)
		if !b.write(write, ctx, fetches) {
			return nil
		}
		b.client.AllowRebalance()
		if len(anew) > 0 {
			b.client.PurgeTopicsFromConsuming(anew...)
			b.client.AddConsumeTopics(anew...)
		}
		if failed {
			clock.Sleep(ctx, firstBackoff)
		}
	}
}

// note keeps and tells the errors of a poll, and reports whether there are any, and which topics are no more what they were: deleted, and
// perhaps made anew under their names.
func (b *Bridge) note(fetches kgo.Fetches) (failed bool, anew []string) {
	var errs []error
	fetches.EachError(func(topic string, partition int32, err error) {
		if errors.Is(err, kerr.UnknownTopicID) && !slices.Contains(anew, topic) {
			anew = append(anew, topic)
		}
		if topic != "" {
			err = fmt.Errorf("topic %s, partition %d: %w", topic, partition, err)
		}
		errs = append(errs, err)
	})
	err := errors.Join(errs...)
	if err == nil {
		return false, nil
	}
	b.failing.note(time.Now())
	b.unread.do(func() { b.Log.Error("other topics cannot be read", "group", b.Group, "error", b.explain(err)) })
	return true, anew
}

// write writes the records of a poll, in parts, and commits each. It reports whether all of it is decided; else the process ends,
// and who reads the topics next writes it again.
func (b *Bridge) write(ctx, run context.Context, fetches kgo.Fetches) bool {
	var p part
	decided := true
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		t := b.topics[f.Topic]
		if t == nil || !decided {
			return
		}
		if lost := t.begin(&f.FetchPartition, b.committed(f.Topic, f.Partition)); lost > 0 {
			b.metrics.lost.WithLabelValues(t.name).Add(float64(lost))
			b.Log.Error("Kafka has deleted records before they were read: keep them longer, or see why reading was behind", "topic", t.name, "partition", f.Partition, "records", lost)
		}
		for _, r := range f.Records {
			p.add(r)
			if p.full() {
				decided = decided && b.decide(ctx, &p) && run.Err() == nil
			}
			if !decided {
				return
			}
		}
	})
	decided = decided && b.decide(ctx, &p)
	for _, t := range b.topics {
		t.idle()
	}
	return decided
}

// committed is the offset that the group had committed when this process joined it, -1 = none.
func (b *Bridge) committed(topic string, partition int32) int64 {
	if o, ok := b.client.CommittedOffsets()[topic][partition]; ok {
		return o.Offset
	}
	return -1
}

// part is records that are under way together.
type part struct {
	records []*kgo.Record
	bytes   int
}

func (p *part) add(r *kgo.Record) {
	p.records = append(p.records, r)
	p.bytes += len(r.Key) + len(r.Value)
}

func (p *part) full() bool { return len(p.records) == partRecords || p.bytes >= partBytes }

// decide has the records of a part written, and commits them. It reports whether all are decided before ctx ended.
func (b *Bridge) decide(ctx context.Context, p *part) bool {
	if len(p.records) == 0 {
		return true
	}
	outcomes := make([]Outcome, len(p.records))
	left := make([]int, len(p.records)) // Those that are not decided.
	for i := range left {
		left[i] = i
	}
	backoff := firstBackoff
	for {
		why := b.once(ctx, p, left, outcomes)
		left = slices.DeleteFunc(left, func(i int) bool { return outcomes[i].Unknown == 0 })
		if len(left) == 0 {
			break
		}
		if ctx.Err() != nil {
			return false
		}
		b.unwritten.do(func() {
			b.Log.Error("records of other topics are not written: Kafka does not acknowledge their events; reading waits", "records", len(left), "error", why)
		})
		if !clock.Sleep(ctx, backoff) {
			return false
		}
		backoff = min(2*backoff, longestBackoff)
	}
	if !b.writeLetters(ctx, p.records, outcomes) {
		return false
	}
	for i, r := range p.records {
		if !r.Attrs.IsControl() {
			b.metrics.count(r.Topic, &outcomes[i])
		}
	}
	b.commit(ctx, p.records)
	*p = part{records: p.records[:0]}
	return true
}

// once tries to write some records of a part. Of what it cannot tell, the outcome is unknown.
func (b *Bridge) once(ctx context.Context, p *part, which []int, outcomes []Outcome) (why error) {
	ends := make([]End, 0, len(which))
	for _, i := range which {
		if p.records[i].Attrs.IsControl() { // The end of a transaction: it has an offset, and no value.
			ends = append(ends, func() Outcome { return Outcome{} })
			continue
		}
		end, err := b.Begin(ctx, p.records[i])
		if err != nil { // The following ones would overtake it.
			why = err
			break
		}
		ends = append(ends, end)
	}
	for n, i := range which {
		if n < len(ends) {
			if outcomes[i] = ends[n](); outcomes[i].Unknown > 0 && why == nil {
				why = fmt.Errorf("of a record of topic %s, %d events are not acknowledged", p.records[i].Topic, outcomes[i].Unknown)
			}
		} else {
			outcomes[i] = Outcome{Unknown: 1}
		}
	}
	return why
}

// commit tells the group how far the records are decided. What it does not take is read again, and known by its ids then.
func (b *Bridge) commit(ctx context.Context, records []*kgo.Record) {
	offsets := make(map[string]map[int32]kgo.EpochOffset)
	for _, r := range records {
		if offsets[r.Topic] == nil {
			offsets[r.Topic] = make(map[int32]kgo.EpochOffset)
		}
		offsets[r.Topic][r.Partition] = kgo.EpochOffset{Epoch: r.LeaderEpoch, Offset: r.Offset + 1}
		b.topics[r.Topic].decided(r)
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	if err := commit(ctx, b.client, offsets); err != nil {
		b.metrics.commitFailures.Inc()
		b.uncommitted.do(func() {
			b.Log.Warn("offsets of other topics are not committed: their records may be read again, and count once all the same", "group", b.Group, "error", err)
		})
	}
}

// Close ends a bridge that does not run.
func (b *Bridge) Close() { b.client.Close() }
