package ingest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/registry"
	"pulseboard/wire"
)

const (
	topic      = "metric-events"
	partitions = 4
	// A result for window end E that waits this long has whatever came in between.
	delaySeconds  = 12
	windowSeconds = 5
)

// broker is the only one: the embedded one in a process of its own, or a real one.
type broker struct {
	addr    string // Or those of several, comma-separated.
	kill    func()
	restart func()
}

func startBroker(t *testing.T, log *testenv.Buffer) *broker {
	t.Helper()
	if testenv.Real() {
		k := testenv.StartKafka(t, 1, testenv.Topic{Name: topic, Partitions: partitions}, testenv.Topic{Name: "metric-dead-letters", Partitions: 1})
		return &broker{addr: k.Addr(0), kill: k.Broker(0).Kill, restart: func() { k.Restart(0) }}
	}
	dir, addr := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", testenv.Ports(t, 1))
	var p *testenv.Program
	b := &broker{addr: addr, restart: func() { p = testenv.Start(t, log, self(t), "broker", dir, addr) }}
	b.kill = func() { p.Kill() }
	b.restart()
	return b
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// rig is the whole of it: client, ingest node, broker, pipeline, Redis.
type rig struct {
	t       *testing.T
	log     *testenv.Buffer
	broker  *broker
	node    *testenv.Program
	client  *testenv.Program
	binary  string
	addr    string
	journal *journal
	redis   *redis.Client
}

func demands() map[string]wire.QueryEntry {
	entries := map[string]wire.QueryEntry{}
	for m := range metrics {
		for _, q := range []metric.Query{
			{Aggregation: metric.Count, WindowSeconds: windowSeconds, DelaySeconds: delaySeconds},
			{Aggregation: metric.Sum, WindowSeconds: windowSeconds, DelaySeconds: delaySeconds},
			{Aggregation: metric.Count, WindowSeconds: windowSeconds},
			{Aggregation: metric.Sum, WindowSeconds: windowSeconds},
			{Aggregation: metric.Count, WindowSeconds: 300},
		} {
			q.Metric = fmt.Sprintf("faults.m%d", m)
			entries[q.Key()] = wire.QueryEntry{Query: q, RefreshMs: []int64{1000}}
		}
	}
	return entries
}

// dedupe is what the pipeline is told; INGEST_DEDUPE=0 shows that the check sees duplicates.
func dedupe() string {
	if d := os.Getenv("INGEST_DEDUPE"); d != "" {
		return d
	}
	return "2m"
}

func newRig(t *testing.T, start func(*testing.T, *testenv.Buffer) *broker) *rig {
	t.Helper()
	r := &rig{t: t, log: new(testenv.Buffer), addr: fmt.Sprintf("127.0.0.1:%d", testenv.Ports(t, 1)), journal: newJournal(filepath.Join(t.TempDir(), "journal"))}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the logs:\n%s", testenv.Page(r.log.String()))
		}
	})
	r.binary = testenv.Build(t, "ingest")
	pipeline := testenv.Build(t, "pipeline")
	r.broker = start(t, r.log)
	server := testenv.Redis(t)
	store, err := registry.Open(t.Context(), redisconn.At(server))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Publish(t.Context(), demands()); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	r.redis = redis.NewClient(&redis.Options{Addr: server})
	t.Cleanup(func() { _ = r.redis.Close() })
	r.startNode()
	testenv.Start(t, r.log, pipeline, "--kafka", r.broker.addr, "--redis", server, "--dedupe", dedupe())
	r.startClient()
	return r
}

func (r *rig) startNode() {
	r.t.Helper()
	for {
		r.node = testenv.Start(r.t, r.log, r.binary, "--addr", r.addr, "--kafka", r.broker.addr, "--partitions", fmt.Sprint(partitions), "--delivery-timeout", "3s")
		if r.healthy() {
			return
		}
		r.node.Kill() // It gives up where the broker is not there yet.
	}
}

// healthy waits until the node takes events, and for a few seconds at most.
func (r *rig) healthy() bool {
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); <-time.After(50 * time.Millisecond) {
		res, err := http.Get("http://" + r.addr + "/readyz")
		if err != nil {
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return true
		}
	}
	return false
}

func (r *rig) startClient() {
	r.client = testenv.Start(r.t, r.log, self(r.t), "client", r.journal.path, "http://"+r.addr+"/ingest")
}

