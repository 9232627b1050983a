package transforms

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"

	"pulseboard/aggregate"
	"pulseboard/metric"
)

// runnerState is what a runner keeps of one key. The methods that are not here are not used.
type runnerState struct {
	state.Provider
	values map[string]any
	bags   map[string][]any
}

func newRunnerState() *runnerState {
	return &runnerState{values: map[string]any{}, bags: map[string][]any{}}
}

func (s *runnerState) checkpoint() *runnerState {
	c := &runnerState{values: maps.Clone(s.values), bags: map[string][]any{}}
	for k, v := range s.bags {
		c.bags[k] = slices.Clone(v)
	}
	return c
}

func (s *runnerState) ReadValueState(id string) (any, []state.Transaction, error) {
	return s.values[id], nil, nil
}

func (s *runnerState) WriteValueState(t state.Transaction) error {
	s.values[t.Key] = t.Val
	return nil
}

func (s *runnerState) ReadBagState(id string) ([]any, []state.Transaction, error) {
	return s.bags[id], nil, nil
}

func (s *runnerState) WriteBagState(t state.Transaction) error {
	s.bags[t.Key] = append(s.bags[t.Key], t.Val)
	return nil
}

func (s *runnerState) ClearBagState(t state.Transaction) error {
	delete(s.bags, t.Key)
	return nil
}

// lose forgets a key group, as the loss of the process does.
func (g *Groups) lose(id int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, id)
}

type noTimers struct{}

func (noTimers) Set(timers.TimerMap) {}

// course is what a key group of a test goes through.
type course struct {
	demands []Demand
	retain  int64 // Slices.
	partial func(second int64) Partial
	paced   bool // Queries are prepared before the next slice: with so many, slices would else be faster than they.
}

func plainCourse() course {
	return course{
		retain: 40,
		demands: []Demand{
			demand(metric.Sum, 10, 1000), demand("p50", 5, 2000),
			{metric.Query{Metric: "m", Aggregation: metric.Count, WindowSeconds: 7, GroupBy: []string{"host"}}, []int64{1000}},
		},
		partial: func(second int64) Partial {
			r := rand.New(rand.NewPCG(uint64(second), 1)) // The same whenever it is read again.
			p := Partial{Table: aggregate.Table{}}
			for range 5 {
				key := aggregate.NewName("m", string(metric.NewTags(map[string]string{"host": fmt.Sprint("h", r.IntN(3))}).AppendKey(nil)))
				p.Table.AddFor(aggregate.NeedSketch, second, key, float64(r.IntN(100)), second*1000+500)
			}
			return p
		},
	}
}

// counterCourse has counters that reset, gauges, points that are sent again later, and ends of series.
func counterCourse() course {
	by := func(a metric.Aggregation, seconds int, tags ...string) Demand {
		return Demand{metric.Query{Metric: "m", Aggregation: a, WindowSeconds: seconds, GroupBy: tags}, []int64{1000}}
	}
	return course{
		retain: 340, paced: true,
		demands: []Demand{by("increase", 10), by("increase", 3, "host"), by("rate", 20, "host"), by("last", 5, "host"), by("last_sum", 30), by("sum", 10), by("count", 4, "host")},
		partial: func(second int64) Partial {
			r := rand.New(rand.NewPCG(uint64(second), 1))
			p := Partial{Table: aggregate.Table{}}
			for host, kind := range []metric.Kind{metric.Cumulative, metric.Cumulative, metric.Gauge, metric.Plain} {
				n := aggregate.NewName("m", string(metric.NewTags(map[string]string{"host": fmt.Sprint("h", host)}).AppendKey(nil)))
				add := func(at int64) {
					e := metric.Event{Kind: kind, Point: host != 1, Value: float64(at*7%100 + at), Stale: host == 2 && at%17 == 0}
					if e.Point && at%3 == 0 {
						e.Nanos = int32(at % 1_000_000)
					}
					e.AddTo(p.Table.Row(at).Acc(n), aggregate.NeedLast, at*1000+300)
				}
				add(second)
				if host != 1 && r.IntN(3) == 0 {
					add(max(1, second-r.Int64N(25)))
				}
			}
			return p
		},
	}
}

