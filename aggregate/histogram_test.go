package aggregate_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"pulseboard/aggregate"
)

// What the SDKs count is valid, is what the values are by logarithms, and at each lower scale it is what they
// count there. What goes into a sketch comes out of it, down to where the scale of a sketch ends.
func TestHistogramsOfSDKs(t *testing.T) {
	everySender(t, func(t *testing.T, scale int, threshold float64, start func() sender) {
		t.Helper()
		r := rand.New(rand.NewPCG(uint64(scale+10), math.Float64bits(threshold)))
		values := sentValues(r, 1000)
		if scale > 10 {
			values = values[:50] // Their bins are many.
			for i := range values {
				values[i] = 1 + r.Float64()*math.Exp2(float64(12-scale))
			}
		}
		s := start()
		for _, v := range values {
			s.Record(v)
		}
		h := s.Sample()
		if err := h.Validate(); err != nil {
			t.Fatal(err)
		}
		if want := text(counted(scale, threshold, values)); text(h) != want {
			t.Fatalf("sent is\n%s, want\n%s", text(h), want)
		}
		for to := scale - 1; to >= aggregate.MinScale; to-- {
			if got, want := text(downscaled(h, int8(to))), text(counted(to, threshold, values)); got != want {
				t.Fatalf("at scale %d\n%s, want\n%s", to, got, want)
			}
		}
		var sketch aggregate.Sketch
		sketch.AddHistogram(&h)
		for to := min(scale, 6); to >= aggregate.MinScale; to-- {
			if got, want := text(sketch.Histogram(int8(to))), text(counted(to, threshold, values)); got != want {
				t.Fatalf("out of the sketch at scale %d comes\n%s, want\n%s", to, got, want)
			}
		}
		if got := sketch.Scale(); got != int8(min(scale, 6)) {
			t.Errorf("the sketch has scale %d", got)
		}
	})
}

// Percentiles of what several senders of a scale sent, and of events beside, are within the error that the sketch
// says of the value at the rank; values within the zero threshold may be 0.
func TestPercentilesOfHistograms(t *testing.T) {
	everySender(t, func(t *testing.T, scale int, threshold float64, start func() sender) {
		t.Helper()
		r := rand.New(rand.NewPCG(uint64(scale+10), math.Float64bits(threshold)))
		var all []float64
		var acc aggregate.Acc
		for range 4 {
			s := start()
			values := sentValues(r, 1+r.IntN(200))
			for i := range values {
				if scale > 10 {
					values[i] = 1 + values[i]*math.Exp2(float64(-scale))
				}
				s.Record(values[i])
			}
			h := s.Sample()
			acc.AddHistogram(aggregate.NeedSketch, &h, 5)
			event := r.NormFloat64()
			acc.AddFor(aggregate.NeedSketch, event, 4)
			all = append(append(all, values...), event)
		}
		slices.Sort(all)
		relative := acc.More.Sketch.Error()
		if base := math.Exp2(math.Exp2(-float64(min(scale, 6)))); relative < (base-1)/(base+1) || relative > math.Sqrt(base)-1+1.1*aggregate.SketchError {
			t.Errorf("the error is %v, of bins that grow by %v", relative, base)
		}
		for of := range uint64(101) {
			want := all[int(of)*(len(all)-1)/100]
			got, ok := aggregate.Percentile(of, 100)(&acc)
			wrong := math.Abs(got - want)
			if !ok || wrong > relative*math.Abs(want) && !(wrong <= threshold && math.Abs(want) <= threshold) {
				t.Fatalf("p%d is %v, want %v within %v or %v", of, got, want, relative, threshold)
			}
		}
		sum := 0.0
		for _, v := range all {
			sum += v
		}
		if acc.Count != int64(len(all)) || math.Abs(acc.Sum-sum) > 1e-9*math.Abs(sum)+1e-9 || acc.Newest != 5 || !acc.Has(aggregate.NeedSketch) {
			t.Errorf("%+v of %d values with the sum %v", acc, len(all), sum)
		}
		base := math.Exp2(math.Exp2(-float64(scale))) * (1 + 1e-12)
		low, high := all[0], all[len(all)-1]
		if acc.Min > low || acc.Max < high || acc.Min < min(low/base, low*base, -threshold) || acc.Max > max(high/base, high*base, threshold) {
			t.Errorf("from %v to %v, are from %v to %v", acc.Min, acc.Max, low, high)
		}
	})
}

