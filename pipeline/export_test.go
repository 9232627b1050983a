package pipeline

import (
	"context"
	"time"
)

// RunPrismWithTimersEarly is RunPrism with a mistake: every timer is set that much too early.
func RunPrismWithTimersEarly(ctx context.Context, c Config, early time.Duration) error {
	r := prism()
	r.timerEarly = early
	return runOn(ctx, c, r)
}

// StartTime is from when on a run reads records.
var StartTime = startTime

// RunPrismDurable is RunPrism with the state that other runners keep.
func RunPrismDurable(ctx context.Context, c Config) error {
	r := prism()
	r.durable = true
	return runOn(ctx, c, r)
}
