package load

import (
	"context"
	"time"

	"pulseboard/internal/clock"
	"pulseboard/internal/histogram"
)

// How often this process looks how late it is itself.
const probeEvery = 10 * time.Millisecond

// probe notes how late a timer of this process fires: what comes late because of
// the load's own machine must not be blamed on who is loaded. It is an open loop
// too: while it is held up, all moments that pass are late.
func probe(ctx context.Context, measuring func() bool, late *histogram.Histogram) {
	for due := time.Now().Add(probeEvery); clock.Sleep(ctx, time.Until(due)); due = due.Add(probeEvery) {
		if measuring() {
			late.Record(time.Since(due))
		}
	}
}
