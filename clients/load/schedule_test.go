package load

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// Each client is sampled once a second, at each twentieth of a second in turn.
func TestSlotsVisitAllPhases(t *testing.T) {
	phases := make([]map[int]bool, slots) // Of each slot.
	for i := range phases {
		phases[i] = make(map[int]bool)
	}
	for second := range slots {
		var visited []int
		for phase := range slots {
			i := slot(second*slots + phase)
			visited = append(visited, i)
			phases[i][phase] = true
		}
		slices.Sort(visited)
		if visited = slices.Compact(visited); len(visited) != slots {
			t.Fatalf("in second %d only the slots %v are sampled", second, visited)
		}
	}
	for i, seen := range phases {
		if len(seen) != slots {
			t.Errorf("slot %d is sampled at %d phases of the second, not at all %d", i, len(seen), slots)
		}
	}
}

func TestScheduleLetsSlowClientsRead(t *testing.T) {
	s := newSchedule(new(atomic.Bool))
	s.readAgain() // They are reading.
	s.stopped.Store(true)
	select {
	case <-s.resume:
		t.Fatal("they read again before they may")
	default:
	}
	s.end()
	s.readAgain()
	if <-s.resume; s.stopped.Load() || !s.ended() {
		t.Errorf("stopped %v, ended %v", s.stopped.Load(), s.ended())
	}
	ctx, cancel := s.untilEnd()
	defer cancel()
	<-ctx.Done()
}

func TestLosses(t *testing.T) {
	var l losses
	begin := time.UnixMilli(1_000_000)
	l.lose("closed with 4404", false, begin)
	l.lose("cut off", true, begin)
	l.lose("cut off", false, begin.Add(time.Second))
	l.cameBack(begin.Add(3 * time.Second))
	if l.count != 2 || l.slow != 1 || l.back != 1 || l.away.Max() != 3*time.Second {
		t.Errorf("%d lost, %d of them slow, %d back after %v", l.count, l.slow, l.back, l.away.Max())
	}
	if got, want := lossText(l.reasons), "1 closed with 4404, 1 cut off"; got != want {
		t.Errorf("%q; want %q", got, want)
	}
}
