package memory

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// However much lives, the heap may grow by 192 MiB, but to no more than five times that.
func TestGrowth(t *testing.T) {
	for live, want := range map[int64]int{0: 400, 10 * mib: 400, 64 * mib: 300, 96 * mib: 200, 256 * mib: 100, gib: 100} {
		if got := growth(live); got != want {
			t.Errorf("with %s the heap may grow by %d %%, want %d", Text(live), got, want)
		}
	}
}

// The growth follows what lives, collection by collection.
func TestCollectLess(t *testing.T) {
	percent := func() int {
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	defer debug.SetGCPercent(percent())
	c := &collector{percent: leastGrowth}
	held := make([]byte, 200*mib)
	runtime.GC()
	c.awaitCycle()
	if c.adjust(); percent() > 140 || percent() < 90 {
		t.Errorf("with 200 MiB the heap may grow by %d %%", percent())
	}
	runtime.KeepAlive(held) // And no longer.
	for until := time.Now().Add(time.Minute); percent() != mostGrowth; {
		if runtime.GC(); time.Now().After(until) {
			t.Fatalf("with nothing the heap may grow by %d %%", percent())
		}
	}
}
