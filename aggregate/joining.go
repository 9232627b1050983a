package aggregate

import (
	"math"
	"slices"
	"unsafe"
)

// joiner is what a store joins the samples of counters with, one series after the other.
type joiner struct {
	joins    Joins
	sliceMs  int64
	lookback int64 // In slices, rounded up.

	counted Acc // What is being added.
	known   Samples
	both    Samples
	seen    Samples // Those of the slice, as far as samples after them hang on them.
	chain   chain
	before  []sliceGrowth
	after   []sliceGrowth
	changed []int64 // Slices whose content is no sum of what was added to them.
	faults  CounterFaults
	form    treeForm
	unpack  unpack
}

const nothing = math.MinInt64

// sliceGrowth is by how much the counter of a series grew in a slice.
type sliceGrowth struct {
	slice      int64
	growth     Growth
	histograms bool // There are some.
}

// CounterFaults are what samples said that cannot be, since the last TakeCounterFaults.
type CounterFaults struct {
	WentBack  int64 // See Growth.
	Conflicts int64 // Samples that have the time of another one and another value.
	Lost      int64 // Samples, about, that were left out: more than maxSamples of a series in one slice.
}

// tip is what the next samples of a series are joined to.
type tip struct {
	slice  int64 // The newest with samples of a counter.
	before chain // What comes before those.
}

func (t *tip) size() int64 {
	if t == nil {
		return 0
	}
	return int64(unsafe.Sizeof(*t)) + int64(cap(t.before))*sampleSize
}

func newJoiner(o *Options) joiner {
	j := joiner{joins: o.Joins, sliceMs: o.SliceMs}
	if j.sliceMs == 0 {
		j.sliceMs = 1000
	}
	if j.joins.Lookback == 0 {
		j.joins.Lookback = Lookback
	}
	j.lookback = (j.joins.Lookback + j.sliceMs - 1) / j.sliceMs
	return j
}

// add adds what is marked to a series, and returns what counts of it, with the growth of its slice. That of later
// slices is in j.after, and slices in j.changed where points which counted already count with another value now, or histograms
// grew by less than they did. It is valid until the next call. Faults of what is restored were told before.
func (j *joiner) add(sr *series, slice int64, a *Acc, restored bool, scratch *codec) *Acc {
	c := &j.counted
	c.Reset()
	c.Merge(a)
	j.after, j.changed = j.after[:0], j.changed[:0]
	added := a.More.Marked.Samples
	j.known = sr.samples(&j.unpack, j.known[:0], slice)
	if !restored {
		j.faults.Conflicts += conflicts(j.known, added)
		j.faults.Lost += a.More.Marked.Lost + int64(max(0, len(j.known)+len(added)-maxSamples))
	}
	var changed bool
	if c.More.Marked.Samples, changed = c.More.Marked.Samples.news(j.known); changed {
		j.changed = append(j.changed, slice)
	}
	c.countPoints()
	if !added.has(Flags.isCumulative) {
		sr.add(slice, a, scratch)
		return c
	}
	if added.has(Flags.grows) {
		sr.histograms, sr.metric.histograms = true, true
	}
	var grown Growth
	if sr.tip == nil {
		sr.tip = j.tipOf(sr)
	}
	if slice >= sr.tip.slice {
		grown = j.addNewest(sr, slice, added, c)
		sr.add(slice, a, scratch)
	} else {
		grown = j.addLate(sr, slice, a, scratch)
	}
	j.faults.WentBack += grown.WentBack
	c.More.Growth = grown
	return c
}

// addNewest is by how much a counter grows with samples of its newest slice that has any. What histograms grow by counts in c.
func (j *joiner) addNewest(sr *series, slice int64, added Samples, c *Acc) Growth {
	t := sr.tip
	if slice > t.slice {
		if j.both = j.both[:0]; t.slice != nothing {
			j.both = sr.samples(&j.unpack, j.both, t.slice)
		}
		j.joins.fold(&t.before, j.both, nil)
		t.slice = slice
	}
	j.chain = append(j.chain[:0], t.before...)
	old := j.joins.fold(&j.chain, j.known, nil)
	j.both = append(j.both[:0], j.known...)
	j.both.Merge(added)
	var grown Grown
	switch {
	case !added.has(Flags.grows):
	case !j.known.has(Flags.grows):
		grown = c.countGrown
	default: // The growth of a sample that is known may be another now.
		j.changed = append(j.changed, slice)
	}
	j.chain = append(j.chain[:0], t.before...)
	return j.joins.fold(&j.chain, j.both, grown).minus(old)
}

