package embedded

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/internal/kafkaconn"
)

// The embedded broker accepts message.timestamp.type and ignores it. What Kafka does
// with LogAppendTime is done here, before the broker gets a request. Kafka's own
// attribute for it cannot be set: the broker would then set its own timestamp without
// correcting the checksum. So the greatest timestamp of a batch becomes the time at
// which it came, and kafkaconn.Stamped in its attributes marks such a batch; readers
// that do not know the bit ignore it.

// stamp sets the time of all batches of a produce request; others it leaves as they
// are, and what cannot be read, which the broker refuses.
func stamp(request []byte, now time.Time) {
	if key, _ := kind(request); key != int16(kmsg.Produce) {
		return
	}
	form, r := open(request)
	produce := form.(*kmsg.ProduceRequest)
	if !r.Ok() || produce.UnsafeReadFrom(r.Src) != nil { // Its records lie in the request itself.
		return
	}
	for _, t := range produce.Topics {
		for _, p := range t.Partitions {
			stampBatches(p.Records, now.UnixMilli())
		}
	}
}

func stampBatches(b []byte, now int64) {
	for {
		head, ok := readHead(b)
		if !ok {
			return // Of an older form, or damaged on its way: the broker refuses it, as it should.
		}
		batch := b[:head.size]
		b = b[head.size:]
		batch[21] |= kafkaconn.Stamped >> 8 // Attributes; at 35 is the greatest timestamp, see batchHead.
		binary.BigEndian.PutUint64(batch[35:], uint64(now))
		binary.BigEndian.PutUint32(batch[17:], crc32.Checksum(batch[21:], castagnoli))
	}
}
