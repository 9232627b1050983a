package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"pulseboard/metric"
)

// sameBatch says how two batches differ, "" = not at all.
func sameBatch(a, b *Batch) string {
	if a.N != b.N || !reflect.DeepEqual(a.Index, b.Index) && len(a.Index)+len(b.Index) > 0 || len(a.Events) != len(b.Events) || len(a.Faults) != len(b.Faults) {
		return fmt.Sprintf("%+v and %+v", a, b)
	}
	if !reflect.DeepEqual(a.Unknown, b.Unknown) {
		return fmt.Sprintf("unknown %+v and %+v", a.Unknown, b.Unknown)
	}
	if !reflect.DeepEqual(a.Said, b.Said) && len(a.Said)+len(b.Said) > 0 {
		return fmt.Sprintf("said %q and %q", a.Said, b.Said)
	}
	for i := range a.Events {
		x, y := a.Events[i], b.Events[i]
		if math.Float64bits(x.Value) != math.Float64bits(y.Value) || x.Metric != y.Metric || x.Time != y.Time || x.Tags.Compare(y.Tags) != 0 ||
			x.Kind != y.Kind || x.Start != y.Start || x.Stale != y.Stale || x.Point != y.Point || x.Nanos != y.Nanos || !reflect.DeepEqual(x.Histogram, y.Histogram) {
			return fmt.Sprintf("event %d: %+v and %+v", i, x, y)
		}
	}
	for i := range a.Faults {
		if a.Faults[i] != b.Faults[i] {
			return fmt.Sprintf("fault %d: %+v and %+v", i, a.Faults[i], b.Faults[i])
		}
	}
	return ""
}

func checkQuick(t *testing.T, d *Decoder, body []byte) {
	t.Helper()
	const limit = 100
	want, wantErr := new(Decoder).strict(body, limit)
	got, err := d.Request(body, limit)
	switch {
	case fmt.Sprint(err) != fmt.Sprint(wantErr):
		t.Fatalf("%q: %v, strictly %v", body, err, wantErr)
	case err != nil:
		return
	}
	if diff := sameBatch(got, want); diff != "" {
		t.Fatalf("%q: quick and strict: %s", body, diff)
	}
	// What goes into records reads back the same.
	for i, e := range got.Events {
		text := EndRecord(got.AppendEvent(BeginRecord(nil, e.Metric), i))
		back, err := new(Decoder).strictRecord(text)
		if err != nil || len(back.Events) != 1 {
			t.Fatalf("%q: the record %s: %v, %+v", body, text, err, back)
		}
		if diff := sameBatch(&Batch{Events: back.Events}, &Batch{Events: []metric.Event{e}}); diff != "" {
			t.Fatalf("%q: the record %s: %s", body, text, diff)
		}
		if n := len(text) - len(e.Metric) - len(`{"metric_name":"","events":[]}`); n >= RecordEventBytes(&e) {
			t.Fatalf("%q: %s takes %d bytes, more than %d", body, text, n, RecordEventBytes(&e))
		}
	}
	checkOracle(t, body, got, nil)
}

// checkOracle compares with encoding/json: whether a text is JSON, and what is in an accepted event.
func checkOracle(t *testing.T, body []byte, got *Batch, err error) {
	t.Helper()
	if (err == nil) != json.Valid(body) && !strings.Contains(fmt.Sprint(err), "depth") {
		t.Fatalf("%q: %v, but encoding/json says %v", body, err, json.Valid(body))
	}
	if err != nil {
		return
	}
	type event struct {
		Name  string             `json:"metric_name"`
		Value float64            `json:"value"`
		Tags  map[string]*string `json:"tags"`
	}
	// encoding/json takes names without regard to case and keeps what an earlier
	// member of a map had: bodies in which that matters are not compared.
	var generic []json.RawMessage
	lower, exact := strings.ToLower(string(body)), string(body)
	for _, name := range []string{"metric_name", "value", "tags"} {
		if strings.Count(lower, name) != strings.Count(exact, name) {
			return
		}
	}
	if json.Unmarshal(body, &generic) != nil || strings.Count(exact, "metric_name") != len(generic) || strings.Count(exact, "tags") > len(generic) || strings.Contains(exact, `\u`) {
		return
	}
	for i, e := range got.Events {
		var want event
		if json.Unmarshal(generic[got.Index[i]], &want) != nil || strings.Count(string(generic[got.Index[i]]), "value") != 1 || strings.Count(string(generic[got.Index[i]]), "tags") > 1 {
			continue
		}
		tags := map[string]string{}
		for k, v := range want.Tags {
			if v != nil {
				tags[k] = *v
			}
		}
		if e.Metric != want.Name || math.Float64bits(e.Value) != math.Float64bits(want.Value) || metric.NewTags(tags).Compare(e.Tags) != 0 {
			t.Fatalf("%q: event %d is %+v, encoding/json says %+v", body, i, e, want)
		}
	}
}

