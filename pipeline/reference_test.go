package pipeline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/pipeline"
	"pulseboard/pipeline/runners/direct"
	"pulseboard/pipeline/runners/prism"
	"pulseboard/textbook"
	"pulseboard/wire"
)

// referenceCase is the topic of exactCase, and queries whose delay is longer than
// any event is late: then both forms see all events of a window.
func referenceCase(t *testing.T) (*exactCase, []metric.Query) {
	t.Helper()
	c := newExactCase(t)
	odd, err := metric.NewFilter(metric.Term{Tag: "id", Op: metric.Prefix, Values: []string{"1"}})
	if err != nil {
		t.Fatal(err)
	}
	var queries []metric.Query
	for i, q := range c.queries[:16] {
		q.Aggregation = []metric.Aggregation{metric.Sum, metric.Avg, metric.Max, metric.Min, metric.Count, "p95", metric.Histogram}[i%7]
		q.WindowSeconds, q.DelaySeconds = []int{1, 5, 7, 10}[i%4], 45
		if i%3 == 1 {
			q.GroupBy = []string{"id"}
		}
		if i%3 == 2 {
			q.Filter = odd
		}
		queries = append(queries, q)
	}
	return c, queries
}

// values of one run, by key, window end and tags.
type values map[string]float64

func (v values) take(r *wire.Result) {
	for _, s := range r.Series {
		if s.Count == 0 {
			continue // The textbook form has no result where there are no events.
		}
		v[fmt.Sprintf("%s %d %v count", r.Key, r.WindowEnd, s.Tags)] = float64(s.Count)
		value := math.MaxFloat64 // Absent, or a distribution.
		if s.Value != nil {
			value = *s.Value
		}
		v[fmt.Sprintf("%s %d %v", r.Key, r.WindowEnd, s.Tags)] = value
		for _, b := range s.Bins {
			v[fmt.Sprintf("%s %d %v from %v to %v", r.Key, r.WindowEnd, s.Tags, b.Lower, b.Upper)] = float64(b.Count)
		}
		v[fmt.Sprintf("%s %d newest", r.Key, r.WindowEnd)] = float64(*r.NewestEvent)
		v[fmt.Sprintf("%s %d unknown starts", r.Key, r.WindowEnd)] = float64(r.UnknownStarts)
		v[fmt.Sprintf("%s %d error", r.Key, r.WindowEnd)] = r.Error
	}
}

// compareWith reports the first difference; sums may differ by rounding.
func (v values) compareWith(o values) error {
	for key, x := range v {
		y, ok := o[key]
		if !ok || math.Abs(x-y) > 1e-9*math.Abs(x)+1e-9 {
			return fmt.Errorf("%s: %v and %v, %v", key, x, y, ok)
		}
	}
	if len(o) != len(v) {
		return fmt.Errorf("%d and %d values", len(v), len(o))
	}
	return nil
}

// The fast path, and the textbook form on the direct runner and on Prism, each
// twice, give the same results of the same topic, window end by window end.
func TestFastPathEqualsTextbookForm(t *testing.T) {
	c, queries := referenceCase(t)
	compareForms(t, c, queries, 2*time.Second, true)
}

// compareForms compares them in the windows of 14 seconds, of one run each or two.
func compareForms(t *testing.T, c *exactCase, queries []metric.Query, period time.Duration, twice bool) {
	t.Helper()
	// The delay keeps the fast path from coming to later ends.
	const first, last = exactBegin, exactBegin + 14_000
	inRange := func(end int64) bool { return end > first && end <= last }
	fast := func() values {
		redis := miniredis.RunT(t)
		publishQueries(t, redis.Addr(), period.Milliseconds(), queries...)
		config := c.config
		config.Redis = redisconn.At(redis.Addr())
		if err := prism.Run(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		got := values{}
		for _, q := range queries {
			for _, r := range history(t, redis.Addr(), q.Key(), period.Milliseconds()) {
				if inRange(r.WindowEnd) {
					got.take(r)
				}
			}
		}
		return got
	}
	reference := func(execute pipeline.Execute) values {
		var out bytes.Buffer
		err := textbook.Run(t.Context(), textbook.Config{
			Config: c.config, Queries: queries, Period: period, Execute: execute, JSON: &out,
			From: time.UnixMilli(first), To: time.UnixMilli(last),
		})
		if err != nil {
			t.Fatal(err)
		}
		got := values{}
		for dec := json.NewDecoder(&out); dec.More(); {
			r := new(wire.Result)
			if err := dec.Decode(r); err != nil {
				t.Fatal(err)
			}
			if inRange(r.WindowEnd) {
				got.take(r)
			}
		}
		return got
	}
	want := fast()
	if len(want) < 100 {
		t.Fatalf("only %d values", len(want))
	}
	runs := map[string]func() values{
		"direct": func() values { return reference(direct.Runner{}.Execute) },
		"prism":  func() values { return reference(prism.Execute) },
	}
	if twice {
		runs["fast path again"], runs["direct again"], runs["prism again"] = fast, runs["direct"], runs["prism"]
	}
	for name, run := range runs {
		if err := want.compareWith(run()); err != nil {
			t.Errorf("seed %d, fast path and %s: %v", exactSeed, name, err)
		}
	}
	t.Logf("%d values of %d queries are the same in all forms", len(want), len(queries))
}

// Without bounds it goes on, and publishes to Redis beside the fast path's results.
func TestReferenceToRedis(t *testing.T) {
	kafkaAddr, log := newTopic(t)
	redis := miniredis.RunT(t)
	q := metric.Query{Metric: "m", Aggregation: metric.Count, WindowSeconds: 2}
	publishQueries(t, redis.Addr(), 1000, q)
	c := textbook.Config{Config: testConfig(t, kafkaAddr, redis.Addr()), Period: time.Second, Execute: prism.Execute}
	c.Lateness = time.Second
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- textbook.Run(ctx, c) }()
	var h []*wire.Result
	whole := func() (rs []*wire.Result) {
		for _, r := range h {
			if r.Complete {
				rs = append(rs, r)
			}
		}
		return rs
	}
	for limit := time.Now().Add(time.Minute); len(whole()) < 3; {
		if time.Now().After(limit) {
			t.Fatalf("%d results, %d of them complete", len(h), len(whole()))
		}
		select {
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(50 * time.Millisecond):
			log.add("m", time.Now().UnixMilli(), 0, 700)
			log.write()
			h = history(t, redis.Addr(), textbook.Prefix+q.Key(), 1000)
		}
	}
	for _, r := range whole() {
		if n, _ := log.window("m", r.WindowStart, r.WindowEnd, math.MaxInt64); r.Series[0].Count != n {
			t.Errorf("[%d, %d): %d events, the log has %d", r.WindowStart, r.WindowEnd, r.Series[0].Count, n)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
