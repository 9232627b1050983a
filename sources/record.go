package sources

import (
	"bytes"
	"cmp"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"

	"pulseboard/metric"
	"pulseboard/wire"
)

// Record is one record of the topic, decoded. Times are epoch ms.
type Record struct {
	Partition int32
	Offset    int64
	Time      int64 // Record timestamp: the event time of events that state none.
	Newest    int64 // The newest timestamp in the partition up to here: how late an event is counts from there.
	// Latest is the newest timestamp up to here of the records that were read, or the time at which the clock was right again of a
	// broker that took the record while it was wrong: how far ahead an event is counts from there.
	Latest       int64
	PipelineTime int64 // Never goes back within a partition.
	Key          []byte
	Value        []byte // Kept only where a fault needs it.
	Events       []metric.Event
	Faults       []wire.IndexedFault
	Said         []wire.Said  // What the record says of its metric.
	Unreadable   metric.Fault // Why the whole value could not be read; no Code when it could. Beam registers no type that holds an interface.

	id     recordID
	hasID  bool
	marker int64 // Offset of the marker that committed it, where it counts; 0 = it is of no transaction.
}

// place is the offset at which a record counts.
func (r *Record) place() int64 { return max(r.Offset, r.marker) }

// Verdict returns the event time of one of the record's events, epoch ms, and the code
// of the fault that keeps it from counting, "" = it counts.
func (r *Record) Verdict(e *metric.Event, l metric.Limits) (eventTime int64, code string) {
	eventTime = e.Time
	if eventTime == 0 {
		eventTime = r.Time
	}
	if len(r.Key) > 0 && string(r.Key) != e.Metric {
		return eventTime, metric.CodeKeyMismatch
	}
	return eventTime, l.Check(eventTime, r.Newest, r.Latest)
}

// textsShare is the part of what a reader may hold of fetched records that its decoders may remember of them.
const textsShare = 4

// newRoom returns the room for what the decoders of a reader remember, which may hold readBytes of fetched records, 0 = any.
func newRoom(readBytes int64) *wire.Room {
	return wire.NewRoom(cmp.Or(readBytes/textsShare, 2*wire.DefaultRoom))
}

// decode reads the events of a record.
func (r *Record) decode(d *wire.Decoder, rec *kgo.Record) {
	r.Key = rec.Key
	b, err := d.Record(rec.Value)
	if err != nil {
		r.Unreadable, r.Value = faultOf(err), rec.Value
		return
	}
	r.Events, r.Faults, r.Said = b.Events, b.Faults, b.Said
	for i := range r.Said { // The record stays no longer than its events need it.
		r.Said[i].Unit, r.Said[i].Help = bytes.Clone(r.Said[i].Unit), bytes.Clone(r.Said[i].Help)
	}
	if len(r.Faults) > 0 {
		r.Value = rec.Value
	}
}

func faultOf(err error) metric.Fault {
	if f, ok := errors.AsType[*metric.Fault](err); ok {
		return *f
	}
	return metric.Fault{Code: metric.CodeNotJSON, Detail: err.Error()}
}
