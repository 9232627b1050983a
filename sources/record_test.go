package sources_test

import (
	"testing"
	"time"

	"pulseboard/metric"
	"pulseboard/sources"
)

func TestVerdict(t *testing.T) {
	l := metric.Limits{Late: time.Minute, Ahead: 2 * time.Second}
	// The record was taken by a broker whose clock had been ahead, and was right again.
	r := sources.Record{Key: []byte("m"), Time: 500_000, Newest: 600_000, Latest: 500_000}
	for _, c := range []struct {
		metric string
		time   int64
		at     int64
		code   string
	}{
		{"m", 0, 500_000, metric.CodeTooLate}, // It has the record's own time.
		{"m", 540_000, 540_000, metric.CodeFromTheFuture},
		{"m", 502_000, 502_000, metric.CodeTooLate},
		{"m", 502_001, 502_001, metric.CodeFromTheFuture},
		{"other", 502_001, 502_001, metric.CodeKeyMismatch},
	} {
		at, code := r.Verdict(&metric.Event{Metric: c.metric, Time: c.time}, l)
		if at != c.at || code != c.code {
			t.Errorf("an event of %s at %d: %d %q, want %d %q", c.metric, c.time, at, code, c.at, c.code)
		}
	}
	r.Newest, r.Latest, r.Key = 500_000, 500_000, nil
	for at, want := range map[int64]string{439_999: metric.CodeTooLate, 440_000: "", 502_000: "", 502_001: metric.CodeFromTheFuture} {
		if _, code := r.Verdict(&metric.Event{Metric: "m", Time: at}, l); code != want {
			t.Errorf("an event at %d: %q, want %q", at, code, want)
		}
	}
}