// addLate adds samples to a slice that others follow. They change by how much the counter grew in that slice, and
// in those of the samples that were compared with what came before them.
func (j *joiner) addLate(sr *series, slice int64, a *Acc, scratch *codec) Growth {
	j.before = j.growth(sr, slice, a.More.Marked.Samples, j.before[:0])
	sr.add(slice, a, scratch)
	j.after = j.growth(sr, slice, a.More.Marked.Samples, j.after[:0])
	sr.tip = nil
	if a.More.Marked.Samples.has(Flags.grows) {
		for _, g := range j.after {
			if g.histograms {
				j.changed = append(j.changed, g.slice)
			}
		}
	}
	var grown Growth
	for _, g := range j.before {
		if i := slices.IndexFunc(j.after, func(a sliceGrowth) bool { return a.slice == g.slice }); i >= 0 {
			j.after[i].growth = j.after[i].growth.minus(g.growth)
		}
	}
	j.after = slices.DeleteFunc(j.after, func(a sliceGrowth) bool {
		if a.slice == slice {
			grown = a.growth
		}
		return a.slice == slice || a.growth == Growth{}
	})
	return grown
}

// growth appends by how much the counter of a series grew in a slice, and in those after it as far as samples that are
// added to it change that: the next one, and the others with the start of one that is added, until one is as great.
func (j *joiner) growth(sr *series, slice int64, added Samples, to []sliceGrowth) []sliceGrowth {
	j.chain = j.chain[:0]
	past := false
	j.seen = append(append(j.seen[:0], added...), j.known...) // One of these may have got another start.
	sr.each(&j.unpack, slice-j.lookback-1, slice+j.lookback, func(at int64, a *Acc) {
		if past || a.More == nil || !a.More.Marked.Samples.has(Flags.isCumulative) {
			return
		}
		g := j.joins.fold(&j.chain, a.More.Marked.Samples, nil)
		if at < slice {
			return
		}
		to = append(to, sliceGrowth{at, g, a.More.Marked.Samples.has(Flags.grows)})
		if at > slice {
			j.seen = j.seen.notHidden(a.More.Marked.Samples)
			past = len(j.seen) == 0
		}
	})
	return to
}

// notHidden leaves those samples that later ones still hang on when others lie between, besides the next.
func (s Samples) notHidden(between Samples) Samples {
	return slices.DeleteFunc(s, func(x Sample) bool {
		return x.Start == 0 || x.Flags&Cumulative == 0 ||
			slices.ContainsFunc(between, func(y Sample) bool {
				return y.Flags.kind() == x.Flags.kind() && y.Start == x.Start && y.total() >= x.total()
			})
	})
}

// tipOf finds the tip of a series.
func (j *joiner) tipOf(sr *series) *tip {
	t := &tip{slice: nothing}
	if len(sr.open) == 0 && len(sr.sealed) == 0 {
		return t
	}
	sr.each(&j.unpack, sr.newest()-2*j.lookback, sr.newest(), func(at int64, a *Acc) {
		if a.More != nil && a.More.Marked.Samples.has(Flags.isCumulative) {
			t.slice = at
		}
	})
	if t.slice != nothing {
		t.before = j.chainBefore(sr, t.slice)
	}
	return t
}

// chainBefore is what the samples of a series from a slice on are joined to.
func (j *joiner) chainBefore(sr *series, slice int64) (c chain) {
	sr.each(&j.unpack, slice-j.lookback-1, slice-1, func(_ int64, a *Acc) {
		if a.More != nil {
			j.joins.fold(&c, a.More.Marked.Samples, nil)
		}
	})
	return c
}

// correct adds, to the groups that hold it, by how much more a counter grew in later slices. It returns by how many bytes they have grown.
func (j *joiner) correct(feeds []feed) (grown int64) {
	for i := range j.after {
		a := Acc{More: &More{Growth: j.after[i].growth}}
		j.faults.WentBack += j.after[i].growth.WentBack
		for _, f := range feeds {
			if f.selector.needs&NeedGrowth != 0 {
				grown += f.group.add(j.after[i].slice, &a)
			}
		}
	}
	return grown
}

