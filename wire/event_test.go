package wire_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pulseboard/aggregate"
	"pulseboard/metric"
	"pulseboard/wire"
)

func TestDecodeRequestVerdicts(t *testing.T) {
	const good = `{"metric_name":"m","value":1}`
	long := strings.Repeat("x", 1025)
	for _, c := range []struct{ event, code string }{
		{good, ""},
		{`{"metric_name":"m","value":-0.5e3,"tags":{"host":"a"},"event_time":"2026-11-23T10:00:00.1239Z","other":[1,{"a":2}]}`, ""},
		{`{"metric_name":"_x:y/z-1.a","value":0,"tags":null,"event_time":null}`, ""},
		{`{"metric_name":"m","value":1,"event_time":1763892000000.9}`, ""},
		{`{"metric_name":"m","value":1,"tags":{"a":"","b":null}}`, ""},
		// Of equal members the last one counts.
		{`{"metric_name":"m","value":"1","value":1}`, ""},
		{`{"metric_name":"m","value":1,"value":"1"}`, metric.CodeMalformed},
		{`{"metric_name":"m","value":1,"value":null}`, metric.CodeValueMissing},
		{`{"metric_name":"m","value":1,"tags":{"a":1,"a":"x"}}`, ""},
		{`{"metric_name":"m","value":1,"tags":{"a":1},"tags":null}`, ""},
		{`{"metric_name":"m","value":1,"tags":{"a\tb":"x","a\tb":""}}`, ""},
		{`{"metric_name":"m","value":1,"events":[{}]}`, ""}, // With a name it is one event.
		{`{"metric_name":"m","value":1,"event_time":"2026-11-23t10:00:00z"}`, ""},
		{`{"value":1,"metric_name":"x","metric_name":"m"}`, ""},
		{`{"m\u0065tric_name":"m","value":1}`, ""},
		{`null`, metric.CodeMalformed},
		{`17`, metric.CodeMalformed},
		{`[]`, metric.CodeMalformed},
		{`{"metric_name":1,"value":1}`, metric.CodeMalformed},
		{`{"metric_name":"m","value":"1"}`, metric.CodeMalformed},
		{`{"metric_name":"m","value":true}`, metric.CodeMalformed},
		{`{"metric_name":"m","value":1,"tags":[]}`, metric.CodeMalformed},
		{`{"metric_name":"m","value":1,"tags":{"a":1,"b":-1.5e3,"c":true,"d":false}}`, ""},
		{`{"metric_name":"m","value":1,"tags":{"a":[1]}}`, metric.CodeMalformed},
		{`{"metric_name":"m","value":1,"tags":{"a":1e999}}`, metric.CodeTagsInvalid},
		{`{"metric_name":"m","value":1,"event_time":{}}`, metric.CodeMalformed},
		{`{"value":true}`, metric.CodeMalformed}, // The wrong type comes before the missing name.
		{`{"value":1}`, metric.CodeNameMissing},
		{`{}`, metric.CodeNameMissing},
		{`{"metric_name":null,"value":1}`, metric.CodeNameMissing},
		{`{"metric_name":"","value":1}`, metric.CodeNameMissing},
		{`{"metric_name":"m\u0001","value":1}`, metric.CodeNameInvalid},
		{`{"metric_name":"a\u007fb"}`, metric.CodeNameInvalid},
		{`{"metric_name":"` + long + `","value":1}`, metric.CodeNameInvalid},
		{`{"metric_name":"m"}`, metric.CodeValueMissing},
		{`{"metric_name":"m","value":null,"tags":{"a\tb":"x"}}`, metric.CodeValueMissing},
		{`{"metric_name":"m","value":1e999}`, metric.CodeValueNotFinite},
		{`{"metric_name":"m","value":1,"tags":{"a\tb":"x"}}`, metric.CodeTagsInvalid},
		{`{"metric_name":"m","value":1,"tags":{"":"x"}}`, metric.CodeTagsInvalid},
		{`{"metric_name":"m","value":1,"tags":{"a":"` + long + `"}}`, metric.CodeTagsInvalid},
		{"{\"metric_name\":\"m\",\"value\":1,\"tags\":{\"a\":\"\xff\"},\"event_time\":\"x\"}", metric.CodeTagsInvalid},
		{`{"metric_name":"m","value":1,"tags":` + manyTags(65) + `}`, metric.CodeTooManyTags},
		{`{"metric_name":"m","value":1,"tags":` + manyTags(16) + `}`, ""},
		{`{"metric_name":"m","value":1,"tags":{"a\tb":"x","b":{}}}`, metric.CodeMalformed},
		{`{"metric_name":"m","value":1,"tags":{"a":"\ud800"}}`, metric.CodeTagsInvalid},
		{"{\"metric_name\":\"m\xff\",\"value\":1}", metric.CodeNameInvalid},
		{"{\"metric_name\":\"m\",\"value\":1,\"\xff\":\"\xff\"}", ""}, // Nobody reads it.
		{`{"metric_name":"m","value":1,"event_time":"yesterday"}`, metric.CodeEventTimeInvalid},
		{`{"metric_name":"m","value":1,"event_time":"2026-11-23T10:00:00"}`, metric.CodeEventTimeInvalid},
		{`{"metric_name":"m","value":1,"event_time":-1}`, metric.CodeEventTimeInvalid},
		{`{"metric_name":"m","value":1,"event_time":1e999}`, metric.CodeEventTimeInvalid},
		{`{"metric_name":"m","value":1,"event_time":1.763892e12}`, ""},
		{`{"metric_name":"m","value":1,"event_time":""}`, metric.CodeEventTimeInvalid},
		{`{"metric_name":"m","value":1,"event_time":946684799999}`, metric.CodeEventTimeInvalid},
		{`{"metric_name":"m","value":1,"event_time":1e300}`, metric.CodeEventTimeInvalid},
		{`{"metric_name":"m","value":1,"kind":"event","start":null,"stale":false,"point":null}`, ""},
		{`{"metric_name":"m","value":1,"kind":"cumulative","start":"2026-11-23T10:00:00Z"}`, ""},
		{`{"metric_name":"m","value":1,"kind":"delta","start":1763892000000,"event_time":1763892000000,"point":true}`, ""},
		{`{"metric_name":"m","stale":true,"kind":"cumulative","start":1763892000000}`, ""},
		{`{"metric_name":"m","stale":true,"value":null}`, ""},
		{`{"metric_name":"m","value":1,"kind":"counter"}`, metric.CodeKindInvalid},
		{`{"metric_name":"m","value":1,"kind":7}`, metric.CodeKindInvalid},
		{`{"metric_name":"m","value":1,"kind":{}}`, metric.CodeKindInvalid},
		{`{"metric_name":"m","value":1,"start":{}}`, metric.CodeMalformed},
		{`{"metric_name":"m","value":1,"stale":1}`, metric.CodeMalformed},
		{`{"metric_name":"m","value":1,"point":"true"}`, metric.CodeMalformed},
		{`{"metric_name":"m","stale":false}`, metric.CodeValueMissing},
		{`{"metric_name":"m","value":0,"stale":true}`, metric.CodeStaleInvalid},
		{`{"metric_name":"m","value":1,"start":1763892000000}`, metric.CodeStartInvalid},
		{`{"metric_name":"m","value":1,"kind":"gauge","start":1763892000000}`, metric.CodeStartInvalid},
		{`{"metric_name":"m","value":1,"kind":"delta","start":0}`, metric.CodeStartInvalid},
		{`{"metric_name":"m","value":1,"kind":"delta","start":"soon"}`, metric.CodeStartInvalid},
		{`{"metric_name":"m","value":1,"kind":"delta","start":1763892000001,"event_time":1763892000000}`, metric.CodeStartInvalid},
		{`{"metric_name":"m","value":1,"point":true}`, metric.CodePointInvalid},
		{`{"metric_name":"m","value":1,"point":7}`, metric.CodePointInvalid},
		{`{"metric_name":"m","value":1,"event_time":1763892000000,"point":999999}`, ""},
		{`{"metric_name":"m","value":1,"event_time":1763892000000,"point":1000000}`, metric.CodePointInvalid},
		{`{"metric_name":"m","value":1,"event_time":1763892000000,"point":0.5}`, metric.CodePointInvalid},
		{`{"metric_name":"m","value":1,"event_time":1763892000000,"point":-1}`, metric.CodePointInvalid},
		{`{"metric_name":"m","histogram":{"scale":3,"count":3,"sum":4.5,"positive":{"offset":-2,"counts":[1,2]}}}`, ""},
		{`{"metric_name":"m","kind":"cumulative","start":1763892000000,"histogram":{"scale":-4,"count":1,"sum":0,"zero":1,"min":0,"max":0}}`, ""},
		{`{"metric_name":"m","histogram":[]}`, metric.CodeMalformed},
		{`{"metric_name":"m","histogram":{}}`, metric.CodeHistogramInvalid},
		{`{"metric_name":"m","histogram":{"scale":3,"count":2,"sum":4.5,"positive":{"offset":-2,"counts":[1,2]}}}`, metric.CodeHistogramInvalid},
		{`{"metric_name":"m","histogram":{"scale":3,"count":3,"sum":4.5,"positive":{"offset":-2,"counts":[1,2.5]}}}`, metric.CodeHistogramInvalid},
		{`{"metric_name":"m","histogram":{"scale":3,"count":1,"sum":4.5,"zero":1,"max":1}}`, metric.CodeHistogramInvalid},
		{`{"metric_name":"m","histogram":{"scale":20,"count":0,"sum":0,"positive":{"counts":[` + strings.Repeat("0,", 1280) + `0]}}}`, metric.CodeHistogramInvalid},
		{`{"metric_name":"m","value":1,"histogram":{"scale":3,"count":0,"sum":0}}`, metric.CodeHistogramInvalid},
		{`{"metric_name":"m","stale":true,"histogram":{"scale":3,"count":0,"sum":0}}`, metric.CodeStaleInvalid},
		{`{"metric_name":"m","kind":"gauge","histogram":{"scale":3,"count":0,"sum":0}}`, metric.CodeKindInvalid},
		{`{"metric_name":"m","value":1,"kind":"x","event_time":"x"}`, metric.CodeEventTimeInvalid}, // The order of docs/protocol.md.
		{`{"metric_name":"m","value":1,"kind":"x","start":"x"}`, metric.CodeKindInvalid},
		{`{"metric_name":"m","value":1,"kind":"event","start":1763892000000,"point":true}`, metric.CodeStartInvalid},
	} {
		for _, form := range []string{"[%s]", `{"events":[%s]}`, "%s"} {
			if form == "%s" && c.event == "[]" {
				continue // An empty array holds no event.
			}
			b, err := new(wire.Decoder).Request(fmt.Appendf(nil, form, c.event), 10)
			if err != nil || b.N != 1 || len(b.Events)+len(b.Faults) != 1 {
				t.Errorf(form+": %+v, %v", c.event, b, err)
				continue
			}
			code := ""
			if len(b.Faults) == 1 {
				code = b.Faults[0].Code
			}
			if code != c.code {
				t.Errorf(form+": code %q, want %q", c.event, code, c.code)
			}
		}
		// A bad event among good ones spoils none.
		b, err := new(wire.Decoder).Request([]byte("["+good+","+c.event+","+good+"]"), 10)
		if err != nil || b.N != 3 || b.Index[0] != 0 || b.Index[len(b.Index)-1] != 2 {
			t.Errorf("among good ones %s: %+v, %v", c.event, b, err)
		}
	}
}