// Two samples of a cumulative histogram differ by what a delta of the same values is; deltas together are the
// cumulative one.
func TestCumulativeAndDelta(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 14))
		size, scale := int32(2+r.IntN(200)), int32(r.IntN(21))
		cumulative := newOpenTelemetry(t, metricdata.CumulativeTemporality, size, scale)
		delta := newOpenTelemetry(t, metricdata.DeltaTemporality, size, scale)
		fromNative := newNative(t, r.IntN(13)-4, 0)
		var before, beforeNative, total aggregate.Histogram
		for step := range 8 {
			values := sentValues(r, r.IntN(60))
			if step == 0 {
				values = append(values, 1)
			}
			for _, v := range values {
				cumulative.Record(v)
				delta.Record(v)
				fromNative.Record(v)
			}
			now, grown := cumulative.Sample(), delta.Sample()
			nowNative := fromNative.Sample()
			if step == 0 {
				before, beforeNative, total = now, nowNative, grown
				continue
			}
			got, ok := now.Sub(&before)
			if !ok {
				t.Fatalf("seed %d: %s is no continuation of %s", seed, text(now), text(before))
			}
			if want := downscaled(grown, got.Scale); len(values) > 0 && text(got) != text(want) || math.Abs(got.Sum-grown.Sum) > 1e-9*math.Abs(now.Sum) {
				t.Fatalf("seed %d: grown by\n%s, sum %v, want\n%s, sum %v", seed, text(got), got.Sum, text(want), want.Sum)
			}
			got, ok = nowNative.Sub(&beforeNative)
			if want := counted(int(nowNative.Scale), nowNative.ZeroThreshold, values); !ok || text(got) != text(want) {
				t.Fatalf("seed %d: native grown by\n%s, %v, want\n%s", seed, text(got), ok, text(want))
			}
			if grown.Count > 0 {
				total.Merge(&grown)
			}
			if text(downscaled(total, now.Scale)) != text(downscaled(now, total.Scale)) || total.Min != now.Min || total.Max != now.Max {
				t.Fatalf("seed %d: deltas are together\n%s, want\n%s", seed, text(total), text(now))
			}
			before, beforeNative = now, nowNative
		}
	}
}

// A sender that has begun anew counts less somewhere, unless everything has grown since: a start timestamp says it then.
func TestResetIsSeen(t *testing.T) {
	record := func(s sender, values ...float64) aggregate.Histogram {
		for _, v := range values {
			s.Record(v)
		}
		return s.Sample()
	}
	for _, start := range []func() sender{
		func() sender { return newOpenTelemetry(t, metricdata.CumulativeTemporality, 160, 20) },
		func() sender { return newNative(t, 3, 0) },
	} {
		before := record(start(), 1, 2, 2, -3, 0)
		for _, after := range [][]float64{{}, {1, 2}, {1, 2, 2, -3, 3, 4, 5}, {0, 0, 2, 2, 2, 2, 2, 1}, {0, -3, 2, 1, 7, 7, 7}} {
			h := record(start(), after...)
			if got, ok := h.Sub(&before); ok {
				t.Errorf("%s after %s is called a growth by %s", text(h), text(before), text(got))
			}
		}
		h := record(start(), 1, 2, 2, -3, 0, 9)
		if got, ok := h.Sub(&before); !ok || got.Count != 1 {
			t.Errorf("%s after %s has grown by %s, %v", text(h), text(before), text(got), ok)
		}
	}
	// What a sender never changes so, though no bin counts less.
	before, after := counted(3, 0.5, []float64{1, 2}), counted(3, 0, []float64{1, 2, 2})
	if _, ok := after.Sub(&before); ok {
		t.Error("a lower threshold is no reset")
	}
	before, after = counted(2, 0, []float64{1}), counted(3, 0, []float64{1, 1})
	if _, ok := after.Sub(&before); ok {
		t.Error("a higher scale is no reset")
	}
	wide, small := counted(3, 0.5, []float64{1, 2, 0.25}), counted(3, 0, []float64{0.25, 2})
	if got, ok := wide.Sub(&small); !ok || got.Count != 1 || got.Zero != 0 {
		t.Errorf("a wider zero: %s, %v", text(got), ok)
	}
	within := counted(3, 0.26, []float64{1, 2, 0.25})
	small = counted(3, 0, []float64{0.255, 2})
	if got, ok := within.Sub(&small); ok {
		t.Errorf("a threshold within a bin that had values: %s", text(got))
	}
}

