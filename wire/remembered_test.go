package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"pulseboard/metric"
	"pulseboard/wire"
)

// Tags of which none comes again, and long ones, do not stay in a decoder; the usual ones do.
func TestRememberedIsBounded(t *testing.T) {
	d := &wire.Decoder{MaxRemembered: 1 << 20}
	most := int64(0)
	for i := range 2000 {
		tags := metric.Tags{{Key: "a", Value: fmt.Sprint(i, strings.Repeat("x", 200))}, {Key: "b", Value: fmt.Sprint(strings.Repeat("y", 200), i)}}
		b, err := d.Record(wire.AppendRecord(nil, "m", []metric.Event{{Metric: "m", Value: 1, Tags: tags}}))
		if err != nil || len(b.Events) != 1 || b.Events[0].Tags[0].Value != tags[0].Value {
			t.Fatalf("record %d: %+v, %v", i, b, err)
		}
		most = max(most, d.Remembered())
	}
	if most < 1<<19 || most > 1<<20+4096 {
		t.Errorf("%d bytes were remembered at most, of 1 MiB", most)
	}
	usual := new(wire.Decoder)
	for i := range 9000 {
		tags := metric.Tags{{Key: "host", Value: fmt.Sprint("host-", i)}, {Key: "region", Value: "eu"}}
		if _, err := usual.Record(wire.AppendRecord(nil, "m", []metric.Event{{Metric: "m", Value: 1, Tags: tags}})); err != nil {
			t.Fatal(err)
		}
	}
	before := usual.Remembered()
	if before < 9000*100 {
		t.Errorf("of 9,000 usual tags only %d bytes are remembered", before)
	}
}
