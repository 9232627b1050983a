package otlp_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"pulseboard/ingest/otlp"
	"pulseboard/metric"
	"pulseboard/wire"
)

const (
	now   = 1795428000000 // Milliseconds.
	milli = 1_000_000
	limit = 10_000

	delta, cumulative = metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA, metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
)

func text(v string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: v}}
}

// attributes are of pairs key=value.
func attributes(pairs ...string) (all []*common.KeyValue) {
	for _, p := range pairs {
		key, value, _ := strings.Cut(p, "=")
		all = append(all, &common.KeyValue{Key: key, Value: text(value)})
	}
	return all
}

// of is a request of one resource and scope.
func of(res []*common.KeyValue, all ...*metrics.Metric) *collector.ExportMetricsServiceRequest {
	return &collector.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{
		Resource:     &resource.Resource{Attributes: res},
		ScopeMetrics: []*metrics.ScopeMetrics{{Scope: &common.InstrumentationScope{Name: "lib", Version: "1"}, Metrics: all}},
	}}}
}

func number(value float64, attributes ...*common.KeyValue) *metrics.NumberDataPoint {
	return &metrics.NumberDataPoint{
		TimeUnixNano: now * milli, StartTimeUnixNano: (now - 60_000) * milli, Attributes: attributes, Value: &metrics.NumberDataPoint_AsDouble{AsDouble: value},
	}
}

func sum(name string, t metrics.AggregationTemporality, monotonic bool, points ...*metrics.NumberDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: name, Unit: "s", Data: &metrics.Metric_Sum{Sum: &metrics.Sum{DataPoints: points, AggregationTemporality: t, IsMonotonic: monotonic}}}
}

func gauge(name string, points ...*metrics.NumberDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: name, Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: points}}}
}

func histogram(name string, t metrics.AggregationTemporality, points ...*metrics.HistogramDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: name, Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{DataPoints: points, AggregationTemporality: t}}}
}

func exponential(name string, t metrics.AggregationTemporality, points ...*metrics.ExponentialHistogramDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: name, Data: &metrics.Metric_ExponentialHistogram{ExponentialHistogram: &metrics.ExponentialHistogram{DataPoints: points, AggregationTemporality: t}}}
}

func marshal(tb testing.TB, r *collector.ExportMetricsServiceRequest) []byte {
	tb.Helper()
	body, err := proto.Marshal(r)
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

// read reads a request in both encodings, each twice, and returns what it holds, in words.
func read(t *testing.T, d *otlp.Decoder, r *collector.ExportMetricsServiceRequest) []string {
	t.Helper()
	body := marshal(t, r)
	json, err := protojson.MarshalOptions{UseEnumNumbers: true}.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i, decode := range []func() (*otlp.Request, error){
		func() (*otlp.Request, error) { return d.Protobuf(body, limit) },
		func() (*otlp.Request, error) { return d.JSON(json, limit, 1<<20) },
		func() (*otlp.Request, error) { return d.Protobuf(body, limit) },
	} {
		got, err := decode()
		if err != nil {
			t.Fatal(err)
		}
		said := words(t, got)
		if i > 0 && !slices.Equal(said, all) {
			t.Fatalf("reading %d gives %q and not %q; %s", i, said, all, json)
		}
		all = said
	}
	return all
}

// words are the events and faults of a request, in their order. The records of the events are read back.
func words(t *testing.T, r *otlp.Request) []string {
	t.Helper()
	all := make([]string, r.N)
	for i := range r.Events {
		e := &r.Events[i]
		if !e.Point || e.Metric != r.Names[r.Index[i]] {
			t.Errorf("%+v is no point, or of %s", e, r.Names[r.Index[i]])
		}
		back, err := new(wire.Decoder).Record(wire.EndRecord(r.AppendEvent(wire.BeginRecord(nil, e.Metric), i)))
		if err != nil || len(back.Events) != 1 || say(&back.Events[0]) != say(e) {
			t.Errorf("the record of %+v says %+v: %v", e, back, err)
		}
		all[r.Index[i]] = say(e)
	}
	for _, f := range r.Faults {
		all[f.Index] = r.Names[f.Index] + " " + f.Code
	}
	return all
}

// say is an event in words: name, tags, value, kind, time and start.
func say(e *metric.Event) string {
	value := strconv.FormatFloat(e.Value, 'g', -1, 64)
	switch {
	case e.Stale:
		value = "stale"
	case e.Histogram != nil:
		h := e.Histogram
		value = fmt.Sprintf("scale %d zero %d<=%v +%d%v -%d%v sum %v count %d", h.Scale, h.Zero, h.ZeroThreshold, h.Positive.Offset, h.Positive.Counts, h.Negative.Offset, h.Negative.Counts, h.Sum, h.Count)
		if h.HasExtremes {
			value += fmt.Sprintf(" %v to %v", h.Min, h.Max)
		}
	}
	said := sayParts(e.Metric, e.Tags, value, e.Kind, e.Time, e.Start)
	if e.Nanos != 0 {
		said += fmt.Sprintf(" and %d ns", e.Nanos)
	}
	return said
}

func sayParts(name string, tags metric.Tags, value string, kind metric.Kind, at, start int64) string {
	said := fmt.Sprintf("%s%v %s %v @%d", name, tags, value, kind, at-now)
	if start != 0 {
		said += fmt.Sprintf(" since %d", start-now)
	}
	return said
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("%d: %s\nwant %s", i, g, w)
		}
	}
}

