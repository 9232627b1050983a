package metric_test

import (
	"bytes"
	"testing"

	"pulseboard/metric"
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
		r, err := metric.DecodeResult(text)
		if err != nil {
			return
		}
		once, err := r.Encode()
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", r, err)
		}
		again, err := metric.DecodeResult(once)
		if err != nil {
			t.Fatalf("%s cannot be read: %v", once, err)
		}
		twice, err := again.Encode()
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%s is read as %s: %v", once, twice, err)
		}
	})
}

func BenchmarkDecodeResult(b *testing.B) {
	text := []byte(`{"key":"http.request.duration:p95:60s {region=\"eu\"}","window_start":1763892000000,"window_end":1763892060000,"prev_end":1763892059000,"due":[1000],"newest_event":1763892059871,"complete":true,"matched":3,"series_version":"8f3a5b1c","series":[{"tags":{},"value":12.53125,"count":210}],"truncated":0}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := metric.DecodeResult(text); err != nil {
			b.Fatal(err)
		}
	}
}
