package aggregate_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pulseboard/aggregate"
)

const minuteMs = int64(60_000)

// reading is what a sender says of its counter.
func reading(at, start int64, value float64) aggregate.Sample {
	return aggregate.Sample{Time: at, Start: start, Value: value, Flags: aggregate.Cumulative}
}

func setOf(samples ...aggregate.Sample) (s aggregate.Samples) {
	for _, x := range samples {
		s.Add(x)
	}
	return s
}

func joins() aggregate.Joins { return aggregate.Joins{Lookback: aggregate.Lookback} }

// Each rule of docs/semantics.md, "Counters".
func TestRulesOfGrowth(t *testing.T) {
	const h = 60 * minuteMs // The counter of the tests began long before.
	for _, c := range []struct {
		rule    string
		samples aggregate.Samples
		want    aggregate.Growth
	}{
		{"the difference", setOf(reading(h, 0, 7), reading(h+1, 0, 9)), aggregate.Growth{Sum: 2, Unknown: 1}},
		{"a repeat counts once", setOf(reading(h, 0, 7), reading(h+1, 0, 9), reading(h+1, 0, 9)), aggregate.Growth{Sum: 2, Unknown: 1}},
		{"of one time the greater", setOf(reading(h, 0, 7), reading(h+1, 0, 9), reading(h+1, 0, 8)), aggregate.Growth{Sum: 2, Unknown: 1}},
		{"a reset", setOf(reading(h, 0, 7), reading(h+1, 0, 3)), aggregate.Growth{Sum: 3, Unknown: 1}},
		{"a reset to nothing", setOf(reading(h, 0, 7), reading(h+1, 0, 0), reading(h+2, 0, 2)), aggregate.Growth{Sum: 2, Unknown: 1}},
		{"a restart that is known, of a counter that is above already", setOf(reading(h, 1, 7), reading(h+5, h+1, 9)), aggregate.Growth{Sum: 9, Unknown: 1}},
		{"a start that was not known before is no restart", setOf(reading(h, 0, 7), reading(h+5, 3, 9)), aggregate.Growth{Sum: 2, Unknown: 1}},
		{"two writers", setOf(reading(h, 1, 100), reading(h+1, 1, 50), reading(h+2, 1, 101)), aggregate.Growth{Sum: 1, Unknown: 1, WentBack: 1}},
		{
			"two writers of whom one is silent for longer than the lookback", setOf(reading(h, 1, 100), reading(h+1, 1, 50), reading(h+5*minuteMs+1, 1, 60), reading(h+5*minuteMs+2, 1, 61)),
			aggregate.Growth{Sum: 11, Unknown: 1, WentBack: 1},
		},
		{"the first, whose start is not known", setOf(reading(h, 0, 7)), aggregate.Growth{Unknown: 1}},
		{"the first, whose start is long ago", setOf(reading(h, h-5*minuteMs-1, 7)), aggregate.Growth{Unknown: 1}},
		{"the first, whose start is near", setOf(reading(h, h-5*minuteMs, 7)), aggregate.Growth{Sum: 7}},
		{"the lookback is still near", setOf(reading(h, 0, 7), reading(h+5*minuteMs, 0, 9)), aggregate.Growth{Sum: 2, Unknown: 1}},
		{"after a gap it is a first one", setOf(reading(h, 0, 7), reading(h+5*minuteMs+1, 0, 9)), aggregate.Growth{Unknown: 2}},
		{"after a gap, with a start that is near", setOf(reading(h, 0, 7), reading(h+6*minuteMs, h+5*minuteMs, 9)), aggregate.Growth{Sum: 9, Unknown: 1}},
		{"gauges do not grow", setOf(reading(h, 0, 7), aggregate.Sample{Time: h + 1, Value: 900, Flags: aggregate.Gauge}, reading(h+2, 0, 8)), aggregate.Growth{Sum: 1, Unknown: 1}},
	} {
		got := joins().Growth(c.samples, 0, 100*h, nil)
		if c.want.Unknown > 0 { // What they stand at is what those count that are said to begin at 0.
			c.want.First = got.First
		}
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.rule, got, c.want)
		}
	}
}

// nanosecond is the time that samples are known by.
type nanosecond struct {
	ms    int64
	nanos int32
}

func (t nanosecond) compare(o nanosecond) int {
	return cmp.Or(cmp.Compare(t.ms, o.ms), cmp.Compare(t.nanos, o.nanos))
}

