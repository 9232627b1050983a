package transforms

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"pulseboard/aggregate"
	"pulseboard/job"
	"pulseboard/metric"
	"pulseboard/results"
	"pulseboard/wire"
)

// host is one key group with one slice of pipeline time a second, and what it published.
type host struct {
	t      *testing.T
	k      *keyGroup
	groups *Groups
	at     int64
	pubs   []results.Publication

	mu     sync.Mutex
	direct []results.Publication // Of queries that were prepared.
}

func newGroups() *Groups {
	g := NewGroups(job.NewProgress(), Resume{})
	g.PublishTo(sinkFunc(func(Evaluation) {}))
	return g
}

// openGroups makes the key groups of a run, for DoFns.
func openGroups(t *testing.T, run string) *Groups {
	t.Helper()
	g := newGroups()
	j := job.Open(run, g)
	t.Cleanup(func() { _ = j.Close() })
	return g
}

func newHost(t *testing.T, demands ...Demand) *host {
	t.Helper()
	return newHostWith(t, SlideOptions{}, demands...)
}

func newHostWith(t *testing.T, o SlideOptions, demands ...Demand) *host {
	t.Helper()
	o.SliceMs, o.KeyGroups, o.RetainMs, o.AheadMs = 1000, 1, 3_600_000, 3000
	h := &host{t: t, groups: newGroups()}
	h.groups.sink = sinkFunc(func(e Evaluation) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.direct = append(h.direct, e.Publications...)
	})
	h.k = h.groups.of(0, o)
	h.demand(demands...)
	return h
}

func (h *host) demand(demands ...Demand) {
	h.t.Helper()
	qs, bad := Compile(demands, 1000, 1)
	if len(bad) > 0 {
		h.t.Fatal(bad)
	}
	h.groups.queries.Store(qs)
}

// slice adds the partial of the next slice: events written "second=value" or "second=value host", and evaluates it.
func (h *host) slice(events ...string) {
	h.t.Helper()
	h.hold(events...)
	h.advance()
}

// begin gives the key group its first slice, before which nothing was read.
func (h *host) begin(events string) {
	h.t.Helper()
	p := partialOf(h.t, events)
	p.CoveredSince = 101_000
	h.at = 102_000
	h.k.add(h.at, p)
	h.advance()
}

// advance evaluates, and waits for the queries that are being prepared.
func (h *host) advance() {
	h.k.mu.Lock()
	h.pubs = h.k.advance(h.at).Publications
	h.k.mu.Unlock()
	h.groups.builders.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pubs = append(h.pubs, h.direct...)
	h.direct = nil
}

// hold adds the partial of the next slice without evaluating it.
func (h *host) hold(events ...string) {
	h.t.Helper()
	h.at += 1000
	h.k.add(h.at, partialOf(h.t, events...))
}

func partialOf(t *testing.T, events ...string) Partial {
	t.Helper()
	p := Partial{Table: aggregate.Table{}}
	for _, e := range events {
		var second int64
		var value float64
		head, tags, _ := strings.Cut(e, " ")
		if _, err := fmt.Sscanf(head, "%d=%g", &second, &value); err != nil {
			t.Fatal(err)
		}
		key := aggregate.NewName("m", string(metric.NewTags(map[string]string{"host": tags}).AppendKey(nil)))
		p.Table.Add(second, key, value, second*1000+500)
	}
	return p
}