func TestKinds(t *testing.T) {
	unknown := number(5)
	unknown.StartTimeUnixNano = unknown.TimeUnixNano
	soon := number(6)
	soon.StartTimeUnixNano = soon.TimeUnixNano
	soon.TimeUnixNano += milli / 2
	whole := number(0)
	whole.Value = &metrics.NumberDataPoint_AsInt{AsInt: -7}
	ended := number(0)
	ended.Flags, ended.Value = 1, nil
	none := number(0)
	none.Value = nil
	got := read(t, otlp.NewDecoder(nil), of(nil,
		sum("requests.total", cumulative, true, number(10)),
		sum("unknown", cumulative, true, unknown),
		sum("soon", cumulative, true, soon),
		sum("deltas", delta, true, number(3)),
		sum("in_flight", cumulative, false, whole),
		sum("changes", delta, false, number(-2)),
		gauge("temperature/°C", number(21.5), number(math.NaN(), attributes("room=a")...), number(0, attributes("room=b")...)),
		gauge("ended", ended),
		gauge("none", none),
		sum("unspecified", 0, true, number(1)),
		gauge("", number(1)),
		gauge("bad\x01", number(1)),
	))
	expect(t, got,
		"requests.total{} 10 cumulative @0 since -60000",
		"unknown{} 5 cumulative @0",
		"soon{} 6 cumulative @0 since -1 and 500000 ns",
		"deltas{} 3 delta @0 since -60000",
		"in_flight{} -7 gauge @0",
		"changes{} -2 delta @0 since -60000",
		"temperature/°C{} 21.5 gauge @0",
		`temperature/°C{"room":"b"} 0 gauge @0`,
		"ended{} stale event @0",
		"none value_missing",
		"unspecified kind_invalid",
		" metric_name_missing",
		"bad\x01 metric_name_invalid",
	)
}

