package proc

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"pulseboard/internal/histogram"
)

func TestParse(t *testing.T) {
	const rest = " 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 8 0 1000 1000000 2500 18446744073709551615"
	page := int64(os.Getpagesize())
	for name, c := range map[string]struct {
		stat string
		want Usage
		ok   bool
	}{
		"user and system are added":            {"42 (gateway) S" + rest, Usage{2, 2500 * page}, true},
		"a name may hold spaces and brackets":  {"42 (a) S (b c) R" + rest, Usage{2, 2500 * page}, true},
		"one that has ended uses nothing":      {"42 (gateway) Z" + rest, Usage{}, false},
		"a line that is cut off is an error":   {"42 (gateway) S 1 42 42", Usage{}, false},
		"what is no number is an error":        {"42 (g) S 1 42 42 0 -1 4194560 100 0 0 0 many 50 0 0 20 0 8 0 1000 1000000 2500 1", Usage{}, false},
		"a file of something else is an error": {"", Usage{}, false},
		"zeros are zeros":                      {"42 (g) S 1 42 42 0 -1 0 0 0 0 0 0 0 0 0 20 0 8 0 0 0 0 0", Usage{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(c.stat)
			if got != c.want || (err == nil) != c.ok {
				t.Errorf("%+v, %v; want %+v, ok %v", got, err, c.want, c.ok)
			}
		})
	}
}

func TestLookAtThisProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no /proc")
	}
	u, err := Look(os.Getpid())
	if err != nil || u.RSS < 1<<20 {
		t.Errorf("%+v, %v: a Go process has more than a megabyte", u, err)
	}
	if f := Family(os.Getpid()); f < u.CPU {
		t.Errorf("the family used %v s, one of it %v s", f, u.CPU)
	}
	if m := LookAtMachine(); m.Busy < u.CPU {
		t.Errorf("the machine was busy for %v s, this process for %v s", m.Busy, u.CPU)
	}
}

// A histogram has the spread that sorting the times has, but for its bins.
func TestSpreadAgainstSorting(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var counted histogram.Histogram
	times := make([]time.Duration, 3001)
	for i := range times {
		times[i] = time.Duration(r.ExpFloat64()*20_000) * time.Microsecond
		counted.Record(times[i])
	}
	got, want := SpreadIn(&counted), SpreadOf(slices.Clone(times))
	near := func(got, want float64) bool { return math.Abs(got-want) < 0.03*want }
	if got.N != want.N || got.Max != want.Max || !near(got.P50, want.P50) || !near(got.P99, want.P99) {
		t.Errorf("%+v; want %+v", got, want)
	}
	if s := SpreadIn(new(histogram.Histogram)); s.N != 0 || s.String() != "none" {
		t.Errorf("of nothing: %v", s)
	}
}
