package ingest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"pulseboard/e2e/testenv"
	"pulseboard/ingest"
	"pulseboard/internal/conf"
	"pulseboard/internal/host"
	"pulseboard/internal/kafkaconn"
)

// topicsOf reads values of --topic-format.
func topicsOf(t *testing.T, c *ingest.Config, formats ...string) {
	t.Helper()
	f := conf.New("test", "")
	ingest.Flags(f, c)
	if err := f.Parse(nil, func(name string) string {
		if name == "PULSEBOARD_TOPIC_FORMAT" {
			return strings.Join(formats, "\n")
		}
		return ""
	}, io.Discard); err != nil {
		t.Fatal(err)
	}
}

// world is a Kafka in which others write topics.
type world struct {
	*node
	writer  *kgo.Client
	formats []string
}

// newWorld makes topics of two partitions, named by their formats.
func newWorld(t *testing.T, formats ...string) *world {
	t.Helper()
	n := start(t, nil)
	w := &world{node: n, formats: formats, writer: newWriter(t, n.kafka)}
	for _, f := range formats {
		topic, _, _ := strings.Cut(f, "=")
		if err := n.kafka.CreateTopic(topic, 2, nil); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func newWriter(t *testing.T, c *kfake.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	writer, err := kgo.NewClient(append(opts, kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(1<<20))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(writer.Close)
	return writer
}

func (w *world) write(topic string, partition int32, at time.Time, values ...[]byte) {
	w.t.Helper()
	for _, v := range values {
		if err := w.writer.ProduceSync(w.t.Context(), &kgo.Record{Topic: topic, Partition: partition, Value: v, Timestamp: at}).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// reader is one process that reads the topics.
type reader struct {
	*node
	stop func()
}

func (w *world) read(change func(*ingest.Config)) *reader {
	w.t.Helper()
	reg := prometheus.NewRegistry()
	c := ingest.Config{Kafka: kafkaconn.At(w.kafka.ListenAddrs()...), Shared: host.Shared{Metrics: reg}, DeliveryTimeout: time.Second}
	topicsOf(w.t, &c, w.formats...)
	if change != nil {
		change(&c)
	}
	s, err := ingest.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := s.OpenTopics(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	own, end := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { _ = s.Run(own) })
	all.Go(func() { _ = b.Run(ctx); end() })
	stop := sync.OnceFunc(func() { cancel(); all.Wait() })
	w.t.Cleanup(stop)
	return &reader{&node{t: w.t, kafka: w.kafka, metrics: reg, service: s}, stop}
}

// counted is a metric of a reader, by its label values joined with spaces.
func (r *reader) counted(name string) map[string]float64 {
	r.t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			if v := m.GetCounter().GetValue() + m.GetGauge().GetValue(); v != 0 {
				all[strings.Join(labels, " ")] = v
			}
		}
	}
	return all
}

// records waits until a reader has decided so many records of a topic.
func (r *reader) records(topic string, n float64) {
	r.t.Helper()
	testenv.Until(r.t, fmt.Sprintf("%v records of %s are decided", n, topic), func(context.Context) error {
		sum := 0.0
		for labels, v := range r.counted("pulseboard_ingest_topic_records_total") {
			if strings.HasSuffix(labels, " "+topic) {
				sum += v
			}
		}
		if sum < n {
			return fmt.Errorf("%v are", sum)
		}
		return nil
	})
}

// texts are the events that lie in metric-events, of records with the same id once, as the pipeline counts them.
func (w *world) texts() []string {
	w.t.Helper()
	seen := map[string]string{}
	var all []string
	for _, s := range w.stored() {
		text := ""
		for i := range s.events {
			e := &s.events[i]
			text += fmt.Sprintf("%s %v %v %v @%d start %d point %v\n", e.Metric, e.Tags, e.Value, e.Kind, e.Time, e.Start, e.Point)
		}
		if before, again := seen[s.id]; again {
			if before != text {
				w.t.Errorf("the id %s is of\n%sand of\n%s", s.id, before, text)
			}
			continue
		}
		seen[s.id] = text
		all = append(all, strings.Split(strings.TrimSuffix(text, "\n"), "\n")...)
	}
	slices.Sort(all)
	return all
}

// Each format is decoded as its writers write it, and an event without a time has that of its record.
func TestTopicFormats(t *testing.T) {
	t.Parallel() // It waits for most of its time.
	at := time.Now().Truncate(time.Millisecond).Add(-5 * time.Second)
	ms := at.UnixMilli()
	sum := &collector.ExportMetricsServiceRequest{ResourceMetrics: []*otlp.ResourceMetrics{{ScopeMetrics: []*otlp.ScopeMetrics{{Metrics: []*otlp.Metric{{
		Name: "o.g", Data: &otlp.Metric_Gauge{Gauge: &otlp.Gauge{DataPoints: []*otlp.NumberDataPoint{{TimeUnixNano: uint64(at.UnixNano()), Value: &otlp.NumberDataPoint_AsInt{AsInt: 3}}}}},
	}}}}}}}
	inProto, err := proto.Marshal(sum)
	inJSON, err2 := protojson.Marshal(sum)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	label := func(dst []byte, name, value string) []byte {
		l := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), name)
		l = protowire.AppendString(protowire.AppendTag(l, 2, protowire.BytesType), value)
		return protowire.AppendBytes(protowire.AppendTag(dst, 1, protowire.BytesType), l)
	}
	sample := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), 0x4000000000000000)
	sample = protowire.AppendVarint(protowire.AppendTag(sample, 2, protowire.VarintType), uint64(ms))
	series := protowire.AppendBytes(protowire.AppendTag(label(nil, "__name__", "p_x"), 2, protowire.BytesType), sample)
	remote := s2.EncodeSnappy(nil, protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), series))
	for _, c := range []struct {
		format, value string
		want          []string
	}{
		{"a=influx", "cpu,host=a x=1,s=\"text\"\n", []string{"cpu.x {\"host\":\"a\"} 1 event @AT start 0 point false"}},
		{"a=influx", fmt.Sprintf("cpu x=1 %d000000\nmem value=2 %d000000\n", ms, ms), []string{"cpu.x {} 1 event @AT start 0 point true", "mem {} 2 event @AT start 0 point true"}},
		{"a=influx?precision=ms", fmt.Sprintf("cpu x=1 %d", ms), []string{"cpu.x {} 1 event @AT start 0 point true"}},
		{"a=telegraf", fmt.Sprintf(`{"name":"cpu","tags":{"host":"a"},"fields":{"x":1,"on":true},"timestamp":%d}`, ms), []string{"cpu.on {\"host\":\"a\"} 1 event @AT start 0 point true", "cpu.x {\"host\":\"a\"} 1 event @AT start 0 point true"}},
		{"a=prometheusremotewrite", string(remote), []string{"p_x {} 2 cumulative @AT start 0 point true"}},
		{"a=otlp_proto", string(inProto), []string{"o.g {} 3 gauge @AT start 0 point true"}},
		{"a=otlp_json", string(inJSON), []string{"o.g {} 3 gauge @AT start 0 point true"}},
		{"a=json", `{"metric_name":"j","value":4,"kind":"delta","start":AT9}`, []string{"j {} 4 delta @AT start AT point false"}},
		{"a=json", "{\"metric_name\":\"j\",\"value\":4}\n{\"metric_name\":\"j\",\"value\":5}\n", []string{"j {} 4 event @AT start 0 point false", "j {} 5 event @AT start 0 point false"}},
		{"a=collectd", `[{"host":"a","plugin":"load","type":"load","dsnames":["x"],"dstypes":["gauge"],"values":[0.5]}]`, []string{"load.x {\"host\":\"a\"} 0.5 gauge @AT start 0 point false"}},
		{"a=fluent-bit?tags=h", `{"cpu":1.5,"h":"a"}`, []string{"a.cpu {\"h\":\"a\"} 1.5 event @AT start 0 point false"}},
		{"a=connect", `{"price":1.5,"n":2}`, []string{"a.n {} 2 event @AT start 0 point false", "a.price {} 1.5 event @AT start 0 point false"}},
		{"a=connect", `{"schema":{"type":"double","optional":false},"payload":12.5}`, []string{"a {} 12.5 event @AT start 0 point false"}},
		{"a=connect", `{"metric_name":"j","value":4,"tags":{"h":"a"},"event_time":null}`, []string{"j {\"h\":\"a\"} 4 event @AT start 0 point false"}},
	} {
		w := newWorld(t, c.format)
		w.write("a", 1, at, []byte(strings.ReplaceAll(c.value, "AT9", fmt.Sprint(ms+9))))
		r := w.read(nil)
		r.records("a", 1)
		got := strings.ReplaceAll(strings.Join(w.texts(), "\n"), fmt.Sprint(ms), "AT")
		if want := strings.Join(c.want, "\n"); got != want {
			t.Errorf("%s %.80q: got\n%s\nwant\n%s", c.format, c.value, got, want)
		}
		if refused := r.counted("pulseboard_ingest_events_rejected_total"); len(refused) > 0 {
			t.Errorf("%s %.80q: refused %v", c.format, c.value, refused)
		}
		r.stop()
	}
}

