// Package memory finds how much memory this program may use, shares it out among
// its processes, and counts those that the kernel has ended for want of it.
package memory

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
)

// Limit is how much memory a program may use, and where the limit comes from.
type Limit struct {
	Bytes int64 // 0 = not known.
	From  string
}

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// Available returns how much memory this program may use, with all its children:
// what its memory group has, else half of the machine, of a small one three quarters.
func Available() Limit {
	whole := machine()
	if g, ok := ownGroup("/"); ok {
		if limit := g.limit(); limit > 0 && (whole == 0 || limit < whole) {
			return Limit{limit, "the memory group"}
		}
	}
	if whole == 0 {
		return Limit{From: "nothing known of this machine"}
	}
	return Limit{max(whole/2, min(whole*3/4, gib)), "this machine"}
}

// Shares are the parts of one program on one machine.
type Shares struct {
	Total    int64
	Pipeline int64 // Of its process; half of that is what --state-bytes counts.
	Own      int64 // Of this process: ingest, gateway, config service, the embedded Kafka.
	Redis    int64 // What Redis may hold.
}

// Share shares out. An eighth is left for stacks, for what the kernel keeps for the
// processes, and for what Redis needs besides what it holds.
func Share(total int64) Shares {
	return Shares{Total: total, Pipeline: total / 2, Own: total / 4, Redis: min(total/8, 2*gib)}
}

// Collector returns the metric of the shares.
func (s Shares) Collector() prometheus.Collector {
	limits := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "pulseboard_memory_limit_bytes",
		Help: "Memory that the processes of pulseboard run may use, by part: all (--memory, else of the machine or its memory group), pipeline, run (this process) and redis. " +
			"0 = not bounded. Normal: steady.",
	}, []string{"part"})
	for part, bytes := range map[string]int64{"all": s.Total, "pipeline": s.Pipeline, "run": s.Own, "redis": s.Redis} {
		limits.WithLabelValues(part).Set(float64(bytes))
	}
	return limits
}

// State is what of a pipeline process's memory may be state: half of what the
// program itself leaves. The other half is for the garbage collector, which lets
// the heap grow to twice what lives.
func State(process int64) int64 { return max((process-program)/2, 32*mib) }

// Process is how much memory a pipeline's process needs with so much state.
func Process(state int64) int64 { return 2*state + program }

// program is what a pipeline's process takes that holds nothing.
const program = 128 * mib

// LimitHeap sets the limit of Go's heap, unless GOMEMLIMIT has set one, and
// returns the one that is in force, 0 when there is none.
func LimitHeap(bytes int64) int64 {
	if _, set := os.LookupEnv("GOMEMLIMIT"); !set && bytes > 0 {
		debug.SetMemoryLimit(bytes)
	}
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return limit
	}
	return 0
}

// HeapLimit returns the limit that GOMEMLIMIT has set, 0 when there is none.
func HeapLimit() int64 { return LimitHeap(0) }

// leastAddresses is what a program of ours needs of the address space: Go reserves
// far more of it than it uses memory.
const leastAddresses = 3 * gib

// CheckAddressSpace returns an error when ulimit -v is too small: Go would end in the
// middle of its work with a dump.
func CheckAddressSpace() error {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &r); err != nil {
		return nil //nolint:nilerr // A system without such a limit.
	}
	return checkAddresses(r.Cur)
}

func checkAddresses(limit uint64) error {
	if limit >= uint64(leastAddresses) {
		return nil
	}
	return fmt.Errorf("the address space of this process is limited to %s (ulimit -v), and it needs %s, of which it uses little: "+
		"lift that limit (ulimit -v unlimited) and bound memory itself with --memory, GOMEMLIMIT or a memory group",
		Text(int64(limit)), Text(leastAddresses))
}

// Text writes a size for people.
func Text(bytes int64) string {
	switch {
	case bytes >= 10*gib:
		return fmt.Sprintf("%d GiB", bytes/gib)
	case bytes >= gib:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/float64(gib))
	}
	return fmt.Sprintf("%d MiB", bytes/mib)
}

// Kills returns how many processes of this memory group the kernel has ended for
// want of memory; false where nothing counts them.
func Kills() (n int64, ok bool) {
	g, ok := ownGroup("/")
	if !ok {
		return 0, false
	}
	return g.kills()
}
