package aggregate_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pulseboard/aggregate"
)

// values of many kinds: those that metrics have, and those that break sketches.
func randomValues(r *rand.Rand, n int) []float64 {
	kinds := []func() float64{
		func() float64 { return r.Float64() * 1000 },
		func() float64 { return math.Exp(r.NormFloat64() * 3) },
		func() float64 { return float64(r.IntN(50)) },
		func() float64 { return r.NormFloat64() * 100 },
		func() float64 { return math.Float64frombits(r.Uint64()) },
		func() float64 { return 0 },
		func() float64 { return math.Copysign(math.MaxFloat64, r.NormFloat64()) },
		func() float64 { return math.Copysign(5e-324, r.NormFloat64()) },
	}
	first := r.IntN(len(kinds))
	values := make([]float64, 0, n)
	for len(values) < n {
		k := first
		if r.IntN(4) == 0 {
			k = r.IntN(len(kinds))
		}
		if v := kinds[k](); !math.IsNaN(v) && !math.IsInf(v, 0) {
			values = append(values, v)
		}
	}
	return values
}

// Any split of the values into accumulators, merged in any order, gives
// percentiles within SketchError of the value at the rank.
func TestPercentilesAgainstSortedValues(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 11))
		values := randomValues(r, 1+r.IntN(600))
		parts := make([]aggregate.Acc, 1+r.IntN(20))
		for _, v := range values {
			parts[r.IntN(len(parts))].AddFor(aggregate.NeedSketch, v, 1)
		}
		for len(parts) > 1 {
			i := r.IntN(len(parts) - 1)
			parts[i].Merge(&parts[len(parts)-1])
			parts = parts[:len(parts)-1]
		}
		slices.Sort(values)
		for of := range uint64(101) {
			want := values[int(of)*(len(values)-1)/100]
			got, ok := aggregate.Percentile(of, 100)(&parts[0])
			if !ok || math.Abs(got-want) > aggregate.SketchError*math.Abs(want) {
				if math.Abs(want) < 2.3e-308 && math.Abs(got) < 2.3e-308 {
					continue // Subnormal numbers count as zero.
				}
				t.Fatalf("seed %d: p%d of %d values is %v, want %v", seed, of, len(values), got, want)
			}
		}
		if !parts[0].Has(aggregate.NeedSketch) {
			t.Fatalf("seed %d: the sketch holds %d of %d", seed, parts[0].More.Sketch.Count(), parts[0].Count)
		}
	}
}

func TestPercentileRanks(t *testing.T) {
	var a aggregate.Acc
	for v := range 101 {
		a.AddFor(aggregate.NeedSketch, float64(v+1), 1)
	}
	for _, c := range []struct {
		of, outOf uint64
		want      float64
	}{
		{0, 100, 1}, {29, 100, 30}, {50, 100, 51}, {100, 100, 101}, {999, 1000, 100}, {7, 100, 8},
	} {
		got, _ := aggregate.Percentile(c.of, c.outOf)(&a)
		if math.Abs(got-c.want) > 0.01*c.want { // Below 50 no neighbour is as near.
			t.Errorf("%d of %d: %v, want %v", c.of, c.outOf, got, c.want)
		}
	}
	if _, ok := aggregate.Percentile(50, 100)(&aggregate.Acc{Count: 3}); ok {
		t.Error("a percentile of values that were not collected is no value")
	}
}

// Merging into an accumulator must leave the other one alone, now and later.
func TestMergeSharesNothing(t *testing.T) {
	var a, b aggregate.Acc
	b.AddFor(aggregate.NeedSketch, 1, 1)
	a.Merge(&b)
	a.AddFor(aggregate.NeedSketch, 2, 2)
	a.AddFor(aggregate.NeedSketch, 1, 2)
	if b.Count != 1 || b.More.Sketch.Count() != 1 {
		t.Errorf("b holds %d events, its sketch %d", b.Count, b.More.Sketch.Count())
	}
	a.Reset()
	if a.Count != 0 || a.More.Sketch.Count() != 0 {
		t.Errorf("after Reset %d events, %d in the sketch", a.Count, a.More.Sketch.Count())
	}
}

func FuzzDecodeTable(f *testing.F) {
	table := aggregate.Table{}
	for i, v := range []float64{0, 1, -1, math.MaxFloat64, 5e-324, -12.5} {
		table.AddFor(aggregate.NeedSketch, int64(i/2), key("m", "x"), v, int64(i))
	}
	f.Add(aggregate.AppendTable(nil, table))
	f.Add([]byte("\x01\x01\x06\x01\x02\x01m\x02\x00\x00\x00\x00\x00\x00\x08@\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00\x00\x00\x00\x00@\xd0\x0f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := aggregate.DecodeTable(b)
		if err != nil {
			return
		}
		again, err := aggregate.DecodeTable(aggregate.AppendTable(nil, got))
		if err != nil || again.Count() != got.Count() {
			t.Fatalf("%v: %d events, then %d", err, got.Count(), again.Count())
		}
	})
}

func benchmarkValues(n int) []float64 {
	r := rand.New(rand.NewPCG(1, 2))
	values := make([]float64, n)
	for i := range values {
		values[i] = math.Exp(r.NormFloat64()) * 100 // Latencies, say.
	}
	return values
}

func BenchmarkSketchAdd(b *testing.B) {
	values := benchmarkValues(4096)
	var s aggregate.Sketch
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Add(values[i%len(values)])
	}
}

func BenchmarkSketchMerge(b *testing.B) {
	values := benchmarkValues(10_000)
	for name, n := range map[string]int{"few": 4, "many": 10_000} {
		b.Run(name, func(b *testing.B) {
			var into, from aggregate.Sketch
			for i, v := range values {
				into.Add(v)
				if i < n {
					from.Add(v)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				into.Merge(&from)
			}
		})
	}
}

func BenchmarkSketchPercentile(b *testing.B) {
	var a aggregate.Acc
	for _, v := range benchmarkValues(10_000) {
		a.AddFor(aggregate.NeedSketch, v, 0)
	}
	p95 := aggregate.Percentile(95, 100)
	b.ReportAllocs()
	for b.Loop() {
		p95(&a)
	}
}
