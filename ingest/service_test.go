package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/e2e/testenv"
	"pulseboard/ingest"
	"pulseboard/internal/host"
	"pulseboard/internal/kafkaconn"
	"pulseboard/metric"
	"pulseboard/wire"
)

// node is an ingest service over HTTP with a Kafka broker of its own.
type node struct {
	t       *testing.T
	url     string
	kafka   *kfake.Cluster
	metrics *prometheus.Registry
	service *ingest.Service
}

func start(t *testing.T, change func(*ingest.Config)) *node {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	reg := prometheus.NewRegistry()
	cfg := ingest.Config{Kafka: kafkaconn.At(cluster.ListenAddrs()...), Shared: host.Shared{Metrics: reg}}
	if change != nil {
		change(&cfg)
	}
	s, err := ingest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.EnsureTopics(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.EnsureTopics(t.Context()); err != nil {
		t.Fatalf("a second time: %v", err)
	}
	if err := s.Healthy(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		server.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &node{t, server.URL + "/ingest", cluster, reg, s}
}

type reply struct {
	status int
	header http.Header
	Title  string `json:"title"`
	Detail string `json:"detail"`

	Accepted, Rejected int
	Errors             []struct {
		Index  int    `json:"index"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	} `json:"errors"`
	Ranges  [][2]int `json:"rejected_ranges"`
	Unknown [][2]int `json:"not_acknowledged_ranges"`
}

func (r *reply) codes() string {
	out := make([]string, 0, len(r.Errors))
	for _, e := range r.Errors {
		out = append(out, fmt.Sprintf("%d:%s", e.Index, e.Code))
	}
	return strings.Join(out, " ")
}

// post sends body; header is pairs of name and value, where JSON is the Content-Type unless named.
func (n *node) post(body string, header ...string) *reply {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), http.MethodPost, n.url, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	r := &reply{status: res.StatusCode, header: res.Header}
	if err := json.NewDecoder(res.Body).Decode(r); err != nil {
		n.t.Fatalf("%s: %v", res.Status, err)
	}
	return r
}

// gauge finds a metric of the node that has no labels.
func (n *node) gauge(name string) float64 {
	n.t.Helper()
	families, err := n.metrics.Gather()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	n.t.Fatalf("there is no metric %s", name)
	return 0
}

// until waits for a condition, for half a minute at most.
func (n *node) until(what string, ok func() bool) {
	n.t.Helper()
	for limit := time.Now().Add(2 * time.Minute); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(limit) {
			n.t.Fatalf("waited too long until %s", what)
		}
	}
}

// stored is a record as it lies in Kafka.
type stored struct {
	partition   int
	key, id     string
	traceparent string
	time        time.Time
	events      []metric.Event
	said        string
}

// stored reads the whole topic.
func (n *node) stored() []stored {
	n.t.Helper()
	client := &kafka.Client{Addr: kafka.TCP(n.kafka.ListenAddrs()...)}
	var out []stored
	for p := range 16 {
		testenv.ReadPartition(n.t, client, "metric-events", p, func(rec *kafka.Record) { out = append(out, n.read(p, rec)) })
	}
	return out
}

func (n *node) read(partition int, rec *kafka.Record) stored {
	n.t.Helper()
	key, err := kafka.ReadAll(rec.Key)
	if err != nil {
		n.t.Fatal(err)
	}
	value, err := kafka.ReadAll(rec.Value)
	if err != nil {
		n.t.Fatal(err)
	}
	s := stored{partition: partition, key: string(key), time: rec.Time}
	for _, h := range rec.Headers {
		switch h.Key {
		case "id":
			s.id = string(h.Value)
		case "traceparent":
			s.traceparent = string(h.Value)
		}
	}
	batch, err := new(wire.Decoder).Record(value)
	if err != nil || len(batch.Faults) > 0 {
		n.t.Fatalf("the record %s cannot be read: %v %v", value, err, batch.Faults)
	}
	if len(value) > 512<<10 || len(batch.Events) > 1000 {
		n.t.Errorf("a record of %d bytes and %d events", len(value), len(batch.Events))
	}
	s.events = batch.Events
	for _, said := range batch.Said {
		s.said += fmt.Sprintf("%s %s: %s", said.Metric, said.Unit, said.Help)
	}
	return s
}

func TestVerdicts(t *testing.T) {
	n := start(t, nil)
	now := time.Now()
	at := func(d time.Duration) string { return fmt.Sprint(now.Add(d).UnixMilli()) }
	for _, c := range []struct {
		name, body, codes string
		status            int
		accepted          int
		ranges            string
	}{
		{"one", `{"metric_name":"m","value":1}`, "", 200, 1, "[]"},
		{"array", `[{"metric_name":"m","value":1},{"metric_name":"n","value":2,"tags":{"a":"b"}}]`, "", 200, 2, "[]"},
		{"events", `{"events":[{"metric_name":"m","value":1,"event_time":"` + now.UTC().Format(time.RFC3339Nano) + `"}]}`, "", 200, 1, "[]"},
		{"none", `[]`, "", 200, 0, "[]"},
		{
			"some bad", `[{"metric_name":"m","value":1},{"value":1},{"metric_name":"m"},7,{"metric_name":"m","value":1},{"metric_name":"m","value":1e999}]`,
			"1:metric_name_missing 2:value_missing 3:malformed 5:value_not_finite", 200, 2, "[[1 3] [5 5]]",
		},
		{"all bad", `{"metric_name":"m\u0001","value":1}`, "0:metric_name_invalid", 400, 0, "[[0 0]]"},
		{
			"times", `[{"metric_name":"m","value":1,"event_time":` + at(-time.Hour) + `},{"metric_name":"m","value":1,"event_time":` + at(time.Hour) + `},` +
				`{"metric_name":"m","value":1,"event_time":` + at(-30*time.Second) + `},{"metric_name":"m","value":1,"event_time":"x"}]`,
			"0:too_late 1:from_the_future 3:event_time_invalid", 200, 1, "[[0 1] [3 3]]",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := n.post(c.body)
			if r.status != c.status || r.Accepted != c.accepted || r.codes() != c.codes || fmt.Sprint(r.Ranges) != c.ranges {
				t.Errorf("%d %+v, want %d, %d accepted, %q, %s", r.status, r, c.status, c.accepted, c.codes, c.ranges)
			}
		})
	}
	got := 0
	for _, s := range n.stored() {
		got += len(s.events)
	}
	if want := 1 + 2 + 1 + 2 + 1; got != want {
		t.Errorf("%d events in Kafka, want %d", got, want)
	}
}

func TestRequestsThatAreRefusedWhole(t *testing.T) {
	n := start(t, func(c *ingest.Config) { c.MaxBody = 1 << 16 })
	many := "[" + strings.Repeat(`{},`, 50_000)[:3*50_000-1] + `,{}]`
	long := `{"metric_name":"m","value":1,"x":"` + strings.Repeat("x", 1<<16) + `"}`
	for _, c := range []struct {
		name, body string
		header     []string
		status     int
		detail     string
	}{
		{"not JSON", `[{"metric_name":"m","value":NaN}]`, nil, 400, "not JSON"},
		{"empty", ``, nil, 400, "empty"},
		{"empty lines", ``, []string{"Content-Type", "application/x-ndjson"}, 400, "empty"},
		{"no type", `x`, []string{"Content-Type", ""}, 415, "application/json"},
		{"other type", `{}`, []string{"Content-Type", "text/html"}, 415, "text/html"},
		{"other encoding", `{}`, []string{"Content-Encoding", "br"}, 415, "br"},
		{"not gzip", `{}`, []string{"Content-Encoding", "gzip"}, 400, "gzip"},
		{"too long", long, nil, 413, "65536 bytes"},
		{"too long unpacked", pack(t, long, "gzip"), []string{"Content-Encoding", "gzip"}, 413, "65536 bytes"},
		{"too long unpacked", pack(t, long, "zstd"), []string{"Content-Encoding", "zstd"}, 413, "65536 bytes"},
		{"key too long", `[]`, []string{"Idempotency-Key", strings.Repeat("k", 129)}, 400, "Idempotency-Key"},
	} {
		r := n.post(c.body, c.header...)
		if r.status != c.status || !strings.Contains(r.Detail, c.detail) || r.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %q %s, want %d %q", c.name, r.status, r.Detail, r.header.Get("Content-Type"), c.status, c.detail)
		}
	}
	if r := start(t, nil).post(many); r.status != 413 || !strings.Contains(r.Detail, "50000") {
		t.Errorf("too many events: %d %q", r.status, r.Detail)
	}
	if got := n.stored(); len(got) != 0 {
		t.Errorf("stored %+v", got)
	}
}

func pack(t *testing.T, text, encoding string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if encoding == "zstd" {
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestLinesAndCompression(t *testing.T) {
	n := start(t, nil)
	lines := `{"metric_name":"m","value":1}` + "\n\nnot json\n" + `{"metric_name":"m","value":2}`
	for _, encoding := range []string{"identity", "gzip", "zstd"} {
		body := lines
		if encoding != "identity" {
			body = pack(t, lines, encoding)
		}
		r := n.post(body, "Content-Type", "application/x-ndjson; charset=utf-8", "Content-Encoding", encoding)
		if r.status != 200 || r.Accepted != 2 || r.codes() != "1:malformed" {
			t.Errorf("%s: %d %+v", encoding, r.status, r)
		}
	}
}

// The events of a metric lie in one record, in order, in the partition that the
// Java client would choose.
func TestRecords(t *testing.T) {
	n := start(t, nil)
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	before := time.Now().Truncate(time.Millisecond)
	var body strings.Builder
	body.WriteString("[")
	for i := range 2500 {
		fmt.Fprintf(&body, `{"metric_name":"big","value":%d},`, i)
	}
	for i := range 20 { // 16 tags of 256 bytes make records that are full by their bytes.
		body.WriteString(`{"metric_name":"api.request.latency","value":1,"tags":{`)
		for k := range 16 {
			fmt.Fprintf(&body, `"t%d":%q,`, k, strings.Repeat("v", 256-i%2))
		}
		body.WriteString(`"t0":"x"}},`)
	}
	body.WriteString(`{"metric_name":"small","value":-0.5,"tags":{"k":"é"},"event_time":` + fmt.Sprint(before.UnixMilli()) + `}]`)
	if r := n.post(body.String(), "traceparent", trace); r.status != 200 || r.Accepted != 2521 {
		t.Fatalf("%d %+v", r.status, r)
	}
	records, ids := map[string][]stored{}, map[string]bool{}
	for _, s := range n.stored() {
		records[s.key] = append(records[s.key], s)
		if s.id == "" || ids[s.id] || s.traceparent != trace || s.time.Before(before) {
			t.Errorf("record %+v", s)
		}
		ids[s.id] = true
	}
	for _, name := range []string{"big", "small", "api.request.latency"} {
		for _, s := range records[name] {
			if want := javaPartition(name, 16); s.partition != want {
				t.Errorf("%s lies in partition %d, want %d", name, s.partition, want)
			}
		}
	}
	next := 0.0
	for _, s := range records["big"] {
		for _, e := range s.events {
			if e.Value != next || e.Time != 0 {
				t.Fatalf("event %+v, want %v", e, next)
			}
			next++
		}
	}
	if next != 2500 || len(records["big"]) != 3 {
		t.Errorf("%v events in %d records", next, len(records["big"]))
	}
	small := records["small"]
	if len(small) != 1 || small[0].events[0].Value != -0.5 || small[0].events[0].Time != before.UnixMilli() {
		t.Errorf("%+v", small)
	}
	if v := small[0].events[0].Tags.Get("k"); v != "é" {
		t.Errorf("tags %v", small[0].events[0].Tags)
	}
}

// javaPartition is Utils.toPositive(Utils.murmur2(key)) % n of the Java client, written from its description.
func javaPartition(key string, n int) int {
	const m = uint32(0x5bd1e995)
	b := []byte(key)
	h := uint32(0x9747b28c) ^ uint32(len(b))
	for len(b) >= 4 {
		k := (uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24) * m
		k = (k ^ k>>24) * m
		h = h*m ^ k
		b = b[4:]
	}
	for i := len(b) - 1; i >= 0; i-- {
		h ^= uint32(b[i]) << (8 * i)
	}
	if len(b) > 0 {
		h *= m
	}
	h = (h ^ h>>13) * m
	h ^= h >> 15
	return int(h&0x7fffffff) % n
}

// The ids of a request with a key depend on the key and the body alone.
func TestIdempotencyKey(t *testing.T) {
	n := start(t, nil)
	const body = `[{"metric_name":"a","value":1},{"metric_name":"b","value":1}]`
	for _, r := range [][2]string{{"k", body}, {"k", body}, {"other", body}, {"k", strings.Replace(body, "1", "2", 1)}, {"", body}, {"", body}} {
		header := []string{}
		if r[0] != "" {
			header = []string{"Idempotency-Key", r[0]}
		}
		if got := n.post(r[1], header...); got.status != 200 {
			t.Fatalf("%+v", got)
		}
	}
	count := map[string]int{}
	for _, s := range n.stored() {
		count[s.id]++
	}
	repeated := 0
	for _, c := range count {
		if c == 2 {
			repeated++
		}
	}
	if len(count) != 10 || repeated != 2 {
		t.Errorf("ids %v: want 10, of which 2 repeated", count)
	}
}

// A broker that fails at first gets the same record again; the client sees 200.
func TestRetries(t *testing.T) {
	n := start(t, nil)
	failures := 3
	n.kafka.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		n.kafka.KeepControl()
		if failures == 0 {
			return nil, nil, false
		}
		failures--
		if failures == 1 {
			return nil, errors.New("the connection is cut"), true
		}
		return refuseProduce(req.(*kmsg.ProduceRequest)), nil, true
	})
	if r := n.post(`{"metric_name":"m","value":1}`); r.status != 200 || r.Accepted != 1 {
		t.Fatalf("%d %+v", r.status, r)
	}
	if got := n.stored(); len(got) != 1 || got[0].id == "" {
		t.Errorf("stored %+v", got)
	}
}

// What Kafka does not acknowledge in time is neither accepted nor silently dropped.
func TestNotAcknowledged(t *testing.T) {
	n := start(t, func(c *ingest.Config) { c.DeliveryTimeout = time.Second })
	bad := javaPartition("bad", 16)
	refusePartitionOf(n.kafka, "bad")
	r := n.post(`[{"metric_name":"good","value":1},{"metric_name":"bad","value":1},{"metric_name":"bad","value":2},{"value":3}]`)
	if r.status != 503 || r.Accepted != 1 || r.Rejected != 3 || r.codes() != "1:not_acknowledged 2:not_acknowledged 3:metric_name_missing" ||
		fmt.Sprint(r.Ranges, r.Unknown) != "[[1 3]] [[1 2]]" || r.header.Get("Retry-After") == "" {
		t.Errorf("%d %+v", r.status, r)
	}
	if javaPartition("good", 16) == bad {
		t.Fatal("the test needs two partitions")
	}
}

func refuseProduce(r *kmsg.ProduceRequest) kmsg.Response {
	res := r.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range r.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, kerr.NotLeaderForPartition.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		res.Topics = append(res.Topics, rt)
	}
	return res
}

// While as much as allowed waits for Kafka, more is refused; afterwards it is taken.
func TestBusy(t *testing.T) {
	n := start(t, func(c *ingest.Config) { c.MaxBody, c.MaxPending, c.DeliveryTimeout = 1000, 1000, time.Minute })
	held, release := make(chan struct{}, 1), make(chan struct{})
	n.kafka.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		n.kafka.KeepControl()
		select {
		case held <- struct{}{}:
		default:
		}
		n.kafka.SleepControl(func() { <-release })
		return nil, nil, false
	})
	var first *reply
	var wg sync.WaitGroup
	wg.Go(func() { first = n.post(`{"metric_name":"m","value":1,"x":"` + strings.Repeat("x", 700) + `"}`) })
	<-held
	if r := n.post(`{"metric_name":"m","value":2,"x":"` + strings.Repeat("x", 700) + `"}`); r.status != 429 || r.header.Get("Retry-After") == "" {
		t.Errorf("%d %+v", r.status, r)
	}
	close(release)
	wg.Wait()
	if first.status != 200 || first.Accepted != 1 {
		t.Errorf("the first: %d %+v", first.status, first)
	}
	if r := n.post(`{"metric_name":"m","value":3}`); r.status != 200 {
		t.Errorf("afterwards: %d %+v", r.status, r)
	}
}

// Many clients at once: every event that was accepted is in Kafka once.
func TestConcurrentRequests(t *testing.T) {
	n := start(t, nil)
	const clients, requests = 20, 10
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range requests {
				if r := n.post(fmt.Sprintf(`[{"metric_name":"m%d","value":%d},{"metric_name":"all","value":%d}]`, c, i, c*requests+i)); r.status != 200 || r.Accepted != 2 {
					t.Errorf("%d %+v", r.status, r)
				}
			}
		})
	}
	wg.Wait()
	var all []float64
	own := map[string]int{}
	for _, s := range n.stored() {
		for _, e := range s.events {
			if s.key == "all" {
				all = append(all, e.Value)
			} else {
				own[s.key]++
			}
		}
	}
	slices.Sort(all)
	for i, v := range all {
		if v != float64(i) {
			t.Fatalf("value %v in place %d", v, i)
		}
	}
	if len(all) != clients*requests || len(own) != clients {
		t.Errorf("%d events of all, %d metrics", len(all), len(own))
	}
}

func TestErrorsNameTheFix(t *testing.T) {
	if _, err := ingest.New(ingest.Config{}); err == nil || !strings.Contains(err.Error(), "no Kafka broker") {
		t.Errorf("without brokers: %v", err)
	}
	s, err := ingest.New(ingest.Config{Kafka: kafkaconn.At("127.0.0.1:1")})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.EnsureTopics(t.Context()); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") || !strings.Contains(err.Error(), "--kafka") {
		t.Errorf("without Kafka: %v", err)
	}
	if err := s.Healthy(t.Context()); err == nil {
		t.Error("healthy without Kafka")
	}
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	n := &node{t: t, url: server.URL + "/ingest"}
	if r := n.post(`{"metric_name":"m","value":1}`); r.status != 503 || r.header.Get("Retry-After") == "" || !strings.Contains(r.Detail, "nothing was stored") {
		t.Errorf("%d %+v", r.status, r)
	}
}

// Who may send: only a token with the scope ingest, whatever the request is.
func TestTokens(t *testing.T) {
	n := start(t, func(c *ingest.Config) { c.Guard = testenv.Guard(t, "ingest", "view", "edit", "admin") })
	const event = `{"metric_name":"m","value":1}`
	for token, want := range map[string]int{"": 401, "nobody": 401, "ingest": 200, "view": 403, "edit": 403, "admin": 200} {
		header := []string{}
		if token != "" {
			header = []string{"Authorization", "Bearer " + token}
		}
		r := n.post(event, header...)
		if r.status != want || want == 401 && r.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%q: %d %s", token, r.status, r.Detail)
		}
		// What is wrong with the request is for those who may send.
		if r := n.post("{", header...); want != 200 && r.status != want {
			t.Errorf("%q with a bad body: %d", token, r.status)
		}
	}
	if got := n.stored(); len(got) != 2 {
		t.Errorf("%d records are stored", len(got))
	}
	res, err := http.Get(strings.TrimSuffix(n.url, "/ingest") + "/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _ = res.Body.Close(); res.StatusCode != http.StatusOK {
		t.Errorf("the API's description: %s", res.Status)
	}
}