// life runs 200 slices of a key group, and fails now and then: the process is
// lost, with its cache, and the runner goes back to its last checkpoint; or
// only the cache is of another time than the state. It returns what was said of each window.
func life(t *testing.T, run string, c course, failures bool) map[string]string {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 7))
	said := map[string]string{}
	announced := map[string]int64{} // By this process: the next one asks Redis.
	var mu sync.Mutex
	take := func(e Evaluation) {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range e.Publications {
			if p.Announce {
				if before := announced[p.Result.Key]; p.Result.WindowEnd <= before {
					t.Errorf("%s: the end %d is announced after %d", p.Result.Key, p.Result.WindowEnd, before)
				}
				announced[p.Result.Key] = p.Result.WindowEnd
			}
			if !p.Result.Complete {
				continue
			}
			text := ""
			for _, s := range p.Result.Series {
				value := math.NaN()
				if s.Value != nil {
					value = *s.Value
				}
				text += fmt.Sprintf("%v=%v/%d ", s.Tags, value, s.Count)
			}
			key := fmt.Sprint(p.Result.Key, " ", p.Result.WindowEnd)
			if before, ok := said[key]; ok && before != text {
				t.Errorf("%s was %s and is %s", key, before, text)
			}
			said[key] = text
		}
	}
	f := newSlideFn(SlideOptions{Run: run, SliceMs: 1000, KeyGroups: 1, RetainMs: c.retain * 1000, AheadMs: 3000, Durable: true, CompactEvery: 9})
	groups := openGroups(t, run)
	qs, bad := Compile(c.demands, 1000, 1)
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	groups.PublishTo(sinkFunc(take))
	groups.SetQueries(qs)
	st := newRunnerState()
	checkpoint, checkpointAt := st.checkpoint(), int64(0)
	for second := int64(1); second <= 200; second++ {
		end := (second + 1) * 1000
		if err := f.ProcessElement(beam.EventTime(end-1), st, noTimers{}, 0, c.partial(second), take); err != nil {
			t.Fatal(err)
		}
		if err := f.OnTimer(context.Background(), beam.EventTime(end), st, noTimers{}, 0, timers.Context{}, take); err != nil {
			t.Fatal(err)
		}
		if c.paced {
			groups.builders.Wait()
		}
		if !failures {
			continue
		}
		switch r.IntN(12) {
		case 0, 1:
			checkpoint, checkpointAt = st.checkpoint(), second
		case 2: // The process is lost.
			groups.builders.Wait()
			groups.lose(0)
			mu.Lock()
			clear(announced)
			mu.Unlock()
			st, second = checkpoint.checkpoint(), checkpointAt
		case 3: // A bundle is tried again: the cache has what the state has not.
			st, second = checkpoint.checkpoint(), checkpointAt
		}
	}
	groups.builders.Wait()
	n := 0
	for _, b := range st.bags {
		n += len(b)
	}
	// Those since the last history, and of each nine slices of the retention and its generations a history, and what came late.
	if most := 2*(c.retain+2*c.retain/7)/9 + 9 + 2; int64(n) > most {
		t.Errorf("%d entries are kept, of %d slices", n, c.retain)
	}
	return said
}

// Where the runner keeps state, nothing succeeds on a run that is closed: a checkpoint after it would be without what was
// left out. Elsewhere what is left of a run does nothing.
func TestAClosedRunLosesNoState(t *testing.T) {
	for _, durable := range []bool{true, false} {
		run := fmt.Sprint(t.Name(), durable)
		f := newSlideFn(SlideOptions{Run: run, SliceMs: 1000, KeyGroups: 1, RetainMs: 40_000, AheadMs: 3000, Durable: durable})
		if err := openGroups(t, run).Close(); err != nil {
			t.Fatal(err)
		}
		st, emit := newRunnerState(), func(Evaluation) { t.Error("something is emitted") }
		element := f.ProcessElement(beam.EventTime(1999), st, noTimers{}, 0, Partial{Table: aggregate.Table{}}, emit)
		timer := f.OnTimer(t.Context(), beam.EventTime(2000), st, noTimers{}, 0, timers.Context{}, emit)
		if errors.Is(element, errClosed) != durable || errors.Is(timer, errClosed) != durable || len(st.values)+len(st.bags) > 0 {
			t.Errorf("durable %t: an element %v, a timer %v, state %v %v", durable, element, timer, st.values, st.bags)
		}
	}
}

// Whatever is lost, every window says what it says without any loss.
func TestStateIsWholeAfterFailures(t *testing.T) {
	for name, c := range map[string]course{"plain": plainCourse(), "counters": counterCourse()} {
		want := life(t, "whole "+name, c, false)
		got := life(t, "failing "+name, c, true)
		if len(want) < 400 {
			t.Fatalf("%s: only %d windows", name, len(want))
		}
		for key, text := range want {
			if got[key] != text {
				t.Errorf("%s: %s is %q after failures, want %q", name, key, got[key], text)
			}
		}
	}
}

