package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/internal/clock"
	"pulseboard/internal/service"
	"pulseboard/pipeline/supervisor"
	"pulseboard/results"
)

// Time in a job goes forward only, and by slices. When the clock of this machine is set, or
// has gone on while the machine slept, when a broker's is set back, the job ends, and
// its supervisor starts it anew: what is read again is judged by the clock as it is then
// (docs/adr/0025-a-clock-that-is-set.md).

// followClock returns a context that ends with the reason when the run must begin anew; setBack ends it when a broker's
// clock was set back, and was right until since.
func followClock(ctx context.Context, c Config) (_ context.Context, cancel context.CancelCauseFunc, setBack func(why error, since time.Time)) {
	ctx, cancel = context.WithCancelCause(ctx)
	anew := func(why error, since time.Time, back bool) {
		if err := noteStep(ctx, c, since, back); err != nil {
			c.Log.Error("what a clock that was ahead has published cannot be noted, and stays unless it is of the future when the pipeline begins anew", "error", err)
		}
		cancel(&service.Exit{Code: supervisor.ExitAnew, Err: fmt.Errorf("%w: the pipeline begins anew", why)})
	}
	go clock.Watch(ctx, func(by time.Duration, since time.Time) {
		way := "forward"
		if by < 0 {
			way = "back"
		}
		anew(fmt.Errorf("the clock was set %s by %v, or the machine slept", way, by.Abs().Round(time.Millisecond)), since, by < 0)
	})
	return ctx, cancel, func(why error, since time.Time) { anew(why, since, true) }
}

// notePatience is how long the end of a run waits for a Redis that does not answer.
const notePatience = 2 * time.Second

// noteStep leaves in Redis from when on results may be those of a clock that is ahead: windows that
// end before the run begins anew are not of the future then.
func noteStep(ctx context.Context, c Config, since time.Time, back bool) error {
	ctx, cancel := context.WithTimeout(ctx, notePatience)
	defer cancel()
	store, err := results.Open(ctx, c.Redis)
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // What was written was answered.
	at, behind, err := now(ctx, store)
	if err != nil {
		return err
	}
	return store.NoteStep(ctx, results.Step{Since: since.Add(behind).UnixMilli(), Back: back, Noted: at.UnixMilli()})
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
// would refuse everything before it. It leaves the tips of what is left.
func takeBack(ctx context.Context, c Config, store *results.Store, now time.Time, streams []results.Stream, tips []results.Tip) error {
	step, err := store.LastStep(ctx)
	if err != nil {
		return err
	}
	step.Back = step.Back || step.Noted > now.UnixMilli()
	limit, after := now.Add(clock.Tolerance).UnixMilli(), now.UnixMilli()
	if step.Back && step.Since < limit {
		limit, after = step.Since, step.Since
	}
	newest := int64(0)
	for i, tip := range tips {
		if tip.WindowEnd <= limit {
			continue
		}
		newest = max(newest, tip.WindowEnd)
		n, err := store.TakeBack(ctx, streams[i], time.UnixMilli(after))
		if err != nil {
			return err
		}
		takenBack.Add(float64(n))
		c.Log.Error("results are taken back: a clock was ahead when they were published",
			"key", streams[i].Key, "refresh_ms", streams[i].RefreshMs, "after", time.UnixMilli(after).UTC(), "newest", time.UnixMilli(tip.WindowEnd).UTC(), "results", n)
		left, err := store.Newest(ctx, streams[i:i+1])
		if err != nil {
			return err
		}
		tips[i] = left[0]
		tips[i].TakenBack = true
	}
	if newest == 0 && !step.Back {
		return nil
	}
	// A start that was interrupted may have removed newer ones: then they are about as old as the step.
	newest = max(newest, limit, now.Add(results.MaxAhead).UnixMilli())
	if err := store.NoteTakenBack(ctx, results.TakenBack{Since: after, Until: newest}); err != nil {
		return err
	}
	return store.ForgetStep(ctx)
}

var takenBack = prometheus.NewCounter(prometheus.CounterOpts{
	Name: "pulseboard_pipeline_taken_back_total",
	Help: "Results that a start of the pipeline removed from histories, because a clock was ahead when they were published. Normal: 0.",
})