func TestDecodeLines(t *testing.T) {
	b, err := new(wire.Decoder).Lines([]byte("{\"metric_name\":\"m\",\"value\":1}\r\n\n  \n{\"metric_name\":\"m\",\"value\":NaN}\n"+
		"{\"metric_name\":\"m\",\"value\":2} x\n{}\n{\"metric_name\":\"n\",\"value\":3}"), 5)
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, f := range b.Faults {
		codes = append(codes, fmt.Sprint(f.Index, " ", f.Code))
	}
	want := []string{"1 malformed", "2 malformed", "3 metric_name_missing"}
	if b.N != 5 || !slices.Equal(codes, want) || !slices.Equal(b.Index, []int{0, 4}) || b.Events[1].Metric != "n" {
		t.Errorf("got %+v", b)
	}
	if _, err := new(wire.Decoder).Lines([]byte("{}\n{}\n{}"), 2); !errors.Is(err, wire.ErrTooMany) {
		t.Errorf("three lines of two: %v", err)
	}
	if b, err := new(wire.Decoder).Lines([]byte("\n \n"), 2); err != nil || b.N != 0 {
		t.Errorf("empty lines: %+v, %v", b, err)
	}
}

func manyTags(n int) string {
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprintf(`"t%d":"v"`, i)
	}
	return "{" + strings.Join(tags, ",") + "}"
}

