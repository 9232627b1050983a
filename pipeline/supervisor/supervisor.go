// Package supervisor keeps a process of the pipeline running: a job on Prism ends with any fault of a DoFn, and a Flink
// of one machine with its Java.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/internal/clock"
	"pulseboard/internal/memory"
)

// ExitAnew is the exit code of a process that asks to be started again at once, since a clock was set
// or the machine slept: EX_TEMPFAIL of sysexits.h.
const ExitAnew = 75

// Process is a running pipeline process.
type Process interface {
	Done() <-chan struct{} // Closed when it has ended.
	Err() error            // Why it ended.
	Close() error          // SIGTERM, SIGKILL when that does not help, and waits.
}

// Start starts a pipeline process. starved is how often in a row it ended for want
// of memory: it is to do with less then.
type Start func(ctx context.Context, starved int) (Process, error)

// Supervisor keeps a pipeline process running: one that ended is started again,
// after a delay that grows with each end, and shrinks with the time that it lived.
type Supervisor struct {
	log      *slog.Logger
	start    Start
	restarts *prometheus.CounterVec
	kills    func() (int64, bool) // See memory.Kills.
	jitter   func() float64       // 0 to 1.

	mu    sync.Mutex
	ends  int // In a row, without a life of steady between them.
	why   error
	began time.Time // Of the one that runs; zero while none does.
	next  time.Time // When it is started again.
}

const (
	shortestDelay, longestDelay = 200 * time.Millisecond, 30 * time.Second
	// A life this long halves the delay that has grown.
	halfLife = 30 * time.Second
	// One this long is a proof that nothing is wrong any more.
	steady = 2 * time.Minute
	// So many ends in a row are no accident.
	loop = 3
)

// New returns one that has not started anything.
func New(log *slog.Logger, start Start) *Supervisor {
	return &Supervisor{
		log: log, start: start, kills: memory.Kills, jitter: rand.Float64,
		restarts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pulseboard_pipeline_restarts_total",
			Help: "Ends of the pipeline's process, of pulseboard run alone, after each of which it is started again, by reason: " +
				"memory (the kernel ended it, and its memory group counted that), killed (by a signal), clock (it ended by itself, since a clock was set or the machine slept), failed. " +
				"Normal: 0; memory: see --memory.",
		}, []string{"reason"}),
	}
}

// Collectors returns the metrics of the supervisor.
func (s *Supervisor) Collectors() []prometheus.Collector {
	for _, reason := range []string{"memory", "killed", "clock", "failed"} {
		s.restarts.WithLabelValues(reason)
	}
	return []prometheus.Collector{s.restarts}
}

// Healthy returns an error while the process keeps ending.
func (s *Supervisor) Healthy(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ends < loop || !s.began.IsZero() && time.Since(s.began) >= steady {
		return nil
	}
	now := "it runs again"
	if s.began.IsZero() {
		now = fmt.Sprintf("it is started again in %v", time.Until(s.next).Round(100*time.Millisecond))
	}
	return fmt.Errorf("the pipeline's process ended %d times in a row, and %s; the last time: %w", s.ends, now, s.why)
}

// Run supervises until ctx ends. It returns the error of a start that failed,
// since the next would fail too.
func (s *Supervisor) Run(ctx context.Context) error {
	delay, starved := shortestDelay, 0
	for {
		before, _ := s.kills()
		p, err := s.start(ctx, starved)
		if err != nil {
			return err
		}
		began := time.Now()
		s.set(func() { s.began = began })
		select {
		case <-ctx.Done():
			return p.Close()
		case <-p.Done():
		}
		lived := time.Since(began)
		after, counted := s.kills()
		reason, why := judge(p.Err(), counted, after-before)
		if reason == "clock" { // Nothing is wrong with it.
			s.set(func() { s.began = time.Time{} })
			s.restarts.WithLabelValues(reason).Inc()
			s.log.Error("the pipeline process begins anew", "reason", reason, "error", why)
			if !clock.Sleep(ctx, shortestDelay) {
				return nil
			}
			continue
		}
		switch {
		case reason == "memory":
			starved++
		case lived >= steady:
			starved = 0
		}
		for left := lived; left >= halfLife && delay > shortestDelay; left -= halfLife {
			delay = max(delay/2, shortestDelay)
		}
		// A fifth more or less, so that several do not start at the same moment for ever.
		wait := delay + time.Duration((s.jitter()-0.5)*0.4*float64(delay))
		s.set(func() {
			if lived >= steady {
				s.ends = 0
			}
			s.ends++
			s.why, s.began, s.next = why, time.Time{}, time.Now().Add(wait)
		})
		s.restarts.WithLabelValues(reason).Inc()
		s.log.Error("the pipeline process ended; it is started again", "reason", reason, "error", why, "after", lived.Round(time.Millisecond), "in", wait.Round(time.Millisecond))
		if !clock.Sleep(ctx, wait) {
			return nil
		}
		delay = min(2*delay, longestDelay)
	}
}

func (s *Supervisor) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// judge classifies the end of a process, as the label reason of pulseboard_pipeline_restarts_total. A SIGKILL that did not
// come from here comes mostly from the kernel, for want of memory: kills is how often it has killed in this memory group
// since the start, if that is counted.
func judge(err error, counted bool, kills int64) (reason string, why error) {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return "failed", err
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signaled() && status.Signal() == syscall.SIGKILL && counted && kills > 0:
		return "memory", fmt.Errorf("killed by the kernel: its memory group was full (%d kills meanwhile); it goes on with less: %w", kills, err)
	case ok && status.Signaled() && status.Signal() == syscall.SIGKILL && !counted:
		return "killed", fmt.Errorf("killed by SIGKILL: out of memory? The kernel's log says: %w", err)
	case ok && status.Signaled():
		return "killed", err
	case exit.ExitCode() == ExitAnew:
		return "clock", err
	case strings.Contains(err.Error(), "out of memory"): // The last lines of a Go program that could not allocate.
		return "memory", err
	}
	return "failed", err
}
