package pipeline

import (
	"context"
	"time"

	"pulseboard/transforms"
)

// RunPrismWithTimersEarly is RunPrism with a mistake: every timer is set that much too early.
func RunPrismWithTimersEarly(ctx context.Context, c Config, early time.Duration) error {
	r := onPrism(0)
	r.timerEarly = early
	return runOn(ctx, c, r)
}

// StartTime is from when on a run reads records.
var StartTime = startTime

// Resume is what Redis says of the queries in its registry.
func Resume(ctx context.Context, c Config) (transforms.Resume, error) {
	_, resume, err := lookUp(ctx, c)
	return resume, err
}

// RunPrismDurable is RunPrism with the state that other runners keep.
func RunPrismDurable(ctx context.Context, c Config) error {
	r := onPrism(0)
	r.durable = true
	return runOn(ctx, c, r)
}

// RunPrismSharded is RunPrism with so many reader shards.
func RunPrismSharded(ctx context.Context, c Config, shards int) error {
	return runOn(ctx, c, onPrism(shards))
}