// Whatever the order, merged histograms are that of all values at the lowest scale and with the highest threshold.
func TestHistogramsMerge(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 15))
		scale := 20
		threshold := 0.0
		var all []float64
		parts := make([]aggregate.Histogram, 1+r.IntN(6))
		for i := range parts {
			values := sentValues(r, r.IntN(100))
			own := r.IntN(13) - 4
			wide := []float64{0, 0, 0x1p-128, 0x1p-10, 0x1p-16}[r.IntN(5)] // Borders of every scale from −4 up, or near enough to 0.
			scale, threshold = min(scale, own), max(threshold, wide)
			parts[i] = counted(own, wide, values)
			all = append(all, values...)
		}
		if scale < 0 && threshold == 0x1p-10 {
			continue // No border of theirs.
		}
		for len(parts) > 1 {
			i := r.IntN(len(parts) - 1)
			parts[i].Merge(&parts[len(parts)-1])
			parts = parts[:len(parts)-1]
		}
		want := counted(scale, threshold, all)
		if got := parts[0]; text(got) != text(want) || got.Min != want.Min || got.Max != want.Max || math.Abs(got.Sum-want.Sum) > 1e-9*(1+math.Abs(want.Sum)) {
			t.Fatalf("seed %d:\n%s, want\n%s", seed, text(got), text(want))
		}
	}
}

func TestZeroIsWidenedToTheBorderOfABin(t *testing.T) {
	a, b := counted(0, 0, []float64{0.3, -0.3, 1, 7}), counted(0, 0.3, []float64{0.1, 3})
	a.Merge(&b)
	if want := counted(0, 0.5, []float64{0.3, -0.3, 1, 7, 0.1, 3}); text(a) != text(want) {
		t.Errorf("%s, want %s", text(a), text(want))
	}
	a, b = counted(0, 0.3, []float64{0.31, 7}), counted(0, 0.3, []float64{0.2})
	a.Merge(&b) // Both have counted by the same threshold: what is above it stays.
	if want := counted(0, 0.3, []float64{0.31, 7, 0.2}); text(a) != text(want) {
		t.Errorf("%s, want %s", text(a), text(want))
	}
}

// However far apart its bins are, a merged histogram has no more than MaxBins.
func TestMergedBinsAreBounded(t *testing.T) {
	a, b := counted(20, 0, []float64{1e-300}), counted(20, 0, []float64{1e300, 1e300})
	a.Merge(&b)
	if n := len(a.Positive.Counts); n > aggregate.MaxBins || n < aggregate.MaxBins/4 || a.Count != 3 {
		t.Errorf("%d bins at scale %d", n, a.Scale)
	}
	if err := a.Validate(); err != nil {
		t.Error(err)
	}
}

