package prometheus

import (
	"math"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"pulseboard/metric"
)

// difference is a case in which the definitions do not agree.
type difference struct {
	name   string // As in docs/semantics.md, "Beside Prometheus".
	events []metric.Event
	query  metric.Query
	expr   string
	at     int64 // Of theirs, ms after the end of the window.

	ours, theirs *float64 // Nil = no value.
	refused      int      // So many events Prometheus does not take.
}

// hour is when the windows of these cases begin, epoch ms.
const hour = int64(3600_000)

func reading(seconds, value float64) metric.Event {
	return metric.Event{Metric: "x", Kind: metric.Cumulative, Point: true, Time: hour + int64(seconds*1000), Value: value}
}

// since is the event of a sender that says, seconds after the window's begin, since when it counts.
func since(started float64, e metric.Event) metric.Event {
	e.Start = hour + int64(started*1000)
	return e
}

func gauge(seconds, value float64) metric.Event {
	e := reading(seconds, value)
	e.Kind = metric.Gauge
	return e
}

func stale(seconds float64) metric.Event {
	e := reading(seconds, 0)
	e.Stale = true
	return e
}

func over(a metric.Aggregation, seconds int) metric.Query {
	return metric.Query{Metric: "x", Aggregation: a, WindowSeconds: seconds}
}

func differences() []difference {
	minute, five := over("increase", 60), over("increase", 300)
	return []difference{
		{
			name: "borders", events: []metric.Event{reading(-30, 5), reading(60, 9)}, query: minute,
			expr: `increase(x[1m] anchored)`, ours: new(0.), theirs: new(4.),
		},
		{
			name: "extrapolation", events: []metric.Event{reading(-10, 9), reading(5, 10), reading(20, 11), reading(35, 12), reading(50, 14)}, query: minute,
			expr: `increase(x[1m])`, at: -1, ours: new(5.), theirs: new(16. / 3),
		},
		{
			name: "two writers", events: []metric.Event{since(-3000, reading(-10, 100)), since(-3000, reading(10, 50)), since(-3000, reading(20, 101))}, query: minute,
			expr: `increase(x[1m] anchored)`, at: -1, ours: new(1.), theirs: new(101.),
		},
		{
			name: "lookback", events: []metric.Event{reading(-200, 5), reading(150, 9)}, query: five,
			expr: `increase(x[5m] anchored)`, at: -1, ours: new(0.), theirs: new(4.),
		},
		{
			name: "lookback", events: []metric.Event{reading(10, 5), reading(500, 9)}, query: over("increase", 600),
			expr: `increase(x[10m] anchored)`, at: -1, ours: new(0.), theirs: new(4.),
		},
		{
			name: "lookback", events: []metric.Event{since(-250, reading(100, 7))}, query: five,
			expr: `increase(x[5m] anchored)`, at: -1, ours: new(0.), theirs: new(7.),
		},
		{
			name: "nothing in the window", events: []metric.Event{reading(-10, 5)}, query: minute,
			expr: `increase(x[1m] anchored)`, at: -1, ours: new(0.),
		},
		{
			name: "two values of one time", events: []metric.Event{reading(-10, 5), reading(20, 9), reading(20, 11)}, query: minute,
			expr: `increase(x[1m] anchored)`, at: -1, ours: new(6.), theirs: new(4.), refused: 1,
		},
		{
			name: "ended", events: []metric.Event{gauge(10, 5), stale(20)}, query: over("last", 60),
			expr: `last_over_time(x[1m])`, at: -1, theirs: new(5.),
		},
		{
			name: "ended", events: []metric.Event{reading(10, 5), reading(25, 9), stale(40)}, query: over("increase_avg", 60),
			expr: `avg(increase(x[1m] anchored))`, at: -1, theirs: new(4.),
		},
	}
}

// Where the definitions do not agree, each gives what docs/semantics.md says.
func TestDifferencesToPrometheus(t *testing.T) {
	for _, d := range differences() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			b := newBeside(t)
			refused := 0
			for _, e := range d.events {
				refused += len(b.tell(t, e))
			}
			if refused != d.refused {
				t.Errorf("Prometheus refuses %d events, not %d", refused, d.refused)
			}
			end := hour + int64(d.query.WindowSeconds)*1000
			ours, oursThere := b.ours(t, d.query, end)[""]
			compareTo(t, "ours is", ours.value, oursThere, d.ours)
			theirs, theirsThere := b.theirs(t, nil, d.expr, end+d.at, 5*time.Minute)[""]
			compareTo(t, "theirs is", theirs, theirsThere, d.theirs)
		})
	}
}

func compareTo(t *testing.T, who string, got float64, there bool, want *float64) {
	t.Helper()
	switch {
	case want == nil && there:
		t.Errorf("%s %v, and should not be there", who, got)
	case want != nil && (!there || math.Abs(got-*want) > 1e-3):
		t.Errorf("%s %v, %v, not %v", who, got, there, *want)
	}
}

// The list in docs/semantics.md is that of the cases.
func TestDifferencesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/semantics.md")
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`(?s)\n## Beside Prometheus\n.*?\n## `).Find(text)
	var listed, shown []string
	for _, m := range regexp.MustCompile(`(?m)^\| \*\*(.+?)\*\* \|`).FindAllSubmatch(section, -1) {
		listed = append(listed, string(m[1]))
	}
	for _, d := range differences() {
		if !slices.Contains(shown, d.name) {
			shown = append(shown, d.name)
		}
	}
	if !slices.Equal(listed, shown) {
		t.Errorf("docs/semantics.md lists %q, the cases show %q", listed, shown)
	}
}
