package load

import (
	"context"
	"sync/atomic"
	"time"

	"pulseboard/internal/clock"
	"pulseboard/internal/histogram"
)

// How often this process measures how late it is itself.
const probeEvery = 10 * time.Millisecond

// probe notes how late a timer of this process fires: what is late because of
// the load's own machine must not count as the lateness of the services. It is an open loop
// too: while it is held up, all moments that pass are late.
func probe(ctx context.Context, measuring *atomic.Bool, late *histogram.Histogram) {
	for due := time.Now().Add(probeEvery); clock.Sleep(ctx, time.Until(due)); due = due.Add(probeEvery) {
		if measuring.Load() {
			late.Record(time.Since(due))
		}
	}
}