// lines are n lines of one metric each, without times.
func lines(from, to int) (all [][]byte) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Appendf(nil, "m%d value=%d", i%7, i))
	}
	return all
}

// counts says how often each value is in metric-events, as the pipeline counts it.
func (w *world) counts() map[string]int {
	all := map[string]int{}
	for _, text := range w.texts() {
		all[strings.Fields(text)[2]]++
	}
	return all
}

func (w *world) eachOnce(n int) {
	w.t.Helper()
	got := w.counts()
	for i := range n {
		if got[fmt.Sprint(i)] != 1 {
			w.t.Errorf("%d counts %d times", i, got[fmt.Sprint(i)])
		}
	}
	if len(got) != n {
		w.t.Errorf("%d values count, of %d", len(got), n)
	}
}

// What was written and not committed is written again under the same ids, by whoever reads it then.
func TestTopicsThatAreNotCommitted(t *testing.T) {
	w := newWorld(t, "a=influx")
	w.write("a", 0, time.Now(), lines(0, 60)...)
	w.write("a", 1, time.Now(), lines(60, 100)...)
	var refused atomic.Int64
	var well atomic.Bool
	w.kafka.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		if well.Load() {
			return nil, nil, false
		}
		refused.Add(1)
		r := req.(*kmsg.OffsetCommitRequest)
		res := r.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, t := range r.Topics {
			rt := kmsg.NewOffsetCommitResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetCommitResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, kerr.IllegalGeneration.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			res.Topics = append(res.Topics, rt)
		}
		return res, nil, true
	})
	first := w.read(nil)
	first.records("a", 100)
	first.stop()
	if n := first.counted("pulseboard_ingest_topic_commit_failures_total")[""]; refused.Load() == 0 || n == 0 {
		t.Fatalf("%d commits were refused, and %v counted", refused.Load(), n)
	}
	well.Store(true)
	w.write("a", 1, time.Now(), lines(100, 120)...)
	second := w.read(nil)
	second.records("a", 120)
	second.stop()
	w.eachOnce(120)
	third := w.read(nil)
	w.write("a", 0, time.Now(), lines(120, 121)...)
	third.records("a", 1)
	if n := third.counted("pulseboard_ingest_topic_records_total"); fmt.Sprint(n) != "map[stored a:1]" {
		t.Errorf("what is committed is read again: %v", n)
	}
	w.eachOnce(121)
}

