package metric

import (
	"math"
	"strconv"
)

// DecodeRecord reads the value of a Kafka record: one event, or events of one
// metric as {"metric_name":"…","events":[{"value":…,"tags":{…},"event_time":…},…]}.
// The error is a *Fault: the record can only be buried whole.
func DecodeRecord(value []byte) (*Batch, error) {
	d := newDecoder(math.MaxInt)
	d.reset(value)
	if d.json.PeekKind() != '{' {
		if _, err := d.next(); err != nil {
			return nil, &Fault{CodeNotJSON, err.Error()}
		}
		if err := d.end(); err != nil {
			return nil, &Fault{CodeNotJSON, err.Error()}
		}
		return nil, malformed("a record must hold a JSON object")
	}
	var f fields
	d.inRecord = true
	isList, err := d.object(&f)
	if err == nil {
		err = d.end()
	}
	if err != nil {
		return nil, &Fault{CodeNotJSON, err.Error()}
	}
	if !isList {
		d.inRecord = false
		d.batch = Batch{}
		d.add(d.event(&f))
		return &d.batch, nil
	}
	if f.name != nil && f.name[0] != '"' {
		return nil, malformed("metric_name must be a string")
	}
	name, fault := d.name(f.name)
	if fault != nil {
		return nil, fault
	}
	for i := range d.batch.Events {
		d.batch.Events[i].Metric = name
	}
	return &d.batch, nil
}

// AppendRecord appends the value of a Kafka record that holds events of one
// metric. Values must be finite and are read back bit for bit; events without a
// time stay so.
func AppendRecord(dst []byte, name string, events []Event) []byte {
	dst = append(dst, `{"metric_name":`...)
	dst = appendString(dst, name)
	dst = append(dst, `,"events":[`...)
	for i := range events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendRecordEvent(dst, &events[i])
	}
	return append(dst, "]}"...)
}

// AppendRecordEvent appends one of the events of AppendRecord.
func AppendRecordEvent(dst []byte, e *Event) []byte {
	dst = append(dst, `{"value":`...)
	// The shortest text that reads back as the same bits, -0 included.
	dst = strconv.AppendFloat(dst, e.Value, 'g', -1, 64)
	if len(e.Tags) > 0 {
		dst = append(dst, `,"tags":`...)
		dst = e.Tags.AppendJSON(dst)
	}
	if e.Time != 0 {
		dst = append(dst, `,"event_time":`...)
		dst = strconv.AppendInt(dst, e.Time, 10)
	}
	return append(dst, '}')
}
