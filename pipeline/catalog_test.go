package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/segmentio/kafka-go"

	"pulseboard/catalog"
	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/pipeline/runners/prism"
	"pulseboard/wire"
)

// until follows the catalog until it is as wanted. It calls meanwhile before each look.
func until(t *testing.T, s *catalog.Store, what string, meanwhile func(), ok func(map[string]catalog.Entry) bool) map[string]catalog.Entry {
	t.Helper()
	// A copy of its own: an older one would keep what Redis has lost.
	c := catalog.NewCopy(s, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = c.Watch(ctx) }()
	limit := time.After(90 * time.Second)
	for {
		meanwhile()
		loaded := c.Loaded()
		page, err := c.Search("", catalog.MaxLimit, "")
		if err != nil {
			t.Fatal(err)
		}
		entries := map[string]catalog.Entry{}
		for _, e := range page.Entries {
			entries[e.Metric] = e
		}
		if loaded && ok(entries) {
			return entries
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-limit:
			t.Fatalf("waited too long for %s; the catalog is %+v", what, entries)
		}
	}
}

// From the topic to the catalog: what arrives is listed, is there again after
// Redis was emptied, and goes when its series are no longer held.
func TestCatalogOfARun(t *testing.T) {
	kafkaAddr, log := newTopic(t)
	redis := miniredis.RunT(t)
	s, err := catalog.Open(t.Context(), redisconn.At(redis.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	sent := map[string]int64{} // The newest event time by metric.
	send := func(name string) {
		t.Helper()
		now := time.Now().UnixMilli()
		sent[name] = now
		var events []metric.Event
		for i, host := range []string{"b", "a", "b"} {
			tags := metric.NewTags(map[string]string{"host": host, "region": fmt.Sprint("r", i)})
			events = append(events, metric.Event{Metric: name, Value: float64(2 * i), Tags: tags, Time: now})
		}
		record := wire.BeginRecord(nil, name)
		for i := range events {
			if i > 0 {
				record = append(record, ',')
			}
			record = wire.AppendRecordEvent(record, &events[i])
		}
		log.waiting[0] = append(log.waiting[0], kafka.Record{
			Time: time.UnixMilli(now), Key: kafka.NewBytes([]byte(name)), Value: kafka.NewBytes(wire.EndRecordSaying(record, "seconds", "How long "+name+" takes.")),
		})
		log.write()
	}
	c := testConfig(t, kafkaAddr, redis.Addr())
	c.Slice, c.Retain, c.KeyGroups = 250*time.Millisecond, 5*time.Second, 2
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- prism.Run(ctx, c) }()
	defer func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the run ended with %v", err)
		}
	}()

	const passing, staying = "api.latency", "api.requests"
	both := func() { send(passing); send(staying) }
	there := func(es map[string]catalog.Entry) bool {
		return es[passing].LastMinute > 0 && es[staying].LastMinute > 0
	}
	e := until(t, s, "both metrics", both, there)[passing]
	mean := 2.0
	want := catalog.Entry{
		Kinds: []string{"event"}, Units: []string{"s"}, Help: []string{"How long api.latency takes."}, Arrival: e.Arrival,
		Metric: passing, Series: 3, LastMean: &mean, LastMinute: e.LastMinute, LastEvent: e.LastEvent, Updated: e.Updated,
		Tags: []catalog.Tag{{Key: "host", Values: []string{"a", "b"}}, {Key: "region", Values: []string{"r0", "r1", "r2"}}},
	}
	if !reflect.DeepEqual(e, want) || e.LastMinute%3 != 0 || e.Arrival > 5 || e.LastEvent > sent[passing] || e.Updated < e.LastEvent {
		t.Errorf("the entry is %+v, want %+v", e, want)
	}
	redis.FlushAll()
	if again := until(t, s, "both after Redis was emptied", both, there)[passing]; !reflect.DeepEqual(again.Tags, want.Tags) {
		t.Errorf("the entry is %+v, it was %+v", again, e)
	}
	es := until(t, s, "the metric to be gone", func() { send(staying) }, func(es map[string]catalog.Entry) bool { return es[passing].Metric == "" })
	if es[staying].Metric == "" {
		t.Errorf("the catalog is %+v", es)
	}
}
