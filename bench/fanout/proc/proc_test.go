package proc

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
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

// Times tells what sorting the times would, to a step of 0.1 ms.
func TestTimesAgainstSorting(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		var counted Times
		times := make([]time.Duration, 1+r.IntN(3000))
		for i := range times {
			times[i] = time.Duration(r.ExpFloat64() * float64(20*time.Millisecond))
			counted.Add(times[i])
		}
		got, want := counted.Spread(), SpreadOf(slices.Clone(times))
		if got.N != want.N || got.Max != want.Max || !near(got.P50, want.P50) || !near(got.P99, want.P99) {
			t.Errorf("seed %d: %+v, sorted %+v", seed, got, want)
		}
	}
}

// near: a step's end is at most a step above what lies in it.
func near(got, want float64) bool {
	const rounding = 1e-9
	return got >= want-rounding && got <= want+step.Seconds()*1000+rounding
}

func TestTimesBounds(t *testing.T) {
	var counted Times
	if s := counted.Spread(); s.N != 0 || s.String() != "none" {
		t.Errorf("of nothing: %v", s)
	}
	counted.Add(-time.Second)
	counted.Add(time.Hour)
	if s := counted.Spread(); s.N != 2 || s.Max != 3_600_000 {
		t.Errorf("below 0 and above a minute: %+v", s)
	}
}