// progress waits until so many more requests are acknowledged than now.
func (r *rig) progress(more int) {
	r.t.Helper()
	begun := -1
	for limit := time.Now().Add(time.Minute); ; <-time.After(50 * time.Millisecond) {
		if err := r.journal.read(); err != nil {
			r.t.Fatal(err)
		}
		if begun < 0 {
			begun = r.journal.acked
		}
		if r.journal.acked >= begun+more {
			return
		}
		if time.Now().After(limit) {
			r.t.Fatalf("only %d of %d requests were acknowledged within a minute", r.journal.acked-begun, more)
		}
	}
}

// finish lets the client deliver what it has begun, and returns all requests.
func (r *rig) finish() []*sent {
	r.t.Helper()
	if err := r.client.Stop(); err != nil {
		r.t.Fatal(err)
	}
	if err := r.journal.read(); err != nil {
		r.t.Fatal(err)
	}
	for _, s := range r.journal.all {
		if s.Acked == 0 {
			r.t.Fatalf("the client has ended, but %s is not acknowledged", s.Key)
		}
	}
	return r.journal.all
}

type result struct {
	WindowEnd int64 `json:"window_end"`
	Complete  bool  `json:"complete"`
	Series    []struct {
		Value *float64 `json:"value"`
		Count int64    `json:"count"`
	} `json:"series"`
}

// history waits until the results of all queries have come to end, and returns them.
func (r *rig) history(end int64) map[string][]result {
	r.t.Helper()
	for limit := time.Now().Add(90 * time.Second); ; <-time.After(200 * time.Millisecond) {
		out, behind := map[string][]result{}, ""
		for key := range demands() {
			entries, err := r.redis.XRange(context.Background(), "history:"+key+"@1000", "-", "+").Result()
			if err != nil {
				r.t.Fatal(err)
			}
			for _, e := range entries {
				text, _ := e.Values["r"].(string)
				var res result
				if err := json.Unmarshal([]byte(text), &res); err != nil {
					r.t.Fatalf("%s: %q: %v", key, text, err)
				}
				out[key] = append(out[key], res)
			}
			if n := len(out[key]); n == 0 || out[key][n-1].WindowEnd < end {
				behind = key
			}
		}
		if behind == "" {
			return out
		}
		if time.Now().After(limit) {
			r.t.Fatalf("%s has not come to the end of the traffic", behind)
		}
	}
}

// duplicates counts the records that are in Kafka more than once.
func (r *rig) duplicates() (records, repeated int) {
	r.t.Helper()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(strings.Split(r.broker.addr, ",")...), Timeout: 10 * time.Second, Transport: transport}
	seen := map[string]bool{}
	for p := range partitions {
		testenv.ReadPartition(r.t, client, topic, p, func(rec *kafka.Record) {
			id := fmt.Sprint(p, string(rec.Headers[0].Value))
			if seen[id] {
				repeated++
			}
			seen[id] = true
			records++
		})
	}
	return records, repeated
}

// Ingest node, broker and client are killed with -9, in turn and under load, while
// the client asks again for whatever it was not told, and at times for what it
// was. Every event of a request that was answered 200 counts once: in each window that
// waits for late ones exactly, in the others, which end meanwhile, at most.
func TestKilledUnderLoadCountsOnce(t *testing.T) {
	r := newRig(t, startBroker)
	r.progress(200)
	// Twice, and until a kill has hit a request between Kafka's log and its answer: that is chance.
	for i, repeated := 0, 0; i < 2 || repeated == 0 && i < 20; i++ {
		r.node.Kill()
		r.startNode()
		r.progress(200)
		r.broker.kill()
		r.broker.restart()
		r.progress(200)
		r.client.Kill()
		r.startClient()
		r.progress(200)
		_, repeated = r.duplicates()
	}
	if repeated := r.check(); repeated == 0 {
		t.Error("no record was written twice: the test shows nothing")
	}
}

// Each of three brokers is killed with -9 under load, so that its partitions get
// other leaders, and comes back: the same holds.
func TestLeadersMoveUnderLoad(t *testing.T) {
	testenv.NeedReal(t)
	var k *testenv.KafkaCluster
	r := newRig(t, func(t *testing.T, _ *testenv.Buffer) *broker {
		t.Helper()
		k = testenv.StartKafka(t, 3, testenv.Topic{Name: topic, Partitions: partitions}, testenv.Topic{Name: "metric-dead-letters", Partitions: 1})
		return &broker{addr: strings.Join(k.Addrs(), ",")}
	})
	r.progress(200)
	for i := range k.Addrs() {
		k.Broker(i).Kill()
		r.progress(200)
		k.Restart(i)
		r.progress(200)
	}
	r.check()
}

