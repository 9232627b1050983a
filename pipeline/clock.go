package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/internal/clock"
	"pulseboard/internal/service"
	"pulseboard/results"
	"pulseboard/sources"
)

// Time in a job goes forward only, and by slices. When the clock of this machine is set, or
// has gone on while the machine slept, when a broker's is set back, the job ends, and
// its supervisor starts it anew: what is read again is judged by the clock as it is then
// (docs/adr/0025-a-clock-that-is-set.md).

// exitClock is how a process ends for that: with success another time ("temporary failure" of sysexits.h).
const exitClock = 75

// followClock returns a context that ends with the reason when the run must begin anew.
func followClock(ctx context.Context, run string) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	anew := func(why error) {
		cancel(&service.Exit{Code: exitClock, Err: fmt.Errorf("%w: the pipeline begins anew", why)})
	}
	sources.OnSetBack(run, anew)
	go clock.Watch(ctx, func(by time.Duration) {
		way := "forward"
		if by < 0 {
			way = "back"
		}
		anew(fmt.Errorf("the clock was set %s by %v, or the machine slept", way, by.Abs().Round(time.Millisecond)))
	})
	return ctx, cancel
}

// now is the time by the clock of this machine or that of Redis, whichever says more: a
// result is of the future only if it is so for both.
func now(ctx context.Context, store *results.Store) (at time.Time, behind time.Duration, err error) {
	theirs, err := store.Now(ctx)
	if err != nil {
		return at, 0, err
	}
	at = time.Now()
	behind = max(0, theirs.Sub(at))
	return at.Add(behind), behind, nil
}

// takeBack removes from histories what a clock that was ahead has published: Redis
// would refuse everything before it. It returns the tips of what is left.
func takeBack(ctx context.Context, c Config, store *results.Store, now time.Time, streams []results.Stream, tips []results.Tip) error {
	limit := now.Add(clock.Tolerance)
	for i, tip := range tips {
		if tip.WindowEnd <= limit.UnixMilli() {
			continue
		}
		n, err := store.TakeBack(ctx, streams[i], now)
		if err != nil {
			return err
		}
		takenBack.Add(float64(n))
		c.Log.Error("results of the future are taken back: a clock was ahead when they were published",
			"key", streams[i].Key, "refresh_ms", streams[i].RefreshMs, "newest", time.UnixMilli(tip.WindowEnd).UTC(), "results", n)
		left, err := store.Newest(ctx, streams[i:i+1])
		if err != nil {
			return err
		}
		tips[i] = left[0]
		tips[i].TakenBack = true
	}
	return nil
}

var takenBack = prometheus.NewCounter(prometheus.CounterOpts{ //nolint:gochecknoglobals // Collectors returns it.
	Name: "pulseboard_pipeline_taken_back_total",
	Help: "Results that a start of the pipeline removed from histories, because their windows end in the future: a clock was ahead when they were published. Normal: 0.",
})