// Each form that an event can have is read the same way by the quick reader and by the strict one.
func TestQuickIsStrict(t *testing.T) {
	d := new(Decoder)
	values := []string{
		"0", "-0", "1", "-1", "12.5", "0.1", "00", "01", "-", ".5", "5.", "1e3", "1E+3", "1e", "1e999", "-0.0", "123456789012345", "1234567890123456", "0.123456789012345",
		"0.1234567890123456", "9007199254740993", "1.7976931348623157e308", "4.9e-324", "1000000000000000000000000000000", "NaN", `"1"`, "null", "true", "0x1",
	}
	tags := []string{
		`{}`, `{ }`, `{"a":"b"}`, `{"b":"x","a":"y"}`, `{"a":"b"`, `{"a":"}"}`, `{"a":""}`, `{"a":null}`, `{"a":"b","a":"c"}`, `{"a":"é"}`, `{"a":"\u0041"}`, `{"a":"b",}`,
		`{"a" : "b" , "c":"d"}`, `{"a b":"x"}`, `{"°/a":"}"}`, `{"a\tb":"x"}`, `{"a":1}`, `null`, `[]`, `{"a":"` + strings.Repeat("x", 1025) + `"}`, "{\"a\":\"\x7f\"}", "{\"a\":\"\xff\"}", `{"a":{"b":"c"}}`, `{"<":">"}`, `{"a":"<&>"}`,
	}
	times := []string{
		"1763892000000", "946684799999", "946684800000", "253402300799999", "253402300800000", "1763892000000.9", "1.7e12", "-1", "01763892000000", "null",
		`"2026-11-23T10:00:00Z"`, `"2026-11-23T10:00:00.123Z"`, `"2026-11-23T10:00:00.123456789Z"`, `"2026-11-23T10:00:00.1234567891Z"`, `"2026-11-23T10:00:00,1Z"`, `"2026-11-23T10:00:00.Z"`,
		`"2024-02-29T00:00:00Z"`, `"2026-02-29T00:00:00Z"`, `"2100-02-29T00:00:00Z"`, `"2026-13-01T00:00:00Z"`, `"2026-00-01T00:00:00Z"`, `"2026-04-31T00:00:00Z"`, `"2026-01-01T24:00:00Z"`,
		`"2026-01-01T00:60:00Z"`, `"2026-01-01T00:00:60Z"`, `"1999-12-31T23:59:59.999Z"`, `"2000-01-01T00:00:00Z"`, `"9999-12-31T23:59:59.999Z"`, `"2026-11-23T10:00:00+01:00"`, `"2026-11-23t10:00:00z"`, `""`, `"x"`,
	}
	marks := []string{
		`"kind":"event"`, `"kind":"delta"`, `"kind":"cumulative"`, `"kind":"gauge"`, `"kind":"Gauge"`, `"kind":""`, `"kind":null`, `"kind":1`, `"kind":[]`, `"kind":"g\u0061uge"`, `"kind":"gauge`,
		`"kind":"delta","start":1763892000000`, `"kind":"cumulative","start":"2025-11-23T10:00:00Z"`, `"start":1763892000000`, `"kind":"gauge","start":1763892000000`, `"kind":"event","start":1763892000000`,
		`"kind":"cumulative","start":1763892000000,"event_time":1763892000000`, `"kind":"cumulative","start":1763892000001,"event_time":1763892000000`, `"kind":"delta","start":1`, `"kind":"delta","start":"x"`,
		`"kind":"delta","start":{}`, `"kind":"delta","start":null`, `"kind":"cumulative","kind":"delta"`, `"stale":true`, `"stale":false`, `"stale":null`, `"stale":"true"`, `"stale":truex`, `"stale":tru`,
		`"point":true`, `"point":true,"event_time":1763892000000`, `"point":false`, `"point":null`, `"point":1`, `"point":0,"event_time":1763892000000`, `"event_time":1763892000000,"point":999999`, `"point":42,"event_time":1763892000000,"kind":"gauge"`, `"point":1000000,"event_time":1763892000000`,
		`"point":-1,"event_time":1763892000000`, `"point":1.5,"event_time":1763892000000`, `"point":1e3,"event_time":1763892000000`, `"point":007,"event_time":1763892000000`, `"point":"7","event_time":1763892000000`,
		`"event_time":"2026-11-23T10:00:00.123456789Z","point":true`, `"point":true,"event_time":"2026-11-23T10:00:00.123456Z"`, `"event_time":"2026-11-23T10:00:00.123456789Z","point":false`,
		`"event_time":"2026-11-23T10:00:00.123456789Z","point":7`, `"point":7,"event_time":"2026-11-23T10:00:00.123456789Z"`, `"point":7,"event_time":"2026-11-23T10:00:00.123Z"`,
		`"event_time":"2026-11-23T10:00:00.123456789+01:00","point":true`, `"event_time":"2026-11-23T10:00:00.123456789Z","point":0`, `"point":true,"kin":"gauge","event_time":1763892000000`, `"point":true,"point":false`,
	}
	histograms := []string{
		`{"scale":3,"count":3,"sum":4.5,"min":1,"max":2,"zero":0,"zero_threshold":0,"positive":{"offset":-2,"counts":[1,2]},"negative":{}}`, `{"scale":0,"count":0,"sum":0}`, `{}`, `null`, `[]`, `7`,
		` { "scale" : -4 , "count":1,"sum":-1,"negative":{"counts":[1],"offset":-1,"x":[{}]},"other":"}" } `, `{"scale":21,"count":0,"sum":0}`, `{"scale":300,"count":0,"sum":0}`,
		`{"scale":1.5,"count":0,"sum":0}`, `{"scale":1,"count":1,"sum":0}`, `{"scale":1,"count":-1,"sum":0}`, `{"scale":1,"count":1,"sum":1e999,"zero":1}`, `{"scale":1,"count":"1","sum":1}`,
		`{"scale":1,"count":1,"sum":1,"zero":1,"min":1}`, `{"scale":1,"count":1,"sum":1,"zero":1,"min":1,"max":null}`, `{"scale":1,"count":1,"sum":1,"positive":[1]}`, `{"scale":1,"count":0,"sum":0,"positive":null}`,
		`{"scale":1,"count":1,"sum":1,"positive":{"offset":"1","counts":[1]}}`, `{"scale":1,"count":1,"sum":1,"positive":{"counts":[1,]}}`, `{"sc\u0061le":1,"count":1,"sum":1,"positive":{"counts":[1]}}`,
		`{"scale":1,"scale":2,"count":2,"sum":1,"positive":{"counts":[1,0,1]}}`, `{"scale":1,"count":1,"sum":1,"positive":{"counts":[1]}`, `{"scale":1,"count":0,"sum":0,"positive":{"counts":[` + strings.Repeat("0,", 1280) + `0]}}`,
		`{"scale":6,"count":0,"sum":0,"positive":{"counts":[` + strings.Repeat("0,", 700) + `0]},"negative":{"counts":[` + strings.Repeat("0,", 700) + `0]}}`,
	}
	for _, v := range histograms {
		marks = append(marks, `"histogram":`+v, `"stale":true,"histogram":`+v, `"kind":"gauge","histogram":`+v, `"kind":"cumulative","start":1763892000000,"histogram":`+v)
	}
	var events []string
	for _, v := range marks {
		events = append(events, `{"metric_name":"m","value":1,`+v+`}`, `{"metric_name":"m",`+v+`}`, `{"metric_name":"m",`+v+`,"value":null,"tags":{"a":"b"}}`)
	}
	for _, v := range values {
		events = append(events, `{"metric_name":"m","value":`+v+`}`)
	}
	for _, v := range tags {
		events = append(events, `{"metric_name":"m","value":1,"tags":`+v+`}`)
	}
	for _, v := range times {
		events = append(events, `{"metric_name":"m","event_time":`+v+`,"value":1}`)
	}
	events = append(
		events, `{"value":1,"metric_name":"m"}`, `{"value":1}`, `{"metric_name":"m"}`, `{}`, `{"metric_name":"1","value":1}`, `{"metric_name":"\u0001","value":1}`, `{"metric_name":"°C","value":1}`, `{"metric_name":"°\"C","value":1}`, `{"metric_name":"","value":1}`, `{"metric_name":"m\u0061","value":1}`,
		`{"metric_name":"m","value":1,"value":2}`, `{"metric_name":"m","value":1,"other":2}`, `{"metric_name":"m","value":1,}`, `{"metric_name":"m" "value":1}`, `{"metric_name":"m","value":1`, `7`, `null`, `[]`,
		"\t{ \"metric_name\" :\r\n\"m\" , \"value\": 1 }\n", `{"events":1,"metric_name":"m","value":1}`, `{"metric_name":"m","value":1,"events":[]}`,
	)
	for _, e := range events {
		for _, form := range []string{"%s", "[%s]", `{"events":[%s]}`, `{"metric_name":"m","value":1},%s`, `[%s,{"metric_name":"n","value":2,"tags":{"a":"b"}}]`, `[{"metric_name":"n","value":2},%s`, `{"events":[%s],"x":1}`, "[%s]x", `{"events":[%s]`} {
			body := []byte(strings.Replace(form, "%s", e, 1))
			checkQuick(t, d, body)
			checkQuick(t, d, body) // Now from memory.
		}
		for _, form := range []string{"%s", `{"metric_name":"m","events":[%s]}`, `{"metric_name":"m","events":[{"value":1},%s]}`, `{"metric_name":"m","events":[%s]} `, `{"metric_name":"m","events":[%s]`} {
			checkRecord(t, d, []byte(strings.Replace(form, "%s", strings.Replace(e, `"metric_name":"m",`, "", 1), 1)))
		}
	}
}

