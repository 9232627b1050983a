package sources

import (
	"math"
	"testing"

	"pulseboard/job"
)

// The source is ahead of the slowest key group by its lead at most; with too many bytes under way only as far as the first timer.
func TestLead(t *testing.T) {
	progress := job.NewProgress()
	l := lead{progress, testOptions(), base}
	want := func(when string, limit int64) {
		t.Helper()
		if got := l.limit(); got != limit {
			t.Errorf("%s: %d, want %d", when, got-base, limit-base)
		}
	}
	want("the runner holds the source back", math.MaxInt64)
	l.options.MaxLeadMs, l.options.PartialBytes = 5000, 100
	want("before any key group reports", base+5000)
	progress.Emitted(1, base+1000, 100)
	want("as many bytes as may be", base+5000)
	progress.Emitted(1, base+1000, 1)
	want("too many, and no timer is set", base+2000)
	progress.Report(1, base+1000, base+4000)
	progress.Report(2, base+3000, base+3500)
	want("too many, up to the first timer", base+3500)
	progress.Report(1, base+1000, base+9000)
	progress.Report(2, base+3000, base+9500)
	want("too many, and the first timer is beyond the lead", base+6000)
	progress.Arrived(1, base+1000)
	want("by the slowest key group", base+6000)
	progress.Report(1, math.MaxInt64, math.MaxInt64) // Its timer is not set any more.
	want("by the only one", base+8000)
}
