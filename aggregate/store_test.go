package aggregate_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pulseboard/aggregate"
)

// event is what the oracle below keeps: everything.
type event struct {
	slice int64
	tags  string
	value float64
}

// oracle recomputes a window from its definition.
func oracle(events []event, from, to int64, match aggregate.Match) map[string]aggregate.Acc {
	out := map[string]aggregate.Acc{}
	for _, e := range events {
		g, ok := match(e.tags)
		if !ok || e.slice < from || e.slice >= to {
			continue
		}
		a := out[g]
		if a.Count == 0 {
			a.Min, a.Max, a.Newest = e.value, e.value, e.slice*1000
		}
		a.Count++
		a.Sum += e.value
		a.Min, a.Max = math.Min(a.Min, e.value), math.Max(a.Max, e.value)
		a.Newest = max(a.Newest, e.slice*1000)
		out[g] = a
	}
	return out
}

func key(metric, tags string) *aggregate.Name { return aggregate.NewName(metric, tags) }

func byFirst(tags string) (string, bool) { return tags[:1], !strings.HasSuffix(tags, "x") }

func whole(string) (string, bool) { return "", true }

func equal(a, b aggregate.Acc) bool {
	return a.Count == b.Count && a.Min == b.Min && a.Max == b.Max && a.Newest == b.Newest &&
		math.Abs(a.Sum-b.Sum) <= 1e-9*math.Abs(b.Sum)+1e-9
}

// build is a build that nothing comes between.
func build(s *aggregate.Store, id string, span int64, match aggregate.Match, windows []aggregate.Range, yield func(string, []aggregate.Acc)) *aggregate.Selector {
	b := s.Build("m", id, span, span, 0, match)
	b.Run(windows, yield)
	return s.Adopt(b)
}

// Random events, early and late, with gaps; windows of all lengths; selectors
// made before, in the middle and at the end: all equal the oracle.
func TestStoreAgainstOracle(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 7))
		const retain, late = 300, 40
		s := aggregate.NewStore(aggregate.Options{Retain: retain})
		var events []event
		now := r.Int64N(5000) - 2500
		matches := map[string]aggregate.Match{"first": byFirst, "whole": whole}
		for step := range 900 {
			now += r.Int64N(3)
			if r.IntN(200) == 0 {
				now += r.Int64N(2 * retain)
			}
			table := aggregate.Table{}
			for range r.IntN(6) {
				e := event{now - r.Int64N(late), string([]byte{'a' + byte(r.IntN(3)), 'w' + byte(r.IntN(3))}), float64(r.IntN(2000)-1000) / 8}
				table.AddFor(aggregate.NeedSketch, e.slice, key("m", e.tags), e.value, e.slice*1000)
				events = append(events, e)
			}
			s.Merge(table)
			if step%300 != 10 && r.IntN(10) != 0 {
				continue
			}
			for id, match := range matches {
				window := 1 + r.Int64N(retain-late-1)
				sel := build(s, id, window+late, match, nil, nil)
				to := now + 1 - r.Int64N(20)
				from := to - window
				want := oracle(events, from, to, match)
				got := map[string]aggregate.Acc{}
				sel.Window(aggregate.Range{From: from, To: to}, 0, func(g string, a *aggregate.Acc) {
					if a.Count > 0 {
						got[g] = *a
						checkMedian(t, g, a, events, from, to, match)
					}
				})
				if len(got) != len(want) {
					t.Fatalf("seed %d step %d %s [%d,%d): got %v, want %v", seed, step, id, from, to, got, want)
				}
				for g, w := range want {
					if !equal(got[g], w) {
						t.Fatalf("seed %d step %d %s group %s [%d,%d): got %+v, want %+v", seed, step, id, g, from, to, got[g], w)
					}
				}
				checkHistory(t, s, id, events, now, retain-1, match)
			}
		}
	}
}

func checkMedian(t *testing.T, group string, a *aggregate.Acc, events []event, from, to int64, match aggregate.Match) {
	t.Helper()
	var values []float64
	for _, e := range events {
		if g, ok := match(e.tags); ok && g == group && e.slice >= from && e.slice < to {
			values = append(values, e.value)
		}
	}
	slices.Sort(values)
	want := values[(len(values)-1)/2]
	if got, ok := aggregate.Percentile(50, 100)(a); !ok || !a.Has(aggregate.NeedSketch) || math.Abs(got-want) > aggregate.SketchError*math.Abs(want) {
		t.Fatalf("median of group %s [%d,%d) is %v of %d, want %v of %d", group, from, to, got, a.More.Sketch.Count(), want, len(values))
	}
}

