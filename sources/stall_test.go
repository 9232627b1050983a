package sources

import (
	"context"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/kafkaconn"
)

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

func lateReader(t *testing.T, topic, addr string) (r *reader, by *atomic.Int64) {
	t.Helper()
	by = new(atomic.Int64)
	r = &reader{options: Options{Topic: topic, SliceMs: 1000, OutOfOrderMs: 200}, broker: newBroker(kafkaconn.At(addr), topic), arrived: make(chan struct{}, 1)}
	t.Cleanup(r.broker.close)
	r.broker.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return lateConn{conn, by}, err
	}
	return r, by
}

// readOnce is read, with all that it handed over in one answer.
func (r *reader) readOnce(ctx context.Context, c *cursor, known time.Time) (all answer, err error) {
	err = r.read(ctx, c, known, func(a *answer) bool {
		a.records, a.lost = slices.Concat(all.records, a.records), all.lost+a.lost
		all = *a
		return true
	})
	return all, err
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

// An answer says nothing of the time after it was given, however late it is
// read: a record that the broker got meanwhile is not overtaken by the clock.
func TestAnOldAnswerIsNoFreshWord(t *testing.T) {
	const topic, late = "events", 3 * maxWait
	for name, first := range map[string]bool{"an answer with a record": true, "one without": false} {
		t.Run(name, func(t *testing.T) {
			addr := testenv.Kafka(t, testenv.Topic{Name: topic, Partitions: 1})
			r, by := lateReader(t, topic, addr)
			c := r.newCursor(found{})
			if a, err := r.readOnce(t.Context(), c, time.Time{}); err != nil || !a.quiet { // The connection is open now.
				t.Fatalf("%+v, %v", a, err)
			}
			if first {
				produce(t, addr, topic, time.Now())
			}
			by.Store(int64(late))
			asked := time.Now()
			type outcome struct {
				a   answer
				err error
			}
			answered := make(chan outcome, 1)
			go func() {
				a, err := r.readOnce(context.WithoutCancel(t.Context()), c, asked)
				answered <- outcome{a, err}
			}()
			// When the broker has answered, for certain.
			<-time.After(time.Until(asked.Add(r.options.hold(asked, asked) + 100*time.Millisecond)))
			missed := time.Now()
			produce(t, addr, topic, missed)
			o := <-answered
			if o.err != nil || !o.a.quiet {
				t.Fatalf("%+v, %v", o.a, o.err)
			}
			p := &partition{end: -1, queue: make(chan answer, 1), time: 1}
			p.queue <- o.a
			for p.collect(&r.options); p.peek() != nil; p.collect(&r.options) {
				p.take(&r.options)
			}
			if p.time > missed.UnixMilli()-200 {
				t.Errorf("%v after a record that it has not brought, the answer moved the clock to %d ms beyond it", time.Since(missed), p.time-missed.UnixMilli()+200)
			}
		})
	}
}

// A broker holds a fetch until a slice has ended for an idle partition, and not longer.
func TestTheBrokerAnswersWhenASliceHasEnded(t *testing.T) {
	o := Options{SliceMs: 1000, OutOfOrderMs: 200}
	at := func(ms int64) time.Time { return time.UnixMilli(base + ms) }
	for _, test := range []struct {
		known, now time.Time
		want       time.Duration
	}{
		{at(900), at(900), 350 * time.Millisecond},          // The slice that ends at 1000 has ended at 1250.
		{at(900), at(1249), time.Millisecond},               // Soon.
		{at(900), at(3000), time.Millisecond},               // Long ago: at once.
		{at(1250), at(1250), maxWait},                       // The next at 2250, and it is heard of before.
		{at(1250), at(2000), 250 * time.Millisecond},        // Nothing came since.
		{time.Time{}, at(500), time.Millisecond},            // Nothing is known yet.
		{at(900), at(1200).Add(500), 50 * time.Millisecond}, // Whole milliseconds, and not before the end.
	} {
		if got := o.hold(test.known, test.now); got != test.want {
			t.Errorf("known at %d, asked at %d: %v, want %v", test.known.UnixMilli()-base, test.now.UnixMilli()-base, got, test.want)
		}
	}
}

// A leader that has just been elected may lack the newest of what was
// acknowledged, and one that was stopped does not know that it leads no more: that
// it has no more counts a while after a fault, and once it lists offsets.
func TestANewLeaderIsDoubted(t *testing.T) {
	const topic = "events"
	c := newCluster(t, 1, topic)
	var elected atomic.Bool // There is a new leader, which does not know the high watermark.
	c.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !elected.Load() {
			return nil, nil, false
		}
		res := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		res.Topics = []kmsg.ListOffsetsResponseTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsResponseTopicPartition{{ErrorCode: kerr.OffsetNotAvailable.Code}}}}
		return res, nil, true
	})
	r, _ := lateReader(t, topic, c.ListenAddrs()[0])
	queue := make(chan answer)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); r.fetchLoop(ctx, found{}, queue, new(ahead)) }()
	t.Cleanup(func() { cancel(); <-ended })
	for a := range queue {
		if a.quiet {
			break // It is idle, by a leader that knows.
		}
	}
	elected.Store(true)
	faulty := time.Now()
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		res := req.ResponseKind().(*kmsg.FetchResponse)
		res.Topics = []kmsg.FetchResponseTopic{{Topic: topic, Partitions: []kmsg.FetchResponseTopicPartition{{ErrorCode: kerr.NotLeaderForPartition.Code}}}}
		return res, nil, true
	})
	<-queue // It was on its way.
	for range 3 {
		if a := <-queue; a.quiet {
			t.Fatal("the partition is idle by the word of a leader that does not know")
		}
	}
	elected.Store(false)
	for a := range queue {
		if a.quiet {
			if a.at.Before(faulty.Add(settle).Round(0)) {
				t.Errorf("the partition is idle %v after a fault", a.at.Sub(faulty))
			}
			return
		}
	}
}