func TestHistograms(t *testing.T) {
	at, start := uint64(now*milli), uint64((now-60_000)*milli)
	got := read(t, otlp.NewDecoder(nil), of(nil,
		histogram("d", cumulative, &metrics.HistogramDataPoint{
			TimeUnixNano: at, StartTimeUnixNano: start, Count: 6, Sum: proto.Float64(12.5), Min: proto.Float64(0.1), Max: proto.Float64(9),
			ExplicitBounds: []float64{0.5, 5}, BucketCounts: []uint64{1, 2, 3}, Attributes: attributes("path=/"), Exemplars: []*metrics.Exemplar{{}},
		}),
		histogram("p", delta, &metrics.HistogramDataPoint{TimeUnixNano: at, StartTimeUnixNano: start, Count: 2}),
		histogram("gone", cumulative, &metrics.HistogramDataPoint{TimeUnixNano: at, Flags: 1, ExplicitBounds: []float64{1}}),
		histogram("bad", cumulative, &metrics.HistogramDataPoint{TimeUnixNano: at, ExplicitBounds: []float64{1}, BucketCounts: []uint64{1}}),
		histogram("bounds", cumulative, &metrics.HistogramDataPoint{TimeUnixNano: at, ExplicitBounds: []float64{1, 1}, BucketCounts: []uint64{1, 2, 3}}),
		exponential("e", cumulative, &metrics.ExponentialHistogramDataPoint{
			TimeUnixNano: at, StartTimeUnixNano: start, Count: 7, Sum: proto.Float64(3), Scale: 3, ZeroCount: 1, ZeroThreshold: 0.001, Min: proto.Float64(-1), Max: proto.Float64(4),
			Positive: &metrics.ExponentialHistogramDataPoint_Buckets{Offset: -2, BucketCounts: []uint64{0, 1, 0, 2, 0}},
			Negative: &metrics.ExponentialHistogramDataPoint_Buckets{Offset: 4, BucketCounts: []uint64{3}},
		}),
		exponential("e.delta", delta, &metrics.ExponentialHistogramDataPoint{
			TimeUnixNano: at, StartTimeUnixNano: start, Count: 3, Sum: proto.Float64(3), Scale: 5,
			Positive: &metrics.ExponentialHistogramDataPoint_Buckets{Offset: -1000, BucketCounts: append(append([]uint64{1}, make([]uint64, 2000)...), 2)},
		}),
		exponential("e.gone", cumulative, &metrics.ExponentialHistogramDataPoint{TimeUnixNano: at, Flags: 1}),
		exponential("e.empty", delta, &metrics.ExponentialHistogramDataPoint{TimeUnixNano: at}),
		exponential("e.count", delta, &metrics.ExponentialHistogramDataPoint{TimeUnixNano: at, Count: 3, Sum: proto.Float64(1)}),
		exponential("e.scale", delta, &metrics.ExponentialHistogramDataPoint{TimeUnixNano: at, Scale: -9}),
		exponential("e.sum", delta, &metrics.ExponentialHistogramDataPoint{TimeUnixNano: at, Count: 1, ZeroCount: 1}),
		&metrics.Metric{Name: "s", Data: &metrics.Metric_Summary{Summary: &metrics.Summary{DataPoints: []*metrics.SummaryDataPoint{{
			TimeUnixNano: at, StartTimeUnixNano: start, Count: 4, Sum: 8, QuantileValues: []*metrics.SummaryDataPoint_ValueAtQuantile{{Quantile: 0.5, Value: 2}, {Quantile: 1, Value: math.NaN()}},
		}}}}},
	))
	wide := append(append([]uint64{1}, make([]uint64, 999)...), 2)
	expect(t, got,
		`d_bucket{"le":"0.5","path":"/"} 1 cumulative @0 since -60000`,
		`d_bucket{"le":"5.0","path":"/"} 3 cumulative @0 since -60000`,
		`d_bucket{"le":"+Inf","path":"/"} 6 cumulative @0 since -60000`,
		`d_count{"path":"/"} 6 cumulative @0 since -60000`,
		`d_sum{"path":"/"} 12.5 cumulative @0 since -60000`,
		`d_min{"path":"/"} 0.1 gauge @0`,
		`d_max{"path":"/"} 9 gauge @0`,
		`p_bucket{"le":"+Inf"} 2 delta @0 since -60000`,
		`p_count{} 2 delta @0 since -60000`,
		`gone_bucket{"le":"1.0"} stale event @0`,
		`gone_bucket{"le":"+Inf"} stale event @0`,
		`gone_count{} stale event @0`,
		`gone_sum{} stale event @0`,
		"bad histogram_invalid",
		"bounds histogram_invalid",
		"e{} scale 3 zero 1<=0.001 +-1[1 0 2] -4[3] sum 3 count 7 -1 to 4 cumulative @0 since -60000",
		fmt.Sprintf("e.delta{} scale 4 zero 0<=0 +-500%v -0[] sum 3 count 3 delta @0 since -60000", wide),
		"e.gone{} stale event @0",
		"e.empty{} scale 0 zero 0<=0 +0[] -0[] sum 0 count 0 delta @0",
		"e.count histogram_invalid",
		"e.scale histogram_invalid",
		"e.sum histogram_invalid",
		`s{"quantile":"0.5"} 2 gauge @0`,
		"s_count{} 4 cumulative @0 since -60000",
		"s_sum{} 8 cumulative @0 since -60000",
	)
}

