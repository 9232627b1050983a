package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"pulseboard/metric"
	"pulseboard/wire"
)

// readConnect reads a record of the topic orders, as a new process does.
func readConnect(tb testing.TB, options, value string) (*wire.Batch, map[string]int, *refusal) {
	tb.Helper()
	o, err := url.ParseQuery(options)
	if err != nil {
		tb.Fatal(err)
	}
	m, err := newMetrics(nil)
	if err != nil {
		tb.Fatal(err)
	}
	open, err := connectKind().open(&Service{metrics: m}, "orders", o)
	if err != nil {
		tb.Fatal(err)
	}
	r := open().(*agentRequest)
	left := map[string]int{}
	read := r.read
	r.read = func(b *agentBatch, object []byte) { read(b, object); left = b.left }
	batch, no := r.decode([]byte(value), mostOfRecord)
	return batch, left, no
}

// What of Kafka Connect is a metric: docs/ingest.md.
func TestConnect(t *testing.T) {
	const decimal = `{"schema":{"type":"struct","fields":[{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"%s"},"field":"p"}],"optional":false},"payload":{"p":"%s"}}`
	const timestamp = `{"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"name":"org.apache.kafka.connect.data.Timestamp","version":1,"field":"at"},{"type":"int32","field":"n"}]},"payload":{"at":1763892000123,"n":1}}`
	for _, c := range []struct{ options, value, want string }{
		{"", `{"price":1.5,"n":2,"ok":true,"text":"x"}`, "orders.n=2 orders.ok=1 orders.price=1.5; left string:1"},
		{"name=o", `{"a":{"b":{"c":{"d":{"e":{"f":1}}}}}}`, "value_missing; left neither_number_nor_text:1"},
		{"name=o", `{"a":{"b":{"c":{"d":{"e":1}}}}}`, "o.a.b.c.d.e=1"},
		{"name=", `{"price":1}`, "price=1"},
		{"tags=r,id,ok&values=price", `{"price":1,"r":"eu","id":12345678901234567890,"ok":false,"n":3}`, `orders.price=1{"id":"12345678901234567890","ok":"false","r":"eu"}`},
		{"tags=r", `{"price":1,"r":null}`, "orders.price=1"},
		{"tags=r", `{"price":1,"r":{}}`, "tags_invalid"},
		{"kind=cumulative", `7`, "orders=7cumulative"},
		{"", `{"schema":{"type":"double","optional":false},"payload":12.5}`, "orders=12.5"},
		{"", `{"schema":null,"payload":{"a":1}}`, "orders.a=1"},
		{"", `{"schema":{"type":"string"},"payload":"text"}`, "value_missing; left string:1"},
		{"", `{"schema":{"type":"string"},"payload":null}`, "; left null:1"},
		{"", `{"a":null}`, "; left null:1"},
		{"", `{}`, "value_missing"},
		{"", `{"schema":1,"payload":{"a":1}}`, "malformed"},
		{"", `{"schema":1,"payload":2,"more":3}`, "orders.more=3 orders.payload=2 orders.schema=1"},
		{"", fmt.Sprintf(decimal, "2", "MDk="), "orders.p=123.45"},
		{"", fmt.Sprintf(decimal, "2", "/w=="), "orders.p=-0.01"},
		{"", fmt.Sprintf(decimal, "-3", "AQ=="), "orders.p=1000"},
		{"", fmt.Sprintf(decimal, "0", "AIA="), "orders.p=128"},
		{"", fmt.Sprintf(decimal, "x", "AQ=="), "malformed"},
		{"", fmt.Sprintf(decimal, "1", "?"), "malformed"},
		{"", fmt.Sprintf(decimal, "1", ""), "malformed"},
		{"", fmt.Sprintf(decimal, "-400", "AQ=="), "value_not_finite"},
		{"", strings.Replace(fmt.Sprintf(decimal, "1", ""), `""`, "1.25", 1), "orders.p=1.25"}, // decimal.format NUMERIC.
		{"", timestamp, "orders.n=1; left time:1"},
		{"time=at", timestamp, "orders.n=1@1763892000123"},
		{"time=at", `{"at":"2025-11-23T10:00:00.5Z","n":1}`, "orders.n=1@1763892000500"},
		{"time=at", `{"at":1763892000,"n":1}`, "orders.n=1@1763892000000"},
		{"time=at", `{"at":null,"n":1}`, "orders.n=1"},
		{"time=at", `{"n":1}`, "orders.n=1"},
		{"time=at", `{"at":7,"n":1}`, "event_time_invalid"},
		{"", `{"n":1e400}`, "value_not_finite"},
		{"tags=h", `{"metric_name":"m","value":2,"kind":"gauge","tags":{"a":"b"},"event_time":1763892000123}`, `m=2gauge{"a":"b"}@1763892000123`},
		{"", `{"metric_name":"m","value":"x"}`, "malformed"},
		{"", `{"schema":{"type":"struct"},"payload":{"metric_name":"m"}}`, "value_missing"},
	} {
		batch, left, no := readConnect(t, c.options, c.value)
		if no != nil {
			t.Errorf("%s: %v", c.value, no.detail)
			continue
		}
		var got []string
		for i := range batch.Events {
			e := &batch.Events[i]
			text := fmt.Sprintf("%s=%v", e.Metric, e.Value)
			if e.Kind != metric.Plain {
				text += e.Kind.String()
			}
			if len(e.Tags) > 0 {
				text += fmt.Sprint(e.Tags)
			}
			if e.Time != 0 {
				text += fmt.Sprintf("@%d", e.Time)
			}
			got = append(got, text)
		}
		for _, f := range batch.Faults {
			got = append(got, f.Code)
		}
		text := strings.Join(got, " ")
		if len(left) > 0 {
			text += "; left " + strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(left), "map["), "]")
		}
		if text != c.want {
			t.Errorf("%s of %s: %s, want %s", c.options, c.value, text, c.want)
		}
	}
}

// Whatever comes, each event has a verdict, and an envelope changes nothing but what its schema says.
func FuzzConnect(f *testing.F) {
	for _, text := range []string{`{"a":1,"b":{"c":true}}`, `12.5`, `"x"`, `null`, `{"metric_name":"m","value":1}`, `{"schema":null,"payload":{"a":1}}`, `[1,2]`, `{"r":"x","at":1763892000,"n":3}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		const options = "tags=r&time=at"
		batch, left, no := readConnect(t, options, text)
		if no != nil {
			return
		}
		if batch.N != len(batch.Events)+len(batch.Faults) || len(batch.Index) != len(batch.Events) {
			t.Fatalf("of %d events %d are good and %d bad", batch.N, len(batch.Events), len(batch.Faults))
		}
		var members map[string]json.RawMessage
		if value := bytes.TrimSpace([]byte(text)); !json.Valid(value) || value[0] == '[' || json.Unmarshal(value, &members) == nil && members["payload"] != nil {
			return
		}
		within, left2, no := readConnect(t, options, `{"schema":null,"payload":`+text+`}`)
		if no != nil || fmt.Sprint(batch.Events, batch.Faults, left) != fmt.Sprint(within.Events, within.Faults, left2) {
			t.Fatalf("%v %v %v, in an envelope %v %v %v, %v", batch.Events, batch.Faults, left, within.Events, within.Faults, left2, no)
		}
	})
}
