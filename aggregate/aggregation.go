package aggregate

import (
	"math"
	"math/bits"
)

// Aggregation is something that a window can be asked for by a name.
type Aggregation struct {
	Name      string
	Extract   Extract
	Needs     Needs
	Bins      func(a *Acc) []Bin // Its value is this distribution, and Extract says how many values that has; nil = it is a number.
	FromZero  Extract            // Of counters whose series begin at zero; nil = it is the same.
	PerSecond bool               // The value is what Extract gives, divided by the seconds of the window.
}

// Over is Extract for windows of so many seconds, or FromZero.
func (a Aggregation) Over(seconds int, fromZero bool) Extract {
	extract := a.Extract
	if fromZero && a.FromZero != nil {
		extract = a.FromZero
	}
	if !a.PerSecond {
		return extract
	}
	return func(acc *Acc) (float64, bool) {
		v, ok := extract(acc)
		return v / float64(seconds), ok
	}
}

//go:generate go run ../tools/lists ..

// Aggregations returns all but percentiles, which have a number (see Percentile), in the order in which people
// are shown them. A further one is a line here and a function; what lists their names is generated from this table.
func Aggregations() []Aggregation {
	return []Aggregation{
		{Name: "sum", Extract: sum},
		{Name: "avg", Extract: avg},
		{Name: "max", Extract: maximum},
		{Name: "min", Extract: minimum},
		{Name: "count", Extract: count},
		{Name: "stddev", Extract: stddev, Needs: NeedMoments},
		{Name: "histogram", Extract: sketched, Needs: NeedSketch, Bins: histogram},
		{Name: "increase", Extract: increase, FromZero: increaseFromZero, Needs: NeedGrowth},
		{Name: "rate", Extract: increase, FromZero: increaseFromZero, Needs: NeedGrowth, PerSecond: true},
		{Name: "increase_avg", Extract: increaseAvg, FromZero: increaseAvgFromZero, Needs: NeedGrowth | NeedLast},
		{Name: "rate_avg", Extract: increaseAvg, FromZero: increaseAvgFromZero, Needs: NeedGrowth | NeedLast, PerSecond: true},
		{Name: "last", Extract: last, Needs: NeedLast},
		{Name: "last_sum", Extract: lastSum, Needs: NeedLast},
		{Name: "last_avg", Extract: lastAvg, Needs: NeedLast},
		{Name: "last_min", Extract: lastMin, Needs: NeedLast},
		{Name: "last_max", Extract: lastMax, Needs: NeedLast},
		{Name: "last_count", Extract: lastCount, Needs: NeedLast},
	}
}

// Extract computes one aggregation. It returns false where there is no value:
// the average, the extremes and the deviation of no events.
type Extract func(a *Acc) (float64, bool)

// Named returns the aggregation of that name.
func Named(name string) (Aggregation, bool) {
	for _, a := range Aggregations() {
		if a.Name == name {
			return a, true
		}
	}
	return Aggregation{}, false
}

// sum of no events is 0. A sum that overflowed is infinite, which a result shows as null.
func sum(a *Acc) (float64, bool) { return a.Sum, true }

// avg of no events is absent.
func avg(a *Acc) (float64, bool) { return a.Sum / float64(max(a.Count, 1)), a.Count > 0 }

// maximum of no events is absent.
func maximum(a *Acc) (float64, bool) { return a.Max, a.Count > 0 }

// minimum of no events is absent.
func minimum(a *Acc) (float64, bool) { return a.Min, a.Count > 0 }

// count of no events is 0.
func count(a *Acc) (float64, bool) { return float64(a.Count), true }

// stddev is that of the population, of all events together: 0 of one event, absent of none.
func stddev(a *Acc) (float64, bool) {
	if a.More.holds()&NeedMoments == 0 {
		return 0, false
	}
	m := &a.More.Moments
	return math.Sqrt(m.Squares / float64(m.Count)), true
}

// sketched is how many values the sketch has; no number where it has none.
func sketched(a *Acc) (float64, bool) {
	if a.More.holds()&NeedSketch == 0 {
		return 0, false
	}
	return float64(a.More.Sketch.Count()), true
}