func TestAttributes(t *testing.T) {
	kv := func(key string, v *common.AnyValue) *common.KeyValue { return &common.KeyValue{Key: key, Value: v} }
	whole := &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: -9007199254740993}}
	float := func(v float64) *common.AnyValue {
		return &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: v}}
	}
	yes := &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: true}}
	bytes := &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: []byte{0, 255}}}
	list := &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{text(`a"b`), whole, float(math.NaN()), {}, bytes}}}}
	kvs := &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: []*common.KeyValue{kv("k", list), kv("l", yes)}}}}
	of2 := func(res []*common.KeyValue, point ...*common.KeyValue) *collector.ExportMetricsServiceRequest {
		return of(res, gauge("m", number(1, point...)))
	}
	d := otlp.NewDecoder(nil)
	expect(t, read(t, d, of2(attributes("service.name=shop", "process.pid=7", "telemetry.sdk.name=x", "host.name=a", "empty="), attributes("code=200", "none=")...)),
		`m{"code":"200","host.name":"a","service.name":"shop"} 1 gauge @0`)
	expect(t, read(t, d, of2(attributes("host.name=a"), attributes("host.name=b")...)), `m{"host.name":"b","resource.host.name":"a"} 1 gauge @0`)
	expect(t, read(t, d, of2(nil, kv("i", whole), kv("d", float(0.5)), kv("big", float(1e21)), kv("one", float(1)), kv("inf", float(math.Inf(-1))), kv("y", yes), kv("b", bytes), kv("nil", &common.AnyValue{}))),
		`m{"b":"AP8=","big":"1e+21","d":"0.5","i":"-9007199254740993","inf":"-Infinity","one":"1","y":"true"} 1 gauge @0`)
	expect(t, read(t, d, of2(nil, kv("l", list), kv("m", kvs))),
		`m{"l":"[\"a\\\"b\",-9007199254740993,\"NaN\",null,\"AP8=\"]","m":"{\"k\":[\"a\\\"b\",-9007199254740993,\"NaN\",null,\"AP8=\"],\"l\":true}"} 1 gauge @0`)
	expect(t, read(t, d, of2(nil, attributes("a=1", "a=2")...)), "m tags_invalid")
	expect(t, read(t, d, of2(nil, kv("long", text(strings.Repeat("x", metric.MaxTagValue+1))))), "m tags_invalid")
	d = otlp.NewDecoder(nil)
	d.Cut, d.Attributes = true, []string{"process.pid", "otel.scope.name"}
	expect(t, read(t, d, of2(attributes("process.pid=7"))), `m{"otel.scope.name":"lib","process.pid":"7"} 1 gauge @0`)
	cut := read(t, d, of2(nil, kv("long", text(strings.Repeat("x", metric.MaxTagValue+1)))))
	if len(cut) != 1 || !strings.Contains(cut[0], "xxx~") {
		t.Errorf("it is not cut: %q", cut)
	}
	// Values that are nested too deep spoil the request, and not the process.
	deep := text("x")
	for range 100 {
		deep = &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{deep}}}}
	}
	if _, err := d.Protobuf(marshal(t, of2(nil, kv("a", deep))), limit); err == nil {
		t.Error("100 lists in each other are taken")
	}
}

// Where resources or scopes differ in nothing that is a tag, only one of two points of a time could count: the other is refused, and says
// why. Those of other times count, be it by a nanosecond.
func TestOneSeriesOfTwo(t *testing.T) {
	two := func(further ...string) []string {
		d := otlp.NewDecoder(nil)
		d.Attributes = further
		r := of(attributes("host.name=a", "process.pid=1"), gauge("m", number(1)))
		r.ResourceMetrics = append(r.ResourceMetrics, of(attributes("host.name=a", "process.pid=2"), gauge("m", number(2))).ResourceMetrics...)
		later := number(3)
		later.TimeUnixNano += 5 * milli
		r.ResourceMetrics = append(r.ResourceMetrics, of(attributes("host.name=a", "process.pid=2"), gauge("m", later)).ResourceMetrics...)
		later = number(4)
		later.TimeUnixNano++
		r.ResourceMetrics = append(r.ResourceMetrics, of(attributes("host.name=a", "process.pid=2"), gauge("m", later)).ResourceMetrics...)
		return read(t, d, r)
	}
	expect(t, two(), `m{"host.name":"a"} 1 gauge @0`, "m point_invalid", `m{"host.name":"a"} 3 gauge @5`, `m{"host.name":"a"} 4 gauge @0 and 1 ns`)
	expect(t, two("process.pid"),
		`m{"host.name":"a","process.pid":"1"} 1 gauge @0`, `m{"host.name":"a","process.pid":"2"} 2 gauge @0`, `m{"host.name":"a","process.pid":"2"} 3 gauge @5`,
		`m{"host.name":"a","process.pid":"2"} 4 gauge @0 and 1 ns`)
}