func TestDecodeRequestValues(t *testing.T) {
	b, err := new(wire.Decoder).Request([]byte(`{"events":[
		{"metric_name":"a","value":-0,"tags":{"z":"1","a":"\u00e9\n"},"event_time":"2026-11-23T11:00:00.1239+01:00"},
		{"metric_name":"b","value":1.7976931348623157e308,"event_time":1763892000000.9}]}`), 2)
	if err != nil {
		t.Fatal(err)
	}
	want := []metric.Event{
		{Metric: "a", Value: math.Copysign(0, -1), Tags: metric.Tags{{Key: "a", Value: "é\n"}, {Key: "z", Value: "1"}}, Time: 1795428000123},
		{Metric: "b", Value: math.MaxFloat64, Time: 1763892000000},
	}
	if !reflect.DeepEqual(b.Events, want) || math.Signbit(b.Events[0].Value) != true {
		t.Errorf("got %+v, want %+v", b.Events, want)
	}
}

func TestDecodeRequestAsAWhole(t *testing.T) {
	for body, n := range map[string]int{`[]`: 0, `{"events":[]}`: 0, "\t[]\n": 0, `{"events":[{"metric_name":"m","value":1}],"x":1}`: 1} {
		if b, err := new(wire.Decoder).Request([]byte(body), 10); err != nil || b.N != n || len(b.Faults) != 0 {
			t.Errorf("%s: %+v, %v", body, b, err)
		}
	}
	for _, body := range []string{
		``, ` `, `{`, `[`, `[{"metric_name":"m","value":1}`, `[{"metric_name":"m","value":NaN}]`, `[{"metric_name":"m","value":1},]`,
		`{"metric_name":"m","value":1} x`, `{"metric_name":"m","value":1}{}`, `nul`, `[{"metric_name":"m","value":01}]`, "[{\"metric_name\":\"\x01\"}]",
	} {
		_, err := new(wire.Decoder).Request([]byte(body), 10)
		if f, ok := errors.AsType[*metric.Fault](err); !ok || f.Code != metric.CodeMalformed || f.Detail == "" {
			t.Errorf("%q: %v", body, err)
		}
	}
	if _, err := new(wire.Decoder).Request([]byte(`[{},{},{}]`), 2); !errors.Is(err, wire.ErrTooMany) {
		t.Errorf("three events of two: %v", err)
	}
}

