package load

import (
	"context"
	"time"
)

// How often this process looks how late it is itself.
const probeEvery = 5 * time.Millisecond

// probe notes how late a timer of this process fires: what comes late because of
// the load's own machine must not be blamed on who is loaded.
func probe(ctx context.Context, measuring func() bool, late *histogram) {
	due := time.Now().Add(probeEvery)
	for sleep(ctx, time.Until(due)) {
		now := time.Now()
		if measuring() {
			late.record(now.Sub(due))
		}
		// Moments that passed meanwhile would all be late for one reason.
		due = now.Add(probeEvery)
	}
}