// Several processes share the partitions, and come and go while others write.
func TestTopicsAreShared(t *testing.T) {
	w := newWorld(t, "a=influx", "b=influx")
	var readers []*reader
	n := 0
	more := func(count int) {
		for _, topic := range []string{"a", "b"} {
			w.write(topic, int32(n/count%2), time.Now(), lines(n, n+count)...)
			n += count
		}
	}
	for range 3 {
		more(50)
		readers = append(readers, w.read(nil))
		more(50)
	}
	readers[0].stop()
	more(50)
	readers[2].stop()
	more(50)
	testenv.Until(t, "all is written", func(context.Context) error {
		if got := len(w.counts()); got < n {
			return fmt.Errorf("%d of %d are", got, n)
		}
		return nil
	})
	w.eachOnce(n)
	testenv.Until(t, "the last one has all partitions, and nothing is left", func(context.Context) error {
		has, lag := readers[1].counted("pulseboard_ingest_topic_partitions"), readers[1].counted("pulseboard_ingest_topic_lag_records")
		if fmt.Sprint(has) != "map[a:2 b:2]" || len(lag) > 0 {
			return fmt.Errorf("it has %v and lags by %v", has, lag)
		}
		return nil
	})
}

// Of each record it is told what became of it; what is refused is a dead letter, unless it is too late.
func TestRecordsThatAreRefused(t *testing.T) {
	w := newWorld(t, "a=json")
	now := time.Now()
	long := `{"metric_name":"long","value":"` + strings.Repeat("x", 1_048_000-400) + `"}`
	w.write("a", 0, now,
		[]byte(`{"metric_name":"m","value":1}`),
		[]byte(`[{"metric_name":"m","value":2},{"metric_name":"m"},{"value":3}]`),
		[]byte(`no JSON`),
		[]byte(`{"metric_name":"m","value":1`),
		nil,
		[]byte(long),
		fmt.Appendf(nil, `{"metric_name":"m","value":4,"event_time":%d}`, now.Add(-time.Hour).UnixMilli()),
		fmt.Appendf(nil, `{"metric_name":"m","value":5,"event_time":%d}`, now.Add(time.Hour).UnixMilli()),
		[]byte(`{"metric_name":"m","value":6}`),
	)
	w.write("a", 0, now.Add(-time.Hour), []byte(`{"metric_name":"m","value":7}`))
	w.write("a", 0, time.UnixMilli(1000), []byte(`{"metric_name":"m","value":8}`))
	r := w.read(nil)
	r.records("a", 11)
	r.stop()
	if got := r.counted("pulseboard_ingest_topic_records_total"); fmt.Sprint(got) != "map[nothing a:1 partly a:1 refused a:7 stored a:2]" {
		t.Errorf("records: %v", got)
	}
	if got := r.counted("pulseboard_ingest_events_rejected_total"); fmt.Sprint(got) !=
		"map[event_time_invalid json:1 from_the_future json:1 malformed json:3 metric_name_missing json:1 too_late json:2 value_missing json:1]" {
		t.Errorf("refused: %v", got)
	}
	if got := r.counted("pulseboard_ingest_events_accepted_total"); fmt.Sprint(got) != "map[json:3]" {
		t.Errorf("accepted: %v", got)
	}
	var letters []string
	dead := newWriter(t, w.kafka, kgo.ConsumeTopics("metric-dead-letters"))
	for len(letters) < 6 {
		fetches := dead.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			h := map[string]string{}
			for _, x := range r.Headers {
				h[x.Key] = string(x.Value)
			}
			letters = append(letters, fmt.Sprintf("%s %s/%s/%s %.20s", h["error"], h["source-topic"], h["source-partition"], h["source-offset"], r.Value))
			if h["detail"] == "" {
				t.Errorf("%v has no detail", h)
			}
		})
	}
	slices.SortFunc(letters, func(a, b string) int {
		return cmp.Or(len(strings.Fields(a)[1])-len(strings.Fields(b)[1]), strings.Compare(strings.Fields(a)[1], strings.Fields(b)[1]))
	}) // One is sent again.
	if got, want := strings.Join(letters, "\n"), `value_missing a/0/1 [{"metric_name":"m",
malformed a/0/2 no JSON
malformed a/0/3 {"metric_name":"m","
malformed a/0/5 
from_the_future a/0/7 {"metric_name":"m","
event_time_invalid a/0/10 {"metric_name":"m","`; got != want {
		t.Errorf("dead letters:\n%s\nwant\n%s", got, want)
	}
	if got := r.counted("pulseboard_ingest_topic_dead_letters_total"); fmt.Sprint(got) != "map[event_time_invalid a:1 from_the_future a:1 malformed a:3 value_missing a:1]" {
		t.Errorf("dead letters counted: %v", got)
	}
}