// got writes publications down as "end(prev)[!]: values", with ! for announced ones.
func (h *host) got() string {
	var lines []string
	for _, p := range h.pubs {
		r := p.Result
		line := fmt.Sprintf("%d(%d)", r.WindowEnd/1000, r.PrevEnd/1000)
		if p.Announce {
			line += "!"
		}
		if !r.Complete {
			line += "?"
		}
		for _, s := range r.Series {
			v := "null"
			if s.Value != nil {
				v = fmt.Sprint(*s.Value)
			}
			line += fmt.Sprintf(" %s%s", s.Tags.Get("host"), v)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

func (h *host) want(want string) {
	h.t.Helper()
	if got := h.got(); got != want {
		h.t.Fatalf("at %d: published %q, want %q", h.at/1000, got, want)
	}
}

func demand(agg metric.Aggregation, window int, refreshMs ...int64) Demand {
	return Demand{metric.Query{Metric: "m", Aggregation: agg, WindowSeconds: window}, refreshMs}
}

func TestWindowsSlide(t *testing.T) {
	h := newHost(t, demand(metric.Sum, 3, 1000))
	h.slice("0=1")
	h.want("1(0)! 1")
	h.slice("1=2")
	h.want("2(1)! 3")
	h.slice("2=4")
	h.want("3(2)! 7")
	h.slice("3=8")
	h.want("4(3)! 14")
	h.slice()
	h.want("5(4)! 12")
	h.slice("4=100", "5=1") // One event a slice late: it counts from now on.
	h.want("6(5)! 109")
}

func TestEventOfTheWindowEndBelongsToTheNext(t *testing.T) {
	h := newHost(t, demand(metric.Count, 1, 1000))
	h.slice("0=1", "1=1") // The second is ahead of pipeline time.
	h.want("1(0)! 1")
	h.slice()
	h.want("2(1)! 1")
}

func TestEmptyWindows(t *testing.T) {
	h := newHost(t, demand(metric.Avg, 1, 1000), demand(metric.Count, 1, 1000), demand(metric.Max, 1, 1000), demand(metric.Min, 1, 1000), demand(metric.Sum, 1, 1000))
	h.slice()
	h.want("1(0)!; 1(0)!; 1(0)!; 1(0)!; 1(0)!") // Nothing ever matched: waiting.
	h.slice("1=5")
	h.want("2(1)! 5; 2(1)! 1; 2(1)! 5; 2(1)! 5; 2(1)! 5")
	h.slice()
	h.want("3(2)! null; 3(2)! 0; 3(2)! null; 3(2)! null; 3(2)! 0")
	if r := h.pubs[0].Result; r.NewestEvent != nil || r.Matched != 1 {
		t.Errorf("newest event %v, matched %d", r.NewestEvent, r.Matched)
	}
}

func TestRefreshIntervalsShareAKey(t *testing.T) {
	h := newHost(t, demand(metric.Sum, 2, 2000, 3000))
	var due []string
	for i := range int64(6) {
		h.slice(fmt.Sprintf("%d=1", i))
		for _, p := range h.pubs {
			due = append(due, fmt.Sprint(p.Result.WindowEnd/1000, p.Result.PrevEnd/1000, p.Result.Due))
		}
	}
	if got, want := strings.Join(due, "; "), "2 0 [2000]; 3 2 [3000]; 4 3 [2000]; 6 4 [2000 3000]"; got != want {
		t.Errorf("published %s, want %s", got, want)
	}
}

func TestDelayEvaluatesLater(t *testing.T) {
	h := newHost(t, Demand{metric.Query{Metric: "m", Aggregation: metric.Sum, WindowSeconds: 1, DelaySeconds: 2}, []int64{1000}})
	h.slice("0=1")
	h.slice("1=2")
	h.slice("0=10", "2=4") // Two seconds late, and still in time.
	h.want("1(0)! 11")
	h.slice()
	h.want("2(1)! 2")
}

func TestGroups(t *testing.T) {
	h := newHost(t, Demand{metric.Query{Metric: "m", Aggregation: metric.Sum, WindowSeconds: 1, GroupBy: []string{"host"}}, []int64{1000}})
	h.slice("0=1 b", "0=2 a", "0=4")
	h.want("1(0)! 4 a2 b1") // A missing tag counts as the empty value.
	version := h.pubs[0].Result.SeriesVersion
	h.slice("1=1 a")
	h.want("2(1)! 0 a1 b0") // A group stays listed.
	if v := h.pubs[0].Result.SeriesVersion; v != version {
		t.Errorf("series version changed from %s to %s although the list did not", version, v)
	}
	h.slice("2=1 c")
	h.want("3(2)! 0 a0 b0 c1")
	if v := h.pubs[0].Result.SeriesVersion; v == version {
		t.Error("series version did not change with the list")
	}
}

func TestFilter(t *testing.T) {
	f, err := metric.NewFilter(metric.Term{Tag: "host", Op: metric.Prefix, Values: []string{"web"}})
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t, Demand{metric.Query{Metric: "m", Aggregation: metric.Sum, WindowSeconds: 1, Filter: f}, []int64{1000}})
	h.slice("0=1 web1", "0=2 db1", "0=4 web2", "0=8")
	h.want("1(0)! 5")
	if m := h.pubs[0].Result.Matched; m != 2 {
		t.Errorf("matched %d series, want 2", m)
	}
}

func TestTopN(t *testing.T) {
	h := newHost(t, Demand{metric.Query{Metric: "m", Aggregation: metric.Max, WindowSeconds: 1, GroupBy: []string{"host"}}, []int64{1000}})
	var events []string
	for i := range wire.MaxSeries + 3 {
		events = append(events, fmt.Sprintf("0=%d host%03d", 1000-i, i))
	}
	h.slice(append(events, "0=5000 zz")...)
	r := h.pubs[0].Result
	if len(r.Series) != wire.MaxSeries || r.Truncated != 4 || r.Matched != wire.MaxSeries+4 {
		t.Fatalf("%d series, %d truncated, %d matched", len(r.Series), r.Truncated, r.Matched)
	}
	if first, last := r.Series[0], r.Series[len(r.Series)-1]; *first.Value != 1000 || *last.Value != 5000 {
		t.Errorf("kept %v to %v, want the highest, in the order of the tags", *first.Value, *last.Value)
	}
	if !slices.IsSortedFunc(r.Series, func(a, b wire.SeriesValue) int { return a.Tags.Compare(b.Tags) }) {
		t.Error("not in the order of the tags")
	}
}

func TestOverflowedSumIsNull(t *testing.T) {
	h := newHost(t, demand(metric.Sum, 5, 1000))
	h.slice(fmt.Sprintf("0=%g", math.MaxFloat64), fmt.Sprintf("0=%g", math.MaxFloat64))
	h.want("1(0)! null")
}

// Passing many slices at once gives each window the events before its end, and
// announces the newest only.
func TestJumpsEvaluateEachWindowInOrder(t *testing.T) {
	h := newHost(t, demand(metric.Sum, 3, 1000))
	h.slice("0=1")
	h.hold("1=2")
	h.hold("2=4", "0=100") // Late: not in the window that ends at 2.
	h.slice("3=8")
	h.want("2(1) 3; 3(2) 107; 4(3)! 14")
}

// A query that is new is full at once, and brings its history.
func TestNewQueryHasItsHistory(t *testing.T) {
	h := newHost(t)
	for i := range int64(5) {
		h.slice(fmt.Sprintf("%d=%d", i, 1<<i))
	}
	h.want("")
	h.demand(demand(metric.Sum, 2, 1000))
	h.slice("5=32")
	h.want("1(0) 1; 2(1) 3; 3(2) 6; 4(3) 12; 5(4) 24; 6(5)! 48")
	// One more on the same series: the first goes on undisturbed.
	h.demand(demand(metric.Sum, 2, 1000), demand(metric.Max, 4, 4000))
	h.slice("6=64")
	h.want("7(6)! 96; 4(0)! 8")
	// One that is gone and comes back is new again.
	h.demand(demand(metric.Max, 4, 4000))
	h.slice()
	h.want("8(4)! 64")
	h.demand(demand(metric.Sum, 2, 4000))
	h.slice()
	h.want("4(0) 12; 8(4)! 64")
}

// Windows that begin before what was read say so, and history begins behind it.
func TestCoveredSince(t *testing.T) {
	h := newHost(t)
	h.at = 100_000
	h.hold("100=1")
	p := partialOf(t, "100=1")
	p.CoveredSince = 99_000
	h.k.add(h.at, p)
	h.demand(demand(metric.Sum, 3, 1000))
	h.slice("101=1")
	h.want("101(0)? 2; 102(101)! 3")
	h.demand(demand(metric.Sum, 3, 1000), demand(metric.Sum, 10, 1000))
	h.slice()
	h.want("103(102)! 3; 101(0)? 2; 102(101)? 3; 103(102)!? 3")
}

// A percentile is whole only when every event of the window was collected for it.
func TestPercentile(t *testing.T) { askedForLater(t, "p50", aggregate.NeedSketch, 3, 0.03) }

func TestStddev(t *testing.T) { askedForLater(t, "stddev", aggregate.NeedMoments, math.Sqrt2, 1e-9) }

// askedForLater asks for what needs more than slices have, and gets it, whole, of 1 to 5.
func askedForLater(t *testing.T, a metric.Aggregation, needs aggregate.Needs, want, tolerance float64) {
	t.Helper()
	h := newHost(t, demand(metric.Count, 2, 1000))
	h.slice("0=1", "0=2", "0=3") // Before anybody asked for it.
	h.demand(demand(a, 2, 1000))
	h.at += 1000
	p := Partial{Table: aggregate.Table{}}
	key := aggregate.NewName("m", "")
	for v := range 5 {
		p.Table.AddFor(needs, 1, key, float64(v+1), 1500)
	}
	h.k.add(h.at, p)
	h.advance()
	got := map[int64]*wire.Result{}
	for _, pub := range h.pubs {
		got[pub.Result.WindowEnd/1000] = pub.Result
	}
	if r := got[2]; r == nil || r.Complete || r.Series[0].Count != 8 {
		t.Fatalf("with 3 of 8 events not collected: %+v", r)
	}
	h.slice()
	r := h.pubs[0].Result
	if !r.Complete || r.Series[0].Count != 5 || math.Abs(*r.Series[0].Value-want) > tolerance {
		t.Errorf("of 1 to 5 the %s is %v, complete %v", a, *r.Series[0].Value, r.Complete)
	}
}

// An increase is whole when the samples are known that its first ones are compared with; what those that are not amount to
// it says.
func TestIncreaseReachesBack(t *testing.T) {
	h := newHostWith(t, SlideOptions{RetainMs: 900_000}, demand("increase", 10, 1000))
	count := func(second int64, value float64) {
		h.at = second*1000 + 1000
		p := Partial{Table: aggregate.Table{}, CoveredSince: 1_000_000}
		e := metric.Event{Kind: metric.Cumulative, Value: value}
		e.AddTo(p.Table.Row(second).Acc(aggregate.NewName("m", "")), 0, second*1000+500)
		h.k.add(h.at, p)
		h.advance()
	}
	newest := func() *wire.Result { return h.pubs[len(h.pubs)-1].Result }
	count(1000, 7)
	if r := newest(); r.Complete || r.UnknownStarts != 1 || *r.Series[0].Value != 0 {
		t.Errorf("of the first sample: %+v", r)
	}
	count(1005, 9)
	if r := newest(); r.Complete || r.UnknownStarts != 1 || *r.Series[0].Value != 2 {
		t.Errorf("of the second: %+v", r)
	}
	for second := int64(1006); second < 1309; second++ {
		count(second, 9)
	}
	if r := newest(); r.Complete || r.WindowEnd != 1_309_000 {
		t.Errorf("a second too early: %+v", r)
	}
	count(1309, 12)
	if r := newest(); !r.Complete || *r.Series[0].Value != 3 || r.UnknownStarts != 0 {
		t.Errorf("ten seconds and the lookback after the begin: %+v", r)
	}
}

// So is a count of cumulative histograms, which its query does not say: the result does, and with which error of percentiles.
func TestHistogramsReachBack(t *testing.T) {
	h := newHostWith(t, SlideOptions{RetainMs: 900_000}, demand("p50", 10, 1000))
	for second := int64(1000); second <= 1309; second++ {
		h.at = second*1000 + 1000
		p := Partial{Table: aggregate.Table{}, CoveredSince: 1_000_000}
		n := uint64(2 * (second - 999))
		e := metric.Event{Kind: metric.Cumulative, Histogram: &aggregate.Histogram{
			Scale: 3, Count: n, Sum: float64(n), Positive: aggregate.Bins{Offset: -1, Counts: []uint64{n}},
		}}
		e.AddTo(p.Table.Row(second).Acc(aggregate.NewName("m", "")), aggregate.NeedSketch, second*1000+500)
		h.k.add(h.at, p)
		h.advance()
		r := h.pubs[len(h.pubs)-1].Result
		if whole := second == 1309; r.Complete != whole || r.ReachMs != 310_000 {
			t.Fatalf("after %d values: complete %v, reaches back by %d ms", n, r.Complete, r.ReachMs)
		}
	}
	// A value of 1 stands in the middle of (2^(-1/8), 1], so it is read as 0.96.
	if r := h.pubs[len(h.pubs)-1].Result; r.Series[0].Count != 20 || math.Abs(*r.Series[0].Value-1) > r.Error || r.Error < 0.04 || r.Error > 0.05 {
		t.Errorf("%d values, p50 %v within %v", r.Series[0].Count, *r.Series[0].Value, r.Error)
	}
}

// Series beyond the limit count together, where no filter asks for a tag that is not known.
func TestSeriesLimit(t *testing.T) {
	f, err := metric.NewFilter(metric.Term{Tag: "host", Op: metric.NotEqual, Values: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	q := metric.Query{Metric: "m", Aggregation: metric.Sum, WindowSeconds: 5}
	byHost, others := q, q
	byHost.GroupBy, others.Filter = []string{"host"}, f
	h := newHostWith(t, SlideOptions{SeriesPerMetric: 2}, Demand{q, []int64{1000}}, Demand{byHost, []int64{1000}}, Demand{others, []int64{1000}})
	h.slice("0=1 a")
	h.slice("1=2 b")
	h.slice("2=4 c", "2=8 d", "2=16 a")
	h.want("3(2)! 31; 3(2)! __other__12 a17 b2; 3(2)! 2")
	if n := h.k.store.Series(); n != 3 {
		t.Errorf("%d series, want two and __other__", n)
	}
}

func TestStateBudget(t *testing.T) {
	h := newHostWith(t, SlideOptions{StateBytes: 3300}, demand(metric.Count, 5, 1000))
	for i := range int64(10) {
		h.slice(fmt.Sprintf("%d=1 host%d", i, i))
	}
	h.want("10(9)! 5")
	if n := h.k.store.Series(); n != 4 {
		t.Errorf("%d series, want three of 1 KiB and __other__", n)
	}
}

// resumeOf is what Redis held of one key; its newest end is that of the tips.
func resumeOf(beganMs int64, key string, from int64, tips map[int64]Tip) Resume {
	k := Resumed{From: from, Tips: tips}
	for _, tip := range tips {
		k.End = max(k.End, tip.End)
	}
	return Resume{BeganMs: beganMs, Keys: map[string]Resumed{key: k}}
}

// After a restart the ends that Redis has are not published again, prev_end goes
// on from them, and half a window of the time before never follows a whole one.
func TestResume(t *testing.T) {
	h := newHost(t, demand(metric.Sum, 3, 1000), demand(metric.Max, 2, 1000))
	h.groups.resume = resumeOf(106_000, "m:sum:3s", 103_000, map[int64]Tip{1000: {103_000, true}})
	h.begin("101=1")
	h.want("102(0)!? 1") // Of max, which Redis does not know.
	h.slice("102=2")
	h.want("103(102)! 2")
	h.slice("103=4")
	h.want("104(103)! 4; 104(103)! 7")
}

// A restored key group prepares its queries while the time goes on. One that no series matches has no past, but what
// readers have of it gets no gap.
func TestResumeWithNothingThatMatches(t *testing.T) {
	h := newHost(t)
	for i := range int64(5) {
		h.slice(fmt.Sprintf("%d=1 a", i))
	}
	d := demand(metric.Count, 2, 1000)
	d.Query.Filter = metric.Filter{{Tag: "host", Op: metric.Equal, Values: []string{"b"}}}
	h.groups.resume = resumeOf(110_000, d.Query.Normal().Key(), 3000, map[int64]Tip{1000: {3000, true}})
	h.demand(d)
	h.slice("5=1 a")
	h.want("4(3); 5(4); 6(5)!")
	h.slice("6=1 a")
	h.want("7(6)!")
	// Its refresh intervals change, which prepares it again.
	h.demand(Demand{d.Query, []int64{1000, 2000}})
	h.hold("7=1 a")
	h.slice("8=1 a")
	h.want("8(7); 9(8)!")
}

// A refresh interval that was added has a history of its own, which knows no whole window
// yet: half ones that come while the past is read again leave no gap in it.
func TestResumeOfANewRefreshInterval(t *testing.T) {
	h := newHost(t, demand(metric.Sum, 5, 2000))
	h.groups.resume = resumeOf(110_000, "m:sum:5s", 108_000, map[int64]Tip{2000: {108_000, true}})
	h.begin("101=1")
	h.want("")
	h.demand(demand(metric.Sum, 5, 1000, 2000))
	h.slice("102=2")
	h.want("102(0)? 1; 103(102)? 3")
	h.slice("103=4")
	h.want("104(103)? 7")
	if due := h.pubs[0].Result.Due; !slices.Equal(due, []int64{1000}) {
		t.Errorf("half a window is due for %v: of one history readers know whole ones", due)
	}
	h.slice("104=8")
	h.want("105(104)? 15")
	h.slice("105=16")
	h.want("106(105) 31")
}

// A process that was killed while it wrote the history of a new refresh interval has left it behind
// the others of its key: it goes on from there, and the others from where they were.
func TestResumeOfAHistoryThatIsBehind(t *testing.T) {
	h := newHost(t, demand(metric.Sum, 2, 1000, 2000))
	h.groups.resume = resumeOf(120_000, "m:sum:2s", 104_000, map[int64]Tip{1000: {104_000, false}, 2000: {108_000, false}})
	h.begin("101=1")
	for i, want := range []string{"", "", "105(104) 3", "106(105) 3", "107(106) 3", "108(107) 3", "109(108)! 3", "110(109)! 3"} {
		h.slice(fmt.Sprintf("%d=%d", 102+i, 1+i%2))
		h.want(want)
		for _, p := range h.pubs {
			due := []int64{1000}
			if p.Result.WindowEnd == 110_000 {
				due = []int64{1000, 2000}
			}
			if !slices.Equal(p.Result.Due, due) {
				t.Errorf("the end %d is due for %v, want %v", p.Result.WindowEnd, p.Result.Due, due)
			}
		}
	}
}

// Of a key that readers only know half windows of, the next half ones follow: a
// restored job goes on where it was, in the middle of its first window too.
func TestResumeInTheFirstWindow(t *testing.T) {
	h := newHost(t, demand(metric.Sum, 3, 1000))
	h.groups.resume = resumeOf(106_000, "m:sum:3s", 102_000, map[int64]Tip{1000: {102_000, false}})
	h.begin("101=1")
	h.want("")
	h.slice("102=2")
	h.want("103(102)!? 3")
	h.slice("103=4")
	h.want("104(103)! 7")
}

// A percentile that nobody had asked for when its events came is incomplete, and
// no gap: a restored job has them as they were, between windows that are whole.
func TestResumeWithAPercentileThatCameLater(t *testing.T) {
	h := newHost(t, demand("p50", 1, 1000))
	h.groups.resume = resumeOf(110_000, "m:p50:1s", 102_000, map[int64]Tip{1000: {102_000, true}})
	h.at = 102_000
	h.slice()
	h.want("103(102)!")
	h.slice("103=5") // Without a sketch.
	h.want("104(103)!? null")
	h.slice()
	h.want("105(104)! null")
}

// When the watermark passes several slices at once, the first partials come in any order: each
// window has exactly what came before its end, as if they had come in turn.
func TestFirstPartialsInAnyOrder(t *testing.T) {
	h := newHost(t, demand(metric.Count, 1, 1000))
	for _, p := range []struct {
		end    int64
		events string
	}{{104_000, "103=1"}, {102_000, "101=1"}, {106_000, "101=1"}, {103_000, "102=1"}, {105_000, "104=1"}} {
		partial := partialOf(t, p.events)
		partial.CoveredSince = 1
		h.k.add(p.end, partial)
	}
	h.at = 106_000
	h.advance()
	h.want("102(0) 1; 103(102) 1; 104(103) 1; 105(104) 1; 106(105)! 0")
}

// While trees are built the key group goes on, and what comes meanwhile counts.
func TestPreparingMisses(t *testing.T) {
	h := newHost(t)
	for i := range int64(100) {
		h.slice(fmt.Sprintf("%d=1 host%d", i, i%7))
	}
	h.demand(demand(metric.Sum, 60, 1000))
	var all []results.Publication
	entered, release := make(chan struct{}), make(chan struct{})
	h.groups.sink = sinkFunc(func(e Evaluation) {
		all = append(all, e.Publications...)
		if len(all) == len(e.Publications) {
			close(entered)
			<-release
		}
	})
	h.k.follow()
	h.k.startPreparing()
	<-entered // The history is being published.
	for i := range int64(10) {
		h.hold(fmt.Sprintf("%d=1 host%d", 100+i, i%7))
		h.k.mu.Lock()
		if e := h.k.advance(h.at); len(e.Publications) > 0 {
			t.Fatalf("published %d results of a query that is being prepared", len(e.Publications))
		}
		h.k.mu.Unlock()
	}
	close(release)
	h.groups.builders.Wait()
	h.slice("110=1 host1")
	all = append(all, h.pubs...)
	for i, p := range all {
		end := int64(i + 1)
		if want := float64(min(60, end)); p.Result.WindowEnd != end*1000 || *p.Result.Series[0].Value != want || p.Result.PrevEnd != (end-1)*1000 {
			t.Fatalf("result %d has end %d, prev_end %d, value %v; want %v", i, p.Result.WindowEnd, p.Result.PrevEnd, *p.Result.Series[0].Value, want)
		}
	}
	if len(all) != 111 {
		t.Errorf("%d results, want 111", len(all))
	}
}

func TestBadDemandHurtsNobody(t *testing.T) {
	qs, bad := Compile([]Demand{demand("median", 5, 1000), demand(metric.Sum, 0, 1000), demand(metric.Sum, 5, 100, 1500)}, 1000, 1)
	if len(bad) != 2 || len(qs.byGroup[0]) != 1 {
		t.Fatalf("%v; %d queries", bad, len(qs.byGroup[0]))
	}
	if got := fmt.Sprint(qs.byGroup[0][0].refreshMs); got != "[1000 2000]" {
		t.Errorf("refresh intervals are %s, want them raised to multiples of the slice", got)
	}
}

func BenchmarkAdvance(b *testing.B) {
	g := newGroups()
	k := g.of(0, SlideOptions{SliceMs: 1000, KeyGroups: 1, RetainMs: 3_600_000, AheadMs: 3000})
	qs, _ := Compile([]Demand{demand(metric.Sum, 60, 1000), demand(metric.Avg, 300, 1000), demand(metric.Max, 3600, 1000)}, 1000, 1)
	g.queries.Store(qs)
	keys := make([]*aggregate.Name, 1000)
	for i := range keys {
		keys[i] = aggregate.NewName("m", string(metric.NewTags(map[string]string{"host": fmt.Sprint(i)}).AppendKey(nil)))
	}
	end := int64(1_763_892_000_000)
	b.ReportAllocs()
	for b.Loop() {
		p := Partial{Table: aggregate.Table{}}
		for _, key := range keys {
			p.Table.Add(end/1000, key, 1, end)
		}
		end += 1000
		k.add(end, p)
		k.advance(end)
	}
	b.ReportMetric(float64(b.N)*float64(len(keys))/b.Elapsed().Seconds(), "series-slices/s")
}