// checkHistory compares windows that reach back over the whole retention.
func checkHistory(t *testing.T, s *aggregate.Store, id string, events []event, now, retain int64, match aggregate.Match) {
	t.Helper()
	var windows []aggregate.Range
	for to := now - retain + 11; to <= now; to += 7 {
		windows = append(windows, aggregate.Range{From: to - 10, To: to})
	}
	build(s, id, 1, match, windows, func(g string, accs []aggregate.Acc) {
		for i, w := range windows {
			if want := oracle(events, w.From, w.To, match)[g]; !equal(accs[i], want) {
				t.Fatalf("history of group %s %v: got %+v, want %+v", g, w, accs[i], want)
			}
		}
	})
}

// A build sees what was held when it was made; what comes while it runs counts too.
func TestBuildWhileEventsCome(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	s := aggregate.NewStore(aggregate.Options{Retain: 300})
	var events []event
	add := func(now int64, n int) {
		table := aggregate.Table{}
		for range n {
			e := event{now - r.Int64N(40), string([]byte{'a' + byte(r.IntN(20)), 'w'}), float64(r.IntN(1000))}
			table.AddFor(aggregate.NeedSketch, e.slice, key("m", e.tags), e.value, e.slice*1000)
			events = append(events, e)
		}
		s.Merge(table)
	}
	for now := range int64(250) {
		add(now, 20)
	}
	past := aggregate.Range{From: 100, To: 200}
	want := oracle(events, past.From, past.To, byFirst)
	b := s.Build("m", "first", 250, 250, 0, byFirst)
	compared := 0
	built := make(chan struct{})
	go func() {
		defer close(built)
		b.Run([]aggregate.Range{past}, func(g string, accs []aggregate.Acc) {
			if !equal(accs[0], want[g]) {
				t.Errorf("group %s while events come: got %+v, want %+v", g, accs[0], want[g])
			}
			compared++
		})
	}()
	now := int64(250)
	for done := false; !done && now < 290; now++ {
		add(now, 20)
		select {
		case <-built:
			done = true
		default:
		}
	}
	<-built
	add(now, 20)
	sel := s.Adopt(b)
	want = oracle(events, 100, now+1, byFirst)
	sel.Window(aggregate.Range{From: 100, To: now + 1}, 0, func(g string, a *aggregate.Acc) {
		if !equal(*a, want[g]) {
			t.Errorf("group %s afterwards: got %+v, want %+v", g, *a, want[g])
		}
	})
	if compared != 20 || sel.Len() != 20 {
		t.Errorf("%d groups compared, %d in the selector; want 20", compared, sel.Len())
	}
}

func one(slice int64, n *aggregate.Name) aggregate.Table {
	t := aggregate.Table{}
	t.Add(slice, n, 0, 0)
	return t
}

func TestStoreForgets(t *testing.T) {
	s := aggregate.NewStore(aggregate.Options{Retain: 100})
	s.Merge(one(1, key("m", "old")))
	sel := build(s, "all", 50, func(tags string) (string, bool) { return tags, true }, nil, nil)
	for slice := range int64(300) {
		s.Merge(one(slice+2, key("m", "new")))
	}
	if s.Series() != 1 || sel.Len() != 1 || sel.Matched() != 2 {
		t.Errorf("series %d, groups %d, ever matched %d; want 1, 1, 2", s.Series(), sel.Len(), sel.Matched())
	}
	if oldest, ok := s.Oldest("m"); !ok || oldest < 302-100-60 {
		t.Errorf("oldest slice is %d: it should have been dropped", oldest)
	}
	s.Drop("m", "all")
	if n := build(s, "all", 50, whole, nil, nil).Matched(); n != 1 {
		t.Errorf("a selector made anew matched %d series, want 1", n)
	}
}

