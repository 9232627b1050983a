package load

import (
	"testing"
	"time"

	"pulseboard/wire"
)

// Lateness counts from when a result was due: the end of its window and the delay of its query.
func TestMeasurementOfAnUpdate(t *testing.T) {
	now := time.UnixMilli(10_000)
	l := &layout{widgets: []widget{{stream: &stream{refreshMs: 1000}}, {stream: &stream{refreshMs: 1000, delayMs: 500}}}}
	var m measurement
	m.update(l, &wire.Message{ServerTime: 9_990, Results: []wire.Received{
		{Index: 0, End: 9_000, Newest: 8_900}, // 1,000 ms late.
		{Index: 0, End: 9_000, Newest: 7_900}, // As late; its event was of an earlier window.
		{Index: 1, End: 9_000, Newest: wire.NoTime},
		{Index: 2, End: 1_000, Newest: 900}, // Of no widget.
	}}, now)
	if m.updates.Load() != 1 || m.results.Load() != 4 {
		t.Errorf("%d updates, %d results", m.updates.Load(), m.results.Load())
	}
	if m.endToClient.Count() != 3 || m.endToClient.Max() != time.Second || m.endToClient.Quantile(.3) >= 600*time.Millisecond {
		t.Errorf("window end to client: %d, at most %v, least %v", m.endToClient.Count(), m.endToClient.Max(), m.endToClient.Quantile(.3))
	}
	if m.eventToClient.Count() != 1 || m.eventToClient.Max() != 1100*time.Millisecond {
		t.Errorf("event to client: %d, %v", m.eventToClient.Count(), m.eventToClient.Max())
	}
	if m.serverToClient.Max() != 10*time.Millisecond {
		t.Errorf("server to client: %v", m.serverToClient.Max())
	}
	m.update(nil, &wire.Message{Results: []wire.Received{{Index: 0, End: 1000}}}, now)
	if m.endToClient.Count() != 3 {
		t.Error("a result was measured before a layout came")
	}
}

func TestPublicationsThatAreMissing(t *testing.T) {
	p := newPublications()
	begin := p.base - p.base%1000 + 1000
	st := p.stream("cpu:avg:5s", 1000)
	if p.stream("cpu:avg:5s", 1000) != st || p.stream("cpu:avg:5s", 2000) == st {
		t.Error("a stream is not one of a key and a refresh interval")
	}
	for _, n := range []int64{1, 2, 4} {
		st.mark(begin + 1000*n)
	}
	ends, examples := missing(map[*stream]int64{st: begin}, begin+5000)
	if ends != 2 || len(examples) != 1 || examples[0] != st.key {
		t.Errorf("%d ends of %v are missing; want the third and the fifth", ends, examples)
	}
}