func TestDataPointsAreCounted(t *testing.T) {
	ended := &metrics.HistogramDataPoint{TimeUnixNano: 5, ExplicitBounds: []float64{1}, BucketCounts: []uint64{1, 1}, Exemplars: []*metrics.Exemplar{{}, {}}}
	r, err := otlp.NewDecoder(nil).Protobuf(marshal(t, of(nil, gauge("nan", number(math.NaN())), gauge("a", number(1)), histogram("h", delta, ended), gauge("", number(1)))), limit)
	if err != nil || r.N != 5 || len(r.Points) != 4 || r.NotNumbers != 1 || r.Exemplars != 2 || len(r.Faults) != 4 {
		t.Fatalf("%v, %+v", err, r)
	}
	if n := r.DataPoints([][2]int{{1, 4}}); n != 2 {
		t.Errorf("%d data points are rejected, and not 2", n)
	}
	if n := r.DataPoints([][2]int{{0, 0}, {2, 2}, {3, 3}}); n != 2 {
		t.Errorf("%d data points are rejected, and not 2", n)
	}
}

func TestBrokenBodies(t *testing.T) {
	r := of(attributes("service.name=shop"), sum("requests", cumulative, true, number(1)))
	whole := marshal(t, r)
	d := otlp.NewDecoder(nil)
	for n := range whole {
		if got, err := d.Protobuf(whole[:n], limit); err == nil && n > 0 {
			t.Errorf("the first %d bytes are taken: %q", n, words(t, got))
		}
	}
	for body, want := range map[string]string{
		``:                        "the JSON ends too early",
		`[]`:                      "it must be an object",
		`{}x`:                     "invalid character",
		`{"resourceMetrics":[{]}`: "byte 21",
		`{"resourceMetrics":{}}`:  "resourceMetrics: it must be an array",
		`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{"timeUnixNano":1.5}]}}]}]}]}`: `scopeMetrics: metrics: gauge: dataPoints: timeUnixNano: it must be a whole number, and is "1.5"`,
		`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{"asDouble":"x"}]}}]}]}]}`:     "asDouble: it must be a number",
		`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"aggregationTemporality":"DELTA"}}]}]}]}`:      "aggregationTemporality: it must be a whole number",
		`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"isMonotonic":1}}]}]}]}`:                       "isMonotonic: it must be true or false",
		`{"resourceMetrics":[{"resource":{"attributes":[{"key":1}]}}]}`:                                          "attributes: key: it must be a string",
	} {
		if _, err := d.JSON([]byte(body), limit, 1<<20); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, and not %s", body, err, want)
		}
	}
	if _, err := d.JSON([]byte(`{"resourceMetrics":[{"unknown":[{"a":1}],"scopeMetrics":null}],"x":"y"}`), limit, 1<<20); err != nil {
		t.Errorf("unknown members: %v", err)
	}
	if _, err := d.JSON([]byte(`{"resourceMetrics":[`+strings.Repeat(`{"scopeMetrics":[{"metrics":[{"name":"x"}]}]},`, 100)+`{}]}`), limit, 100); err == nil {
		t.Error("more bytes than are allowed are made")
	}
	if _, err := d.Protobuf(marshal(t, of(nil, gauge("m", number(1), number(2), number(3)))), 2); !errors.Is(err, wire.ErrTooMany) {
		t.Errorf("too many: %v", err)
	}
}