// defined is the growth of [from, to) by the text, of samples as they came.
func defined(came []aggregate.Sample, from, to int64) (g aggregate.Growth) {
	at := map[nanosecond]aggregate.Sample{}
	for _, s := range came {
		when := nanosecond{s.Time, s.Nanos}
		if o, ok := at[when]; !ok || s.Value > o.Value || s.Value == o.Value && s.Start > o.Start {
			at[when] = s
		}
	}
	times := slices.SortedFunc(maps.Keys(at), nanosecond.compare)
	for i, when := range times {
		n := at[when]
		if n.Time < from || n.Time >= to {
			continue
		}
		if i == 0 || n.Time-times[i-1].ms > aggregate.Lookback {
			if n.Start > 0 && n.Time-n.Start <= aggregate.Lookback {
				g.Sum += n.Value
			} else {
				g.Unknown++
				g.First += n.Value
			}
			continue
		}
		p := at[times[i-1]]
		switch {
		case n.Start > p.Time:
			g.Sum += n.Value
		case n.Start != 0 && n.Start == p.Start:
			greatest := p.Value
			for k := i - 1; k >= 0 && n.Time-times[k].ms <= aggregate.Lookback; k-- {
				if at[times[k]].Start == n.Start {
					greatest = max(greatest, at[times[k]].Value)
				}
			}
			if n.Value < greatest {
				g.WentBack++
			} else {
				g.Sum += n.Value - greatest
			}
		case n.Value < p.Value:
			g.Sum += n.Value
		default:
			g.Sum += n.Value - p.Value
		}
	}
	return g
}

// sent is what some senders say of one series in about half an hour: counters that reset and start anew, with starts
// and without, of one writer and of several, repeats, replicas, and silence of up to ten minutes.
func sent(r *rand.Rand) (came []aggregate.Sample) {
	for range 1 + r.IntN(3) {
		at := 100*minuteMs + r.Int64N(minuteMs)
		start, value := at-r.Int64N(10*minuteMs), float64(r.IntN(1000))
		says := r.IntN(3) // Never, always or sometimes when it began.
		every := []int64{500, 15_000, 60_000}[r.IntN(3)]
		for range 5 + r.IntN(60) {
			at += 1 + r.Int64N(every)
			switch r.IntN(25) {
			case 0:
				at += r.Int64N(10 * minuteMs)
			case 1, 2: // It starts anew.
				start, value = at-r.Int64N(1000), 0
			}
			value += float64(r.IntN(20))
			s := reading(at, 0, value)
			if says == 1 || says == 2 && r.IntN(2) == 0 {
				s.Start = start
			}
			came = append(came, s)
			switch r.IntN(12) {
			case 0:
				came = append(came, s)
			case 1:
				s.Value += float64(r.IntN(3))
				came = append(came, s)
			case 2:
				s.Start = 0
				came = append(came, s)
			}
		}
	}
	return came
}

// Any window is what its definition says, whatever came in whatever order, to the last unit.
func TestGrowthIsItsDefinition(t *testing.T) {
	seen := aggregate.Growth{}
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 21))
		came := sent(r)
		r.Shuffle(len(came), func(i, j int) { came[i], came[j] = came[j], came[i] })
		set := setOf(came...)
		for range 20 {
			from := 99*minuteMs + r.Int64N(60*minuteMs)
			to := from + r.Int64N(30*minuteMs)
			got, want := joins().Growth(set, from, to, nil), defined(came, from, to)
			if got != want {
				t.Fatalf("seed %d, [%d, %d): %+v, want %+v", seed, from, to, got, want)
			}
			seen.Unknown += got.Unknown
			seen.WentBack += got.WentBack
		}
	}
	if seen.Unknown == 0 || seen.WentBack == 0 {
		t.Fatalf("the senders never had an unknown start, or never went back: %+v", seen)
	}
}

