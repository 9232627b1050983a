package ingest_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/e2e/testenv"
	"pulseboard/ingest"
	"pulseboard/ingest/statsd"
	"pulseboard/internal/kafkaconn"
	"pulseboard/metric"
)

// listenStatsD is a node that takes StatsD. end waits until all that came is stored or counted.
func listenStatsD(t *testing.T, change func(*ingest.Config)) (n *served, conn net.Conn, end func()) {
	t.Helper()
	n = startServed(t, change)
	l, err := n.service.ListenStatsD(t.Context(), statsd.Options{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	stopped := false
	end = func() {
		if cancel(); stopped {
			return
		}
		stopped = true
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(end)
	conn, err = new(net.Dialer).DialContext(t.Context(), "udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return n, conn, end
}

// counted is the sum of a counter over the series of StatsD, and of those with a code.
func (n *served) counted(t *testing.T, name, code string) (sum float64) {
	t.Helper()
	families, err := n.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := fmt.Sprint(m.GetLabel())
			if f.GetName() == "pulseboard_ingest_"+name && strings.Contains(labels, "statsd") && strings.Contains(labels, code) {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// What comes as StatsD is stored as what comes over HTTP, with the time of its arrival; what is refused is counted by its code,
// and the log names one of the lines.
func TestStatsDIsStored(t *testing.T) {
	var log testenv.Buffer
	var k *kfake.Cluster
	n, conn, end := listenStatsD(t, func(c *ingest.Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
		k = newKafka(t)
		c.Kafka = kafkaAt(k)
	})
	before := time.Now().UnixMilli()
	for range 3 {
		if _, err := io.WriteString(conn, "page.views:1|c|@0.1|#host:a\nlatency:12.5:13|ms|#host:a\nqueue:5|g\nqueue:-2|g\nbroken:x|c\nbroken\n_e{1,1}:a|b"); err != nil {
			t.Fatal(err)
		}
	}
	end()
	after := time.Now().UnixMilli()
	sums := make(map[string]float64)
	node := &node{t: t, kafka: k}
	for _, rec := range node.stored() {
		for _, e := range rec.events {
			sums[e.Metric+e.Tags.String()+e.Kind.String()] += e.Value
			if e.Time < before || e.Time > after+1 || rec.id == "" {
				t.Errorf("%+v of record %q, and it was %d to %d", e, rec.id, before, after)
			}
		}
	}
	queue := sums["queue{}gauge"]
	delete(sums, "queue{}gauge")
	want := map[string]float64{`page.views{"host":"a"}delta`: 30, `latency{"host":"a"}event`: 3 * 25.5}
	if fmt.Sprint(sums) != fmt.Sprint(want) || queue != 3 && queue != 6 && queue != 9 { // One event of each millisecond.
		t.Errorf("%v, queue %v", sums, queue)
	}
	if a, m, o := n.counted(t, "events_accepted_total", ""), n.counted(t, "events_rejected_total", metric.CodeMalformed), n.counted(t, "events_rejected_total", statsd.CodeNotAMetric); a != 9+queue/3 || m != 6 || o != 3 {
		t.Errorf("%v accepted, %v malformed, %v no metrics", a, m, o)
	}
	if said := log.String(); strings.Count(said, "lines of StatsD are refused") != 1 || !strings.Contains(said, `line=broken:x|c code=malformed fault="the value must be a decimal number: \"x\""`) {
		t.Error(said)
	}
}

// While Kafka does not acknowledge, memory is bounded and nothing is taken for stored.
func TestStatsDWithoutKafka(t *testing.T) {
	var log testenv.Buffer
	n, conn, end := listenStatsD(t, func(c *ingest.Config) {
		k := newKafka(t)
		c.Kafka, c.DeliveryTimeout, c.Log = kafkaAt(k), 200*time.Millisecond, slog.New(slog.NewTextHandler(&log, nil))
		k.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			k.KeepControl()
			return refuseProduce(req.(*kmsg.ProduceRequest)), nil, true
		})
	})
	for range 10 {
		if _, err := io.WriteString(conn, "a:1|c\nb:1|c"); err != nil {
			t.Fatal(err)
		}
	}
	end()
	if a, u := n.counted(t, "events_accepted_total", ""), n.counted(t, "events_not_acknowledged_total", ""); a != 0 || u != 20 {
		t.Errorf("%v accepted, %v not acknowledged", a, u)
	}
	if said := log.String(); !strings.Contains(said, "events of StatsD may be lost") {
		t.Error(said)
	}
}

// A line beyond what numbers hold spoils no record.
func TestStatsDExtremes(t *testing.T) {
	var k *kfake.Cluster
	_, conn, end := listenStatsD(t, func(c *ingest.Config) {
		k = newKafka(t)
		c.Kafka = kafkaAt(k)
	})
	if _, err := io.WriteString(conn, "m:1.7976931348623157e308|g\nm:+1.7976931348623157e308|g\nc:5e-324|c\nc:1e308|c|@0.001\nt:1|ms|@0.001"); err != nil {
		t.Fatal(err)
	}
	end()
	node := &node{t: t, kafka: k}
	var got []string
	for _, rec := range node.stored() {
		got = append(got, fmt.Sprint(rec.key, " ", len(rec.events), " ", rec.events[0].Value))
	}
	slices.Sort(got)
	if want := []string{fmt.Sprint("c 1 ", math.SmallestNonzeroFloat64), fmt.Sprint("m 1 ", math.MaxFloat64), "t 1000 1"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func kafkaAt(k *kfake.Cluster) kafkaconn.Endpoint { return kafkaconn.At(k.ListenAddrs()...) }