// One value is known by its sum, but never beside its bin: a difference of large sums has a rounding error.
func TestHistogramOfOneValue(t *testing.T) {
	for _, v := range []float64{3, -3, 0, 1024, math.MaxFloat64, 1e-9} {
		s := newNative(t, 3, 0)
		s.Record(v)
		h := s.Sample()
		for _, sum := range []float64{v, v + 1e-3, v - 1e-3, 1e300, -1e300} {
			h.Sum = sum
			var a aggregate.Acc
			a.AddHistogram(aggregate.NeedSketch, &h, 7)
			if a.Count != 1 || a.Min != a.Sum || a.Max != a.Sum || sum == v && a.Sum != v {
				t.Errorf("%v with the sum %v: %+v", v, sum, a)
			}
			if got := a.More.Sketch.Histogram(3); v > 1e-300 && text(got) != text(aggregate.Histogram{
				Scale: 3, Positive: h.Positive, Negative: h.Negative, Zero: h.Zero, Count: 1,
			}) {
				t.Errorf("%v with the sum %v counts as %s, was %s", v, sum, text(got), text(h))
			}
		}
	}
}

func TestHistogramOfNothing(t *testing.T) {
	var a aggregate.Acc
	h := counted(3, 0x1p-128, nil)
	a.AddHistogram(aggregate.NeedSketch, &h, 7)
	if a.Count != 0 || a.Newest != 0 || a.More != nil {
		t.Errorf("%+v", a)
	}
}

func TestInvalidHistograms(t *testing.T) {
	bins := func(offset int32, counts ...uint64) aggregate.Bins {
		return aggregate.Bins{Offset: offset, Counts: counts}
	}
	for _, c := range []struct {
		h    aggregate.Histogram
		want string
	}{
		{aggregate.Histogram{}, ""},
		{aggregate.Histogram{Scale: -4, Positive: bins(63, 1), Negative: bins(-68, 1), Count: 2}, ""},
		{aggregate.Histogram{Scale: 20, Positive: bins(1<<30-1, 1), Negative: bins(-1074<<20-1, 1), Count: 2}, ""},
		{aggregate.Histogram{Scale: 21}, "the scale of a histogram is 21, which must be between -4 and 20"},
		{aggregate.Histogram{Scale: -5}, "the scale of a histogram is -5, which must be between -4 and 20"},
		{aggregate.Histogram{Sum: math.NaN()}, "the sum of a histogram is NaN, which must be a number"},
		{aggregate.Histogram{Sum: math.Inf(1)}, "the sum of a histogram is +Inf, which must be a number"},
		{aggregate.Histogram{ZeroThreshold: -1}, "the zero threshold of a histogram is -1, which must be 0 or a number above"},
		{aggregate.Histogram{HasExtremes: true, Min: 2, Max: 1}, "min 2 and max 1 of a histogram must be numbers, min the lower one"},
		{
			aggregate.Histogram{Positive: bins(1024, 1), Count: 1},
			"bins 1024 to 1024 of a histogram are not between -1075 and 1023, those of the smallest and the largest number at scale 0",
		},
		{
			aggregate.Histogram{Negative: bins(-1076, 1), Count: 1},
			"bins -1076 to -1076 of a histogram are not between -1075 and 1023, those of the smallest and the largest number at scale 0",
		},
		{
			aggregate.Histogram{Positive: bins(math.MaxInt32, 1, 1), Count: 2},
			"bins 2147483647 to 2147483648 of a histogram are not between -1075 and 1023, those of the smallest and the largest number at scale 0",
		},
		{
			aggregate.Histogram{Scale: 20, Positive: aggregate.Bins{Counts: make([]uint64, aggregate.MaxBins+1)}},
			"a histogram has 16385 bins in a row, and may have 16384: send a lower scale",
		},
		{aggregate.Histogram{Positive: bins(0, 2), Zero: 1, Count: 2}, "the bins of a histogram and its zero have 3 values together, and its count is 2"},
		{aggregate.Histogram{Zero: math.MaxUint64, Positive: bins(0, 1)}, "a histogram counts more than 70368744177663 values"},
		{aggregate.Histogram{Positive: bins(0, math.MaxUint64, 1)}, "a histogram counts more than 70368744177663 values"},
		{aggregate.Histogram{Zero: aggregate.MaxCount, Negative: bins(0, 1), Count: aggregate.MaxCount + 1}, "a histogram counts more than 70368744177663 values"},
	} {
		err := c.h.Validate()
		if got := ""; err != nil || c.want != "" {
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("%s: %q, want %q", text(c.h), got, c.want)
			}
		}
	}
}