// Windows that tile add up to the growth of all: of one writer whose restarts are known or seen, what it really counted.
func TestTilingWindowsAddUp(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 22))
		var set aggregate.Samples
		at, start, value, truth := 100*minuteMs, 100*minuteMs-1000, 0.0, 0.0
		says := r.IntN(2) == 0
		first := true
		for range 120 {
			at += 1 + r.Int64N(30_000)
			if r.IntN(15) == 0 { // Without a start only a value that is lower tells.
				start, value = at-1, 0
				if !says && !first {
					set.Add(reading(at, 0, 0))
					at++
				}
			}
			n := float64(r.IntN(50))
			value += n
			x := reading(at, 0, value)
			if says {
				x.Start = start
			}
			if says || !first {
				truth += n
			}
			first = false
			set.Add(x)
		}
		var total aggregate.Growth
		for from := 99 * minuteMs; from < at+minuteMs; {
			to := from + 1 + r.Int64N(2*minuteMs)
			g := joins().Growth(set, from, to, nil)
			total.Sum += g.Sum
			from = to
		}
		if total.Sum != truth {
			t.Fatalf("seed %d: the windows add up to %v, and %v were counted", seed, total.Sum, truth)
		}
	}
}

// Sets are the same whatever the order, grouping and repeats.
func TestSamplesAreSets(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 23))
		came := sent(r)
		for i := range came {
			came[i].Flags |= []aggregate.Flags{0, aggregate.Point}[r.IntN(2)]
			came[i].Needs = aggregate.Needs(r.IntN(4))
			came[i].Nanos = []int32{0, 0, 1, 999_999}[r.IntN(4)]
			if r.IntN(9) == 0 {
				came[i].Flags ^= aggregate.Cumulative | aggregate.Gauge
			}
		}
		want := setOf(came...)
		parts := make([]aggregate.Samples, 1+r.IntN(4))
		r.Shuffle(len(came), func(i, j int) { came[i], came[j] = came[j], came[i] })
		for _, x := range came {
			for range 1 + r.IntN(2) {
				parts[r.IntN(len(parts))].Add(x)
			}
		}
		var got aggregate.Samples
		for _, p := range parts {
			got.Merge(p)
		}
		got.Merge(slices.Clone(got))
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: %v, want %v", seed, got, want)
		}
		if !slices.IsSortedFunc(got, func(a, b aggregate.Sample) int {
			return nanosecond{a.Time, a.Nanos}.compare(nanosecond{b.Time, b.Nanos})
		}) {
			t.Fatalf("seed %d: not in the order of time: %v", seed, got)
		}
	}
}

// However many samples of a counter come in one slice, few are kept, and while it rises, or starts anew now and then,
// its growth is exact.
func TestSamplesAreBounded(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 24))
		came := []aggregate.Sample{reading(100*minuteMs, 0, 0)}
		for i := range 5000 {
			s := came[len(came)-1]
			s.Time += 1 + r.Int64N(3)
			s.Value += float64(r.IntN(9))
			if i%500 == 99 {
				s.Value = 0
			}
			came = append(came, s)
		}
		want := defined(came, 0, 200*minuteMs)
		var set aggregate.Samples
		for at := 0; at < len(came); at += 100 { // Late by up to as many.
			part := slices.Clone(came[at:min(at+100, len(came))])
			r.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
			for _, s := range part {
				set.Add(s)
				set.Bound()
			}
		}
		if got := joins().Growth(set, 0, 200*minuteMs, nil); got != want || len(set) > aggregate.MaxSamples {
			t.Fatalf("seed %d: %+v of %d samples that were kept, want %+v", seed, got, len(set), want)
		}
	}
	var gauges aggregate.Samples
	for i := range int64(1000) {
		gauges.Add(aggregate.Sample{Time: i, Value: float64(i), Flags: aggregate.Gauge | aggregate.Point})
		gauges.Bound()
	}
	if len(gauges) > aggregate.MaxSamples || gauges[len(gauges)-1].Time != 999 {
		t.Errorf("of 1000 points %d are kept", len(gauges))
	}
}

func ExampleJoins_Growth() {
	var s aggregate.Samples
	s.Add(aggregate.Sample{Time: 600_000, Value: 100, Flags: aggregate.Cumulative})
	s.Add(aggregate.Sample{Time: 615_000, Value: 107, Flags: aggregate.Cumulative})
	s.Add(aggregate.Sample{Time: 630_000, Value: 4, Flags: aggregate.Cumulative}) // It was started anew.
	j := aggregate.Joins{Lookback: aggregate.Lookback}
	fmt.Println(j.Growth(s, 600_000, 660_000, nil).Sum, j.Growth(s, 610_000, 620_000, nil).Sum, j.Growth(s, 620_000, 660_000, nil).Sum)
	// Output: 11 7 4
}
