package aggregate_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"pulseboard/aggregate"
)

// scraped is a sample of a histogram, and what it had counted: the first values of one life of its sender.
type scraped struct {
	told

	life   int
	values []float64 // Of this life up to the sample; of a delta those that came since the one before.
	scale  int8
}

// scrapes are samples of real SDKs: of OpenTelemetry, which says when it has started, of Prometheus, which does not
// always, and points of deltas. They come late, not at all or again.
func scrapes(t *testing.T, r *rand.Rand) (all []scraped) {
	t.Helper()
	for i := range 6 {
		says := i < 3 || r.IntN(2) == 0
		flags := []aggregate.Flags{aggregate.Cumulative, aggregate.Cumulative | aggregate.Point, aggregate.Point}[i%3]
		size, scale := int32(4+r.IntN(160)), r.IntN(9)
		begin := func() sender {
			switch {
			case flags&aggregate.Cumulative == 0:
				return newOpenTelemetry(t, metricdata.DeltaTemporality, size, 20)
			case i < 3:
				return newOpenTelemetry(t, metricdata.CumulativeTemporality, size, 20)
			}
			return newNative(t, scale, 0x1p-128)
		}
		s, life, values := begin(), 0, []float64(nil)
		at := 600_000 + r.Int64N(30_000)
		start := at - r.Int64N(400_000)
		every := []int64{900, 5000, 30_000}[r.IntN(3)]
		for at < 1_400_000 {
			at += 1 + r.Int64N(every)
			switch r.IntN(30) {
			case 0:
				at += r.Int64N(500_000)
			case 1, 2:
				s, values, start = begin(), nil, at-r.Int64N(200)
				life++
			}
			if flags&aggregate.Cumulative == 0 {
				values = nil
			}
			more := sentValues(r, r.IntN(8))
			if len(values)+len(more) == 0 {
				more = []float64{1}
			}
			for _, v := range more {
				s.Record(v)
			}
			values = append(slices.Clone(values), more...)
			h := s.Sample()
			e := scraped{life: life, values: values, scale: h.Scale}
			e.told = told{string([]byte{'a' + byte(i%2), 'w' + byte(i)}), at + r.Int64N(900), aggregate.Sample{Time: at, Flags: flags, Needs: aggregate.NeedSketch, Histogram: &h}, false}
			if says && flags&aggregate.Cumulative != 0 {
				e.sample.Start = start
			}
			switch r.IntN(12) {
			case 0:
				continue // It is lost.
			case 1, 2:
				e.arrives += r.Int64N(60_000)
			}
			all = append(all, e)
			if r.IntN(6) == 0 {
				e.arrives += r.Int64N(30_000)
				all = append(all, e)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b scraped) int { return cmp.Compare(a.arrives, b.arrives) })
	return all
}

// hearValues are the values that the samples of a series in [from, to) say to have come, by definition.
func hearValues(all []scraped, tags string, from, to int64) (values []float64) {
	at := map[int64]scraped{}
	for _, e := range all {
		if e.tags == tags {
			at[e.sample.Time] = e
		}
	}
	own := make([]scraped, 0, len(at))
	for _, e := range at {
		own = append(own, e)
	}
	slices.SortFunc(own, func(a, b scraped) int { return cmp.Compare(a.sample.Time, b.sample.Time) })
	for i, n := range own {
		s := n.sample
		if s.Time < from || s.Time >= to {
			continue
		}
		first := i == 0 || s.Time-own[i-1].sample.Time > aggregate.Lookback
		switch {
		case s.Flags&aggregate.Cumulative == 0:
			values = append(values, n.values...)
		case first:
			if s.Start != 0 && s.Time-s.Start <= aggregate.Lookback && s.Start < s.Time {
				values = append(values, n.values...)
			}
		case own[i-1].life != n.life && (s.Start > own[i-1].sample.Time || fewer(n, own[i-1])):
			values = append(values, n.values...)
		case own[i-1].life != n.life: // It has more in every bin than the life before: nobody can tell.
			values = append(values, math.NaN())
		default:
			values = append(values, n.values[len(own[i-1].values):]...)
		}
	}
	return values
}

// fewer reports whether a native histogram has fewer values than the one before in some bin.
func fewer(n, before scraped) bool {
	bins := func(s scraped) map[int]int {
		b := map[int]int{}
		for _, v := range s.values {
			sign := 1
			if v < 0 {
				sign = -1
			}
			if v == 0 {
				b[0]++
			} else {
				b[sign*(1<<20+int(math.Ceil(math.Log2(math.Abs(v))*math.Exp2(float64(s.scale)))))]++
			}
		}
		return b
	}
	now := bins(n)
	for i, count := range bins(before) {
		if now[i] < count {
			return true
		}
	}
	return false
}

// Whatever arrives in whatever order: the distribution of every window is that of the values that the senders have
// counted in it, in trees that were made before, and of the past, and in a store that was restored.
func TestHistogramsInAStore(t *testing.T) {
	compared := 0
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 41))
		all := scrapes(t, r)
		o := aggregate.Options{Retain: 2000}
		s := aggregate.NewStore(o)
		build := func(id string, span int64, windows []aggregate.Range, yield func(string, []aggregate.Acc)) *aggregate.Selector {
			b := s.Build("m", id, span, span, aggregate.NeedSketch, func(tags string) (string, bool) { return tags[:1], true })
			b.Run(windows, yield)
			return s.Adopt(b)
		}
		sel := build("early", 1000, nil, nil)
		arrived := 0
		check := func(group string, w aggregate.Range, a *aggregate.Acc) {
			t.Helper()
			var want []float64
			for i := range 6 {
				if tags := string([]byte{'a' + byte(i%2), 'w' + byte(i)}); tags[:1] == group {
					want = append(want, hearValues(all[:arrived], tags, w.From*1000, w.To*1000)...)
				}
			}
			if slices.ContainsFunc(want, math.IsNaN) {
				return
			}
			if err := sameValues(a, want); err != nil {
				t.Fatalf("seed %d, group %s, [%d, %d): %v", seed, group, w.From, w.To, err)
			}
			compared += min(1, len(want))
		}
		for now := int64(600_000); now < 1_460_000; now += 1000 {
			table := aggregate.Table{}
			for ; arrived < len(all) && all[arrived].arrives < now; arrived++ {
				all[arrived].add(table)
			}
			s.Merge(table)
			if r.IntN(30) > 0 {
				continue
			}
			if r.IntN(3) == 0 { // As after the loss of a process.
				text, _ := s.AppendHistory(nil, -1, 1<<40)
				s = aggregate.NewStore(o)
				if r.IntN(2) == 0 {
					build("early", 1000, nil, nil)
				}
				if err := s.RestoreHistory(text, now/1000); err != nil {
					t.Fatal(err)
				}
				sel = build("early", 1000, nil, nil)
			}
			var windows []aggregate.Range
			for range 5 {
				to := now/1000 - r.Int64N(100)
				windows = append(windows, aggregate.Range{From: to - 1 - r.Int64N([]int64{20, 60, 700}[r.IntN(3)]), To: to})
			}
			for _, w := range windows {
				sel.Window(w, aggregate.NeedSketch, func(group string, a *aggregate.Acc) { check(group, w, a) })
			}
			build("late", 10, windows, func(group string, accs []aggregate.Acc) {
				for i, w := range windows {
					check(group, w, &accs[i])
				}
			})
			s.Drop("m", "late")
		}
	}
	if compared < 400 {
		t.Errorf("only %d windows with values were compared", compared)
	}
}

