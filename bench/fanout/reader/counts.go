package reader

import (
	"sync"
	"sync/atomic"

	"pulseboard/internal/histogram"
)

// Counts are what all connections of a Pool have read.
type Counts struct {
	Frames atomic.Int64 // With an update.
	Bytes  atomic.Int64 // Of these frames' messages, whatever is around the update included.
	Others atomic.Int64 // Messages without one.
	Long   atomic.Int64 // Of those, messages that were too long to be held: snapshots.

	recording atomic.Pointer[Recording]
	messages  sync.Pool // Of *wire.Message.
}

// Recording counts the results whose window ends are after From, up to To.
type Recording struct {
	From, To int64               // Epoch ms.
	ToClient histogram.Histogram // From the frame's server_time to received.
	FromEnd  histogram.Histogram // From the window's end to received.
	Results  atomic.Int64        // Results delivered.
	Frames   atomic.Int64
}

func (r *Recording) add(u update, nowUs int64) {
	if u.end <= r.From || u.end > r.To {
		return
	}
	r.Results.Add(int64(u.results))
	r.Frames.Add(1)
	r.ToClient.Record(since(u.serverTime, nowUs))
	r.FromEnd.Record(since(u.end, nowUs))
}
