package aggregate_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pulseboard/aggregate"
)

// told is what a sender says of a series, and when it arrives, ms.
type told struct {
	tags    string
	arrives int64
	sample  aggregate.Sample
	stale   bool
}

// add adds what arrives to a table, as pre-aggregation does.
func (e *told) add(t aggregate.Table) {
	a := aggregate.AccOf(t, e.sample.Time/1000, "m", e.tags)
	switch {
	case e.stale:
		a.AddStale(e.sample.Time)
	case e.sample.Flags == 0:
		a.AddFor(e.sample.Needs, e.sample.Value, e.sample.Time)
	default:
		a.AddSample(e.sample)
	}
}

// tell is what six series of all kinds say in some minutes: in their order and late, several a second and hardly any, once
// and again, with resets and restarts, and now and then that they end.
func tell(r *rand.Rand) (all []told) {
	kinds := []aggregate.Flags{aggregate.Cumulative, aggregate.Cumulative | aggregate.Point, aggregate.Gauge | aggregate.Point, aggregate.Gauge, aggregate.Point, 0}
	for i, kind := range kinds {
		tags := string([]byte{'a' + byte(i%2), 'w' + byte(i)})
		at, value := 600_000+r.Int64N(30_000), float64(r.IntN(100))
		start := at - r.Int64N(400_000)
		says, punctual, finer := r.IntN(3) > 0, r.IntN(2) == 0, kind&aggregate.Point != 0 && r.IntN(2) == 0
		every := []int64{300, 3000, 30_000}[r.IntN(3)]
		for at < 1_500_000 {
			at += 1 + r.Int64N(every)
			if finer {
				at -= at % 1000 // So that many are of one millisecond.
			}
			switch r.IntN(60) {
			case 0:
				at += r.Int64N(500_000)
			case 1, 2:
				start, value = at-r.Int64N(200), 0
			case 3:
				all = append(all, told{tags, at, aggregate.Sample{Time: at}, true})
				at++
			case 4: // Another writer.
				if kind == aggregate.Cumulative {
					value = max(0, value-float64(r.IntN(200)))
				}
			}
			value += float64(r.IntN(30))
			s := aggregate.Sample{Time: at, Value: value, Flags: kind, Needs: aggregate.NeedLast}
			if says && kind&aggregate.Cumulative != 0 {
				s.Start = start
			}
			if finer {
				s.Nanos = []int32{0, 1, 500_000, 999_999}[r.IntN(4)]
			}
			if r.IntN(15) == 0 { // Of a clock that is behind: a value above those that follow.
				s.Time -= r.Int64N(40_000)
			}
			e := told{tags, at + r.Int64N(900), s, false}
			if !punctual && r.IntN(6) == 0 {
				e.arrives += r.Int64N(60_000)
			}
			all = append(all, e)
			if kind != 0 && kind != aggregate.Gauge && r.IntN(5) == 0 { // Sent again.
				e.arrives += r.Int64N(20_000)
				if r.IntN(3) == 0 { // Another value.
					e.sample.Value += float64(r.IntN(21) - 10)
				}
				all = append(all, e)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b told) int { return cmp.Compare(a.arrives, b.arrives) })
	return all
}

// heard is what a window of some series amounts to, by definition.
type heard struct {
	count                 int64
	sum                   float64
	growth                aggregate.Growth
	alive                 bool
	lasts                 []float64
	newest                nanosecond
	newestValue, increase float64
}

func hear(all []told, tags string, w aggregate.Range, h *heard) {
	from, to := w.From*1000, w.To*1000
	var samples []aggregate.Sample
	points := map[nanosecond]float64{}
	last, stale, value, some := nanosecond{ms: -1}, int64(-1), 0.0, false
	for _, e := range all {
		s := e.sample
		if e.tags != tags || s.Time >= to {
			continue
		}
		if e.stale {
			stale = max(stale, s.Time)
			continue
		}
		when := nanosecond{s.Time, s.Nanos}
		if newer := when.compare(last); newer > 0 || newer == 0 && s.Value > value {
			last, value, some = when, s.Value, true
		}
		if s.Flags&aggregate.Cumulative != 0 {
			if s.Start >= s.Time {
				s.Start = 0
			}
			samples = append(samples, s)
		}
		if s.Time < from {
			continue
		}
		counts := s.Value
		if known, again := points[when]; s.Flags&aggregate.Point != 0 && again {
			counts = max(0, s.Value-known)
		} else {
			h.count++
		}
		if s.Flags&aggregate.Point != 0 {
			points[when] += counts
		}
		h.sum += counts
		if s.Flags&(aggregate.Cumulative|aggregate.Gauge) == 0 {
			h.increase += counts
		}
	}
	g := defined(samples, from, to)
	h.growth.Sum += g.Sum
	h.growth.Unknown += g.Unknown
	h.increase += g.Sum
	if some && stale <= last.ms {
		h.alive = h.alive || last.ms >= to-aggregate.Lookback
		if last.ms >= from {
			h.lasts = append(h.lasts, value)
			if newer := last.compare(h.newest); newer > 0 || newer == 0 && value > h.newestValue {
				h.newest, h.newestValue = last, value
			}
		}
	}
}

// compare says what is wrong with a window.
func (h *heard) compare(a *aggregate.Acc) error {
	if a.Count != h.count || a.Sum != h.sum {
		return fmt.Errorf("count %d, sum %v; want %d, %v", a.Count, a.Sum, h.count, h.sum)
	}
	for name, want := range map[string]float64{
		"increase": h.increase, "last": h.newestValue, "last_sum": sumOf(h.lasts), "last_avg": sumOf(h.lasts) / float64(max(len(h.lasts), 1)),
		"last_count": float64(len(h.lasts)), "increase_avg": h.increase / float64(max(len(h.lasts), 1)),
		"last_min": slices.Min(append(slices.Clone(h.lasts), 1e18)), "last_max": slices.Max(append(slices.Clone(h.lasts), -1e18)),
	} {
		there := len(h.lasts) > 0
		if name == "increase" {
			there = h.count > 0 || h.alive
		}
		named, _ := aggregate.Named(name)
		if got, ok := named.Extract(a); ok != there || ok && got != want {
			return fmt.Errorf("%s is %v, %v; want %v, %v", name, got, ok, want, there)
		}
	}
	unknown := int64(0)
	if a.More != nil {
		unknown = a.More.Growth.Unknown
	}
	if unknown != h.growth.Unknown {
		return fmt.Errorf("%d unknown starts, want %d", unknown, h.growth.Unknown)
	}
	return nil
}

func sumOf(values []float64) (sum float64) {
	for _, v := range values {
		sum += v
	}
	return sum
}

const allOfThem = aggregate.NeedGrowth | aggregate.NeedLast

// Whatever arrives in whatever order and grouping: every window of every group is what its series' samples say by
// definition, in trees that were made before, and of the past, and in a store that was restored.
func TestCountersInAStore(t *testing.T) {
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 31))
		all := tell(r)
		o := aggregate.Options{Retain: 2000}
		s := aggregate.NewStore(o)
		sel := buildFor(s, "early", 1000, nil, nil)
		arrived := 0
		for now := int64(600_000); now < 1_560_000; now += 1000 {
			tables := make([]aggregate.Table, 1+r.IntN(3))
			for i := range tables {
				tables[i] = aggregate.Table{}
			}
			for ; arrived < len(all) && all[arrived].arrives < now; arrived++ {
				all[arrived].add(tables[r.IntN(len(tables))])
			}
			for _, more := range tables[1:] {
				tables[0].Merge(more)
			}
			s.Merge(tables[0])
			if r.IntN(40) > 0 {
				continue
			}
			if r.IntN(3) == 0 { // As after the loss of a process.
				text, _ := s.AppendHistory(nil, -1, 1<<40)
				s = aggregate.NewStore(o)
				if r.IntN(2) == 0 { // It is there, or not, while the history is restored.
					buildFor(s, "early", 1000, nil, nil)
				}
				if err := s.RestoreHistory(text, now/1000); err != nil {
					t.Fatal(err)
				}
				sel = buildFor(s, "early", 1000, nil, nil)
			}
			var windows []aggregate.Range
			for range 5 {
				to := now/1000 - r.Int64N(100)
				windows = append(windows, aggregate.Range{From: to - 1 - r.Int64N([]int64{5, 60, 700}[r.IntN(3)]), To: to})
			}
			for _, w := range windows {
				sel.Window(w, allOfThem, func(group string, a *aggregate.Acc) { checkHeard(t, seed, all[:arrived], group, w, a) })
			}
			buildFor(s, "late", 10, windows, func(group string, accs []aggregate.Acc) {
				for i, w := range windows {
					checkHeard(t, seed, all[:arrived], group, w, &accs[i])
				}
			})
			s.Drop("m", "late")
		}
	}
}

func checkHeard(t *testing.T, seed uint64, arrived []told, group string, w aggregate.Range, a *aggregate.Acc) {
	t.Helper()
	var want heard
	for i := range 6 {
		if tags := string([]byte{'a' + byte(i%2), 'w' + byte(i)}); tags[:1] == group {
			hear(arrived, tags, w, &want)
		}
	}
	if err := want.compare(a); err != nil || !a.Has(allOfThem) {
		t.Fatalf("seed %d, group %s, [%d, %d): %v", seed, group, w.From, w.To, err)
	}
}

func buildFor(s *aggregate.Store, id string, span int64, windows []aggregate.Range, yield func(string, []aggregate.Acc)) *aggregate.Selector {
	b := s.Build("m", id, span, span, allOfThem, func(tags string) (string, bool) { return tags[:1], true })
	b.Run(windows, yield)
	return s.Adopt(b)
}