// refresh computes anew what the slices of a group amount to that have changed. By how much counters grew in them its tree
// knows. Where a group has no tree yet its slices wait.
func (j *joiner) refresh(g *group, needs Needs) {
	if g.tree == nil {
		return
	}
	slices.Sort(g.changed)
	g.changed = slices.Compact(g.changed)
	accs := make([]Acc, len(g.changed))
	for _, sr := range g.inOrder() {
		after := g.changed[0] - 1
		if sr.histograms {
			after -= j.lookback
		}
		j.chain = j.chain[:0]
		sr.each(&j.unpack, after, g.changed[len(accs)-1], func(slice int64, a *Acc) {
			if i, found := slices.BinarySearch(g.changed, slice); found {
				accs[i].Merge(j.form.of(j.form.whole(a, j.joins, &j.chain), needs))
			} else if sr.histograms && a.More != nil {
				j.joins.fold(&j.chain, a.More.Marked.Samples, nil)
			}
		})
	}
	for i, slice := range g.changed {
		g.tree.Replace(slice, &accs[i])
	}
	g.changed = g.changed[:0]
}

// conflicts is how many samples of a have the time of one of known, and another value.
func conflicts(known, a Samples) (n int64) {
	if len(known) == 0 {
		return 0
	}
	for _, x := range a {
		if at, found := known.find(x); found && known[at].compareValue(&x) != 0 {
			n++
		}
	}
	return n
}

// samples appends those of a slice of a series.
func (sr *series) samples(u *unpack, to Samples, slice int64) Samples {
	take := func(_ int64, a *Acc) {
		if a.More != nil {
			to = append(to, a.More.Marked.Samples...)
		}
	}
	if n := len(sr.open); n > 0 && sr.open[0].slice <= slice {
		for i := n - 1; i >= 0 && sr.open[i].slice >= slice; i-- {
			if sr.open[i].slice == slice {
				take(slice, &sr.open[i].acc)
			}
		}
		return to
	}
	if len(sr.sealed) > 0 && slice <= sr.last {
		sr.each(u, slice-1, slice, take)
	}
	return to
}

// treeForm makes what trees hold of accumulators, one after the other in the same memory.
type treeForm struct {
	counted Acc
	acc     Acc
	more    More
}

// whole is an accumulator of a series in which everything counts that it holds: points, and what counters and histograms grew
// by after the samples of c, to which its own are joined.
func (t *treeForm) whole(a *Acc, joins Joins, c *chain) *Acc {
	if a.More == nil || len(a.More.Marked.Samples) == 0 {
		return a
	}
	t.counted.Reset()
	t.counted.Merge(a)
	samples := a.More.Marked.Samples
	var grown Grown
	if samples.has(Flags.grows) {
		grown = t.counted.countGrown
	}
	t.counted.More.Growth = joins.fold(c, samples, grown)
	t.counted.countPoints()
	return &t.counted
}

// of leaves out samples, and the growth unless it is needed. What it returns shares the rest with a, which is whole.
func (t *treeForm) of(a *Acc, needs Needs) *Acc {
	if a.More == nil {
		return a
	}
	t.acc, t.more = *a, *a.More
	t.more.Last, t.more.Marked = Last{}, Marked{Still: a.More.Marked.Still}
	if needs&NeedGrowth == 0 {
		t.more.Growth, t.more.Marked.Still = Growth{}, Still{}
	}
	if t.acc.More = &t.more; t.more.holds() == 0 {
		t.acc.More = nil
	}
	return &t.acc
}

// forget counts all points of an accumulator and forgets its samples: of the series Other, in which those of many lie,
// nobody can tell them apart.
func (a *Acc) forget() {
	if a.More != nil {
		a.countPoints()
		a.More.Marked.Stale = 0
	}
}

// TakeCounterFaults returns what samples said that cannot be, since the last call.
func (s *Store) TakeCounterFaults() CounterFaults {
	f := s.joiner.faults
	s.joiner.faults = CounterFaults{}
	return f
}