func TestTableCodec(t *testing.T) {
	table := aggregate.Table{}
	table.Add(-3, key("metric.a", "x"), math.Copysign(0, -1), -2500)
	table.Add(1763892000, key(strings.Repeat("n", 200), ""), 5e-324, 1763892000123)
	table.Add(1763892000, key("metric.a", "x"), math.MaxFloat64, 1763892000999)
	table.Add(1763892000, key("metric.a", "y"), math.Inf(1), 1763892000001)
	table.Add(1763892000, key("metric.a", "y"), 3, 1763892000001)
	b := aggregate.AppendTable(nil, table)
	got, err := aggregate.DecodeTable(b)
	if err != nil {
		t.Fatal(err)
	}
	if held := got.Held(); !reflect.DeepEqual(held, table.Held()) || len(held[1763892000]) != 3 {
		t.Errorf("got %v, want %v", held, table.Held())
	}
	for n := range b {
		if _, err := aggregate.DecodeTable(b[:n]); err == nil {
			t.Fatalf("%d of %d bytes decode without an error", n, len(b))
		}
	}
	if _, err := aggregate.DecodeTable(append(slices.Clone(b), 0)); err == nil {
		t.Error("a byte too many decodes without an error")
	}
}

// A table as it was encoded, byte by byte: runners hold tables in state.
func TestTableGolden(t *testing.T) {
	const golden = "\x0d\x01m\x01\x00\x00\x01\x06\x01" + "\x80\x00\x02\x80\x04\x80\xd0\x0f\x00\x80\x06\x00\x80\x02\x00\x80\x04\x80\x02\x04\x01\x01\x80\x01\x01"
	table := aggregate.Table{}
	series := key("m", "")
	table.AddFor(aggregate.NeedSketch, 3, series, 1, 900)
	table.AddFor(aggregate.NeedSketch, 3, series, 2, 1000)
	if got := string(aggregate.AppendTable(nil, table)); got != golden {
		t.Errorf("encoded form is %q, was %q", got, golden)
	}
	got, err := aggregate.DecodeTable([]byte(golden))
	if err != nil {
		t.Fatal(err)
	}
	if a := got.Held()[3][[2]string{"m", ""}]; a.Count != 2 || a.Sum != 3 || !a.Has(aggregate.NeedSketch) {
		t.Errorf("it reads as %+v", a)
	}
	if _, err := aggregate.DecodeTable([]byte("\x06" + golden[1:])); !errors.Is(err, aggregate.ErrTable) {
		t.Errorf("a table of another version: %v", err)
	}
}

// What an hour of a series costs: memory, and the time to build a selector from it.
func BenchmarkBuild(b *testing.B) {
	for _, kind := range []string{"integers", "floats"} {
		b.Run(kind, func(b *testing.B) {
			const series, hour = 200, 3600
			r := rand.New(rand.NewPCG(1, 1))
			s := aggregate.NewStore(aggregate.Options{Retain: hour})
			for slice := int64(second); slice < second+hour; slice++ {
				table := aggregate.Table{}
				for i := range series {
					for range 2 {
						v := r.NormFloat64() * 100
						if kind == "integers" {
							v = math.Round(v)
						}
						table.Add(slice, key("m", string(rune('a'+i))), v, slice*1000+r.Int64N(1000))
					}
				}
				s.Merge(table)
			}
			windows := make([]aggregate.Range, 300)
			for i := range windows {
				windows[i] = aggregate.Range{From: second + int64(i), To: second + int64(i) + hour - 300}
			}
			for b.Loop() {
				b := s.Build("m", "x", hour, hour, 0, whole)
				b.Run(windows, func(string, []aggregate.Acc) {})
			}
			b.ReportMetric(float64(s.Bytes())/series/hour, "B/slice")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/series/hour, "ns/slice")
		})
	}
}

func BenchmarkTreeAdd(b *testing.B) {
	for _, span := range []int64{64, 4096} {
		b.Run("", func(b *testing.B) {
			tree := aggregate.NewTree(span)
			a := aggregate.Acc{Count: 1, Sum: 1, Min: 1, Max: 1}
			for i := int64(0); b.Loop(); i++ {
				tree.Add(i/4, &a)
			}
		})
	}
}

func BenchmarkTreeWindow(b *testing.B) {
	for _, span := range []int64{64, 4096} {
		b.Run("", func(b *testing.B) {
			tree := aggregate.NewTree(span)
			for i := range span {
				tree.Add(i, &aggregate.Acc{Count: 1, Sum: 1, Min: 1, Max: 1})
			}
			var a aggregate.Acc
			for i := int64(0); b.Loop(); i++ {
				a.Reset()
				tree.Window(&a, i%(span/2), i%(span/2)+span/3)
			}
		})
	}
}