// everything returns what a working form holds, by series and slice.
func everything(k *keyGroup, slices int64) map[string][]aggregate.Acc {
	k.mu.Lock()
	defer k.mu.Unlock()
	windows := make([]aggregate.Range, slices)
	for i := range windows {
		windows[i] = aggregate.Range{From: int64(i), To: int64(i) + 1}
	}
	out := map[string][]aggregate.Acc{}
	b := k.store.Build("m", "each", slices, slices, aggregate.NeedGrowth, func(tags string) (string, bool) { return tags, true })
	b.Run(windows, func(group string, accs []aggregate.Acc) {
		for _, a := range accs {
			var growth aggregate.Growth
			if a.More != nil {
				growth = a.More.Growth
			}
			a.More = &aggregate.More{Growth: growth} // That of a is used again.
			out[group] = append(out[group], a)
		}
	})
	k.store.Adopt(b)
	k.store.Drop("m", "each")
	return out
}

// Events of clocks that are behind, some of them by more than lies between two histories,
// and ahead: whatever is lost, the working form holds each once.
func TestStateHoldsWhatIsLateAndAhead(t *testing.T) {
	o := SlideOptions{Run: "late", SliceMs: 1000, KeyGroups: 1, RetainMs: 400_000, AheadMs: 3000, Durable: true, CompactEvery: 9}
	twin := o
	twin.Run, twin.Durable = "late, never lost", false
	f, g := newSlideFn(o), newSlideFn(twin)
	groups, twins := openGroups(t, o.Run), openGroups(t, twin.Run)
	partial := func(second int64) Partial {
		r := rand.New(rand.NewPCG(uint64(second), 2)) // The same whenever it is read again.
		p := Partial{Table: aggregate.Table{}}
		for range r.IntN(9) {
			at := max(0, second-r.Int64N(1+r.Int64N(60))+r.Int64N(4))
			series, ms := r.IntN(3), at*1000+100*r.Int64N(10)
			e := metric.Event{Kind: metric.Kind(series), Point: series == 2, Value: float64(ms % 7717)} // A point sent again has its value.
			e.AddTo(p.Table.Row(at).Acc(aggregate.NewName("m", fmt.Sprint("s", series))), 0, ms)
		}
		return p
	}
	ignore := func(Evaluation) {}
	step := func(f *SlideFn, st *runnerState, second int64) {
		end := (second + 1) * 1000
		if err := f.ProcessElement(beam.EventTime(end-1), st, noTimers{}, 0, partial(second), ignore); err != nil {
			t.Fatal(err)
		}
		if second%3 != 0 { // Now and then several slices wait.
			if err := f.OnTimer(context.Background(), beam.EventTime(end), st, noTimers{}, 0, timers.Context{}, ignore); err != nil {
				t.Fatal(err)
			}
		}
	}
	r := rand.New(rand.NewPCG(1, 7))
	st, compared := newRunnerState(), 0
	checkpoint, checkpointAt, passed := st.checkpoint(), int64(0), int64(0)
	for second := int64(1); second <= 300; second++ {
		step(f, st, second)
		if second > passed {
			step(g, newRunnerState(), second)
			passed = second
		}
		switch r.IntN(10) {
		case 0, 1:
			checkpoint, checkpointAt = st.checkpoint(), second
		case 2:
			groups.lose(0)
			st, second = checkpoint.checkpoint(), checkpointAt
		case 3:
			st, second = checkpoint.checkpoint(), checkpointAt
		case 4:
			if second != passed || second%3 == 0 {
				continue
			}
			groups.lose(0)
			k, err := groups.load(f.log(st, 0), 0, o)
			if err != nil {
				t.Fatal(err)
			}
			k.advance(passed*1000 + 1000) // As far as the twin: state may be some slices behind.
			if got, want := everything(k, 310), everything(twins.find(0), 310); !reflect.DeepEqual(got, want) {
				t.Fatalf("after %d slices state holds\n%v\nwant\n%v", second, got, want)
			}
			compared++
		}
	}
	if compared < 5 {
		t.Errorf("compared only %d times", compared)
	}
}

