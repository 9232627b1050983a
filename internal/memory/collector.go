package memory

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Go collects when the heap has grown by as much as lives in it, so a process in which little lives collects all the time.
// Here the heap may grow by garbage bytes at least, but to no more than five times what lives. LimitHeap holds all the same.
const (
	garbage                 = 192 * mib
	leastGrowth, mostGrowth = 100, 400 // Percent of what lives.
)

// CollectLess makes it so for the life of the process, unless GOGC is set in its environment.
func CollectLess() {
	if _, set := os.LookupEnv("GOGC"); set {
		return
	}
	c := &collector{percent: leastGrowth}
	c.adjust()
	c.awaitCycle()
}

// collector looks after each collection what lives.
type collector struct{ percent int }

// awaitCycle calls itself again after the next collection, which finds that nothing refers to the mark.
func (c *collector) awaitCycle() {
	runtime.AddCleanup(new([16]byte), func(c *collector) {
		c.adjust()
		c.awaitCycle()
	}, c)
}

func (c *collector) adjust() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	// To set it stops the process for a moment: not for small differences.
	if percent := growth(int64(live[0].Value.Uint64())); percent < c.percent*7/8 || percent > c.percent*9/8 || percent == leastGrowth && c.percent != leastGrowth {
		c.percent = percent
		debug.SetGCPercent(percent)
	}
}

// growth is by how many percent the heap may grow when so many bytes live.
func growth(live int64) int {
	return int(min(max(garbage*100/max(live, 1), leastGrowth), mostGrowth))
}
