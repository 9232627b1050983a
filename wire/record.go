package wire

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"

	"pulseboard/metric"
)

// The topics of Kafka, by default.
const (
	Topic           = "metric-events"
	DeadLetterTopic = "metric-dead-letters"
)

// Partitions is how many Topic has unless ingest is told otherwise.
const Partitions = 16

// IDHeader is the header of a Kafka record by which it is known again when it is written twice.
const IDHeader = "id"

// Record reads the value of a Kafka record: one event, or events of one
// metric as {"metric_name":"…","events":[{"value":…,"tags":{…},"event_time":…},…]}, which may have a unit and help besides.
// An error is a *metric.Fault of the whole; all else is a fault of one event. The batch
// is valid until the next call; its events and faults stay.
func (d *Decoder) Record(value []byte) (*Batch, error) {
	d.beginRecord()
	d.batch.Events = d.room(len(value))
	ok := d.quickRecord(value)
	d.keep()
	if ok {
		return d.batch, nil
	}
	return d.strictRecord(value)
}

// Into makes the events of the records that follow parts of this memory, as far as it reaches; its length does not matter.
// Nothing may hold events that were in it before.
func (d *Decoder) Into(memory []metric.Event) { d.free = memory[:0] }

func (d *Decoder) beginRecord() {
	d.record = Batch{}
	d.limit, d.inRecord, d.indexed, d.textual, d.batch = math.MaxInt, false, false, false, &d.record
}

// room returns memory for the events of a record of so many bytes. Those of several records share an
// allocation, since most have few.
func (d *Decoder) room(bytes int) []metric.Event {
	const usual = 100 // Bytes that an event takes. Of shorter ones more is appended.
	const together = 32 << 10 / int(unsafe.Sizeof(metric.Event{}))
	if n := bytes/usual + 1; cap(d.free) < n {
		d.free = make([]metric.Event, 0, max(n, together))
	}
	return d.free[:0]
}

// keep gives the events of the record what they have taken of that memory.
func (d *Decoder) keep() {
	events := d.batch.Events
	if cap(events) == cap(d.free) { // Else there was not enough.
		d.free = events[len(events):]
	}
	d.batch.Events = slices.Clip(events)
}

// quickRecord reads a record in the form of AppendRecord, and reports whether it could.
func (d *Decoder) quickRecord(value []byte) bool {
	const begin, middle = `{"metric_name":`, `,"events":[`
	if !bytes.HasPrefix(value, []byte(begin)) {
		return false
	}
	name, i := d.quickName(value, min(len(begin), len(value)))
	if i < 0 || !bytes.HasPrefix(value[i:], []byte(middle)) {
		return false
	}
	d.inRecord = true
	i, err := d.quickList(value, i+len(middle)-1)
	if err != nil || i < 0 || !d.quickSaid(name, value[i:]) {
		return false
	}
	for i := range d.batch.Events {
		d.batch.Events[i].Metric = name
	}
	return true
}

func (d *Decoder) strictRecord(value []byte) (*Batch, error) {
	d.beginRecord()
	value, err := d.check(value)
	if err != nil {
		return nil, newFault(metric.CodeNotJSON, err.Error())
	}
	if value[0] != '{' {
		return nil, malformed("a record must hold a JSON object")
	}
	f := d.fields(&scanner[[]byte]{text: value})
	if !f.isList() {
		d.add(d.event(&f))
		return d.batch, nil
	}
	d.inRecord = true
	_ = d.list(f.events) // There is no limit.
	if name, fault := d.nameAll(f.name); fault == nil {
		d.say(name, &f)
	}
	return d.batch, nil
}

