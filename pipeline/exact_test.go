package pipeline_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/pipeline"
	"pulseboard/pipeline/runners/prism"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/transforms"
	"pulseboard/wire"
)

// logged is one event as it lies on the topic; the oracle needs no more.
type logged struct {
	metric string
	at     int64 // Event time.
	value  float64
	passes int64 // Pipeline time: the highest record timestamp of the partition so far, less the bound.
}

const (
	testPartitions = 4
	testBound      = 200
)

// topicLog writes records to partitions with timestamps of its own and keeps
// what the pipeline must make of them.
type topicLog struct {
	t       *testing.T
	client  *kafka.Client
	newest  [testPartitions]int64
	events  []logged
	waiting [testPartitions][]kafka.Record
}

func newTopic(t *testing.T) (addr string, l *topicLog) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(testPartitions, "metric-events"), kfake.SeedTopics(1, "metric-dead-letters"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	addr = cluster.ListenAddrs()[0]
	transport := &kafka.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return addr, &topicLog{t: t, client: &kafka.Client{Addr: kafka.TCP(addr), Timeout: 10 * time.Second, Transport: transport}}
}

func partitionOf(name string) int { return int(transforms.KeyGroup(name, 1<<20)) % testPartitions }

// add appends a record with events of one metric, all at recordTime − age.
func (l *topicLog) add(name string, recordTime int64, ages ...int64) {
	p := partitionOf(name)
	l.newest[p] = max(l.newest[p], recordTime)
	events := make([]metric.Event, 0, len(ages))
	for _, age := range ages {
		e := metric.Event{Metric: name, Value: float64(len(l.events)%1000) / 4, Time: recordTime - age}
		// Many series make the shuffle take a while, in which a timer could overtake it.
		e.Tags = metric.NewTags(map[string]string{"id": strconv.Itoa(len(l.events) % 997)})
		events = append(events, e)
		l.events = append(l.events, logged{name, e.Time, e.Value, l.newest[p] - testBound})
	}
	l.addEvents(name, recordTime, events)
}

// addEvents appends a record with these events.
func (l *topicLog) addEvents(name string, recordTime int64, events []metric.Event) {
	p := partitionOf(name)
	l.waiting[p] = append(l.waiting[p], kafka.Record{
		Time: time.UnixMilli(recordTime), Key: kafka.NewBytes([]byte(name)), Value: kafka.NewBytes(wire.AppendRecord(nil, name, events)),
	})
}

func (l *topicLog) write() {
	l.t.Helper()
	for p := range l.waiting {
		if len(l.waiting[p]) == 0 {
			continue
		}
		res, err := l.client.Produce(l.t.Context(), &kafka.ProduceRequest{
			Topic: "metric-events", Partition: p, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(l.waiting[p]...),
		})
		if err == nil {
			err = res.Error
		}
		if err != nil {
			l.t.Fatalf("cannot produce to partition %d: %v", p, err)
		}
		l.waiting[p] = nil
	}
}

// window recomputes a window from its definition.
func (l *topicLog) window(name string, start, end, passed int64) (count int64, sum float64) {
	for _, e := range l.events {
		if e.metric == name && e.at >= start && e.at < end && e.passes < passed {
			count++
			sum += e.value
		}
	}
	return count, sum
}

func testConfig(t *testing.T, kafkaAddr, redisAddr string) pipeline.Config {
	t.Helper()
	c := pipeline.Default()
	c.Kafka, c.Redis = kafkaconn.At(kafkaAddr), redisconn.At(redisAddr)
	c.Bound = testBound * time.Millisecond
	c.Log, c.Metrics = slog.New(slog.NewTextHandler(t.Output(), nil)), prometheus.NewRegistry()
	return c
}

