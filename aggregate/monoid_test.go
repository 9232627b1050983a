package aggregate_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pulseboard/aggregate"
)

// someAcc is an accumulator of up to five events or histograms with some of the needs, each with a mask of
// its own: a query may be asked for, or taken away, while a slice goes on.
func someAcc(r *rand.Rand, needs aggregate.Needs, value func(*rand.Rand) float64) aggregate.Acc {
	var a aggregate.Acc
	for range r.IntN(6) {
		n := needs
		if r.IntN(4) == 0 {
			n &= aggregate.Needs(r.UintN(uint(aggregate.AllNeeds) + 1))
		}
		at := r.Int64N(5000) - 1000
		switch r.IntN(8) {
		default:
			a.AddFor(n, value(r), at)
		case 0, 1:
			values := slices.DeleteFunc([]float64{value(r), value(r), value(r)}, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
			h := counted(r.IntN(12)-4, []float64{0, 0x1p-128, 0.5, 3}[r.IntN(4)], values[:r.IntN(len(values)+1)])
			a.AddHistogram(n, &h, at)
		case 2, 3: // Few times, so that some are of the same.
			s := aggregate.Sample{Time: at % 5, Nanos: []int32{0, 0, 7, 999_999}[r.IntN(4)], Start: -r.Int64N(3), Value: value(r), Flags: aggregate.Flags(1 + r.IntN(7)), Needs: n}
			if r.IntN(3) == 0 {
				h := counted(r.IntN(12)-4, []float64{0, 0.5}[r.IntN(2)], sentValues(r, r.IntN(4)))
				s.Histogram, s.Flags = &h, s.Flags&^aggregate.Gauge|aggregate.Point
			}
			a.AddSample(s)
		case 4:
			a.AddStale(at)
		}
	}
	return a
}

func merged(parts ...aggregate.Acc) (m aggregate.Acc) {
	for i := range parts {
		m.Merge(&parts[i])
	}
	return m
}

// sameAcc: sums of whole numbers are exact, others hang on their order. Everything else is exact always.
func sameAcc(a, b aggregate.Acc, exact bool) bool {
	if a.Count != b.Count || a.Min != b.Min || a.Max != b.Max || a.Newest != b.Newest {
		return false
	}
	if exact && a.Sum != b.Sum || !near(a.Sum, b.Sum) {
		return false
	}
	return sameMore(more(a), more(b))
}

// more is what an accumulator holds by need, also where that is nothing.
func more(a aggregate.Acc) aggregate.More {
	if a.More == nil {
		return aggregate.More{}
	}
	return *a.More
}

func sameMore(a, b aggregate.More) bool {
	return sketchOf(a) == sketchOf(b) && sameMoments(&a, &b) && a.Last == b.Last && sameMarked(&a.Marked, &b.Marked)
}

func sameMarked(a, b *aggregate.Marked) bool {
	return slices.EqualFunc(a.Samples, b.Samples, sameSample) && a.Stale == b.Stale && a.Lost == b.Lost && a.Still.Count == b.Still.Count && near(a.Still.Sum, b.Still.Sum)
}

func sameSample(a, b aggregate.Sample) bool {
	same := a.Histogram.Compare(b.Histogram) == 0
	a.Histogram, b.Histogram = nil, nil
	return same && a == b
}

// sketchOf is the bins of a sketch, whatever memory they take.
func sketchOf(m aggregate.More) string { return fmt.Sprint(m.Sketch) }

// bits is an accumulator to the last bit.
func bits(a aggregate.Acc) string {
	m, f := more(a), math.Float64bits
	histograms := ""
	m.Marked.Samples = slices.Clone(m.Marked.Samples)
	for i := range m.Marked.Samples {
		if h := &m.Marked.Samples[i].Histogram; *h != nil {
			histograms += fmt.Sprintf(" %+v", **h)
			*h = nil
		}
	}
	return histograms + fmt.Sprintf("%d %x %x %x %d, moments of %d: %x %x, %s, last of %d at %d: %x, marked %v",
		a.Count, f(a.Sum), f(a.Min), f(a.Max), a.Newest, m.Moments.Count, f(m.Moments.Mean), f(m.Moments.Squares), sketchOf(m),
		m.Last.Count, m.Last.Time, f(m.Last.Value), m.Marked)
}

// eachMask calls f with every mask and some accumulators of it, of whole numbers and of any.
func eachMask(t *testing.T, f func(t *testing.T, a, b, c aggregate.Acc, exact bool)) {
	t.Helper()
	r := rand.New(rand.NewPCG(21, 1))
	for needs := range aggregate.AllNeeds + 1 {
		for _, kind := range []string{"integers", "negatives", "decimals", "any"} {
			value := kinds()[kind]
			for range 100 {
				f(t, someAcc(r, needs, value), someAcc(r, needs, value), someAcc(r, needs, value), kind == "integers")
			}
		}
	}
}

// Accumulators under Merge are a commutative monoid: windows are merged from slices, and slices from
// partials, in whatever order and grouping they come.
func TestMergeIsACommutativeMonoid(t *testing.T) {
	eachMask(t, func(t *testing.T, a, b, c aggregate.Acc, exact bool) {
		t.Helper()
		var zero aggregate.Acc
		if got := merged(a, zero); !sameAcc(got, a, true) {
			t.Fatalf("%+v and nothing is %+v", a, got)
		}
		if got := merged(zero, a); !sameAcc(got, a, true) {
			t.Fatalf("nothing and %+v is %+v", a, got)
		}
		if ab, ba := merged(a, b), merged(b, a); !sameAcc(ab, ba, exact) {
			t.Fatalf("%+v and %+v are %+v, the other way round %+v", a, b, ab, ba)
		}
		if l, r := merged(merged(a, b), c), merged(a, merged(b, c)); !sameAcc(l, r, exact) {
			t.Fatalf("(%+v, %+v), %+v are %+v, grouped otherwise %+v", a, b, c, l, r)
		}
	})
}

// What is merged is what all events together amount to, for every need.
func TestMergeIsAddingAll(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 2))
	for needs := range aggregate.AllNeeds + 1 {
		for range 200 {
			var all aggregate.Acc
			parts := make([]aggregate.Acc, 1+r.IntN(5))
			for range r.IntN(20) {
				n, v, at := aggregate.Needs(r.UintN(uint(needs)+1))&needs, float64(r.IntN(2000)-1000), r.Int64N(1000)
				all.AddFor(n, v, at)
				parts[r.IntN(len(parts))].AddFor(n, v, at)
			}
			got := merged(parts...)
			if !sameAcc(got, all, true) {
				t.Fatalf("merged %+v, added one by one %+v", got, all)
			}
			for n := range aggregate.AllNeeds + 1 {
				if got.Has(n) != all.Has(n) {
					t.Fatalf("merged, %b is whole: %v; added one by one: %v", n, got.Has(n), all.Has(n))
				}
			}
		}
	}
}