// nameAll gives the events of a record their common metric_name. A fault of
// the name is that of each event which has no earlier one.
func (d *Decoder) nameAll(quoted []byte) (name string, fault *metric.Fault) {
	if quoted != nil && quoted[0] != '"' {
		fault = malformed("metric_name must be a string")
	} else {
		name, fault = d.name(quoted)
	}
	if fault == nil {
		for i := range d.batch.Events {
			d.batch.Events[i].Metric = name
		}
		return name, nil
	}
	faults := make([]IndexedFault, d.batch.N)
	for i := range faults {
		faults[i] = IndexedFault{i, *fault}
	}
	for _, f := range d.batch.Faults {
		if f.Code == metric.CodeMalformed {
			faults[f.Index] = f
		}
	}
	d.batch.Events, d.batch.Faults = nil, faults
	return "", fault
}

// AppendRecord appends the value of a Kafka record that holds events of one
// metric. Values must be finite and are read back bit for bit; events without a
// time stay so.
func AppendRecord(dst []byte, name string, events []metric.Event) []byte {
	dst = BeginRecord(dst, name)
	for i := range events {
		dst = AppendRecordEvent(comma(dst), &events[i])
	}
	return EndRecord(dst)
}

// BeginRecord appends what stands before the events of AppendRecord.
func BeginRecord(dst []byte, name string) []byte {
	dst = append(dst, `{"metric_name":`...)
	dst, _ = jsontext.AppendQuote(dst, name) // Of valid UTF-8 it cannot fail.
	return append(dst, `,"events":[`...)
}

// EndRecord appends what stands after them.
func EndRecord(dst []byte) []byte { return append(dst, "]}"...) }

// AppendRecordEvent appends one of the events of AppendRecord.
func AppendRecordEvent(dst []byte, e *metric.Event) []byte {
	return appendRest(appendTags(appendMeasured(dst, e), e), e, nil)
}

// appendMeasured appends what an event has measured, its first member.
func appendMeasured(dst []byte, e *metric.Event) []byte {
	switch {
	case e.Stale:
		dst = append(dst, `{"stale":true`...)
	case e.Histogram != nil:
		dst = appendHistogram(append(dst, `{"histogram":`...), e.Histogram)
	default:
		dst = appendFloat(append(dst, `{"value":`...), e.Value)
	}
	return dst
}

func appendTags(dst []byte, e *metric.Event) []byte {
	if len(e.Tags) == 0 {
		return dst
	}
	return e.Tags.AppendJSON(append(dst, `,"tags":`...))
}

// appendRest appends what stands behind the tags of an event; time is the text of its time, nil where that is not known.
func appendRest(dst []byte, e *metric.Event, time []byte) []byte {
	switch {
	case e.Time == 0:
	case time == nil:
		dst = strconv.AppendInt(append(dst, `,"event_time":`...), e.Time, 10)
	default:
		dst = append(append(dst, `,"event_time":`...), time...)
	}
	if e.Kind != metric.Plain {
		dst = append(append(append(dst, `,"kind":"`...), e.Kind.String()...), '"')
	}
	if e.Start != 0 {
		dst = append(dst, `,"start":`...)
		dst = strconv.AppendInt(dst, e.Start, 10)
	}
	switch {
	case !e.Point:
	case e.Nanos == 0:
		dst = append(dst, `,"point":true`...)
	default:
		dst = strconv.AppendInt(append(dst, `,"point":`...), int64(e.Nanos), 10)
	}
	return append(dst, '}')
}

// RecordEventBytes is at least what AppendRecordEvent and AppendEvent append for an event, and a comma.
func RecordEventBytes(e *metric.Event) int {
	const time = 15
	n := len(`{"value":,"tags":{},"event_time":},`) + MaxValueText + time
	for i := range e.Tags {
		n += len(`"":"",`) + 2*len(e.Tags[i].Key) + 6*len(e.Tags[i].Value) // A control character takes six, a quote two.
	}
	if e.Kind != metric.Plain {
		n += len(`,"kind":"cumulative"`)
	}
	if e.Start != 0 {
		n += len(`,"start":`) + time
	}
	if e.Point {
		n += len(`,"point":999999`)
	}
	if e.Histogram != nil {
		n += len(`"histogram":`) + histogramBytes(e.Histogram)
	}
	return n
}