func TestDecodeRecord(t *testing.T) {
	for _, c := range []struct {
		value, code    string
		events, faults int
	}{
		{`{"metric_name":"m","value":1}`, "", 1, 0},
		{`{"metric_name":"m","events":[{"value":1},{"value":"x"},{"value":3,"tags":{"a":"b"}}]}`, "", 2, 1},
		{`{"events":[{"value":1}],"metric_name":"m"}`, "", 1, 0},
		{`{"events":[{"value":1}],"metric_name":"\n"}`, "", 0, 1},
		{`{"metric_name":"\n","events":[{"value":1}]}`, "", 0, 1},
		{`{"events":[{"value":1}]}`, "", 0, 1},
		{`not json`, metric.CodeNotJSON, 0, 0},
		{``, metric.CodeNotJSON, 0, 0},
		{`{"metric_name":"m"`, metric.CodeNotJSON, 0, 0},
		{`[1]`, metric.CodeMalformed, 0, 0},
		{`"x"`, metric.CodeMalformed, 0, 0},
	} {
		b, err := new(wire.Decoder).Record([]byte(c.value))
		if f, ok := errors.AsType[*metric.Fault](err); ok != (c.code != "") || ok && f.Code != c.code {
			t.Errorf("%s: %v, want code %q", c.value, err, c.code)
			continue
		}
		if c.code == "" && (len(b.Events) != c.events || len(b.Faults) != c.faults) {
			t.Errorf("%s: %+v", c.value, b)
		}
		if c.code == "" && c.events > 0 && b.Events[0].Metric != "m" {
			t.Errorf("%s: metric %q", c.value, b.Events[0].Metric)
		}
	}
}