func FuzzHistogram(f *testing.F) {
	for _, h := range []aggregate.Histogram{
		{}, counted(3, 0x1p-128, []float64{1, 2, 2, 0, -5}), counted(20, 0, []float64{1, 1.0001}), counted(-4, 1, []float64{1e300, -1e-300, 0.5}),
	} {
		f.Add(aggregate.AppendHistogram(nil, &h))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := aggregate.Reader{Rest: b}
		h := r.Histogram()
		if r.Bad {
			return
		}
		if err := h.Validate(); err != nil {
			t.Fatal(err)
		}
		again := aggregate.Reader{Rest: aggregate.AppendHistogram(nil, &h)}
		if got := again.Histogram(); again.Bad || len(again.Rest) > 0 || text(got) != text(h) ||
			got.Sum != h.Sum || got.Min != h.Min || got.Max != h.Max || got.HasExtremes != h.HasExtremes {
			t.Fatalf("%+v reads as %+v", h, got)
		}
		if grown, ok := h.Sub(&h); !ok || grown.Count != 0 {
			t.Fatalf("%s has grown by %s since itself, %v", text(h), text(grown), ok)
		}
		twice, sketch := h, aggregate.Sketch{}
		twice.Merge(&h)
		sketch.AddHistogram(&h)
		sketch.AddHistogram(&h)
		if sketch.Count() != int64(twice.Count) || twice.Count != 2*h.Count {
			t.Fatalf("%s twice is %s, and %d in a sketch", text(h), text(twice), sketch.Count())
		}
		for _, part := range aggregate.Distribution(&sketch) {
			if part.Count <= 0 || part.Lower > part.Upper {
				t.Fatalf("a bin of it is %v", part)
			}
		}
	})
}

func TestEncodedHistograms(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 16))
	s := newOpenTelemetry(t, metricdata.CumulativeTemporality, 160, 20)
	for _, v := range sentValues(r, 10_000) {
		s.Record(v)
	}
	h := s.Sample()
	b := aggregate.AppendHistogram(nil, &h)
	t.Logf("%d bins, %d bytes encoded, %d in memory", len(h.Positive.Counts), len(b), h.Size())
	for n := range b {
		reader := aggregate.Reader{Rest: b[:n]}
		if reader.Histogram(); !reader.Bad {
			t.Fatalf("%d of %d bytes are read without an error", n, len(b))
		}
	}
	reader := aggregate.Reader{Rest: b}
	if got := reader.Histogram(); reader.Bad || text(got) != text(h) {
		t.Fatalf("reads as\n%s, was\n%s", text(got), text(h))
	}
}

// A sketch with histograms is as coarse as the coarsest of them, wherever events come from.
func TestSketchOfEventsAndHistograms(t *testing.T) {
	h := counted(3, 0x1p-4, []float64{0.01, 5, -5})
	var s, merged aggregate.Sketch
	s.Add(1)
	if s.Error() != aggregate.SketchError || s.Scale() != 6 {
		t.Errorf("an error of %v at scale %d", s.Error(), s.Scale())
	}
	s.AddHistogram(&h)
	merged.Add(0.02)
	merged.Merge(&s)
	if merged.Count() != 5 || merged.Scale() != 3 || merged.Error() < 0.04 || merged.Error() > 0.05 {
		t.Errorf("%d values with an error of %v at scale %d", merged.Count(), merged.Error(), merged.Scale())
	}
	if low, high := merged.At(1), merged.At(2); low != 0 || high != 0 { // The event of 0.02 is within the threshold.
		t.Errorf("of what is around zero: %v, %v", low, high)
	}
	if want := counted(3, 0x1p-4, []float64{0.01, 5, -5, 1, 0.02}); text(merged.Histogram(6)) != text(want) {
		t.Errorf("%s, want %s", text(merged.Histogram(6)), text(want))
	}
	if merged.Reset(); merged.Scale() != 6 || merged.Count() != 0 {
		t.Error("an empty sketch has histograms")
	}
}
