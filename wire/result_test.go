package wire_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pulseboard/aggregate"
	"pulseboard/metric"
	"pulseboard/wire"
)

// What is read as a result is written as it is read.
func FuzzDecodeResult(f *testing.F) {
	for _, text := range []string{
		`{"key":"m:avg:60s by (host)","window_start":0,"window_end":60000,"prev_end":59000,"due":[1000,60000],"newest_event":59871,"complete":true,"matched":3,"series_version":"8f3a","series":[{"tags":{"host":"a"},"value":12.5,"count":210},{"tags":{},"value":null,"count":0}],"truncated":0}`,
		`{"series":[{"tags":{"b":"","a":"1","a":"2"},"value":1e-7}],"newest_event":null,"due":null}`,
		`{"key":7}`, `{"window_end":1.5}`, `[]`, `null`, `{`, ``,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := wire.DecodeResult(text)
		if err != nil {
			return
		}
		once := r.Encode()
		again, err := wire.DecodeResult(once)
		if err != nil {
			t.Fatalf("%s cannot be read: %v", once, err)
		}
		if twice := again.Encode(); !bytes.Equal(once, twice) {
			t.Errorf("%s is read as %s", once, twice)
		}
	})
}

func BenchmarkDecodeResult(b *testing.B) {
	text := []byte(`{"key":"http.request.duration:p95:60s {region=\"eu\"}","window_start":1763892000000,"window_end":1763892060000,"prev_end":1763892059000,"due":[1000],"newest_event":1763892059871,"complete":true,"matched":3,"series_version":"8f3a5b1c","series":[{"tags":{},"value":12.53125,"count":210}],"truncated":0}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.DecodeResult(text); err != nil {
			b.Fatal(err)
		}
	}
}

func TestResultGolden(t *testing.T) {
	newest, value := int64(1763892059871), 12.5
	r := wire.Result{
		Key: "api.request.latency:avg:60s by (host)", WindowStart: 1763892000000, WindowEnd: 1763892060000, PrevEnd: 1763892059000,
		Due: []int64{1000, 60000}, NewestEvent: &newest, Complete: true, Matched: 3, SeriesVersion: "8f3a",
		Series: []wire.SeriesValue{{Tags: metric.NewTags(map[string]string{"host": "a"}), Value: &value, Count: 210}},
	}
	golden := wire.Golden(t, "redis/result")
	b := r.Encode()
	if string(b) != golden {
		t.Fatalf("encoded as\n%s; want\n%s", b, golden)
	}
	back, err := wire.DecodeResult(b)
	if err != nil {
		t.Fatal(err)
	}
	if again := back.Encode(); string(again) != golden {
		t.Errorf("decoded and encoded again:\n%s", again)
	}
	r.Key = "api.request.latency:histogram:60s by (host)"
	r.Series[0].Value, r.Series[0].Bins = nil, []wire.Bin{{Lower: 0, Upper: 0, Count: 12}, {Lower: 7.336032, Upper: 8, Count: 120}, {Lower: 8, Upper: 8.724061861, Count: 78}}
	r.Series = append(r.Series, wire.SeriesValue{Tags: metric.NewTags(map[string]string{"host": "b"})})
	r.Error, r.ReachMs = 0.0443, 360_000
	distributions := wire.Golden(t, "redis/result-histogram")
	if b := r.Encode(); string(b) != distributions {
		t.Fatalf("encoded as\n%s; want\n%s", b, distributions)
	}
	if back, err = wire.DecodeResult(distributions); err != nil || string(back.Encode()) != distributions {
		t.Errorf("decoded and encoded again:\n%s, %v", back.Encode(), err)
	}
	waiting := wire.Result{Key: "m:sum:5s"}
	if b := waiting.Encode(); !strings.Contains(string(b), `"newest_event":null`) || !strings.Contains(string(b), `"series":[]`) {
		t.Errorf("an empty result is %s", b)
	}
}

func TestRecordGolden(t *testing.T) {
	events := []metric.Event{
		{Metric: "api.request.latency", Value: 12.5, Tags: metric.NewTags(map[string]string{"host": "a", "region": "eu"}), Time: 1763892059871},
		{Metric: "api.request.latency", Value: 0.1, Tags: metric.NewTags(map[string]string{"host": "b"})},
		{Metric: "api.request.latency", Value: -3},
		{Metric: "api.request.latency", Value: 1024, Time: 1763892059871, Kind: metric.Cumulative, Start: 1763888400000, Point: true},
		{Metric: "api.request.latency", Value: 7, Time: 1763892059871, Kind: metric.Gauge, Point: true, Nanos: 123456},
		{Metric: "api.request.latency", Tags: metric.NewTags(map[string]string{"host": "a"}), Time: 1763892060000, Kind: metric.Gauge, Stale: true},
		{Metric: "api.request.latency", Kind: metric.Delta, Histogram: &aggregate.Histogram{
			Scale: 3, Count: 6, Sum: 4.5, Max: 2, HasExtremes: true, Zero: 1, ZeroThreshold: 1e-9, Positive: aggregate.Bins{Offset: -2, Counts: []uint64{1, 4}},
		}},
	}
	want := wire.Golden(t, "kafka/record")
	b := wire.AppendRecord(nil, "api.request.latency", events)
	if string(b) != want {
		t.Fatalf("encoded as\n%s, want\n%s", b, want)
	}
	back, err := new(wire.Decoder).Record(b)
	if err != nil || !reflect.DeepEqual(back.Events, events) || len(back.Faults) > 0 {
		t.Errorf("decoded as %+v, %v", back, err)
	}
}

func BenchmarkEncodeResult(b *testing.B) {
	value := 12.53125
	for _, n := range []int{1, 20} {
		r := wire.Result{Key: "http.request.duration:p95:60s", WindowEnd: 1763892060000, Due: []int64{1000}, Complete: true, SeriesVersion: "8f3a5b1c"}
		for i := range n {
			r.Series = append(r.Series, wire.SeriesValue{Tags: metric.Tags{{Key: "host", Value: fmt.Sprintf("web-%02d.eu-west-1", i)}}, Value: &value, Count: 210})
		}
		b.Run(fmt.Sprintf("series=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Encode()
			}
		})
	}
}