// check compares the whole run with the journal, and says how many records are in Kafka a second time.
func (r *rig) check() (repeated int) {
	r.t.Helper()
	all := r.finish()
	last := time.Now().UnixMilli()
	records, repeated := r.duplicates()
	got := r.history(last/1000*1000 + 1000)
	v := judge(all, got)
	r.t.Logf("%d requests with %d events were acknowledged, the slowest after %.1f s; Kafka has %d records, %d of them a second time", len(all), v.events, float64(v.slowest)/1000, records, repeated)
	r.t.Logf("%d windows equal the journal exactly, %d lie within what had arrived by then; the last windows of 300 s hold all %d events", v.exact, v.within, v.events)
	if len(v.faults) > 0 {
		r.t.Errorf("%d windows are wrong, such as:\n%s", len(v.faults), strings.Join(v.faults[:min(10, len(v.faults))], "\n"))
	}
	if v.exact < 8*10 || v.events < 10_000 {
		r.t.Errorf("only %d windows and %d events were compared", v.exact, v.events)
	}
	return repeated
}

type verdict struct {
	exact, within int
	events        int64
	slowest       int64 // ms.
	faults        []string
}

// bounds are what a window may hold: events that were there by its end, and all.
type bounds struct{ mustCount, mayCount, mustSum, maySum int64 }

// judge compares every result with what the journal says, by the definition of its window.
func judge(all []*sent, got map[string][]result) verdict {
	var v verdict
	for _, s := range all {
		v.events += int64(len(s.Events))
		v.slowest = max(v.slowest, s.Acked-s.Events[0].Time)
	}
	for key, entry := range demands() {
		q := entry.Query
		newest := int64(0)
		for _, res := range got[key] {
			begin := res.WindowEnd - int64(q.WindowSeconds)*1000
			// A moment is left for the way from Kafka's acknowledgement to the pipeline.
			there := res.WindowEnd + int64(q.DelaySeconds)*1000 - 2000
			b := within(all, q.Metric, begin, res.WindowEnd, there)
			if newest = max(newest, res.WindowEnd); !res.Complete {
				continue // It began before the pipeline did.
			}
			if fault := b.compare(q, res); fault != "" {
				v.faults = append(v.faults, fmt.Sprintf("%s, window end %d: %s", key, res.WindowEnd, fault))
			} else if b.mustCount == b.mayCount {
				v.exact++
			} else {
				v.within++
			}
		}
		if q.WindowSeconds == 300 {
			v.faults = append(v.faults, whole(all, q, got[key])...)
		}
	}
	slices.Sort(v.faults)
	return v
}

// whole checks that the newest window, which spans the run, has every event.
func whole(all []*sent, q metric.Query, history []result) []string {
	last := history[len(history)-1]
	b := within(all, q.Metric, 0, last.WindowEnd, last.WindowEnd)
	if n := count(last); n != b.mayCount {
		return []string{fmt.Sprintf("%s: the last window of 300 s has %d events, %d were acknowledged", q.Metric, n, b.mayCount)}
	}
	return nil
}

func within(all []*sent, name string, begin, end, there int64) (b bounds) {
	for _, s := range all {
		for _, e := range s.Events {
			if e.Metric != name || e.Time < begin || e.Time >= end {
				continue
			}
			b.mayCount++
			b.maySum += e.Value
			if s.Acked <= there {
				b.mustCount++
				b.mustSum += e.Value
			}
		}
	}
	return b
}

func count(r result) (n int64) {
	for _, s := range r.Series {
		n += s.Count
	}
	return n
}

func (b bounds) compare(q metric.Query, r result) string {
	n := count(r)
	if n < b.mustCount || n > b.mayCount {
		return fmt.Sprintf("%d events, want %d to %d", n, b.mustCount, b.mayCount)
	}
	if q.Aggregation == metric.Sum && len(r.Series) == 1 && r.Series[0].Value != nil {
		if v := *r.Series[0].Value; v < float64(b.mustSum) || v > float64(b.maySum) {
			return fmt.Sprintf("sum %v, want %d to %d", v, b.mustSum, b.maySum)
		}
	}
	return ""
}
