package main

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"pulseboard/metric"
	"pulseboard/wire"
)

func small() *content {
	return &content{Metrics: 3, Series: 4, Batch: 2, Rate: 7, Begin: 1_000_000_000_000, End: 1_000_000_060_000}
}

// records is the inverse of due, at every millisecond.
func TestRecordsAreThoseThatAreDue(t *testing.T) {
	for _, c := range []*content{small(), {Metrics: 1, Series: 1, Batch: 5, Rate: 100_000, End: 50}, {Metrics: 1, Series: 100, Batch: 100, Rate: 33, End: 9000}} {
		k := int64(0)
		for at := c.Begin; at <= c.End; at++ {
			for c.due(k) < at {
				k++
			}
			if got := c.records(at); got != k {
				t.Fatalf("%+v: %d records before %d, want %d", c, got, at-c.Begin, k)
			}
		}
	}
}

// What the oracle knows is what the records say, read as the pipeline reads them.
func TestOracle(t *testing.T) {
	c := small()
	o, texts := newOracle(c), c.texts()
	type event struct {
		metric string
		at     int64
		value  float64
	}
	var all []event
	decoder := new(wire.Decoder)
	for k := range c.records(c.End) {
		_, text := c.place(k, texts)
		b, err := decoder.Record(text.value)
		if err != nil || len(b.Events) != c.Batch || len(b.Faults) > 0 {
			t.Fatalf("%s: %v, %v", text.value, b, err)
		}
		for _, e := range b.Events {
			all = append(all, event{e.Metric, c.due(k), e.Value})
		}
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		m := r.IntN(c.Metrics)
		start := c.Begin + r.Int64N(240)*step - 10*step
		end := start + r.Int64N(100)*step
		var want cell
		for _, e := range all {
			if e.metric == c.metric(m) && e.at >= start && e.at < end {
				want.add(cell{1, e.value, e.value, e.value})
			}
		}
		if got := o.window(m, start, end); got != want {
			t.Errorf("[%d, %d) of %s: %+v, want %+v", start-c.Begin, end-c.Begin, c.metric(m), got, want)
		}
	}
}

// A result is right when its value and its count are.
func TestFault(t *testing.T) {
	c := small()
	o := newOracle(c)
	for _, q := range queries(c) {
		want := o.window(q.number, c.Begin, c.Begin+10_000)
		v, _ := want.value(q.Aggregation)
		r := &wire.Result{Key: q.Key(), WindowStart: c.Begin, WindowEnd: c.Begin + 10_000, Series: []wire.SeriesValue{{Value: &v, Count: want.count}}}
		if f := o.fault(q, r); f != "" {
			t.Error(f)
		}
		for _, wrong := range []wire.SeriesValue{{Value: new(v + 0.25), Count: want.count}, {Value: &v, Count: want.count + 1}, {Count: want.count}} {
			r.Series = []wire.SeriesValue{wrong}
			if o.fault(q, r) == "" {
				t.Errorf("%s: %+v is not seen", q.Key(), wrong)
			}
		}
	}
	for _, q := range queries(c, "host") { // Half of the events in each of two groups, which need not have the same values.
		want := o.window(q.number, c.Begin, c.Begin+10_000)
		v, _ := want.value(q.Aggregation)
		one, other := v, v
		switch q.Aggregation {
		case metric.Sum:
			one, other = v/4, v*3/4
		case metric.Max:
			other = v - 1
		case metric.Min:
			other = v + 1
		case metric.Count:
			one, other = 1, v-1
		}
		r := &wire.Result{WindowStart: c.Begin, WindowEnd: c.Begin + 10_000, Series: []wire.SeriesValue{
			{Value: &one, Count: 1}, {Count: 0}, {Value: &other, Count: want.count - 1},
		}}
		if f := o.fault(q, r); f != "" {
			t.Error(f)
		}
		seen := false
		for _, by := range []float64{-1000, 1000} { // Of a maximum the second one shows, of a minimum the first.
			r.Series[2].Value = new(other + by)
			seen = seen || o.fault(q, r) != ""
		}
		if !seen {
			t.Errorf("%s: a wrong group is not seen", q.Key())
		}
	}
	nothing := &wire.Result{WindowStart: c.End, WindowEnd: c.End + 1000, Series: []wire.SeriesValue{{}}}
	if f := o.fault(query{metric.Query{Aggregation: metric.Max}, 0}, nothing); f != "" {
		t.Error(f)
	}
}

// What the load writes is read back by Kafka's own client: every record once, in order, with its time and an id of its own.
func TestProducer(t *testing.T) {
	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(wire.Partitions, wire.Topic))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	c := small()
	p, err := newProducer(&order{k.ListenAddrs()[0], *c})
	if err != nil {
		t.Fatal(err)
	}
	texts, total := c.texts(), c.records(c.End)
	for n := range total {
		m, text := c.place(n, texts)
		p.add(n, m, text)
		if n%5 == 0 || n == total-1 {
			if err := p.flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(k.ListenAddrs()...), kgo.ConsumeTopics(wire.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	next, ids := make(map[string]int64), make(map[string]bool)
	for range total {
		rec := reader.PollRecords(t.Context(), 1).Records()
		if len(rec) != 1 {
			t.Fatal("no record came")
		}
		name := string(rec[0].Key)
		var m int64
		for ; c.metric(int(m)) != name; m++ {
		}
		n := next[name]*int64(c.Metrics) + m
		next[name]++
		_, text := c.place(n, texts)
		if !rec[0].Timestamp.Equal(time.UnixMilli(c.due(n))) || string(rec[0].Value) != string(text.value) {
			t.Errorf("record %d: %v %s", n, rec[0].Timestamp, rec[0].Value)
		}
		ids[string(rec[0].Headers[0].Value)] = true
	}
	if len(ids) != int(total) {
		t.Errorf("%d ids, want %d", len(ids), total)
	}
}

func TestStages(t *testing.T) {
	for stack, want := range map[string]string{
		"hash/maphash.Bytes pulseboard/sources.idOf pulseboard/sources.(*scanner).add":                                             "duplicates",
		"runtime.memmove pulseboard/wire.(*Decoder).Record pulseboard/sources.(*scanner).read":                                     "decode",
		"internal/runtime/syscall/linux.Syscall6 syscall.read github.com/twmb/franz-go/pkg/kgo.(*brokerCxn).readResponse":          "fetch",
		"runtime.mapassign pulseboard/aggregate.Table.AddFor pulseboard/transforms.(*PreAggregateFn).addRecord":                    "pre-aggregate",
		"pulseboard/aggregate.EncodeTable pulseboard/transforms.encodePartial github.com/apache/beam/sdks/v2/go/pkg/beam/x.(*y).z": "coder",
		"runtime.scanobject runtime.gcDrain runtime.gcBgMarkWorker":                                                                collector,
		"runtime.mallocgc runtime.gcAssistAlloc pulseboard/wire.(*Decoder).Record":                                                 collector,
		"runtime.futex runtime.findRunnable runtime.schedule runtime.mcall":                                                        scheduler,
		"net/http.(*conn).serve": others,
	} {
		if got := stageOf(strings.Fields(stack)); got != want {
			t.Errorf("%s: %s, want %s", stack, got, want)
		}
	}
}