// Random requests in both encodings against what is said of each data point by itself.
func TestRandomRequests(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	d := otlp.NewDecoder(wire.NewRoom(1 << 20))
	for range 300 {
		var all []*metrics.Metric
		var want []string
		res := attributes("service.name=" + strconv.Itoa(rnd.IntN(3)))
		for i := range rnd.IntN(6) {
			name := "m" + strconv.Itoa(i)
			tags := func(k int) ([]*common.KeyValue, map[string]string) {
				a := attributes("k=" + strconv.Itoa(k))
				return a, map[string]string{"k": strconv.Itoa(k), "service.name": res[0].Value.GetStringValue()}
			}
			start := int64(rnd.IntN(3)) * -30_000
			said := func(name string, tags map[string]string, value string, kind metric.Kind) {
				since := now + start
				if start == 0 || !kind.Grows() {
					since = 0
				}
				want = append(want, sayParts(name, metric.NewTags(tags), value, kind, now, since))
			}
			temporality, kind := cumulative, metric.Cumulative
			if rnd.IntN(2) == 0 {
				temporality, kind = delta, metric.Delta
			}
			switch rnd.IntN(3) {
			case 0:
				monotonic := rnd.IntN(2) == 0
				if kind == metric.Cumulative && !monotonic {
					kind = metric.Gauge
				}
				var numbers []*metrics.NumberDataPoint
				for k := range rnd.IntN(4) {
					a, tags := tags(k)
					p := number(rnd.NormFloat64(), a...)
					p.StartTimeUnixNano = uint64(now+start) * milli
					numbers = append(numbers, p)
					said(name, tags, strconv.FormatFloat(p.GetAsDouble(), 'g', -1, 64), kind)
				}
				all = append(all, sum(name, temporality, monotonic, numbers...))
			case 1:
				a, tags := tags(0)
				h := &metrics.HistogramDataPoint{TimeUnixNano: now * milli, StartTimeUnixNano: uint64(now+start) * milli, Attributes: a, Sum: proto.Float64(rnd.Float64())}
				for range rnd.IntN(5) {
					h.ExplicitBounds = append(h.ExplicitBounds, float64(rnd.IntN(1000))/8)
				}
				sort.Float64s(h.ExplicitBounds)
				h.ExplicitBounds = slices.Compact(h.ExplicitBounds)
				for i := range len(h.ExplicitBounds) + 1 {
					h.BucketCounts = append(h.BucketCounts, rnd.Uint64N(100))
					h.Count += h.BucketCounts[i]
					tags["le"] = "+Inf"
					if i < len(h.ExplicitBounds) {
						if tags["le"] = strconv.FormatFloat(h.ExplicitBounds[i], 'f', -1, 64); !strings.Contains(tags["le"], ".") {
							tags["le"] += ".0"
						}
					}
					said(name+"_bucket", tags, strconv.FormatUint(h.Count, 10), kind)
				}
				delete(tags, "le")
				said(name+"_count", tags, strconv.FormatUint(h.Count, 10), kind)
				said(name+"_sum", tags, strconv.FormatFloat(h.GetSum(), 'g', -1, 64), kind)
				all = append(all, histogram(name, temporality, h))
			case 2:
				a, tags := tags(0)
				e := &metrics.ExponentialHistogramDataPoint{TimeUnixNano: now * milli, StartTimeUnixNano: uint64(now+start) * milli, Attributes: a, Sum: proto.Float64(rnd.Float64()), Scale: int32(rnd.IntN(8))}
				e.ZeroCount = rnd.Uint64N(3)
				e.Positive = &metrics.ExponentialHistogramDataPoint_Buckets{Offset: int32(rnd.IntN(20) - 10), BucketCounts: []uint64{1 + rnd.Uint64N(5), rnd.Uint64N(5), 1 + rnd.Uint64N(5)}}
				e.Count = e.ZeroCount
				for _, n := range e.Positive.BucketCounts {
					e.Count += n
				}
				said(name, tags, fmt.Sprintf("scale %d zero %d<=0 +%d%v -0[] sum %v count %d", e.Scale, e.ZeroCount, e.Positive.Offset, e.Positive.BucketCounts, e.GetSum(), e.Count), kind)
				all = append(all, exponential(name, temporality, e))
			}
		}
		expect(t, read(t, d, of(res, all...)), want...)
		if t.Failed() {
			return
		}
	}
}