func checkRecord(t *testing.T, d *Decoder, value []byte) {
	t.Helper()
	want, wantErr := new(Decoder).strictRecord(value)
	got, err := d.Record(value)
	if fmt.Sprint(err) != fmt.Sprint(wantErr) {
		t.Fatalf("%q: %v, strictly %v", value, err, wantErr)
	}
	if err == nil {
		if diff := sameBatch(got, want); diff != "" {
			t.Fatalf("%q: quick and strict: %s", value, diff)
		}
	}
}

// The plain form allocates nothing for an event once its name and tags have been seen.
func TestQuickAllocatesNothing(t *testing.T) {
	var body, lines []byte
	for i := range 1000 {
		e := fmt.Appendf(nil, `{"metric_name":"m%d","value":%g,"tags":{"host":"web-%02d","region":"eu"},"event_time":"2026-11-23T10:00:00.123Z"}`, i%20, float64(i)*1.1, i%100)
		body = append(append(body, "[,"[min(i, 1)]), e...)
		lines = append(append(lines, e...), '\n')
	}
	body = append(body, ']')
	d, out := new(Decoder), make([]byte, 0, 1<<10)
	for name, read := range map[string]func() (*Batch, error){
		"array": func() (*Batch, error) { return d.Request(body, 1000) },
		"lines": func() (*Batch, error) { return d.Lines(lines, 1000) },
	} {
		allocs := testing.AllocsPerRun(20, func() {
			b, err := read()
			if err != nil || len(b.Events) != 1000 {
				t.Fatal(err)
			}
			for i := range b.Events {
				out = b.AppendEvent(out[:0], i)
			}
		})
		if allocs > 5 { // Of the request, however many events it has.
			t.Errorf("%s: %v allocations for 1,000 events", name, allocs)
		}
	}
}

