package pipeline_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/segmentio/kafka-go"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/pipeline"
	"pulseboard/pipeline/runners/prism"
	"pulseboard/wire"
)

// Malformed records stop nothing: they go to the dead-letter topic with their
// reason and where they were, and the good events among them are counted.
func TestBadRecordsBecomeDeadLetters(t *testing.T) {
	kafkaAddr, log := newTopic(t)
	redis := miniredis.RunT(t)
	const at = exactBegin
	put := func(key, value string) {
		log.waiting[0] = append(log.waiting[0], kafka.Record{Time: time.UnixMilli(at), Key: kafka.NewBytes([]byte(key)), Value: kafka.NewBytes([]byte(value))})
	}
	event := func(value float64, ms int64) string { return fmt.Sprintf(`{"value":%v,"event_time":%d}`, value, ms) }
	put("m", `{"metric_name":"m","events":[`+event(1, at-5000)+`]}`)
	put("m", `not json`)
	put("m", ``)
	put("m", `[1,2]`)
	put("m", `{"metric_name":"m","events":[`+event(2, at-4000)+`,{"value":"x"},`+event(4, at-3000)+`]}`)
	put("other", `{"metric_name":"m","value":8,"event_time":`+fmt.Sprint(at-3000)+`}`)
	put("m", `{"metric_name":"m","events":[`+event(16, at+2001)+`,`+event(32, at-60_001)+`]}`)
	put("m", `{"metric_name":"m","value":64}`) // Without a time: the record's.
	// Windows are evaluated up to the last record of the metric.
	log.waiting[0] = append(log.waiting[0], kafka.Record{Time: time.UnixMilli(at + 3000), Key: kafka.NewBytes([]byte("m")), Value: kafka.NewBytes([]byte(`{"metric_name":"m","value":0}`))})
	log.write()
	q := metric.Query{Metric: "m", Aggregation: metric.Sum, WindowSeconds: 10}
	publishQueries(t, redis.Addr(), 1000, q)
	c := testConfig(t, kafkaAddr, redis.Addr())
	c.Start, c.ToEnd, c.Until = time.UnixMilli(1), true, time.UnixMilli(at+10_000)
	c.CatchUp, c.Lead = 0, c.Slice // Slice by slice.
	if err := prism.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	h := history(t, redis.Addr(), q.Key(), 1000)
	i := slices.IndexFunc(h, func(r *wire.Result) bool { return r.WindowEnd == at+1000 })
	if i < 0 || len(h[i].Series) != 1 || *h[i].Series[0].Value != 1+2+4+64 {
		for _, r := range h {
			t.Logf("%s", r.Encode())
		}
		t.Errorf("the window that ends at %d is not among the results with a sum of 71", at+1000)
	}

	var got []string
	deadLetters(t, log, func(key, _ []byte, headers map[string]string) {
		got = append(got, fmt.Sprintf("%s %s %s/%s", headers["error"], key, headers["source-partition"], headers["source-offset"]))
	})
	want := []string{"not_json m 0/1", "not_json m 0/2", "malformed m 0/3", "malformed m 0/4", "key_mismatch other 0/5", "from_the_future m 0/6"}
	if !slices.Equal(got, want) {
		t.Errorf("dead letters are %q, want %q", got, want)
	}
}

// deadLetters visits what is in the topic of dead letters.
func deadLetters(t *testing.T, log *topicLog, visit func(key, value []byte, headers map[string]string)) {
	t.Helper()
	testenv.ReadPartition(t, log.client, "metric-dead-letters", 0, func(rec *kafka.Record) {
		headers := map[string]string{}
		for _, hd := range rec.Headers {
			headers[hd.Key] = string(hd.Value)
		}
		key, _ := kafka.ReadAll(rec.Key)
		value, _ := kafka.ReadAll(rec.Value)
		visit(key, value, headers)
	})
}

// Letters of one bundle that are more than a broker takes at once are written one after the other; one that is too
// large by itself, since its headers come on top of a record of the largest size, without its value.
func TestManyLargeDeadLetters(t *testing.T) {
	kafkaAddr, log := newTopic(t)
	redis := miniredis.RunT(t)
	const at, letters = exactBegin, 200
	put := func(ms int64, value string) {
		log.waiting[0] = append(log.waiting[0], kafka.Record{Time: time.UnixMilli(ms), Key: kafka.NewBytes([]byte("m")), Value: kafka.NewBytes([]byte(value))})
		log.write()
	}
	for range letters {
		put(at, strings.Repeat("x", 20_000))
	}
	put(at, strings.Repeat("y", 1<<20-100))
	put(at+3000, `{"metric_name":"m","value":0}`)
	c := testConfig(t, kafkaAddr, redis.Addr())
	c.Start, c.ToEnd, c.Until = time.UnixMilli(1), true, time.UnixMilli(at+10_000)
	if err := prism.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	sizes := map[int]int{}
	deadLetters(t, log, func(_, value []byte, _ map[string]string) { sizes[len(value)]++ })
	if want := map[int]int{20_000: letters, 0: 1}; !maps.Equal(sizes, want) {
		t.Errorf("dead letters by the bytes of their values: %v, want %v", sizes, want)
	}
}

// A configuration that cannot work says all that is wrong with it.
func TestConfigErrorsNameTheFix(t *testing.T) {
	c := pipeline.Config{Windows: pipeline.Windows{Slice: 300 * time.Millisecond}, State: pipeline.State{KeyGroups: -1}}
	err := c.Validate()
	for _, want := range []string{"--kafka", "--redis", "--slice is 300ms", "--max-window", "--key-groups is -1", "--align"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	c = pipeline.Default()
	c.Kafka, c.Redis = kafkaconn.At("127.0.0.1:1"), redisconn.At("127.0.0.1:1")
	if err := c.Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	if err := prism.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "cannot reach Kafka at 127.0.0.1:1") || !strings.Contains(err.Error(), "--kafka") {
		t.Errorf("without Kafka: %v", err)
	}
	kafkaAddr, _ := newTopic(t)
	c.Kafka = kafkaconn.At(kafkaAddr)
	if err := prism.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "cannot reach Redis at 127.0.0.1:1") || !strings.Contains(err.Error(), "--redis") {
		t.Errorf("without Redis: %v", err)
	}
}
