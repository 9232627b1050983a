package pipeline_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"pulseboard/pipeline"
)

// process is a stand-in for an operating-system process, which a bubble of virtual time cannot hold.
type process struct {
	done    chan struct{}
	stopped bool
}

func (p *process) Done() <-chan struct{} { return p.done }
func (p *process) Err() error            { return errors.New("exit status 1") }
func (p *process) Close() error          { p.stopped = true; return nil }

func TestSuperviseRestartsWithGrowingDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var starts []time.Duration
		var last *process
		lives := []time.Duration{0, 0, 0, time.Minute, 0, time.Hour}
		err := pipeline.Supervise(ctx, slog.New(slog.DiscardHandler), func(context.Context) (pipeline.Process, error) {
			life := lives[len(starts)]
			starts = append(starts, time.Since(began))
			last = &process{done: make(chan struct{})}
			if life == time.Hour {
				time.AfterFunc(time.Minute, cancel)
				return last, nil
			}
			time.AfterFunc(life, func() { close(last.done) })
			return last, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []time.Duration{0, 200 * time.Millisecond, 600 * time.Millisecond, 1400 * time.Millisecond, 61600 * time.Millisecond, 62000 * time.Millisecond}
		for i := range want {
			if i >= len(starts) || starts[i] != want[i] {
				t.Fatalf("started after %v, want %v", starts, want)
			}
		}
		if !last.stopped {
			t.Error("the process was not stopped when the supervisor ended")
		}
	})
}

func TestSuperviseReturnsAFailedStart(t *testing.T) {
	broken := errors.New("no such program")
	err := pipeline.Supervise(t.Context(), slog.New(slog.DiscardHandler), func(context.Context) (pipeline.Process, error) { return nil, broken })
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