// What AppendRecord writes reads back bit for bit.
func TestRecordRoundTrip(t *testing.T) {
	const seed = 3
	r := rand.New(rand.NewPCG(seed, 0))
	d := new(wire.Decoder)
	for range 2000 {
		events := make([]metric.Event, 0, 4)
		for range 1 + r.IntN(4) {
			v := math.Float64frombits(r.Uint64())
			if math.IsNaN(v) || math.IsInf(v, 0) {
				v = 5e-324
			}
			if r.IntN(2) == 0 { // Whole numbers, up to those that have no odd ones beside them, and -0.
				v = math.Copysign(math.Trunc(math.Ldexp(r.Float64(), r.IntN(60))), v)
			}
			e := metric.Event{Metric: "m.x", Value: v, Time: 946_684_800_000 + r.Int64N(1<<41)}
			if r.IntN(3) == 0 {
				e.Time = 0
			}
			if r.IntN(2) == 0 {
				e.Tags = metric.NewTags(map[string]string{"a": string(rune(1 + r.IntN(0xd7ff))), "b": "<&>\"\\\u2028"})
			}
			e.Kind = metric.Kind(r.IntN(4))
			if e.Kind.Grows() && e.Time != 0 && r.IntN(2) == 0 {
				e.Start = e.Time - min(r.Int64N(1000), e.Time-metric.EarliestTime)
			}
			if e.Point = e.Time != 0 && r.IntN(2) == 0; e.Point {
				e.Nanos = r.Int32N(2) * r.Int32N(1_000_000)
			}
			switch r.IntN(6) {
			case 0:
				e.Stale, e.Value = true, 0
			case 1:
				if e.Value = 0; e.Kind != metric.Gauge {
					e.Histogram = randomHistogram(r)
				}
			}
			events = append(events, e)
		}
		value := wire.AppendRecord(nil, "m.x", events)
		b, err := d.Record(value)
		sameBits := func(a, b metric.Event) bool { return math.Float64bits(a.Value) == math.Float64bits(b.Value) }
		if err != nil || !reflect.DeepEqual(b.Events, events) || !slices.EqualFunc(b.Events, events, sameBits) {
			t.Fatalf("seed %d: %s reads as %+v, %v; want %+v", seed, value, b, err, events)
		}
	}
}

