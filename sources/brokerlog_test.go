package sources

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/embedded"
	"pulseboard/internal/kafkaconn"
)

// newCluster is a broker in this process, with a topic.
func newCluster(t *testing.T, partitions int32, topic string) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
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

func produce(t *testing.T, addr, topic string, at time.Time) {
	t.Helper()
	c := &kafka.Client{Addr: kafka.TCP(addr), Timeout: 10 * time.Second, Transport: &kafka.Transport{}}
	defer c.Transport.(*kafka.Transport).CloseIdleConnections()
	res, err := c.Produce(t.Context(), &kafka.ProduceRequest{Topic: topic, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(kafka.Record{
		Time: at, Key: kafka.NewBytes([]byte("m")), Value: kafka.NewBytes([]byte(`{"metric_name":"m","value":1}`)),
	})})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		t.Fatal(err)
	}
}

// lateConn hands over what it received a while later, as on a busy machine, or
// in a process that was stopped meanwhile.
type lateConn struct {
	net.Conn

	by *atomic.Int64
}

func (c lateConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	<-time.After(time.Duration(c.by.Load()))
	return n, err
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
	b := newBroker(kafkaconn.At(k.Addr()), topic)
	defer b.close()
	records := readAll(t, b.log(0), testOptions(), Offset{})
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
	first := slices.IndexFunc(records, func(rec Record) bool { return rec.Time >= middle })
	if start, _, err := startAt(t.Context(), b.log(0), optionsFrom(middle)); err != nil || start > int64(first) {
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
		b := newBroker(kafkaconn.At(addr), topic)
		f, stop := startFetcher(t, b.log(0), testOptions(), Offset{}, 100)
		f.names(old)
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
		if got, want := f.names(3), []string{"new0", "new1", "new2"}; !slices.Equal(got, want) {
			t.Errorf("after %d records of the old topic: read %v, want %v", old, got, want)
		}
		stop()
		b.close()
		anew()
	}
}

// A response says nothing of the time after it was given, however late it is
// read: a record that the broker got meanwhile is not overtaken by the clock.
func TestAnOldAnswerIsNoFreshWord(t *testing.T) {
	const topic, late = "events", 3 * maxWait
	for name, first := range map[string]bool{"a response with a record": true, "one without": false} {
		t.Run(name, func(t *testing.T) {
			addr := testenv.Kafka(t, testenv.Topic{Name: topic, Partitions: 1})
			b := newBroker(kafkaconn.At(addr), topic)
			t.Cleanup(b.close)
			by := new(atomic.Int64)
			b.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, addr)
				return lateConn{conn, by}, err
			}
			o := testOptions()
			s, idle := newTestScanner(b.log(0), o, Offset{}), idleness{options: o}
			if a, err := s.readOnce(t.Context(), time.Millisecond); err != nil || !a.caughtUp { // The connection is open now.
				t.Fatalf("%+v, %v", a, err)
			}
			if first {
				produce(t, addr, topic, time.Now())
			}
			by.Store(int64(late))
			asked := time.Now()
			idle.until = asked
			wait := idle.maxWait(asked)
			type outcome struct {
				a   response
				err error
			}
			responded := make(chan outcome, 1)
			go func() {
				a, err := s.readOnce(context.WithoutCancel(t.Context()), wait)
				responded <- outcome{a, err}
			}()
			// When the broker has responded, for certain.
			<-time.After(time.Until(asked.Add(wait + 100*time.Millisecond)))
			missed := time.Now()
			produce(t, addr, topic, missed)
			got := <-responded
			if got.err != nil || !got.a.caughtUp {
				t.Fatalf("%+v, %v", got.a, got.err)
			}
			p, queue := newTestPartition(o, assignment{Offset: Offset{Time: 1}, end: -1})
			queue <- got.a
			for p.collect(); p.peek() != nil; p.collect() {
				p.take()
			}
			if p.Time > missed.UnixMilli()-200 {
				t.Errorf("%v after a record that it has not brought, the response moved the clock to %d ms beyond it", time.Since(missed), p.Time-missed.UnixMilli()+200)
			}
		})
	}
}

