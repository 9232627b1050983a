package property_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// foreigners are producers that we have not written: with transactions, which they
// commit, abort and leave open, and with clocks that are fast, slow, stand still and
// jump.
type foreigners struct {
	t       *testing.T
	rand    *rand.Rand
	clocks  *kgo.Client
	writers []*kgo.Client
	open    []bool
	end     context.CancelFunc
	ended   sync.WaitGroup
	fault   error
}

// startForeigners lets them write until stop.
func startForeigners(t *testing.T, p *plan, addr string) *foreigners {
	t.Helper()
	f := &foreigners{t: t, rand: rand.New(rand.NewPCG(p.seed, 4)), open: make([]bool, 2)}
	client := func(opts ...kgo.Opt) *kgo.Client {
		c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	f.clocks = client(kgo.ProducerBatchCompression(kgo.SnappyCompression()))
	for i := range f.open {
		f.writers = append(f.writers, client(kgo.TransactionalID(fmt.Sprint("foreigner-", i)), kgo.ProducerBatchCompression(kgo.ZstdCompression())))
	}
	every := 70 * time.Millisecond
	if p.long {
		every *= 3
	}
	ctx, cancel := context.WithCancel(t.Context())
	f.end = cancel
	f.ended.Go(func() {
		ticks := time.NewTicker(every)
		defer ticks.Stop()
		for ctx.Err() == nil && f.fault == nil {
			f.fault = f.round()
			<-ticks.C
		}
		for i, open := range f.open {
			if open && f.fault == nil {
				f.fault = f.writers[i].EndTransaction(t.Context(), kgo.TryCommit)
			}
		}
	})
	return f
}

func (f *foreigners) stop() error {
	f.end()
	f.ended.Wait()
	return f.fault
}

// record is of a metric whose partition never falls silent: the time of one that
// does follows our clock, and a slow one can be overtaken by any time there.
func (f *foreigners) record(hasTime bool) *kgo.Record {
	type event struct {
		Value     int    `json:"value"`
		EventTime *int64 `json:"event_time,omitempty"`
	}
	m := f.rand.IntN(metrics)
	if m%partitions == silentPartition {
		m--
	}
	var events []event
	for range 1 + f.rand.IntN(3) {
		e := event{Value: f.rand.IntN(1000)}
		if at := time.Now().UnixMilli() - f.rand.Int64N(100); hasTime {
			e.EventTime = &at
		}
		events = append(events, e)
	}
	value, err := json.Marshal(map[string]any{"metric_name": metricName(m), "events": events})
	if err != nil {
		panic(err) // Of a map of numbers.
	}
	return &kgo.Record{Key: []byte(metricName(m)), Value: value, Partition: int32(m % partitions)}
}

func (f *foreigners) round() error {
	ctx := f.t.Context()
	if f.rand.IntN(3) == 0 {
		wrong := f.rand.IntN(6)
		rec := f.record(wrong < 4 && f.rand.IntN(2) == 0)
		now := time.Now()
		rec.Headers = []kgo.RecordHeader{{Key: "wall", Value: strconv.AppendInt(nil, now.UnixMilli(), 10)}}
		switch wrong {
		case 0:
			rec.Timestamp = now.Add(-time.Hour)
		case 1:
			rec.Timestamp = time.UnixMilli(1_763_892_000_000) // It stands still.
		case 2:
			rec.Timestamp = time.UnixMilli(now.Unix()) // In seconds.
		case 3:
			rec.Timestamp = now.Add(50 * time.Minute) // Kafka takes an hour.
		default: // Late, or too late for windows that reach so far back.
			rec.Timestamp = now.Add(time.Duration(f.rand.Int64N(int64(2*time.Minute))) - 2*time.Minute)
		}
		if err := f.clocks.ProduceSync(ctx, rec).FirstErr(); err != nil {
			return fmt.Errorf("a producer with a clock of its own: %w", err)
		}
	}
	for i, w := range f.writers {
		if !f.open[i] {
			if f.rand.IntN(5) > 0 {
				continue
			}
			if err := w.BeginTransaction(); err != nil {
				return err
			}
			f.open[i] = true
		}
		for range f.rand.IntN(3) {
			if err := w.ProduceSync(ctx, f.record(f.rand.IntN(2) == 0)).FirstErr(); err != nil {
				return fmt.Errorf("in a transaction: %w", err)
			}
		}
		if n := f.rand.IntN(18); n < 3 {
			if err := w.EndTransaction(ctx, kgo.TransactionEndTry(n < 2)); err != nil {
				return fmt.Errorf("at the end of a transaction: %w", err)
			}
			f.open[i] = false
		}
	}
	return nil
}