func FuzzQuickIsStrict(f *testing.F) {
	f.Add([]byte(`{"events":[{"metric_name":"m","value":1,"tags":{"a":"b"},"event_time":"2026-11-23T10:00:00Z"}]}`))
	f.Add([]byte(`[{"metric_name":"m","value":1e9,"tags":{"b":"}","a":"c"}},{"metric_name":"m","value":-0.125,"event_time":1763892000000},null,{"tags":{"a":1}}]`))
	f.Add([]byte(`[{"metric_name":"m","value":7,"kind":"cumulative","start":1763891000000,"point":true,"event_time":1763892000000},{"metric_name":"m","stale":true,"kind":"gauge"}]`))
	f.Add([]byte(`[{"metric_name":"m","kind":"delta","histogram":{"scale":3,"count":3,"sum":4.5,"min":1,"max":2,"positive":{"offset":-2,"counts":[1,2]},"zero_threshold":1e-9}}]`))
	f.Add([]byte(`[{"metric_name":"m","value":123456789012345.6},{"metric_name":"m","value":1,"tags":{"a":"\u00e9"}}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		d := new(Decoder)
		checkQuick(t, d, body)
		checkQuick(t, d, body)
	})
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("{\"metric_name\":\"m\",\"value\":1,\"tags\":{\"a\":\"b\"}}\r\n\n{}\nx\n{\"metric_name\":\"m\",\"value\":2} 3\n{\"metric_name\":\"m\",\"value\":2}{}\t{\"value\":1}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := new(Decoder).Lines(body, 100)
		if errors.Is(err, ErrTooMany) {
			return
		}
		// A line is a request of one event, except that an array or a list of events is none, or of several objects.
		n := 0
		want := new(Batch)
		for line := range strings.SplitSeq(string(body), "\n") {
			if strings.Trim(line, " \t\r") == "" {
				continue
			}
			values, ok := valuesOfLine(line)
			if !ok {
				want.Faults = append(want.Faults, IndexedFault{n, metric.Fault{Code: metric.CodeMalformed}})
				n++
			}
			for _, value := range values {
				one, err := new(Decoder).strict([]byte("["+value+"]"), 100)
				switch {
				case err != nil:
					return // Deeper than allowed, by one.
				case len(one.Events) == 1:
					want.Events, want.Index = append(want.Events, one.Events[0]), append(want.Index, n)
				default:
					want.Faults = append(want.Faults, IndexedFault{n, one.Faults[0].Fault})
				}
				n++
			}
		}
		got.Unknown = nil // Those of broken lines count too.
		want.N = n
		for i := range want.Faults {
			if want.Faults[i].Detail == "" && i < len(got.Faults) {
				want.Faults[i].Detail = got.Faults[i].Detail // The place in the line, which encoding/json does not say.
			}
		}
		if diff := sameBatch(got, want); diff != "" {
			t.Fatalf("%q: %s", body, diff)
		}
	})
}

// valuesOfLine returns the JSON values of a line, of which several must be objects.
func valuesOfLine(line string) (values []string, ok bool) {
	d := json.NewDecoder(strings.NewReader(line))
	for {
		var v json.RawMessage
		switch err := d.Decode(&v); {
		case errors.Is(err, io.EOF):
			return values, true
		case err != nil:
			return nil, false
		case len(values) > 0 && (v[0] != '{' || values[0][0] != '{'):
			return nil, false
		}
		values = append(values, string(v))
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"metric_name":"m","events":[{"value":1,"tags":{"a":"b"},"event_time":1763892000000},{"value":-2.5e3}]}`))
	f.Add([]byte(`{"metric_name":"m","value":1}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		d := new(Decoder)
		checkRecord(t, d, value)
		checkRecord(t, d, value)
		if got, err := d.Record(value); err == nil && len(got.Events)+len(got.Faults) != got.N {
			t.Fatalf("%q: %+v", value, got)
		}
	})
}

// A request of 1,000 events of 100 series of each of 20 metrics, as a producer repeats them.
func BenchmarkRequest(b *testing.B) {
	var body []byte
	for i := range 1000 {
		body = fmt.Appendf(append(body, "[,"[min(i, 1)]), `{"metric_name":"api.request.latency.m%02d","value":%g,"tags":{"host":"web-%02d","region":"eu","path":"/api/v1/items"},"event_time":%d}`,
			i%20, float64(i)*1.25+0.1, i%100, 1763892000000+i)
	}
	body = append(body, ']')
	run := func(b *testing.B, decode func() int) {
		b.Helper()
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n += decode()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
	}
	b.Run("quick", func(b *testing.B) {
		d := new(Decoder)
		run(b, func() int {
			batch, err := d.Request(body, 50_000)
			if err != nil || len(batch.Events) != 1000 {
				b.Fatal(err)
			}
			return batch.N
		})
	})
	b.Run("strict", func(b *testing.B) {
		d := new(Decoder)
		run(b, func() int {
			batch, err := d.strict(body, 50_000)
			if err != nil {
				b.Fatal(err)
			}
			return batch.N
		})
	})
	b.Run("encoding-json", func(b *testing.B) {
		run(b, func() int {
			var events []struct {
				Metric string            `json:"metric_name"`
				Value  float64           `json:"value"`
				Tags   map[string]string `json:"tags"`
				Time   json.RawMessage   `json:"event_time"`
			}
			if err := json.Unmarshal(body, &events); err != nil {
				b.Fatal(err)
			}
			return len(events)
		})
	})
}

func TestEightDigits(t *testing.T) {
	for _, c := range []string{"00000000", "12345678", "99999999", "17638920", "1234567:", "/2345678", "1234 678", "-1234567", "12.45678", "1234567\x3f"} {
		want, err := strconv.ParseUint(c, 10, 64)
		v, ok := eightDigits(binary.LittleEndian.Uint64([]byte(c)))
		if ok != (err == nil) || ok && v != int64(want) {
			t.Errorf("%q: %d, %v", c, v, ok)
		}
	}
	for i := range 8 {
		for c := range 256 {
			text := []byte("12345678")
			text[i] = byte(c)
			want, err := strconv.ParseUint(string(text), 10, 64)
			if v, ok := eightDigits(binary.LittleEndian.Uint64(text)); ok != (err == nil) || ok && v != int64(want) {
				t.Fatalf("%q: %d, %v", text, v, ok)
			}
		}
	}
}
