package transforms

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"

	"pulseboard/aggregate"
	"pulseboard/catalog"
	"pulseboard/metric"
)

// told writes a survey down: "metric series[+] {key=values +more} newest mean minute".
func told(s catalog.Survey) string {
	lines := make([]string, 0, len(s.Changed))
	for _, m := range s.Changed {
		line := fmt.Sprint(m.Metric, " ", m.Series)
		if m.Overflow {
			line += "+"
		}
		for _, tag := range m.Tags {
			line += fmt.Sprintf(" {%s=%s +%d}", tag.Key, strings.Join(tag.Values, ","), tag.More)
		}
		mean := 0.0
		if m.LastMean != nil {
			mean = *m.LastMean
		}
		if len(m.Units)+len(m.Help) > 0 {
			line += fmt.Sprint(" ", m.Units, m.Help)
		}
		lines = append(lines, fmt.Sprintf("%s %d %v %d", line, m.LastEvent, mean, m.LastMinute))
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

func (h *host) surveyed(want string) {
	h.t.Helper()
	s, ok := h.k.survey()
	if got := told(s); !ok || got != want {
		h.t.Errorf("at %d told %q, %v; want %q", h.at/1000, got, ok, want)
	}
}

// What a key group tells of its metrics, as slices pass.
func TestSurvey(t *testing.T) {
	h := newHostWith(t, SlideOptions{SeriesPerMetric: 2})
	if _, ok := h.k.survey(); ok {
		t.Error("a key group that has not begun tells something")
	}
	h.slice("0=3")
	h.surveyed("m 1 500 3 0") // A series without tags; the step of 5 s is not over.
	h.slice("1=1 a", "1=4 b", "1=10 c")
	h.surveyed("m 2+ {host=a +0} 1500 5 0") // c and b are beyond the limit of two, and have no tags to show.
	h.hold("2=9")
	h.surveyed("m 2+ {host=a +0} 1500 5 0") // Not evaluated yet.
	h.advance()
	h.slice()
	h.slice()
	h.surveyed("m 2+ {host=a +0} 2500 9 5")
}

// Metrics of a key group that gets no events any more are forgotten all the same.
func TestSilentMetricIsForgotten(t *testing.T) {
	h := newHost(t)
	h.slice("0=3 a")
	h.surveyed("m 1 {host=a +0} 500 3 0")
	for h.at < 3_500_000 {
		h.slice()
	}
	h.surveyed("m 1 {host=a +0} 500 3 0")
	for h.at < 3_700_000 {
		h.slice()
	}
	h.surveyed("m 0 0 0 0")
	if n := h.k.store.Series() + h.k.observer.Metrics(); n != 0 {
		t.Errorf("%d are left", n)
	}
	h.slice("3700=3 a")
	h.surveyed("m 1 {host=a +0} 3700500 3 0")
}

// After a restore the survey tells everything again, from what the runner's state holds.
func TestSurveyAfterRestore(t *testing.T) {
	const run = "survey after restore"
	groups := openGroups(t, run)
	f := newSlideFn(SlideOptions{Run: run, SliceMs: 1000, KeyGroups: 1, RetainMs: 600_000, AheadMs: 3000, Durable: true})
	st := newRunnerState()
	none := func(Evaluation) {}
	slice := func(st *runnerState, second int64, hosts ...string) {
		t.Helper()
		p := Partial{Table: aggregate.Table{}}
		for _, h := range hosts {
			p.Table.Add(second, aggregate.NewName("m", string(metric.NewTags(map[string]string{"host": h}).AppendKey(nil))), 2, second*1000)
		}
		end := (second + 1) * 1000
		if err := f.ProcessElement(beam.EventTime(end-1), st, noTimers{}, 0, p, none); err != nil {
			t.Fatal(err)
		}
		if err := f.OnTimer(context.Background(), beam.EventTime(end), st, noTimers{}, 0, timers.Context{}, none); err != nil {
			t.Fatal(err)
		}
	}
	surveys := func() (out []catalog.Survey) {
		groups.Survey(func(s catalog.Survey) { out = append(out, s) })
		return out
	}
	slice(st, 1, "a", "b")
	slice(st, 2)
	before := surveys()
	checkpoint := st.checkpoint()
	slice(st, 3, "c")
	slice(checkpoint, 3, "d") // The bundle fails and is tried again, with other events.
	after := surveys()
	if len(before) != 1 || len(after) != 1 || before[0].Epoch == after[0].Epoch {
		t.Fatalf("epochs before %+v, after %+v", before, after)
	}
	if got, want := told(before[0]), "m 2 {host=a,b +0} 1000 2 0"; got != want {
		t.Errorf("told %q before, want %q", got, want)
	}
	if got, want := told(after[0]), "m 3 {host=a,b,d +0} 3000 2 0"; got != want {
		t.Errorf("told %q after, want %q", got, want)
	}
	if after[0].Advanced.IsZero() || after[0].Metrics != 1 {
		t.Errorf("it advanced at %v and holds %d metrics", after[0].Advanced, after[0].Metrics)
	}
}

// What a key group and publication cost with 10,000 series: "idle" nothing
// changed, "busy" each metric has events, "new" each metric has a new tag value
// too. lock-ns/metric is how long timers wait for each metric that is told of;
// 32 are told of under one lock.
func BenchmarkSurvey(b *testing.B) {
	for _, metrics := range []int{1, 100, 2500} {
		for _, kind := range []string{"idle", "busy", "new"} {
			b.Run(fmt.Sprintf("metrics=%d/%s", metrics, kind), func(b *testing.B) {
				const series = 10_000
				k := newGroups().of(0, SlideOptions{SliceMs: 1000, KeyGroups: 1, RetainMs: 600_000, AheadMs: 3000})
				end := int64(1_763_892_000_000)
				slice := func(n int, fresh string) {
					p := Partial{Table: aggregate.Table{}}
					for i := range n {
						tags := map[string]string{"host": fmt.Sprint(i / metrics), "region": fmt.Sprint(i % 7)}
						if fresh != "" {
							tags["build"] = fresh
						}
						p.Table.Add(end/1000, aggregate.NewName(fmt.Sprint("m", i%metrics), string(metric.NewTags(tags).AppendKey(nil))), 1, end)
					}
					end += 1000
					k.mu.Lock()
					defer k.mu.Unlock()
					k.add(end, p)
					k.advance(end)
				}
				slice(series, "")
				if kind == "idle" {
					for range 80 { // Beyond the minute in which it has news.
						slice(0, "")
					}
				}
				k.survey()
				told := 0
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					b.StopTimer()
					switch kind {
					case "busy":
						slice(metrics, "")
					case "new":
						slice(metrics, fmt.Sprint("b", i))
					}
					b.StartTimer()
					s, _ := k.survey()
					told += len(s.Changed)
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "µs/publication")
				if told > 0 {
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(told), "lock-ns/metric")
				}
			})
		}
	}
}