func many(tb testing.TB, n int) []byte {
	tb.Helper()
	var all []*metrics.Metric
	for i := range n / 20 {
		var numbers []*metrics.NumberDataPoint
		for k := range 10 {
			numbers = append(numbers, number(float64(k), attributes("http.route=/v1/"+strconv.Itoa(k), "http.request.method=GET", "server.address=shop")...))
		}
		h := &metrics.HistogramDataPoint{TimeUnixNano: now * milli, StartTimeUnixNano: (now - 1000) * milli, Attributes: attributes("http.route=/"), Sum: proto.Float64(1), Count: 8}
		h.ExplicitBounds, h.BucketCounts = []float64{1, 2, 3, 4, 5, 10, 20}, []uint64{1, 1, 1, 1, 1, 1, 1, 1}
		all = append(all, sum("m"+strconv.Itoa(i), cumulative, true, numbers...), histogram("h"+strconv.Itoa(i), cumulative, h))
	}
	return marshal(tb, of(attributes("service.name=shop", "service.instance.id=0190c5e0-1111-7000-8000-000000000000", "host.name=a", "telemetry.sdk.language=go"), all...))
}

// In the steady state no number allocates.
func TestNothingIsAllocated(t *testing.T) {
	body := many(t, 1000)
	d := otlp.NewDecoder(wire.NewRoom(64 << 20))
	record := make([]byte, 0, 1<<10)
	allocs := testing.AllocsPerRun(20, func() {
		r, err := d.Protobuf(body, 2000)
		if err != nil || len(r.Events) != 1000 {
			t.Fatal(err, len(r.Events))
		}
		for i := range r.Events {
			record = r.AppendEvent(record[:0], i)
		}
	})
	if allocs > 2 {
		t.Errorf("%v allocations for 1,000 events", allocs)
	}
}

func BenchmarkProtobuf(b *testing.B) {
	body := many(b, 1000)
	d := otlp.NewDecoder(wire.NewRoom(64 << 20))
	var record []byte
	b.ReportAllocs()
	for b.Loop() {
		r, err := d.Protobuf(body, 2000)
		if err != nil {
			b.Fatal(err)
		}
		for i := range r.Events {
			record = r.AppendEvent(record[:0], i)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/event")
}

// No body makes the decoder panic, what it gives is valid, and protocol buffers are read where the official code reads them.
func FuzzRead(f *testing.F) {
	r := of(attributes("service.name=shop"), sum("requests", cumulative, true, number(1)), gauge("g", number(2, attributes("a=b")...)),
		histogram("h", delta, &metrics.HistogramDataPoint{TimeUnixNano: now * milli, BucketCounts: []uint64{1, 2}, ExplicitBounds: []float64{1}}),
		exponential("e", cumulative, &metrics.ExponentialHistogramDataPoint{TimeUnixNano: now * milli, Count: 1, Sum: proto.Float64(1), Positive: &metrics.ExponentialHistogramDataPoint_Buckets{BucketCounts: []uint64{1}}}))
	f.Add(marshal(f, r), false)
	json, err := protojson.MarshalOptions{UseEnumNumbers: true}.Marshal(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(json, true)
	d := otlp.NewDecoder(nil)
	f.Fuzz(func(t *testing.T, body []byte, json bool) {
		r, err := d.Protobuf(body, 1000)
		if json {
			r, err = d.JSON(body, 1000, 1<<20)
		}
		if err != nil {
			return
		}
		if len(r.Events)+len(r.Faults) != r.N || len(r.Events) != len(r.Index) || len(r.Names) != r.N {
			t.Fatalf("%d events, %d faults of %d", len(r.Events), len(r.Faults), r.N)
		}
		for i := range r.Events {
			e := &r.Events[i]
			if metric.ValidateName(e.Metric) != nil || metric.CheckTags(e.Tags) != nil || metric.TimeFault(e.Time) != nil || e.Check() != nil || math.IsNaN(e.Value) || math.IsInf(e.Value, 0) {
				t.Fatalf("%+v", e)
			}
		}
		words(t, r)
	})
}