// Records of transactions are read once they are committed, those that are aborted never, and their ends are no lag.
func TestTopicsOfTransactions(t *testing.T) {
	w := newWorld(t, "a=influx")
	writer := newWriter(t, w.kafka, kgo.TransactionalID("t"))
	in := func(end kgo.TransactionEndTry, values ...[]byte) {
		if err := writer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if err := writer.ProduceSync(t.Context(), &kgo.Record{Topic: "a", Value: v}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := writer.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	r := w.read(nil)
	in(kgo.TryCommit, lines(0, 3)...)
	in(kgo.TryAbort, lines(100, 103)...)
	in(kgo.TryCommit, lines(3, 5)...)
	r.records("a", 5)
	testenv.Until(t, "nothing is left", func(context.Context) error {
		if lag := r.counted("pulseboard_ingest_topic_lag_records"); len(lag) > 0 {
			return fmt.Errorf("lag %v", lag)
		}
		return nil
	})
	w.eachOnce(5)
}

// While Kafka does not acknowledge, nothing is committed and no more is read; then all is written, once.
func TestTopicsWaitForKafka(t *testing.T) {
	w := newWorld(t, "a=influx")
	w.write("a", 0, time.Now(), lines(0, 50)...)
	var mu sync.Mutex
	broken, commits := true, 0
	w.kafka.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		if r := req.(*kmsg.ProduceRequest); broken && len(r.Topics) > 0 && r.Topics[0].Topic == "metric-events" {
			return refuseProduce(r), nil, true
		}
		return nil, nil, false
	})
	w.kafka.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		commits++
		return nil, nil, false
	})
	r := w.read(nil)
	testenv.Until(t, "it waits", func(context.Context) error {
		if r.counted("pulseboard_ingest_topic_lag_seconds")["a"] < 1 || r.counted("pulseboard_ingest_produce_retries_total")[""] < 3 {
			return errors.New("it does not lag")
		}
		return nil
	})
	mu.Lock()
	if commits > 0 {
		t.Errorf("%d commits of what is not acknowledged", commits)
	}
	broken = false
	mu.Unlock()
	r.records("a", 50)
	w.eachOnce(50)
	testenv.Until(t, "it is idle", func(context.Context) error {
		if got := r.counted("pulseboard_ingest_topic_lag_seconds"); len(got) > 0 {
			return fmt.Errorf("lag %v", got)
		}
		return nil
	})
	// One that is ended meanwhile commits nothing that is not acknowledged, and does not wait for ever.
	mu.Lock()
	broken, commits = true, 0
	mu.Unlock()
	w.write("a", 0, time.Now(), lines(50, 60)...)
	testenv.Until(t, "it waits again", func(context.Context) error {
		if r.counted("pulseboard_ingest_topic_lag_seconds")["a"] == 0 {
			return errors.New("it does not lag")
		}
		return nil
	})
	r.stop()
	mu.Lock()
	if broken = false; commits > 0 {
		t.Errorf("%d commits at the end", commits)
	}
	mu.Unlock()
	w.read(nil).records("a", 10)
	w.eachOnce(60)
}