// histogram is the distribution of all values, of one that sketched has.
func histogram(a *Acc) []Bin { return Distribution(&a.More.Sketch) }

// increase is by how much counters grew, and what events and deltas amount to. Of no events it is 0 while a series
// still lives, else absent.
func increase(a *Acc) (float64, bool) {
	switch m := a.More; {
	case a.Count == 0:
		return 0, m != nil && m.Stand != nil && m.Stand.Alive
	case m == nil:
		return a.Sum, true
	case m.Marked.Still.Count == a.Count:
		return m.Growth.Sum, true
	default:
		return a.Sum - m.Marked.Still.Sum + m.Growth.Sum, true
	}
}

// increaseFromZero is increase where samples that nothing precedes count whole.
func increaseFromZero(a *Acc) (float64, bool) {
	v, ok := increase(a)
	return v + a.growth().First, ok
}

// increaseAvg is increase by how many series have a last value, absent when none has.
func increaseAvg(a *Acc) (float64, bool) {
	v, _ := increase(a)
	return v / float64(max(a.standing().Series, 1)), a.standing().Series > 0
}

// increaseAvgFromZero is increaseAvg where samples that nothing precedes count whole.
func increaseAvgFromZero(a *Acc) (float64, bool) {
	v, _ := increaseFromZero(a)
	return v / float64(max(a.standing().Series, 1)), a.standing().Series > 0
}

// last is the value of the newest event, the greatest of those of one time; absent when no series has a value.
func last(a *Acc) (float64, bool) { return a.standing().Newest.Value, a.standing().Series > 0 }

// lastSum is the sum of the last values of all series, as the others are of these too.
func lastSum(a *Acc) (float64, bool) { return a.standing().Sum, a.standing().Series > 0 }

func lastAvg(a *Acc) (float64, bool) {
	s := a.standing()
	return s.Sum / float64(max(s.Series, 1)), s.Series > 0
}

func lastMin(a *Acc) (float64, bool) { return a.standing().Min, a.standing().Series > 0 }

func lastMax(a *Acc) (float64, bool) { return a.standing().Max, a.standing().Series > 0 }

// lastCount is how many series have a last value, absent when none has.
func lastCount(a *Acc) (float64, bool) { return float64(a.standing().Series), a.standing().Series > 0 }

// Percentile is the aggregation that extracts the value at rank
// floor(of/outOf × (n−1)) of the sorted values, within SketchError; of 999 in
// 1000 is p99.9. of must not exceed outOf. Without a sketch there is no value.
func Percentile(of, outOf uint64) Extract {
	return func(a *Acc) (float64, bool) {
		if a.More.holds()&NeedSketch == 0 {
			return 0, false
		}
		sketch := &a.More.Sketch
		// In integers: as floats, 29 % of 100 is 28.999999999999996, another rank.
		hi, lo := bits.Mul64(uint64(sketch.Count()-1), of)
		rank, _ := bits.Div64(hi, lo, outOf)
		// The extremes are known exactly, so no estimate need lie beyond them.
		return min(max(sketch.At(int64(rank)), a.Min), a.Max), true
	}
}

// Bin is a part of a distribution: how many values are above Lower and up to Upper, of negative ones from
// Lower up and below Upper. The bin of zero has all values from Lower to Upper, which are both 0 but where
// a histogram counted what lies near zero with it.
type Bin struct {
	Lower, Upper float64
	Count        int64
}

// DistributionBins is the most bins that a distribution has.
const DistributionBins = 64

// Distribution returns how the values of a sketch are distributed: the bins that have any, rising, of the
// finest scale of which there are at most DistributionBins, and which all of its histograms have; none of an
// empty sketch.
func Distribution(s *Sketch) []Bin {
	if s.Count() == 0 {
		return []Bin{}
	}
	coarser := s.coarser
	bins := s.distribution(coarser)
	for len(bins) > DistributionBins {
		coarser++
		bins = s.distribution(coarser)
	}
	return bins
}