// A bundle that is tried again finds a new working form, while the old one has a history
// on its way: what is announced after it is newer.
func TestARetryOvertakesNoHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := t.Name()
		groups := openGroups(t, run)
		f := newSlideFn(SlideOptions{Run: run, SliceMs: 1000, KeyGroups: 1, RetainMs: 40_000, AheadMs: 3000, Durable: true})
		var announced []int64
		take := func(e Evaluation) {
			for _, p := range e.Publications {
				if p.Announce {
					announced = append(announced, p.Result.WindowEnd)
				}
			}
		}
		st := newRunnerState()
		slice := func(second int64) {
			p := Partial{Table: aggregate.Table{}}
			p.Table.Add(second, aggregate.NewName("m", ""), 1, second*1000)
			end := (second + 1) * 1000
			if err := f.ProcessElement(beam.EventTime(end-1), st, noTimers{}, 0, p, take); err != nil {
				t.Error(err)
			}
			if err := f.OnTimer(t.Context(), beam.EventTime(end), st, noTimers{}, 0, timers.Context{}, take); err != nil {
				t.Error(err)
			}
		}
		release := make(chan struct{})
		groups.PublishTo(sinkFunc(func(e Evaluation) {
			<-release
			take(e)
		}))
		slice(1)
		slice(2)
		before := st.checkpoint()
		slice(3)
		qs, bad := Compile([]Demand{demand(metric.Sum, 2, 1000)}, 1000, 1)
		if len(bad) > 0 {
			t.Fatal(bad)
		}
		groups.SetQueries(qs)
		synctest.Wait() // Its history, up to the end 4000, is on its way.
		st = before
		go func() {
			for second := int64(3); second < 9; second++ {
				slice(second)
				groups.builders.Wait() // The query is active.
			}
		}()
		synctest.Wait()
		close(release)
		synctest.Wait()
		if len(announced) < 3 || announced[0] != 4000 || !slices.IsSorted(announced) {
			t.Errorf("announced %v, want 4000 first, and rising", announced)
		}
	})
}

// State as it was written, byte by byte: a job is restored from it.
func TestStateGolden(t *testing.T) {
	h := head{
		nonce: newNonce(), end: 2000, since: -1, generation: 7, compacted: 1000, packed: 9, begun: true,
		losses: aggregate.Losses{Forgotten: 3, Dropped: 4},
	}
	if got, want := string(h.encode()), "\x04\x01"+string(h.nonce[:])+"\xa0\x1f\x01\x0e\xd0\x0f\x12\x06\x08"; got != want {
		t.Errorf("the head is %q, was %q", got, want)
	}
	if got, err := decodeHead(h.encode()); err != nil || got != h {
		t.Errorf("the head reads as %+v, %v", got, err)
	}
	for _, bad := range []string{"", "\x04\x01\x00\x00\x00", "\x03\x010123456789abcdef\xa0\x1f\x01\x0e\xd0\x0f\x12\x06\x08", "\x04\x010123456789abcdef\xa0"} {
		if _, err := decodeHead([]byte(bad)); !errors.Is(err, ErrState) {
			t.Errorf("%q as a head: %v", bad, err)
		}
	}

	o := SlideOptions{SliceMs: 1000, RetainMs: 40_000}
	store := aggregate.NewStore(aggregate.Options{Retain: 40})
	table := aggregate.Table{}
	table.AddFor(aggregate.NeedSketch, 3, aggregate.NewName("m", ""), 1, 900)
	store.Merge(table)
	const partial = "\xd0\x0f\n\x0d\x01m\x01\x00\x00\x01\x06\x01" + "\x80\x00\x02\x80\x02\x80\x88\x0e\x00\x80\x02\x80B"
	if got := string(logged{1000, 5, aggregate.AppendTable(nil, table)}.encode()); got != partial {
		t.Errorf("a partial is %q, was %q", got, partial)
	}
	const history = "\xd0\x0f\n\x0e\x01m\x00\x01\x00\x01\x16" + "\x03\x00\x00\x00\x00\x00\x00\x00\x00\x01\xd8\x04\x02\x80\x02\x80\x00\x00\x80\x02\x80B" + "\x00"
	text, cells := store.AppendHistory(nil, nothingPacked, 3)
	if got := string(logged{1000, 5, text}.encode()); got != history || cells != 1 {
		t.Errorf("a history is %q of %d slices, was %q", got, cells, history)
	}
	for _, golden := range []string{partial, history} {
		l, err := decodeLogged([]byte(golden))
		if err != nil || l.end != 1000 || l.since != 5 {
			t.Errorf("an entry reads as %+v, %v", l, err)
		}
		k := newGroups().of(0, o)
		k.end = 2000
		if err := k.restore(l, true); err != nil || k.store.Series() != 1 {
			t.Errorf("%q restores %d series, %v", golden, k.store.Series(), err)
		}
		for _, before := range []byte{7, 10, 11} {
			l := logged{l.end, l.since, append([]byte{before}, l.table[1:]...)}
			if err := newGroups().of(0, o).restore(l, true); !errors.Is(err, ErrState) {
				t.Errorf("an entry of version %d: %v", before, err)
			}
		}
		l.table = l.table[:len(l.table)-1]
		if err := newGroups().of(0, o).restore(l, true); !errors.Is(err, ErrState) {
			t.Errorf("a damaged entry: %v", err)
		}
	}
}
