package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// process is a stand-in for an operating-system process, which a bubble of virtual time cannot hold.
type process struct {
	done    chan struct{}
	err     error
	stopped bool
}

func (p *process) Done() <-chan struct{} { return p.done }
func (p *process) Err() error            { return p.err }
func (p *process) Close() error          { p.stopped = true; return nil }

func supervisor(start Start) *Supervisor {
	s := New(slog.New(slog.DiscardHandler), start)
	s.jitter = func() float64 { return 0.5 }
	s.kills = func() (int64, bool) { return 0, true }
	return s
}

// Delays double with each end, a life halves them for each half minute, and whoever asks is told.
func TestSupervisorBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var starts []time.Duration
		var last *process
		lives := []time.Duration{0, 0, 0, 11 * time.Second, 11 * time.Second, time.Hour, 0, time.Hour}
		s := supervisor(func(context.Context, int) (Process, error) {
			life := lives[len(starts)]
			starts = append(starts, time.Since(began))
			last = &process{done: make(chan struct{}), err: errors.New("exit status 1")}
			if len(starts) == len(lives) {
				time.AfterFunc(time.Minute, cancel)
				return last, nil
			}
			p := last
			time.AfterFunc(life, func() { close(p.done) })
			return last, nil
		})
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		time.Sleep(time.Second) //nolint:forbidigo // Of virtual time. The third end is over, the fourth start has not come.
		if err := s.Healthy(ctx); err == nil || !strings.Contains(err.Error(), "ended 3 times in a row") || !strings.Contains(err.Error(), "exit status 1") {
			t.Errorf("in a loop: %v", err)
		}
		time.Sleep(10 * time.Minute) //nolint:forbidigo // Of virtual time.
		if err := s.Healthy(ctx); err != nil {
			t.Errorf("after it has lived: %v", err)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		var pauses []time.Duration
		for i := range len(starts) - 1 {
			pauses = append(pauses, starts[i+1]-starts[i]-lives[i])
		}
		var want []time.Duration
		for _, ms := range []int{200, 400, 800, 1600, 3200, 200, 400} {
			want = append(want, time.Duration(ms)*time.Millisecond)
		}
		if !slices.Equal(pauses, want) {
			t.Errorf("pauses %v, want %v", pauses, want)
		}
		if !last.stopped {
			t.Error("the process was not stopped when the supervisor ended")
		}
	})
}

func TestSupervisorReturnsAFailedStart(t *testing.T) {
	broken := errors.New("no such program")
	err := supervisor(func(context.Context, int) (Process, error) { return nil, broken }).Run(t.Context())
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// A process that the kernel killed is started with less, and the reason is told.
func TestSupervisorKnowsWantOfMemory(t *testing.T) {
	killed := exec.CommandContext(t.Context(), "sh", "-c", "kill -KILL $$").Run()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var starved []int
		kills := int64(0)
		s := supervisor(func(_ context.Context, n int) (Process, error) {
			starved = append(starved, n)
			p := &process{done: make(chan struct{}), err: killed}
			if len(starved) == 4 {
				cancel()
				return p, nil
			}
			if len(starved) != 2 {
				kills++ // The second was killed by somebody else.
			}
			close(p.done)
			return p, nil
		})
		s.kills = func() (int64, bool) { return kills, true }
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		if want := []int{0, 1, 1, 2}; !slices.Equal(starved, want) {
			t.Errorf("started with %v, want %v", starved, want)
		}
	})
	for _, c := range []struct {
		err     error
		counted bool
		kills   int64
		reason  string
		text    string
	}{
		{killed, true, 1, "memory", "its memory group was full"},
		{killed, true, 0, "killed", "signal: killed"},
		{killed, false, 0, "killed", "out of memory?"},
		{errors.New("exit status 2"), true, 0, "failed", "exit status 2"},
	} {
		if reason, why := judge(c.err, c.counted, c.kills); reason != c.reason || !strings.Contains(why.Error(), c.text) {
			t.Errorf("%v, %d kills: %s, %v", c.err, c.kills, reason, why)
		}
	}
}

// A process that ends since a clock was set is started at once, however often; that is no failure.
func TestSupervisorKnowsAClockThatIsSet(t *testing.T) {
	set := exec.CommandContext(t.Context(), "sh", "-c", "exit 75").Run()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began, starts := time.Now(), 0
		s := supervisor(func(context.Context, int) (Process, error) {
			p := &process{done: make(chan struct{}), err: fmt.Errorf("pipeline ended: %w", set)}
			if starts++; starts == 11 {
				cancel()
				return p, nil
			}
			close(p.done)
			return p, nil
		})
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 10*shortestDelay {
			t.Errorf("ten starts took %v", took)
		}
		if err := s.Healthy(ctx); err != nil {
			t.Errorf("it is said to be broken: %v", err)
		}
	})
}
