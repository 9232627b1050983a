package sources

import (
	"context"
	"sync/atomic"
	"time"
	"unsafe"

	"pulseboard/internal/clock"
	"pulseboard/metric"
	"pulseboard/wire"
)

// ahead is what a partition holds of records that are fetched and not emitted,
// and what it needs for reading.
type ahead struct {
	answers atomic.Int64 // In the queue, or drained at the moment.
	bytes   atomic.Int64 // Of these.
	texts   atomic.Int64 // What the decoder remembers.
	ids     atomic.Int64 // Of duplicates.
}

const (
	recordSize = int64(unsafe.Sizeof(Record{}))
	eventSize  = int64(unsafe.Sizeof(metric.Event{})) + 16 // And its index.
)

func (h *ahead) put(a *answer, d *wire.Decoder, seen *seenIDs) {
	h.answers.Add(1)
	h.bytes.Add(a.bytes)
	h.texts.Store(d.Remembered())
	if seen != nil {
		h.ids.Store(seen.size())
	}
}

func (h *ahead) take(a *answer) {
	h.answers.Add(-1)
	h.bytes.Add(-a.bytes)
}

// Of what may be held ahead, decoders may remember a quarter, the usual number of
// them together; each of them some texts in any case.
const (
	textsShare                  = 4
	usualPartitions             = 16
	leastTexts, mostTexts int64 = 256 << 10, 4 << 20
)

func (r *reader) decoder() *wire.Decoder {
	d := new(wire.Decoder)
	if r.options.ReadBytes > 0 {
		d.MaxRemembered = min(max(r.options.ReadBytes/textsShare/usualPartitions, leastTexts), mostTexts)
	}
	return d
}

// How often it is looked whether there is room again.
const roomEvery = 5 * time.Millisecond

// room waits while this reader holds more than it may. A partition that holds
// nothing may always fetch: else it would hold the others, and what they hold.
func (r *reader) room(ctx context.Context, own *ahead) bool {
	for r.options.ReadBytes > 0 && own.answers.Load() > 0 && r.held() > r.options.ReadBytes-r.options.ReadBytes/textsShare {
		if !clock.Sleep(ctx, roomEvery) {
			return false
		}
	}
	return true
}

// held is what the partitions of a reader hold of records.
func (r *reader) held() (bytes int64) {
	r.ahead.Range(func(_, h any) bool {
		bytes += h.(*ahead).bytes.Load()
		return true
	})
	return bytes
}

// Held is what the source of this process has in memory.
type Held struct {
	Reading int64 // Fetched and not emitted, and what decoders remember.
	IDs     int64 // Of duplicates.
	Packets int64 // On their way to key groups.
}

// HeldBytes counts what all readers of this process hold.
func HeldBytes() (h Held) {
	readers.mu.Lock()
	defer readers.mu.Unlock()
	for _, r := range readers.open {
		r.ahead.Range(func(_, a any) bool {
			h.Reading += a.(*ahead).bytes.Load() + a.(*ahead).texts.Load()
			h.IDs += a.(*ahead).ids.Load()
			return true
		})
		h.Packets += r.progress.UnderWay()
	}
	return h
}
