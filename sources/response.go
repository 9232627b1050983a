package sources

import (
	"time"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"

	"pulseboard/metric"
)

// response is what the response to a fetch, or a part of it, says of a partition.
type response struct {
	records  []Record
	next     int64     // The offset to go on from behind them.
	from     int64     // Where to read from after a restart, see Offset.From.
	at       time.Time // The broker gave it then or later, by the clock of this machine.
	end      int64     // The end of the partition then.
	caughtUp bool      // next was the end.
	slow     bool      // It came so late that the broker was unavailable meanwhile, or this process was stopped.
	lost     int64     // Offsets of the response that hold no record: damaged, or compacted away.
	bytes    int64     // About what records take in memory.
}

const (
	recordSize = int64(unsafe.Sizeof(Record{}))
	eventSize  = int64(unsafe.Sizeof(metric.Event{})) + 16 // And its index.
)

// add appends a decoded record.
func (r *response) add(decoded Record, rec *kgo.Record) {
	r.records = append(r.records, decoded)
	r.bytes += recordSize + int64(len(rec.Value)) + int64(len(decoded.Events))*eventSize
}