// What a leader knows of its log comes from Kafka as from a log in memory.
func TestALogInKafka(t *testing.T) {
	const topic = "events"
	cluster := newCluster(t, 2, topic)
	addr := cluster.ListenAddrs()[0]
	b := newBroker(kafkaconn.At(addr), topic)
	t.Cleanup(b.close)
	ids, err := b.partitions(t.Context())
	if err != nil || !slices.Equal(ids, []int32{0, 1}) || b.topicID() == [16]byte{} {
		t.Fatalf("partitions %v, %v", ids, err)
	}
	log := b.log(0)
	for i := range int64(3) {
		produce(t, addr, topic, time.UnixMilli(base+1000*i))
	}
	for at, want := range map[int64]int64{fromStart: 0, toEnd: 3, base: 0, base + 1: 1, base + 2000: 2, base + 2001: -1} {
		if got, err := log.offsetAt(t.Context(), at); err != nil || got != want {
			t.Errorf("the offset at %d is %d, %v; want %d", at, got, err, want)
		}
	}
	f, err := log.fetch(t.Context(), 1, maxWait, anything)
	if err != nil || f.topic != b.topicID() || len(f.records) != 2 || f.records[0].Offset != 1 || f.next != 3 || f.end != 3 {
		t.Errorf("a fetch brings %+v, %v", f, err)
	}
	heads, err := log.heads(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Collect(heads); len(got) != 2 || got[0] != (batch{first: 1, last: 1, newest: base + 1000}) {
		t.Errorf("the heads are %+v", got)
	}
	if end, err := log.endOfEpoch(t.Context(), f.records[0].LeaderEpoch); err != nil || end != 3 {
		t.Errorf("the epoch ends at %d, %v", end, err)
	}
	if _, err := log.fetch(t.Context(), 9, maxWait, anything); !errors.Is(err, kerr.OffsetOutOfRange) {
		t.Errorf("a fetch beyond the end: %v", err)
	}
	if _, err := log.heads(t.Context(), 9); !errors.Is(err, kerr.OffsetOutOfRange) {
		t.Errorf("heads beyond the end: %v", err)
	}
	// A new leader that does not know its high watermark lists no offsets.
	cluster.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		res := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		res.Topics = []kmsg.ListOffsetsResponseTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsResponseTopicPartition{{ErrorCode: kerr.OffsetNotAvailable.Code}}}}
		return res, nil, true
	})
	if _, err := log.offsetAt(t.Context(), toEnd); !errors.Is(err, kerr.OffsetNotAvailable) {
		t.Errorf("the end is listed with %v", err)
	}
}

// Records that are missing in the middle of a partition are counted, and only
// those: not the markers of transactions, which have offsets too.
func TestGapsAreCounted(t *testing.T) {
	dir := t.TempDir()
	open := func() *embedded.Kafka {
		k, err := embedded.StartKafka(t.Context(), embedded.KafkaConfig{Dir: dir, Partitions: 1, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(k.Close)
		return k
	}
	const topic = "metric-events"
	k := open()
	produce(t, k.Addr(), topic, time.Now())
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Addr()), kgo.TransactionalID("t"), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // Offsets 1 to 6: each record is followed by a marker.
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(t.Context(), kgo.StringRecord(`{"metric_name":"m","value":1}`)).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	client.Close()
	for range 4 {
		produce(t, k.Addr(), topic, time.Now())
	}
	read := func(k *embedded.Kafka) (records int, lost int64) {
		b := newBroker(kafkaconn.At(k.Addr()), topic)
		defer b.close()
		for s, caughtUp := newTestScanner(b.log(0), testOptions(), Offset{}), false; !caughtUp; {
			a, err := s.readOnce(t.Context(), time.Millisecond)
			if err != nil {
				t.Fatal(err, records)
			}
			records += len(a.records)
			lost += a.lost
			caughtUp = a.caughtUp
		}
		return records, lost
	}
	if records, lost := read(k); records != 8 || lost != 0 {
		t.Errorf("%d records, %d lost; want 8 and none", records, lost)
	}
	k.Close()

	// The last batch but one, of one record, is damaged.
	path := filepath.Join(dir, "partitions", topic+"-0", "0.dat")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)-len(content)/8] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if records, lost := read(open()); records != 7 || lost != 1 {
		t.Errorf("%d records, %d lost; want 7 and 1", records, lost)
	}
}