// sameValues compares what an accumulator holds with values, in bins of the scale that it can tell.
func sameValues(a *aggregate.Acc, want []float64) error {
	sum, size := 0.0, 0.0
	for _, v := range want {
		sum += v
		size += math.Abs(v)
	}
	switch {
	case a.Count != int64(len(want)) || !a.Has(aggregate.NeedSketch):
		return fmt.Errorf("%d values, want %d", a.Count, len(want))
	case math.Abs(a.Sum-sum) > 1e-6*(1+size):
		return fmt.Errorf("their sum is %v, want %v", a.Sum, sum)
	case len(want) == 0:
		return nil
	}
	got := a.More.Sketch.Histogram(a.More.Sketch.Scale())
	if h := counted(int(got.Scale), got.ZeroThreshold, want); text(got) != text(h) {
		return fmt.Errorf("they are\n%s, want\n%s", text(got), text(h))
	}
	return nil
}

// What each rule of counters says of a histogram.
func TestRulesOfHistograms(t *testing.T) {
	const h = 60 * minuteMs
	at := func(time, start int64, values ...float64) aggregate.Sample {
		c := counted(3, 0, values)
		return aggregate.Sample{Time: time, Start: start, Flags: aggregate.Cumulative | aggregate.Binned, Histogram: &c}
	}
	for _, c := range []struct {
		rule              string
		samples           aggregate.Samples
		count             uint64
		unknown, wentBack int64
	}{
		{"the difference", setOf(at(h, 0, 1, 2), at(h+1, 0, 1, 2, 9)), 1, 1, 0},
		{"of one time the greater", setOf(at(h, 0, 1, 2), at(h+1, 0, 1, 2, 9), at(h+1, 0, 1, 2)), 1, 1, 0},
		{"a reset", setOf(at(h, 0, 1, 2), at(h+1, 0, 1, 9, 9)), 3, 1, 0},
		{"a restart that is known", setOf(at(h, 1, 1, 2), at(h+5, h+1, 1, 2, 9)), 3, 1, 0},
		{"two writers", setOf(at(h, 1, 1, 2, 2), at(h+1, 1, 1), at(h+2, 1, 1, 2, 2, 3)), 1, 1, 1},
		{"the first, whose start is near", setOf(at(h, h-5*minuteMs, 1, 2)), 2, 0, 0},
		{"after a gap it is a first one", setOf(at(h, 0, 1, 2), at(h+5*minuteMs+1, 0, 1, 2, 9)), 0, 2, 0},
		{"beside a counter", setOf(at(h, 0, 1, 2), reading(h, 0, 7), reading(h+1, 0, 9), at(h+1, 0, 1, 2, 9)), 1, 2, 0},
	} {
		count := uint64(0)
		got := joins().Growth(c.samples, 0, 100*h, func(_ *aggregate.Sample, since *aggregate.Histogram) { count += since.Count })
		if count != c.count || got.Unknown != c.unknown || got.WentBack != c.wentBack {
			t.Errorf("%s: %d values, %+v; want %d, %d unknown, %d went back", c.rule, count, got, c.count, c.unknown, c.wentBack)
		}
	}
}

// However many samples of a histogram come in one slice, few are kept, and none of its values is lost.
func TestHistogramSamplesAreBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 42))
	s := newOpenTelemetry(t, metricdata.CumulativeTemporality, 160, 20)
	var set aggregate.Samples
	for i := range int64(500) {
		for _, v := range sentValues(r, 5) {
			s.Record(v)
		}
		h := s.Sample()
		set.Add(aggregate.Sample{Time: minuteMs + i, Start: minuteMs - 1, Flags: aggregate.Cumulative | aggregate.Binned, Histogram: &h})
		set.Bound()
	}
	count := uint64(0)
	joins().Growth(set, 0, 2*minuteMs, func(_ *aggregate.Sample, since *aggregate.Histogram) { count += since.Count })
	if count != 2500 || len(set) > aggregate.MaxHistograms {
		t.Errorf("%d values of %d samples that were kept, want 2500 of at most %d", count, len(set), aggregate.MaxHistograms)
	}
}
