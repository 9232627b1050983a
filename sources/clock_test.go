package sources

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/internal/embedded"
	"pulseboard/internal/kafkaconn"
	"pulseboard/metric"
)

// stamps are what producers write by mistake, or by a clock of their own.
var stamps = map[string]func(now int64) int64{
	"none":         func(int64) int64 { return -1 },
	"zero":         func(int64) int64 { return 0 },
	"seconds":      func(now int64) int64 { return now / 1000 },
	"microseconds": func(now int64) int64 { return now * 1000 },
	"nanoseconds":  func(now int64) int64 { return now * 1_000_000 },
	"last-week":    func(now int64) int64 { return now - 7*86_400_000 },
	"next-year":    func(now int64) int64 { return now + 365*86_400_000 },
	"ahead-40-s":   func(now int64) int64 { return now + 40_000 },
	"hour-slow":    func(now int64) int64 { return now - 3_600_000 },
}

func writeAt(t *testing.T, addr, topic, name string, ms int64) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	rec := kgo.KeyStringRecord(name, fmt.Sprintf(`{"metric_name":%q,"value":1}`, name))
	if rec.Timestamp = time.UnixMilli(ms); ms < 0 {
		rec.Timestamp = time.Unix(0, ms*1e6)
	}
	if err := client.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func readAll(t *testing.T, addr, topic string) []Record {
	t.Helper()
	r := &reader{options: Options{Topic: topic, SliceMs: 1000, OutOfOrderMs: 200, MaxFutureMs: 2000}, broker: newBroker(kafkaconn.At(addr), topic)}
	defer r.broker.close()
	var all []Record
	for c, quiet := r.newCursor(found{}), false; !quiet; {
		a, err := r.readOnce(t.Context(), c, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		all, quiet = append(all, a.records...), a.quiet
	}
	return all
}

// On a topic whose timestamps are the producers', a wrong one moves no time: the
// record is too late, or a dead letter, and those beside it count where they are.
func TestNoClockMovesOthers(t *testing.T) {
	const topic = "events"
	cluster := newCluster(t, 1, topic)
	addr := cluster.ListenAddrs()[0]
	for name, at := range stamps {
		now := time.Now().UnixMilli()
		writeAt(t, addr, topic, "honest", now)
		writeAt(t, addr, topic, name, at(now))
		writeAt(t, addr, topic, "honest", now+1)
	}
	newest := int64(0)
	records := readAll(t, addr, topic)
	if len(records) != 3*len(stamps) {
		t.Fatalf("%d records of %d", len(records), 3*len(stamps))
	}
	for _, rec := range records {
		switch isHonest := len(rec.Events) > 0 && rec.Events[0].Metric == "honest"; {
		case isHonest && rec.Newest != rec.Time:
			t.Errorf("a record of %d counts at %d", rec.Time, rec.Newest)
		case isHonest:
			newest = rec.Time
		case rec.Time > newest:
			t.Errorf("%s moves time on by %d ms", rec.Key, rec.Time-newest)
		case rec.Unreadable.Code == metric.CodeFromTheFuture:
		case len(rec.Events) == 1 && rec.Newest-rec.Time > 60_000: // Too late.
		default:
			t.Errorf("%s is neither a dead letter nor too late: %+v", rec.Key, rec)
		}
	}
}

// A read that begins with the record of a clock that is ahead begins at its own start all
// the same: without a time of its own, that record was of 1970, and so was the pipeline.
func TestAFastClockDoesNotBeginTime(t *testing.T) {
	const topic = "events"
	now := time.Now().UnixMilli()
	start := now - 60_000
	for name, before := range map[string][]int64{"it is the first": nil, "behind one that is not needed": {now - 600_000}} {
		t.Run(name, func(t *testing.T) {
			cluster := newCluster(t, 1, topic)
			addr := cluster.ListenAddrs()[0]
			for _, at := range before {
				writeAt(t, addr, topic, "m", at)
			}
			writeAt(t, addr, topic, "m", now+3_540_000)
			r := &reader{options: Options{Topic: topic, StartMs: start, SliceMs: 1000, OutOfOrderMs: 200, MaxFutureMs: 2000}, shard: Shard{0, 1}, broker: newBroker(kafkaconn.At(addr), topic)}
			defer r.broker.close()
			fs, err := r.lookUp(t.Context(), Position{})
			if err != nil || len(fs) != 1 || fs[0].start != int64(len(before)) {
				t.Fatalf("%+v, %v", fs, err)
			}
			a, err := r.readOnce(t.Context(), r.newCursor(fs[0]), time.Time{})
			if err != nil || len(a.records) != 1 {
				t.Fatalf("%+v, %v", a, err)
			}
			p := newPartition(fs[0])
			p.queue <- a
			if p.collect(&r.options); !p.begun || p.time < start-200 || p.time > now {
				t.Errorf("the partition begins, %v, at %d, the read at %d", p.begun, p.time, start)
			}
		})
	}
}

// In the embedded Kafka, as with LogAppendTime, the broker's clock is all that counts.
func TestTheEmbeddedBrokerStamps(t *testing.T) {
	const topic = "metric-events"
	k, err := embedded.StartKafka(t.Context(), embedded.KafkaConfig{Dir: t.TempDir(), Partitions: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	before := time.Now().UnixMilli()
	for _, at := range stamps {
		writeAt(t, k.Addr(), topic, "m", at(before))
	}
	middle := time.Now().UnixMilli()
	for _, at := range stamps {
		writeAt(t, k.Addr(), topic, "m", at(before))
	}
	after := time.Now().UnixMilli()
	records := readAll(t, k.Addr(), topic)
	if len(records) != 2*len(stamps) {
		t.Fatalf("%d records of %d", len(records), 2*len(stamps))
	}
	last := before
	for _, rec := range records {
		if rec.Time < last || rec.Time > after || len(rec.Events) != 1 {
			t.Errorf("%+v is not of %d to %d", rec, last, after)
		}
		last = rec.Time
	}
	// A read that begins at a time begins with the first record that came then.
	b := newBroker(kafkaconn.At(k.Addr()), topic)
	defer b.close()
	first := slices.IndexFunc(records, func(rec Record) bool { return rec.Time >= middle })
	if start, _, err := b.startAt(t.Context(), 0, middle, func(logged) bool { return false }); err != nil || start > int64(first) {
		t.Errorf("a read from %d begins at offset %d, %v; offset %d came then", middle, start, err, first)
	}
}

// A topic that is deleted and made anew is read from its beginning, whether its new
// log is shorter than what was read, or longer.
func TestTopicsAreMadeAnew(t *testing.T) {
	const topic = "events"
	cluster := newCluster(t, 1, topic)
	addr := cluster.ListenAddrs()[0]
	for _, old := range []int{5, 1} {
		for i := range old {
			writeAt(t, addr, topic, fmt.Sprint("old", i), time.Now().UnixMilli())
		}
		r := &reader{options: Options{Topic: topic, SliceMs: 1000, OutOfOrderMs: 200, MaxFutureMs: 2000}, broker: newBroker(kafkaconn.At(addr), topic), arrived: make(chan struct{}, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		queue := make(chan answer)
		go func() { defer close(queue); r.fetchLoop(ctx, found{}, queue, new(ahead)) }()
		var names []string
		read := func(want int) {
			for len(names) < want {
				for _, rec := range (<-queue).records {
					names = append(names, string(rec.Key))
				}
			}
		}
		read(old)
		anew := func() {
			if err := cluster.DeleteTopic(topic); err != nil {
				t.Fatal(err)
			}
			if err := cluster.CreateTopic(topic, 1, nil); err != nil {
				t.Fatal(err)
			}
		}
		anew()
		for i := range 3 {
			writeAt(t, addr, topic, fmt.Sprint("new", i), time.Now().UnixMilli())
		}
		read(old + 3)
		cancel()
		for range queue {
		}
		r.broker.close()
		if want := []string{"new0", "new1", "new2"}; !slices.Equal(names[old:], want) {
			t.Errorf("after %d records of the old topic: read %v, want %v", old, names[old:], want)
		}
		anew()
	}
}

// A record that comes while it is asked where to begin is read: the end that is gone
// on from, when no record is young enough, is that of before.
func TestWhatComesWhileTheStartIsFoundIsRead(t *testing.T) {
	const topic = "events"
	cluster := newCluster(t, 1, topic)
	addr := cluster.ListenAddrs()[0]
	now := time.Now().UnixMilli()
	for _, there := range []int64{0, 1} {
		if there > 0 {
			writeAt(t, addr, topic, "m", now-10*minute)
		}
		cluster.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			if req.(*kmsg.ListOffsetsRequest).Topics[0].Partitions[0].Timestamp == toEnd {
				cluster.SleepControl(func() { writeAt(t, addr, topic, "m", now) })
				cluster.DropControl()
			}
			return nil, nil, false
		})
		b := newBroker(kafkaconn.At(addr), topic)
		defer b.close()
		first := there * 2 // The one that came in the round before is not young enough either.
		start, _, err := b.startAt(t.Context(), 0, now-minute, func(logged) bool { return false })
		if err != nil || start > first {
			t.Errorf("with %d older records the read begins at %d, %v; the record that came meanwhile has the offset %d", there, start, err, first)
		}
		now += 2 * minute
	}
}