// What Kafka deleted before it was read is counted.
func TestTopicsLose(t *testing.T) {
	w := newWorld(t, "a=influx")
	w.write("a", 0, time.Now(), lines(0, 10)...)
	r := w.read(nil)
	r.records("a", 10)
	r.stop()
	w.write("a", 0, time.Now(), lines(10, 30)...)
	req := kmsg.NewPtrDeleteRecordsRequest()
	topic, partition := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
	topic.Topic, partition.Offset = "a", 25
	topic.Partitions = append(topic.Partitions, partition)
	req.Topics = append(req.Topics, topic)
	if _, err := req.RequestWith(t.Context(), w.writer); err != nil {
		t.Fatal(err)
	}
	r = w.read(nil)
	r.records("a", 5)
	if got := r.counted("pulseboard_ingest_topic_lost_records_total"); fmt.Sprint(got) != "map[a:15]" {
		t.Errorf("lost %v", got)
	}
}

// A topic that is deleted is told of, and read when it is there again: its records have other ids than those of the same offsets before.
func TestTopicsAreMadeAnew(t *testing.T) {
	t.Parallel() // It waits for most of its time.
	w := newWorld(t, "a=influx")
	w.write("a", 0, time.Now(), lines(0, 10)...)
	r := w.read(nil)
	r.records("a", 10)
	if err := w.kafka.DeleteTopic("a"); err != nil {
		t.Fatal(err)
	}
	testenv.Until(t, "it is missed", func(context.Context) error {
		if r.counted("pulseboard_ingest_topic_lag_seconds")["a"] == 0 {
			return errors.New("it is not")
		}
		return nil
	})
	if err := w.kafka.CreateTopic("a", 2, nil); err != nil {
		t.Fatal(err)
	}
	w.writer.PurgeTopicsFromProducing("a")
	w.write("a", 0, time.Now(), lines(10, 30)...)
	r.records("a", 30)
	w.eachOnce(30)
}

