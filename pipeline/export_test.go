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
