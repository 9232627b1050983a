package clock_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pulseboard/e2e/testenv"
)

const (
	// settled is how long results are looked at after they are right again: longer than the longest window.
	settled = 25 * time.Second
	// promised is how soon after the clock is right results are right, on a machine that has nothing else to do; it is
	// reported, not asked for.
	promised = 10 * time.Second
)

// step is what is done to the clock, and for how long; then it is right again.
type step struct {
	by   time.Duration
	hold time.Duration
}

func (s step) String() string { return fmt.Sprintf("%+v for %v", s.by, s.hold) }

// A clock that jumps forth and back, and a machine that sleeps: results are right again
// when the clock is, nothing of the future is left, no honest event of the time before and after is
// lost, the canary reports no loss, and whoever begins anew later says the same.
func TestClockIsSet(t *testing.T) {
	testenv.NeedReal(t)
	program := testenv.ClockProgram(t, "pulseboard")
	for _, own := range []bool{true, false} {
		name := "Redis of its own"
		if own {
			name = "redis-server"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel() // It waits most of the time.
			w := start(t, program, own)
			id := w.makeDashboard()
			var running sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			running.Go(func() { w.produce(ctx) })
			v := watch(t, w, id)
			t.Cleanup(func() { cancel(); running.Wait() })
			w.rightAgain("the start", time.Now())
			w.wait(settled)
			for _, steps := range [][]step{
				{{2 * time.Hour, 10 * time.Second}},
				{{-2 * time.Hour, 10 * time.Second}},
				{{5 * time.Second, 5 * time.Second}},
				{{-5 * time.Second, 5 * time.Second}},
				{{30 * time.Second, 5 * time.Second}},
				{{-40 * time.Second, 5 * time.Second}},
				{{time.Second, time.Second}, {-time.Second, time.Second}, {3 * time.Second, time.Second}, {-3 * time.Second, time.Second}, {7 * time.Second, 2 * time.Second}, {-7 * time.Second, 2 * time.Second}},
			} {
				for _, s := range steps {
					w.wrong(s.by)
					w.wait(s.hold)
					w.wrong(0)
				}
				w.whole(fmt.Sprint(steps), v)
			}
			// Whoever reads it all again, with the wrong times in the log, says the same.
			if pid := testenv.Child(w.pid, " pipeline "); pid > 0 {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			w.whole("the pipeline is killed", v)
			if !own { // A redis-server on this machine would sleep too; its clock cannot be set here.
				w.sleep(8 * time.Hour)
				w.whole("a night", v)
			}
			w.canary()
		})
	}
}

// rightAgain waits until all keys have had a right result of a window that ended after a moment.
func (w *world) rightAgain(what string, from time.Time) (after time.Duration) {
	w.t.Helper()
	from = w.now().Add(-time.Since(from))
	w.until("results are right after "+what, func() error {
		if err := w.read(w.t.Context()); err != nil {
			return err
		}
		v := w.judge(from.UnixMilli(), w.now().UnixMilli())
		if v.right.IsZero() {
			return errors.New("a key has no right result yet")
		}
		after = v.right.Sub(from)
		return nil
	})
	return after
}

// whole checks that all is well since the clock was set right, now.
func (w *world) whole(what string, v *viewer) {
	w.t.Helper()
	now := time.Now()
	from := w.now()
	after := w.rightAgain(what, now)
	w.wait(settled)
	// An event of the last moments may be on its way.
	found := w.judge(from.UnixMilli(), w.now().Add(-3*time.Second).UnixMilli())
	w.t.Logf("%s: right again after %.1f s (%v is promised where nothing else runs), %d results compared, %d of them incomplete by their own word, %d wrong",
		what, after.Seconds(), promised, found.checked, found.incomplete, len(found.faults))
	if faults := found.faults; len(faults) > 0 {
		w.t.Errorf("%s: %d of %d results are wrong, such as\n%s", what, len(faults), found.checked, strings.Join(faults[:min(10, len(faults))], "\n"))
	}
	if most := int(settled.Seconds()) * len(metrics) * len(windows); found.checked < most/2 {
		w.t.Errorf("%s: only %d of some %d results were there", what, found.checked, most)
	}
	if len(w.future) > 0 {
		w.t.Errorf("%s: histories hold results of the future, such as %s", what, w.future[0])
	}
	shown, faults := v.faults(from.UnixMilli(), w.now().Add(-3*time.Second).UnixMilli())
	if len(faults) > 0 || shown < found.checked/2 {
		w.t.Errorf("%s: %d of %d points on a page are wrong, such as\n%s", what, len(faults), shown, strings.Join(faults[:min(10, len(faults))], "\n"))
	}
	if ahead := v.ahead(w.now()); ahead != "" {
		w.t.Errorf("%s: a page shows %s", what, ahead)
	}
}

var verdict = regexp.MustCompile(`(?m)^pulseboard_canary_verdicts_total\{verdict="(\w+)"\} (\d+)`)

// canary checks that it has reported no loss.
func (w *world) canary() {
	w.t.Helper()
	res, err := http.Get(w.url + "/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range verdict.FindAllStringSubmatch(string(text), -1) {
		n, _ := strconv.Atoi(m[2])
		w.t.Logf("canary: %s %d", m[1], n)
		if n > 0 && (m[1] == "lost" || m[1] == "twice") {
			w.t.Errorf("the canary says that %d events were %s", n, m[1])
		}
	}
}