func randomHistogram(r *rand.Rand) *aggregate.Histogram {
	h := &aggregate.Histogram{Scale: int8(r.IntN(25) - 4), Sum: r.NormFloat64() * 1e6, ZeroThreshold: r.Float64() * float64(r.IntN(2)), Zero: uint64(r.IntN(3))}
	h.Count = h.Zero
	for _, b := range []*aggregate.Bins{&h.Positive, &h.Negative} {
		for range r.IntN(40) {
			n := r.Uint64N(1 << (1 + r.IntN(40)))
			b.Counts = append(b.Counts, n)
			h.Count += n
		}
		if len(b.Counts) > 0 {
			b.Offset = int32(r.IntN(20) - 40)
		}
	}
	if h.HasExtremes = r.IntN(2) == 0; h.HasExtremes {
		h.Min = r.NormFloat64()
		h.Max = h.Min + r.ExpFloat64()
	}
	return h
}

// Whether a text is JSON, encoding/json decides; whatever it is, each event gets one verdict.
func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte(`{"events":[{"metric_name":"m","value":1,"tags":{"a":"b"},"event_time":"2026-11-23T10:00:00Z"}]}`))
	f.Add([]byte(`[{"metric_name":"m","value":1e999},{},null,{"tags":{"a":1}}]`))
	f.Add([]byte(`{"metric_name":"m","metric_name":null,"events":[],"value":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := new(wire.Decoder).Request(body, 1000)
		if errors.Is(err, wire.ErrTooMany) {
			return
		}
		if (err == nil) != json.Valid(body) && !strings.Contains(fmt.Sprint(err), "depth") {
			t.Fatalf("%q: %v, but encoding/json says %v", body, err, json.Valid(body))
		}
		if err != nil {
			return
		}
		if len(b.Events)+len(b.Faults) != b.N || len(b.Index) != len(b.Events) {
			t.Fatalf("%q: %+v", body, b)
		}
		for _, e := range b.Events {
			if metric.ValidateName(e.Metric) != nil || math.IsInf(e.Value, 0) || math.IsNaN(e.Value) || len(e.Tags) > metric.MaxTags {
				t.Fatalf("%q: accepted %+v", body, e)
			}
			back, err := new(wire.Decoder).Record(wire.AppendRecord(nil, e.Metric, []metric.Event{e}))
			if err != nil || len(back.Events) != 1 || !reflect.DeepEqual(back.Events[0], e) {
				t.Fatalf("%q: %+v reads back as %+v, %v", body, e, back, err)
			}
		}
	})
}

// Most series of a request of this kind come once: the strings are shared, the tags are not.
func BenchmarkDecodeRequest(b *testing.B) {
	var body []byte
	for i := range 500 {
		body = fmt.Appendf(append(body, "[,"[min(i, 1)]), `{"metric_name":"m%d","value":%g,"tags":{"host":"web-%02d","region":"eu","path":"/p%d"},"event_time":"2026-11-23T10:00:00.123Z"}`,
			i%20, float64(i)*1.1, i%100, i%500)
	}
	body = append(body, ']')
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		batch, err := new(wire.Decoder).Request(body, 50_000)
		if err != nil || len(batch.Faults) > 0 {
			b.Fatal(err, batch)
		}
		n += len(batch.Events)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkDecodeRecord(b *testing.B) {
	events := make([]metric.Event, 100)
	for i := range events {
		events[i] = metric.Event{Value: float64(i) * 1.1, Time: 1763892000123 + int64(i), Tags: metric.NewTags(map[string]string{
			"host": fmt.Sprintf("web-%02d", i%10), "region": "eu-central-1", "path": "/api/v1/items",
		})}
	}
	value := wire.AppendRecord(nil, "api.request.latency", events)
	d := new(wire.Decoder)
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		batch, err := d.Record(value)
		if err != nil {
			b.Fatal(err)
		}
		n += len(batch.Events)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

// Times as people write them: what RFC 3339 allows is taken, and of the rest the fault names the mistake.
func TestTimesOfPeople(t *testing.T) {
	for text, want := range map[string]string{
		`"2026-11-23 10:00:00.5Z"`:     "1795428000500",
		`"2026-11-23t11:00:00+01:00"`:  "1795428000000",
		`"2026-12-31T23:59:60Z"`:       "1798761600000",
		`"2026-12-31 23:59:60.25Z"`:    "1798761600250",
		`"2026-12-31T15:59:60-08:00"`:  "1798761600000",
		`"2026-11-23T10:00:60Z"`:       ": a second 60 there is only at the end of a day of UTC, 23:59:60Z",
		`"2026-11-23T23:59:60+01:00"`:  ": a second 60 there is only at the end of a day of UTC, 23:59:60Z",
		`"2026-11-23T23:59:61Z"`:       "is neither RFC 3339 nor milliseconds since 1970",
		`"9999-12-31T23:59:60Z"`:       ": a second 60 there is only at the end of a day of UTC, 23:59:60Z",
		`"2026-11-23T10:00:00"`:        ": it has no offset from UTC, such as Z or +01:00",
		`"2026-11-23 10:00:00.123456"`: ": it has no offset from UTC, such as Z or +01:00",
		`"2026-11-23T10:00:00+0000"`:   ": its offset from UTC must have hours and minutes with a colon, such as +01:00",
		`"2026-11-23T10:00:00-08"`:     ": its offset from UTC must have hours and minutes with a colon, such as +01:00",
		`"2026-11-23T10:00Z"`:          ": it has no seconds",
		`"2026-11-23"`:                 ": it has no time of day, such as T10:00:00Z",
		`"1795428000000"`:              ": leave out its quotes",
		`"1795428000"`:                 ": it looks like seconds, multiply by 1,000",
		`"Mon Nov 23 10:00:00 2026"`:   "is neither RFC 3339 nor milliseconds since 1970",
		`1795428000`:                   "is before the year 2000: it looks like seconds, multiply by 1,000",
		`1795428000.25`:                "is before the year 2000: it looks like seconds, multiply by 1,000",
		`1795428000000000`:             ": it looks like microseconds, divide by 1,000",
		`1795428000000000000`:          ": it looks like nanoseconds, divide by 1,000,000",
		`1795428000000000000000000`:    "is neither RFC 3339 nor milliseconds since 1970",
		`17`:                           "is before the year 2000",
	} {
		b, err := new(wire.Decoder).Request([]byte(`{"metric_name":"m","value":1,"event_time":`+text+`}`), 1)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if len(b.Events) == 1 {
			got = fmt.Sprint(b.Events[0].Time)
		} else {
			got = b.Faults[0].Detail
		}
		if !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// A number has one text as the value of a tag, however it is written, and ids keep all their digits.
func TestTagsThatAreNoStrings(t *testing.T) {
	for text, want := range map[string]string{
		"true": "true", "false": "false", "0": "0", "-0": "0", "-0.0": "0", "1": "1", "1.0": "1", "10e-1": "1", "1e3": "1000", "-2.50": "-2.5", "0.1": "0.1",
		"12345678901234567890123": "12345678901234567890123", "1e21": "1e+21", "1.5E-7": "1.5e-7", "0.000001": "0.000001", "123456789012345680000.0": "123456789012345680000",
	} {
		d := new(wire.Decoder)
		for range 2 { // The second time from memory.
			b, err := d.Request([]byte(`{"metric_name":"m","value":1,"tags":{"a":`+text+`,"b":"x"}}`), 1)
			if err != nil || len(b.Events) != 1 || b.Events[0].Tags.Get("a") != want {
				t.Errorf("%s: %+v, %v, want %s", text, b, err, want)
				continue
			}
			record := string(b.AppendEvent(nil, 0))
			if !strings.Contains(record, `"tags":{"a":"`+want+`","b":"x"}`) {
				t.Errorf("%s: the record has %s", text, record)
			}
		}
	}
}

// Members that are none of an event's are told, and nothing is taken from them.
func TestUnknownMembers(t *testing.T) {
	unknown := func(read func(*wire.Decoder, []byte, int) (*wire.Batch, error), body string) string {
		t.Helper()
		b, err := read(new(wire.Decoder), []byte(body), 100)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]string, 0, len(b.Unknown))
		for _, u := range b.Unknown {
			out = append(out, fmt.Sprintf("%s×%d at %d: %s", u.Name, u.Count, u.Index, u.Meant))
		}
		return strings.Join(out, "; ")
	}
	for _, c := range []struct{ body, want string }{
		{`{"metric_name":"m","value":1}`, ""},
		{`[{"metric_name":"m","value":1},{"metric_name":"m","value":1,"timestamp":5,"x":{}},{"metric_name":"m","value":1,"timestamp":5,"labels":{}}]`, "timestamp×2 at 1: event_time; x×1 at 1: ; labels×1 at 2: tags"},
		{`{"events":[{"metric_name":"m","value":1,"ts":7}],"source":"s"}`, "source×1 at 0: ; ts×1 at 0: event_time"},
		{`{"metric_name":"m","value":1,"events":[{}]}`, "events×1 at 0: events"},
		{`{"metricName":"m","Val":1}`, "metricName×1 at 0: metric_name; Val×1 at 0: value"},
		{`{"metric_name":"m","value":1,"time":1,"` + strings.Repeat("n", 99) + `":1}`, "time×1 at 0: event_time; " + strings.Repeat("n", 64) + "×1 at 0: "},
	} {
		for form, read := range map[string]func(*wire.Decoder, []byte, int) (*wire.Batch, error){"request": (*wire.Decoder).Request, "guess": (*wire.Decoder).Guess} {
			if got := unknown(read, c.body); got != c.want {
				t.Errorf("%s %s:\n%s, want\n%s", form, c.body, got, c.want)
			}
		}
	}
	var many strings.Builder
	for i := range 40 {
		fmt.Fprintf(&many, `{"metric_name":"m","value":1,"n%d":0,"n%d":0}`, i, i)
	}
	if got := unknown((*wire.Decoder).Lines, many.String()); strings.Count(got, ";") != 16 || !strings.HasSuffix(got, "n15×2 at 15: ; ×48 at 16: ") {
		t.Errorf("40 names: %s", got)
	}
	for body, want := range map[string]string{
		`{"name":"m","value":1}`:          "metric_name is missing; you sent `name`: did you mean `metric_name`?",
		`{"Metric":"m","value":1}`:        "metric_name is missing; you sent `Metric`: did you mean `metric_name`?",
		`{"metric_name":"m","val":1}`:     "value is missing; you sent `val`: did you mean `value`?",
		`{"metric_name":"","name":"m"}`:   "metric_name is empty",
		`{"metric_name":"m","value":"1"}`: "value must be a number: leave out its quotes",
	} {
		b, err := new(wire.Decoder).Request([]byte(body), 1)
		if err != nil || len(b.Faults) != 1 || b.Faults[0].Detail != want {
			t.Errorf("%s: %+v, %v", body, b, err)
		}
	}
}

// What nobody calls JSON or NDJSON is what it holds.
func TestGuess(t *testing.T) {
	const one = `{"metric_name":"m","value":1}`
	for body, n := range map[string]int{
		one: 1, " " + one + "\n": 1, "[" + one + "," + one + "]": 2, one + "\n" + one: 2, one + one + "\n" + one: 3, "{\n\"events\":[\n" + one + "\n]}": 1,
		one + "\nx\n" + one: 3, `{"metric_name":"m","value":1,"x":1}` + "\n" + one: 2,
	} {
		if b, err := new(wire.Decoder).Guess([]byte(body), 10); err != nil || b.N != n {
			t.Errorf("%q: %+v, %v", body, b, err)
		}
	}
	for _, body := range []string{"{", "{x}\n" + one, "[" + one} {
		if _, err := new(wire.Decoder).Guess([]byte(body), 10); err == nil {
			t.Errorf("%q is taken", body)
		}
	}
}
