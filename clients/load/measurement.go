package load

import (
	"sync/atomic"
	"time"

	"pulseboard/internal/histogram"
	"pulseboard/wire"
)

// measurement is what clients measured together, those that stop reading excepted.
type measurement struct {
	bytes            atomic.Int64 // Of all messages, over the whole run.
	updates, results atomic.Int64 // Messages with results, and results in them, in the measured part.

	connecting     histogram.Histogram // From when a connection was due.
	endToClient    histogram.Histogram // From when a result was due: its window's end and the delay of its query.
	eventToClient  histogram.Histogram // From the newest event of a result.
	serverToClient histogram.Histogram // From the server_time of the message.
	staleness      histogram.Histogram // The age of the newest result of a client, sampled.
}

// update counts an update to a client with the layout l, nil = none has come.
func (m *measurement) update(l *layout, u *wire.Message, now time.Time) {
	m.updates.Add(1)
	m.results.Add(int64(len(u.Results)))
	m.serverToClient.Record(now.Sub(time.UnixMilli(u.ServerTime)))
	// Nearly always all results of an update are due at the same time: one record for them.
	var due, same int64
	for _, r := range u.Results {
		if l == nil || r.Index >= len(l.widgets) {
			continue
		}
		st := l.widgets[r.Index].stream
		if d := r.End + st.delayMs; d != due {
			m.recordDue(due, same, now)
			due, same = d, 0
		}
		same++
		// An older event has been news in an earlier window.
		if r.Newest != wire.NoTime && r.Newest >= r.End-st.refreshMs {
			m.eventToClient.Record(now.Sub(time.UnixMilli(r.Newest)))
		}
	}
	m.recordDue(due, same, now)
}

func (m *measurement) recordDue(due, n int64, now time.Time) {
	if n > 0 {
		m.endToClient.RecordN(now.Sub(time.UnixMilli(due)), n)
	}
}
