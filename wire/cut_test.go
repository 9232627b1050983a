package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"pulseboard/metric"
	"pulseboard/wire"
)

// Tags beyond the limits are refused, or cut and counted, whichever reader takes the event and whether it knows them or not.
func TestTagsAreCut(t *testing.T) {
	long := `{"a":"` + strings.Repeat("x", metric.MaxTagValue+1) + `"}`
	for _, tags := range []string{long, manyTags(metric.MaxTags + 1)} {
		for _, form := range []string{`{"metric_name":"m","value":1,"tags":%s}`, `{"metric_name":"m","value":1,"tags":%s,"other":1}`, `{"metric_name":"m","tags":%s,"value":1e-3}`} {
			event := fmt.Sprintf(form, tags)
			body := []byte("[" + event + "," + event + `,{"metric_name":"m","value":2,"tags":{"a":"b"}}]`)
			if b, err := new(wire.Decoder).Request(body, 9); err != nil || len(b.Events) != 1 || len(b.Faults) != 2 || b.Cut != 0 {
				t.Errorf("%.60s: %v, %+v", event, err, b)
			}
			d := &wire.Decoder{Cut: true}
			for range 2 {
				b, err := d.Request(body, 9)
				if err != nil || len(b.Events) != 3 || b.Cut != 2 || metric.CheckTags(b.Events[0].Tags) != nil || b.Events[0].Tags.Compare(b.Events[1].Tags) != 0 {
					t.Errorf("%.60s: %v, %+v", event, err, b)
					continue
				}
				for i := range b.Events { // What goes into records is what was cut.
					text := wire.EndRecord(b.AppendEvent(wire.BeginRecord(nil, "m"), i))
					if back, err := new(wire.Decoder).Record(text); err != nil || len(back.Events) != 1 || back.Events[0].Tags.Compare(b.Events[i].Tags) != 0 {
						t.Errorf("%.60s: %v, %+v", text, err, back)
					}
				}
				lines, err := d.Lines([]byte(event+" x\n"+event+"\n"), 9)
				if err != nil || len(lines.Events) != 1 || lines.Cut != 1 {
					t.Errorf("%.60s: %v, %+v", event, err, lines)
				}
			}
		}
	}
}
