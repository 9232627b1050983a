package wire

import (
	"fmt"
	"testing"

	"pulseboard/metric"
)

// What a record and a request say of their metrics, read quickly and strictly.
func TestSaid(t *testing.T) {
	saying := string(EndRecordSaying(AppendRecordEvent(BeginRecord(nil, "m"), &metric.Event{Value: 1}), "s", "a \"b\"\u2028"))
	for _, c := range []struct{ record, want string }{
		{saying, `1: m "s" "a \"b\"\u2028"`},
		{`{"metric_name":"m","events":[],"unit":"ms"}`, `0: m "ms" ""`},
		{`{"metric_name":"m","unit":"ms","events":[{"value":1}],"help":"h"}`, `1: m "ms" "h"`},
		{`{"metric_name":"m","events":[{"value":1,"unit":"ms"}]}`, `1:`}, // Its record would say it.
		{`{"metric_name":"m","value":1,"unit":"ms","help":null}`, `1: m "ms" ""`},
		{`{"metric_name":"m","events":[{"value":1}],"unit":5,"help":"h","more":{}}`, `1: m "" "h"`},
		{`{"metric_name":"m","events":[{"value":1}],"unit":"s","metric_name":"n"}`, `1: n "s" ""`},
		{`{"metric_name":"m","events":[{"value":1}],"unit":"s"`, ``},
		{`{"metric_name":"m","events":[{"value":1}]"unit":"s"}`, ``},
		{`{"metric_name":"","events":[{"value":1}],"unit":"s"}`, `0:`},
	} {
		d := new(Decoder)
		for _, read := range []func([]byte) (*Batch, error){d.Record, d.strictRecord} {
			b, err := read([]byte(c.record))
			if got := saidBy(b, err); got != c.want {
				t.Errorf("%s says %s, want %s; %v", c.record, got, c.want, err)
			}
		}
	}
	for _, c := range []struct{ body, want string }{
		{`[{"metric_name":"m","value":1,"unit":"s"},{"metric_name":"m","value":2,"unit":"s"},{"metric_name":"n","value":2,"help":"h"}]`, `3: m "s" "" n "" "h"`},
		{`[{"metric_name":"m","unit":"s"},{"metric_name":"n","value":2,"unit":["s"]}]`, `1:`}, // Of an event that is refused nothing is taken.
	} {
		b, err := new(Decoder).Request([]byte(c.body), 10)
		if got := saidBy(b, err); got != c.want {
			t.Errorf("%s says %s, want %s; %v", c.body, got, c.want, err)
		}
	}
	b, err := new(Decoder).Lines([]byte("{\"metric_name\":\"m\",\"value\":1,\"unit\":\"s\"}{\"metric_name\":\n{\"metric_name\":\"n\",\"value\":1,\"unit\":\"s\"}"), 10)
	if got := saidBy(b, err); got != `1: n "s" ""` {
		t.Errorf("the lines say %s; %v", got, err)
	}
}

func saidBy(b *Batch, err error) string {
	if err != nil {
		return ""
	}
	text := fmt.Sprint(len(b.Events), ":")
	for _, s := range b.Said {
		text += fmt.Sprintf(" %s %q %q", s.Metric, s.Unit, s.Help)
	}
	return text
}
