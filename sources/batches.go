package sources

import (
	"encoding/binary"
	"iter"
	"sort"
	"time"

	"pulseboard/internal/kafkaconn"
)

// byBroker is the type of a timestamp that the broker set when it took the record.
const byBroker = 1

// batch is the head of a batch of records.
type batch struct {
	first, last int64 // Offsets.
	attributes  uint16
	newest      int64 // The greatest timestamp, epoch ms.
}

// isByBroker reports whether the broker set its timestamp when it took the batch.
func (b *batch) isByBroker() bool { return b.attributes&(kafkaconn.Stamped|1<<3) != 0 }

// batches returns the heads of the batches in a fetch response, which may end in the middle of one.
func batches(raw []byte) iter.Seq[batch] {
	const (
		length, magic, attributes, lastDelta, newest = 8, 16, 21, 23, 35
		head                                         = 61
	)
	return func(yield func(batch) bool) {
		for len(raw) >= head {
			size := int64(binary.BigEndian.Uint32(raw[length:])) + length + 4
			if size < head || size > int64(len(raw)) {
				return
			}
			first := int64(binary.BigEndian.Uint64(raw))
			b := batch{
				first: first, last: first + int64(binary.BigEndian.Uint32(raw[lastDelta:])),
				attributes: binary.BigEndian.Uint16(raw[attributes:]), newest: int64(binary.BigEndian.Uint64(raw[newest:])),
			}
			if raw[magic] == 2 && !yield(b) { // Others are older than the embedded broker.
				return
			}
			raw = raw[size:]
		}
	}
}

// stamp gives the records that are in the batch the time at which the embedded broker took it.
func (b batch) stamp(records []logged) {
	if b.attributes&kafkaconn.Stamped == 0 {
		return
	}
	at := time.UnixMilli(b.newest)
	for i := sort.Search(len(records), func(i int) bool { return records[i].Offset >= b.first }); i < len(records) && records[i].Offset <= b.last; i++ {
		records[i].Timestamp, records[i].byBroker = at, true
	}
}
