package aggregate_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pulseboard/aggregate"
)

// log is tables by slice of pipeline time; some slices have none.
type log []aggregate.Table

// nearLimits makes a log in which more series than the limits let in come, are silent for
// longer than the retention, and come again, several new ones at a time, with
// values whose sums hang on their order.
func nearLimits(r *rand.Rand, length int64) log {
	l := make(log, length)
	phase := 0
	for at := range length {
		if r.IntN(25) == 0 {
			phase = r.IntN(4)
		}
		if phase == 3 {
			continue
		}
		l[at] = aggregate.Table{}
		for range r.IntN(8) {
			tags := fmt.Sprintf("a=%d,b=%d", phase*5+r.IntN(9), r.IntN(3))
			slice := at - int64(r.IntN(3)*r.IntN(8))
			l[at].AddFor(aggregate.NeedSketch, slice, key(fmt.Sprint("m", r.IntN(2)), tags), float64(r.IntN(1000))*0.1, slice*1000)
		}
	}
	return l
}

// sight is all that one sees of a store, with each number to the last bit.
func sight(s *aggregate.Store, sels []*aggregate.Selector, at int64) string {
	var b strings.Builder
	write := func(group string, a *aggregate.Acc) {
		fmt.Fprintf(&b, "%s:%d,%x,%x,%x ", group, a.Count, math.Float64bits(a.Sum), math.Float64bits(a.Min), math.Float64bits(a.Max))
	}
	for _, sel := range sels {
		sel.Window(aggregate.Range{From: at - 30, To: at + 1}, 0, write)
	}
	held := s.SeriesTags()
	for _, tags := range held {
		slices.Sort(tags)
	}
	return fmt.Sprintf("%s%v %v %d", &b, held, s.TakeOther(), s.Series())
}

// limited is a store with a limit of series for each metric.
func limited(retain int64, limit int) *aggregate.Store {
	return aggregate.NewStore(aggregate.Options{Retain: retain, SeriesPerMetric: limit})
}

var testSelectors = []aggregate.Match{whole, func(tags string) (string, bool) { return strings.Split(tags, ",")[0], true }}

// play gives a store a log, slice by slice, and returns what one sees after each.
func play(l log) []string {
	s := limited(40, 7)
	var sels []*aggregate.Selector
	for i, match := range testSelectors {
		for _, name := range []string{"m0", "m1"} {
			b := s.Build(name, fmt.Sprint(i), 50, 60, 0, match)
			b.Run(nil, nil)
			sels = append(sels, s.Adopt(b))
		}
	}
	var seen []string
	for at, t := range l {
		if t != nil {
			s.Merge(t)
		}
		s.Pass(int64(at))
		seen = append(seen, sight(s, sels, int64(at)))
	}
	return seen
}

// Which series a limit lets in, and every bit of every sum is
// the same each time a log is read: maps give their elements in another order each time.
func TestStoreIsAFunctionOfTheLog(t *testing.T) {
	for seed := range uint64(12) {
		l := nearLimits(rand.New(rand.NewPCG(seed, 1)), 400)
		want := play(l)
		if !strings.Contains(strings.Join(want, ""), aggregate.Other) {
			t.Fatal("no limit is reached")
		}
		for n := range 5 {
			got := play(l)
			for at := range want {
				if got[at] != want[at] {
					t.Fatalf("seed %d, run %d, slice %d:\n%q, before\n%q", seed, n, at, got[at], want[at])
				}
			}
		}
	}
}

// What is built from what is held says what the trees say that grew with it, to the last bit.
func TestBuildIsTheTreeToTheLastBit(t *testing.T) {
	s := limited(300, 0)
	b := s.Build("m0", "grown", 200, 300, 0, whole)
	b.Run(nil, nil)
	grown := s.Adopt(b)
	r := rand.New(rand.NewPCG(3, 3))
	for at := range int64(150) {
		t := aggregate.Table{}
		for range 20 {
			t.Add(at, key("m0", fmt.Sprint("a=", r.IntN(30))), float64(r.IntN(1000))*0.1, at*1000)
		}
		s.Merge(t)
	}
	var want aggregate.Acc
	grown.Window(aggregate.Range{From: 20, To: 140}, 0, func(_ string, a *aggregate.Acc) { want = *a })
	for n := range 20 {
		build(s, fmt.Sprint("built", n), 200, whole, []aggregate.Range{{From: 20, To: 140}}, func(_ string, accs []aggregate.Acc) {
			if accs[0].Sum != want.Sum {
				t.Errorf("built %v, grown %v", accs[0].Sum, want.Sum)
			}
		})
	}
}

// The room that a limit leaves is that of other series: the series of those that were turned
// away takes none of it.
func TestRoomIsGivenAgain(t *testing.T) {
	s := limited(40, 2)
	at := int64(0)
	send := func(tags ...string) {
		table := aggregate.Table{}
		for _, tag := range tags {
			table.Add(at, key("m", tag), 1, at*1000)
		}
		s.Merge(table)
		at++
	}
	send("a=1", "a=2", "a=3")
	for range 120 {
		send("a=1", "a=4") // The second is forgotten on the way.
	}
	got := s.SeriesTags()["m"]
	slices.Sort(got)
	if want := []string{aggregate.Other, "a=1", "a=4"}; !slices.Equal(got, want) {
		t.Errorf("%q are held, want %q", got, want)
	}
}
