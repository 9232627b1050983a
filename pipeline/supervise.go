package pipeline

import (
	"context"
	"log/slog"
	"time"
)

// Process is a running pipeline process.
type Process interface {
	Done() <-chan struct{} // Closed when it has ended.
	Err() error            // Why it ended.
	Close() error          // SIGTERM, SIGKILL when that does not help, and waits.
}

// Supervise keeps a pipeline process running until ctx ends: one that ended is
// started again, at once if it had run for a while, else after a growing delay.
// It returns the error of a start that failed, since the next would fail too.
func Supervise(ctx context.Context, log *slog.Logger, start func(context.Context) (Process, error)) error {
	const steady, shortest, longest = 10 * time.Second, 200 * time.Millisecond, 10 * time.Second
	delay := shortest
	for {
		began := time.Now()
		p, err := start(ctx)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return p.Close()
		case <-p.Done():
		}
		if time.Since(began) > steady {
			delay = shortest
		}
		log.Error("the pipeline process ended; it is started again", "error", p.Err(), "after", time.Since(began).Round(time.Millisecond), "in", delay)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(delay):
		}
		delay = min(2*delay, longest)
	}
}