func publishQueries(t *testing.T, redisAddr string, refreshMs int64, qs ...metric.Query) *registry.Store {
	t.Helper()
	store, err := registry.Open(t.Context(), redisconn.At(redisAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	entries := map[string]wire.QueryEntry{}
	for _, q := range qs {
		entries[q.Key()] = wire.QueryEntry{Query: q, RefreshMs: []int64{refreshMs}}
	}
	if err := store.Publish(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	return store
}

func history(t *testing.T, redisAddr, key string, refreshMs int64) []*wire.Result {
	t.Helper()
	store, err := results.Open(t.Context(), redisconn.At(redisAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // It only read.
	h, err := store.History(t.Context(), key, refreshMs, 0, 600)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// exactCase is a topic of 64 metrics in as many key groups, 60 slices long, with
// late events, and queries that look at each slice by itself and at many.
type exactCase struct {
	log     *topicLog
	config  pipeline.Config
	redis   string
	queries []metric.Query
	late    int
}

const (
	exactGroups = 64
	exactSlices = 60
	exactBegin  = int64(1_763_892_000_000)
	exactSeed   = 42
)

func newExactCase(t *testing.T) *exactCase {
	t.Helper()
	kafkaAddr, log := newTopic(t)
	redis := miniredis.RunT(t)
	c := &exactCase{log: log, redis: redis.Addr()}
	names := make([]string, 0, exactGroups)
	for seen, i := map[int64]bool{}, 0; len(names) < exactGroups; i++ {
		name := fmt.Sprintf("metric.%d", i)
		if g := transforms.KeyGroup(name, exactGroups); !seen[g] {
			seen[g] = true
			names = append(names, name)
		}
	}
	r := rand.New(rand.NewPCG(exactSeed, 1))
	for ms := int64(0); ms < (exactSlices+10)*1000; ms += 100 {
		for _, name := range names {
			if r.IntN(3) > 0 {
				continue
			}
			ages := []int64{r.Int64N(90)}
			if r.IntN(10) == 0 {
				ages = append(ages, 1000+r.Int64N(40_000))
				c.late++
			}
			log.add(name, exactBegin+ms+r.Int64N(100), ages...)
		}
	}
	log.write()
	for _, name := range names {
		c.queries = append(c.queries,
			metric.Query{Metric: name, Aggregation: metric.Count, WindowSeconds: 1},
			metric.Query{Metric: name, Aggregation: metric.Sum, WindowSeconds: 45})
	}
	publishQueries(t, redis.Addr(), 1000, c.queries...)

	c.config = testConfig(t, kafkaAddr, redis.Addr())
	c.config.KeyGroups, c.config.ToEnd = exactGroups, true
	// Slice by slice, so that each has a timer cycle of its own.
	c.config.CatchUp, c.config.Lead = 0, c.config.Slice
	c.config.Start, c.config.Until = time.UnixMilli(1), time.UnixMilli(exactBegin+exactSlices*1000)
	return c
}

// check compares every history entry with the log. It returns how many it
// compared, how many windows held late events, and the first that is wrong.
func (c *exactCase) check(t *testing.T) (checked, late int, wrong error) {
	t.Helper()
	for _, q := range c.queries {
		before := int64(0)
		for _, res := range history(t, c.redis, q.Key(), 1000) {
			if res.WindowEnd <= exactBegin || len(res.Series) == 0 {
				continue
			}
			count, sum := c.log.window(q.Metric, res.WindowStart, res.WindowEnd, res.WindowEnd)
			got := res.Series[0]
			switch {
			case before != 0 && (res.WindowEnd != before+1000 || res.PrevEnd != before):
				wrong = fmt.Errorf("%s: window end %d with prev_end %d follows %d", q.Key(), res.WindowEnd, res.PrevEnd, before)
			case got.Count != count, q.Aggregation == metric.Sum && *got.Value != sum, !res.Complete:
				wrong = fmt.Errorf("seed %d, %s [%d, %d): count %d, value %v, complete %v; the log says count %d, sum %v",
					exactSeed, q.Key(), res.WindowStart-exactBegin, res.WindowEnd-exactBegin, got.Count, *got.Value, res.Complete, count, sum)
			}
			if wrong != nil {
				return checked, late, wrong
			}
			if inOrder, _ := c.log.window(q.Metric, res.WindowStart, res.WindowEnd, res.WindowStart+1000); inOrder < count {
				late++
			}
			before = res.WindowEnd
			checked++
		}
	}
	return checked, late, nil
}

// latePartials is how many slices have come to their key groups after their timers in this process.
func latePartials(t *testing.T) float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(transforms.Collectors()...)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "pulseboard_pipeline_late_partials_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("late partials are not counted")
	return 0
}

// mustBeExact fails unless each result is what the log says.
func (c *exactCase) mustBeExact(t *testing.T) {
	t.Helper()
	checked, late, wrong := c.check(t)
	if wrong != nil {
		t.Fatal(wrong)
	}
	if want := 2 * exactGroups * (exactSlices - 2); checked < want || late == 0 {
		t.Fatalf("%d results were compared, %d of them with late events; want %d", checked, late, want)
	}
	t.Logf("%d results of %d key groups compared, %d late events among them", checked, exactGroups, c.late)
}

// runWith runs the job on Prism as if that had other traits.
func runWith(t *testing.T, c pipeline.Config, change func(*pipeline.Traits)) error {
	t.Helper()
	traits := func(partitions int) pipeline.Traits {
		r := prism.Traits(partitions)
		change(&r)
		return r
	}
	return pipeline.Run(t.Context(), c, traits, prism.Execute)
}

// Every slice of every key group is complete when its timer fires: the count
// over one slice, evaluated at its end, is what the log says, for each slice of
// each of 64 key groups.
func TestEverySliceIsCompleteWhenItsTimerFires(t *testing.T) {
	c := newExactCase(t)
	before := latePartials(t)
	if err := prism.Run(t.Context(), c.config); err != nil {
		t.Fatal(err)
	}
	c.mustBeExact(t)
	if late := latePartials(t) - before; late != 0 {
		t.Errorf("%v partials are late", late)
	}
}

// The same with several reader shards, whose watermarks meet in the runner only.
func TestEverySliceIsCompleteWithSeveralShards(t *testing.T) {
	c := newExactCase(t)
	if err := runWith(t, c.config, func(r *pipeline.Traits) { r.Shards = testPartitions }); err != nil {
		t.Fatal(err)
	}
	c.mustBeExact(t)
}

// The same with durable state, as runners keep it that survive their processes.
func TestEverySliceIsCompleteWithDurableState(t *testing.T) {
	c := newExactCase(t)
	if err := runWith(t, c.config, func(r *pipeline.Traits) { r.Durable = true }); err != nil {
		t.Fatal(err)
	}
	c.mustBeExact(t)
}

// The first test would see a timer that is one millisecond early.
func TestATimerOneMillisecondEarlyIsSeen(t *testing.T) {
	c := newExactCase(t)
	if err := runWith(t, c.config, func(r *pipeline.Traits) { r.TimerEarly = time.Millisecond }); err != nil {
		t.Fatal(err)
	}
	if checked, _, wrong := c.check(t); wrong == nil {
		t.Fatalf("%d results are all right, although timers overtake the slices that they are for", checked)
	}
}

// Catching up passes many slices with one timer; the results are the same.
func TestCatchingUpGivesTheSameResults(t *testing.T) {
	c := newExactCase(t)
	c.config.CatchUp, c.config.Lead = pipeline.Default().CatchUp, 0
	before := latePartials(t)
	if err := prism.Run(t.Context(), c.config); err != nil {
		t.Fatal(err)
	}
	// At the start the watermark passes many slices at once, whose partials come in any order: none is late.
	if late := latePartials(t) - before; late != 0 {
		t.Errorf("%v partials are late", late)
	}
	checked, late, wrong := c.check(t)
	if wrong != nil {
		t.Fatal(wrong)
	}
	if want := 2 * exactGroups * (exactSlices - 32); checked < want || late == 0 {
		t.Fatalf("%d results were compared, %d of them with late events; want %d", checked, late, want)
	}
}
