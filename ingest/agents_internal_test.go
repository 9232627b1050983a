package ingest

import (
	"encoding/json"
	"math"
	"testing"

	"pulseboard/metric"
)

// Whatever an agent sends: each event gets one verdict, and what is accepted is valid and has a form in records.
func fuzzAgent(f *testing.F, read func(*agentBatch, []byte)) {
	f.Helper()
	f.Fuzz(func(t *testing.T, text []byte) {
		b := &agentBatch{limit: 1000, timed: true, points: true, left: map[string]int{}}
		err := eachObject(text, func(object []byte) error {
			if !json.Valid(object) {
				t.Fatalf("%q: %q is no JSON", text, object)
			}
			if b.N <= b.limit {
				read(b, object)
			}
			return nil
		})
		if err != nil {
			return
		}
		if len(b.Events)+len(b.Faults) != b.N || len(b.Index) != len(b.Events) {
			t.Fatalf("%q: %+v", text, b)
		}
		for _, e := range b.Events {
			if metric.ValidateName(e.Metric) != nil || metric.CheckTags(e.Tags) != nil || math.IsNaN(e.Value) || math.IsInf(e.Value, 0) || e.Time != 0 && metric.TimeFault(e.Time) != nil || e.Check() != nil {
				t.Fatalf("%q: accepted %+v", text, e)
			}
		}
		for _, fault := range b.Faults {
			if fault.Code == "" || fault.Detail == "" {
				t.Fatalf("%q: %+v", text, fault)
			}
		}
	})
}

func FuzzTelegraf(f *testing.F) {
	f.Add([]byte(`{"metrics":[{"fields":{"usage_idle":93.5,"value":1,"up":true,"s":"x"},"name":"cpu","tags":{"host":"a"},"timestamp":1763892000}]}`))
	f.Add([]byte(`{"name":"m","fields":{"v":1},"timestamp":1763892000123456789}` + "\n" + `{"name":"m","fields":{},"timestamp":-1}`))
	fuzzAgent(f, readTelegraf)
}

func FuzzCollectd(f *testing.F) {
	f.Add([]byte(`[{"values":[1901474177,null],"dstypes":["counter","gauge"],"dsnames":["value","x"],"time":1763892000.123,"interval":10.0,"host":"h","plugin":"cpu","plugin_instance":"0","type":"cpu","type_instance":"idle"}]`))
	fuzzAgent(f, readCollectd)
}

func FuzzVector(f *testing.F) {
	f.Add([]byte(`[{"name":"n","namespace":"s","tags":{"a":"b","c":["d",null]},"timestamp":"2026-11-23T10:00:00.123Z","kind":"incremental","counter":{"value":1.0}},{"name":"g","kind":"absolute","gauge":{"value":-1}}]`))
	f.Add([]byte(`{"name":"h","kind":"absolute","aggregated_histogram":{"buckets":[{"upper_limit":1.0,"count":2},{"upper_limit":null,"count":1}],"count":3,"sum":4.5}}{"name":"d","kind":"incremental","distribution":{"samples":[{"value":1,"rate":3}],"statistic":"histogram"}}`))
	f.Add([]byte(`{"name":"s","kind":"absolute","aggregated_summary":{"quantiles":[{"quantile":0.99,"value":3}],"count":3,"sum":4.5}}{"name":"x","kind":"incremental","set":{"values":["a"]}}`))
	fuzzAgent(f, readVector)
}

func FuzzFluentBit(f *testing.F) {
	f.Add([]byte(`[{"date":1763892000.123456,"cpu_p":1.5,"host":"a","cpu0":{"p":2,"x":{"y":true}}},{"@timestamp":"2026-11-23T10:00:00.5Z","n":1}]`))
	fuzzAgent(f, fluentBit{name: "fb", tags: []string{"host"}}.read)
}
