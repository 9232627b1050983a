package prometheus

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/prometheus/storage"

	"pulseboard/aggregate"
	"pulseboard/metric"
)

const (
	begin = int64(1_000_000_000) // When senders begin, epoch ms.
	ends  = begin + 3600_000
	// longest is the longest window that is compared. Senders are silent, and known to count, for less than the lookback
	// or for longer than both together: what lies between, the definitions tell differently.
	longest = 600_000
	silence = longest + aggregate.Lookback + 100_000
)

// sender is one series: how it sends, and what it says.
type sender struct {
	metric string
	tags   metric.Tags
	kind   metric.Kind
	every  int64 // About how many ms lie between two events.
	even   bool  // They lie on borders of slices.
	late   bool  // Some arrive up to a minute later.
	says   int   // It says of so many of three events since when it counts.
	young  bool  // It is first seen soon after it began to count, else long after.
	ends   bool  // It says now and then that it has no value any more.
}

// arrival is an event, and when it arrives, epoch ms.
type arrival struct {
	event metric.Event
	at    int64
}

func senders(r *rand.Rand) (all []sender) {
	for i, every := range []int64{300, 1000, 1000, 5000, 5000, 15_000, 15_000, 60_000, 60_000, 190_000} {
		for _, kind := range []metric.Kind{metric.Cumulative, metric.Gauge} {
			s := sender{
				metric: "counted", tags: metric.NewTags(map[string]string{"host": strconv.Itoa(i % 3), "id": strconv.Itoa(i)}),
				kind: kind, every: every, even: r.IntN(2) == 0, ends: i%2 == 0,
				late: every <= 15_000,
			}
			switch {
			case kind == metric.Cumulative:
				s.says, s.young = []int{0, 2, 3}[r.IntN(3)], every <= 60_000 && r.IntN(2) == 0
			case kind == metric.Gauge && s.ends:
				s.metric = "gauges"
			case kind == metric.Gauge:
				s.metric = "steady"
			}
			all = append(all, s)
		}
	}
	return all
}

// send is all that a sender sends: in its order and late, once and again, with resets and silence.
func (s *sender) send(r *rand.Rand) (all []arrival) {
	at, value := begin+r.Int64N(s.every), float64(r.IntN(100))
	started := at - r.Int64N(120_000)
	if !s.young {
		started -= aggregate.Lookback + longest
	}
	for {
		before := at
		at += s.every/2 + 1 + r.Int64N(s.every)
		if s.even {
			at += 999 - (at+999)%1000
		}
		switch {
		case s.kind == metric.Gauge:
			value = float64(r.IntN(1000) - 500)
		case r.Int64N(200_000) < s.every: // It starts anew, and is mostly lower.
			value = float64(r.IntN(100))
			started = at - 1 - r.Int64N(at-before-1)
		default:
			value += float64(r.IntN(20))
		}
		if r.Int64N(2_000_000) < s.every {
			at += silence
		}
		if at >= ends {
			break
		}
		if s.ends && r.Int64N(300_000) < s.every {
			all = append(all, arrival{metric.Event{Time: at, Stale: true}, at})
			continue
		}
		e := arrival{metric.Event{Time: at, Value: value, Point: true}, at}
		if r.IntN(3) < s.says {
			e.event.Start = started
		}
		if s.late && r.IntN(6) == 0 {
			e.at += r.Int64N(60_000)
		}
		all = append(all, e)
		if r.IntN(8) == 0 { // Sent again.
			e.at += r.Int64N(20_000)
			all = append(all, e)
		}
	}
	for i := range all {
		e := &all[i].event
		e.Metric, e.Tags, e.Kind = s.metric, s.tags, s.kind
	}
	return all
}

// Windows of counters, gauges and points that arrive late, again, after silence, resets and restarts, and on the borders
// of windows, are what Prometheus' engine says of the same samples, whole numbers to the last bit.
func TestBesidePrometheus(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 41))
			var all []arrival
			for _, s := range senders(r) {
				all = append(all, s.send(r)...)
			}
			slices.SortStableFunc(all, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
			b := newBeside(t)
			seen := make(map[metric.Aggregation]int)
			for now := begin; now <= ends+600_000; now += 1000 {
				var come []metric.Event
				for ; len(all) > 0 && all[0].at < now; all = all[1:] {
					come = append(come, all[0].event)
				}
				for _, err := range b.tell(t, come...) {
					if !errors.Is(err, storage.ErrDuplicateSampleForTimestamp) {
						t.Fatal(err)
					}
				}
				if r.IntN(30) == 0 {
					for range 4 {
						compareWindows(t, b, r, now-1000*r.Int64N(120), seen)
					}
				}
			}
			for _, a := range compared() {
				if seen[a] < 100 {
					t.Errorf("only %d values of %s were compared", seen[a], a)
				}
			}
		})
	}
}

// compared are the aggregations of which the definitions agree.
func compared() []metric.Aggregation {
	return []metric.Aggregation{"increase", "rate", "last", "last_sum", "last_avg", "last_min", "last_max", "last_count", "sum", "count", "min", "max"}
}

// compareWindows compares the windows of one length, of all aggregations, that end at end, and counts the values in seen.
func compareWindows(t *testing.T, b *beside, r *rand.Rand, end int64, seen map[metric.Aggregation]int) {
	t.Helper()
	q := metric.Query{WindowSeconds: 1 + r.IntN([]int{5, 60, longest / 1000}[r.IntN(3)])}
	by := [][]string{nil, {"host"}, {"host", "id"}}[r.IntN(3)]
	for _, q.Aggregation = range compared() {
		q.Metric, q.GroupBy = "gauges", by
		lookback := time.Duration(q.WindowSeconds) * time.Second
		switch q.Aggregation {
		case "increase", "rate":
			q.Metric, lookback = "counted", aggregate.Lookback*time.Millisecond
		case "last":
			q.Metric, q.GroupBy = "steady", []string{"host", "id"} // last_over_time() does not see that a series has ended.
		}
		// Ours begin at the start and end before the end, theirs after and at it: a millisecond earlier they are the same.
		theirs := b.theirs(t, q.GroupBy, promQL(q), end-1, lookback)
		ours := b.ours(t, q, end)
		for group, a := range ours {
			// A window without an event is 0 with us while its series live, where PromQL has nothing.
			if _, there := theirs[group]; a.count == 0 && !there && a.value == 0 {
				delete(ours, group)
			}
		}
		for group, want := range theirs {
			got, ok := ours[group]
			same := got.value == want
			if q.Aggregation == "rate" || q.Aggregation == "last_avg" { // Divided before they are added, or after.
				same = math.Abs(got.value-want) <= 1e-12*math.Abs(want)
			}
			if !ok || !same {
				t.Fatalf("%s until %d, group %q: %v, %v, and Prometheus says %v to %s", q.Key(), end, group, got, ok, want, promQL(q))
			}
			if want != 0 {
				seen[q.Aggregation]++
			}
		}
		if len(ours) != len(theirs) {
			t.Fatalf("%s until %d: %v, and Prometheus says %v to %s", q.Key(), end, ours, theirs, promQL(q))
		}
	}
}