// What cannot be is said before anything is read.
func TestTopicsThatAreNot(t *testing.T) {
	w := newWorld(t, "a=influx")
	for _, c := range [][2]string{
		{"b=influx", `there is no topic "b" in Kafka at`},
		{"metric-events=json", "which Pulseboard writes itself"},
		{"metric-dead-letters=json", "which Pulseboard writes itself"},
	} {
		cfg := ingest.Config{Kafka: kafkaconn.At(w.kafka.ListenAddrs()...)}
		topicsOf(t, &cfg, c[0])
		s, err := ingest.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.OpenTopics(t.Context()); err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v", c[0], err)
		}
	}
	for text, want := range map[string]string{
		"telegraf":             `"telegraf" is no TOPIC=FORMAT`,
		"a b=influx":           `"a" is no TOPIC=FORMAT`,
		"ä=influx":             "no topic of Kafka can have the name",
		"a=avro":               "it must be one of influx, telegraf,",
		"a=influx?tags=h":      `has no option "tags": it has precision`,
		"a=telegraf?tags=h":    `has no option "tags": it has none`,
		"a=influx?precision=d": "topic a: the precision",
		"a=connect?kind=sum":   "topic a: the kind",
		"a=influx a=json":      "names topic a twice, as influx and as json",
	} {
		f := conf.New("test", "")
		ingest.Flags(f, new(ingest.Config))
		if err := f.Parse([]string{"--topic-format", text}, func(string) string { return "" }, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	f, c := conf.New("test", ""), ingest.Config{}
	ingest.Flags(f, &c)
	err := f.Parse([]string{"--topic-format", "a=influx", "--topic-format", "b=connect?tags=x,y c=json"}, func(name string) string {
		if name == "PULSEBOARD_TOPIC_FORMAT" {
			return "d=influx"
		}
		return ""
	}, io.Discard)
	names := map[string]bool{}
	for _, o := range c.OtherTopics {
		names[o.Topic] = true
	}
	if got := slices.Sorted(maps.Keys(names)); err != nil || fmt.Sprint(got) != "[a b c]" {
		t.Errorf("%v, %v", got, err)
	}
}
