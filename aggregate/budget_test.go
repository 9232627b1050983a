package aggregate_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pulseboard/aggregate"
)

// Which series are kept at the limit does not hang on the order in which stores
// come to a slice, and all together stay below it.
func TestBudgetIsAFunctionOfWhatWasRead(t *testing.T) {
	const stores, lag, slicesOf, limit = 4, 8, 100, 1 << 20
	run := func(seed uint64) (kept [stores][]string, used int64) {
		r := rand.New(rand.NewPCG(seed, 1))
		budget := aggregate.NewBudget(limit, stores, lag)
		var ss [stores]*aggregate.Store
		for i := range ss {
			ss[i] = aggregate.NewStore(aggregate.Options{Retain: 1000, Budget: budget})
		}
		var at [stores]int64
		for slices.Min(at[:]) < slicesOf {
			i := r.IntN(stores)
			if at[i] == slicesOf || at[i] >= slices.Min(at[:])+lag {
				continue
			}
			// One by one: here it is not asked which of several in one table are kept.
			for n := range 20 * (i + 1) {
				table := aggregate.Table{}
				table.Add(at[i], key("m", fmt.Sprintf("host=%0100d", at[i]*1000+int64(n))), 1, at[i]*1000)
				ss[i].Merge(table)
			}
			ss[i].Pass(at[i])
			at[i]++
		}
		for i := range ss {
			kept[i] = ss[i].SeriesTags()["m"]
			slices.Sort(kept[i])
		}
		return kept, budget.Used()
	}
	want, used := run(1)
	if used > limit+limit/8 || used < limit/2 {
		t.Errorf("%d bytes are used of %d", used, limit)
	}
	for seed := range uint64(20) {
		got, _ := run(seed + 2)
		for i := range got {
			if !slices.Equal(got[i], want[i]) {
				t.Fatalf("seed %d: store %d keeps %d series, in another order %d, or others", seed, i, len(got[i]), len(want[i]))
			}
		}
	}
}

// Beyond the budget new series are Other, new metrics too until those alone would
// exceed it; then they are counted as not tracked, and say later that something is missing.
func TestBeyondTheBudget(t *testing.T) {
	s := aggregate.NewStore(aggregate.Options{Retain: 1000, Budget: aggregate.NewBudget(200_000, 1, 1)})
	table := aggregate.Table{}
	for i := range 5000 {
		table.Add(0, key(fmt.Sprintf("m%05d", i), "host=a"), 1, 0)
	}
	s.Merge(table)
	s.Pass(0)
	// Without the slack, which is a part of what the budget allows at the next slice only.
	if n := s.Bytes(); n < 200_000 || n > 230_000 {
		t.Errorf("%d bytes of 200,000 are held", n)
	}
	untracked := s.TakeOther()[aggregate.Untracked]
	if untracked == 0 || untracked+int64(s.Series()) != 5000 {
		t.Errorf("%d metrics, %d events that are not tracked", s.Series(), untracked)
	}
	before := s.Horizon("m-new")
	if before != 1 {
		t.Errorf("a metric that comes now would be whole from slice %d on, want 1", before)
	}
}

// What is held already may go on to grow: then the oldest slices are forgotten, and that is told.
func TestGrowthBeyondTheBudget(t *testing.T) {
	const limit = 300_000
	budget := aggregate.NewBudget(limit, 1, 4)
	s := aggregate.NewStore(aggregate.Options{Retain: 4000, Budget: budget})
	r := rand.New(rand.NewPCG(1, 1))
	for slice := range int64(4000) {
		table := aggregate.Table{}
		for i := range 20 {
			table.Add(slice, key("m", fmt.Sprint("host=", i)), r.NormFloat64(), slice*1000)
		}
		s.Merge(table)
		s.Pass(slice)
		if n := budget.Used(); n > limit*5/4 {
			t.Fatalf("%d bytes of %d are held after %d slices", n, limit, slice)
		}
	}
	oldest, _ := s.Oldest("m")
	if h := s.Horizon("m"); h < 64 || h < oldest || s.Series() != 20 {
		t.Errorf("%d series, whole from slice %d on; slices are held from %d on", s.Series(), h, oldest)
	}
}