// Merging changes nothing of what is merged, then or later, and what was reset is nothing.
func TestMergeLeavesTheOther(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 3))
	eachMask(t, func(t *testing.T, a, b, c aggregate.Acc, _ bool) {
		t.Helper()
		before := merged(b)
		a.Merge(&b)
		a.Merge(&c)
		for range 4 {
			a.AddFor(aggregate.AllNeeds, float64(r.IntN(1000)), 5)
		}
		a.Reset()
		a.AddFor(aggregate.AllNeeds, 7, 6)
		if !sameAcc(b, before, true) {
			t.Fatalf("%+v became %+v", before, b)
		}
		var one aggregate.Acc
		if one.AddFor(aggregate.AllNeeds, 7, 6); !sameAcc(a, one, true) {
			t.Fatalf("one event after a reset is %+v", a)
		}
		a.Reset()
		if a.Reset(); !reflect.DeepEqual(merged(a, b), merged(b)) {
			t.Fatalf("%+v, reset, and %+v are %+v", a, b, merged(a, b))
		}
	})
}

// Every mask and value is read as it was written, to the last bit.
func TestAccIsRead(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 4))
	for needs := range aggregate.AllNeeds + 1 {
		for kind, value := range kinds() {
			for range 100 {
				want := someAcc(r, needs, value)
				got, err := aggregate.DecodeAcc(aggregate.AppendAcc(nil, &want))
				if err != nil || bits(got) != bits(want) {
					t.Fatalf("%s: %s is read as %s, %v", kind, bits(want), bits(got), err)
				}
			}
		}
	}
}
