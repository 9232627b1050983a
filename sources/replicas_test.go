package sources

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pulseboard/metric"
)

// replicaLog is written as "second replica value" per sample of a counter, in the order of the log, and read back as those that count.
type replicaLog struct {
	t *testing.T
	*fakeLog
}

const replicaBegin = base + minute

// newReplicaLog makes one, a while after the first time that an event may have.
func newReplicaLog(t *testing.T) *replicaLog {
	t.Helper()
	<-time.After(20 * time.Minute) // Of the time of synctest.
	return &replicaLog{t, newFakeLog()}
}

func (l *replicaLog) write(samples ...string) {
	l.t.Helper()
	for _, text := range samples {
		var second, value float64
		var replica string
		if _, err := fmt.Sscan(text, &second, &replica, &value); err != nil {
			l.t.Fatalf("%q: %v", text, err)
		}
		l.sample(second, second, replica, fmt.Sprintf(`"kind":"cumulative","value":%g`, value))
	}
}

// sample writes one of a time that came at another one, in seconds.
func (l *replicaLog) sample(second, came float64, replica, rest string) {
	at := func(second float64) int64 { return replicaBegin + int64(second*1000) }
	l.append(plain, -1, fakeRecord{name: "m", at: at(came), value: fmt.Sprintf(
		`{"metric_name":"m","events":[{"tags":{"host":"h","replica":%q},"event_time":%d,%s,"point":true}]}`, replica, at(second), rest)})
}

// counted reads from an offset to the end and returns the events that count, as "second value".
func (l *replicaLog) counted(from int64) (counted []string) {
	l.t.Helper()
	o := testOptions()
	o.ReplicaTag = "replica"
	f, stop := startFetcher(l.t, l.fakeLog, o, Offset{Next: from, From: -1}, 100)
	defer stop()
	for next := from; next < l.end(); {
		a := <-f.queue
		next = a.next
		for _, rec := range a.records {
			for _, e := range rec.Events {
				if e.Tags.Get("host") != "h" || e.Tags.Get("replica") != "" && e.Kind.String() != "event" {
					l.t.Fatalf("the tags are %v", e.Tags)
				}
				counted = append(counted, fmt.Sprintf("%d:%g %g", rec.Offset, float64(e.Time-replicaBegin)/1000, e.Value))
			}
		}
	}
	return counted
}

func TestSamplesOfOneReplicaCount(t *testing.T) {
	for name, c := range map[string]struct{ written, want string }{
		"both are there": {"0 a 1, 10 b 2, 15 a 3, 25 b 4, 30 a 5, 40 b 6", "0 15 30"},
		"one is killed and comes back": {
			"15 a 1, 25 b 2, 30 a 3, 40 b 4, 55 b 5, 70 b 6, 85 b 7, 90 a 8, 100 b 9, 105 a 10, 115 b 11, 120 a 12", "15 30 55 70 85 90 105 120",
		},
		"the other is killed":   {"0 a 1, 10 b 2, 15 a 3, 30 a 4, 45 a 5, 55 b 6, 60 a 7", "0 15 30 45 60"},
		"the other began":       {"0 b 1, 10 b 2, 15 a 3, 20 b 4, 25 a 5, 30 b 6", "0 10 15 25"},
		"b is quicker":          {"10 b 1, 0 a 1, 20 b 2, 10 a 2, 30 b 3, 20 a 3, 40 b 4", "10 20 30 40"},
		"a sends what it kept":  {"0 a 1, 5 b 1, 15 b 2, 25 b 3, 35 b 4, 10 a 2, 20 a 3, 30 a 4, 40 a 5, 45 b 6, 50 a 7", "0 15 25 35 40 50"},
		"all come again":        {"0 a 1, 5 b 1, 0 a 1, 5 b 1, 10 a 2, 15 b 2, 15 b 2, 15 b 2, 10 a 2", "0 0 10 10"},
		"three":                 {"0 a 1, 3 b 1, 6 c 1, 10 a 2, 13 b 2, 16 c 2, 23 b 3, 26 c 3, 33 b 4, 36 c 4, 46 c 5, 56 c 6, 60 a 7, 66 c 8", "0 10 23 33 46 56 60"},
		"a clock that is ahead": {"0 a 100, 10 a 110, 10.5 b 105, 20.5 b 115, 30.5 b 125", "0 10 20.5 30.5"}, // A third of 105 would be a reset, were it counted.
		"a clock that is late":  {"0 b 100, 10 b 110, 10.1 a 109, 20 b 120, 20.1 a 119, 30 b 130, 30.1 a 129", "0 10 20.1 30.1"},
		"a restart meanwhile":   {"0 a 100, 1 b 101, 11 b 111, 21 b 5, 31 b 15, 41 b 25", "0 11 21 31 41"},
		"a restart as it falls": {"0 a 100, 1 b 101, 11 b 1, 21 b 11, 31 b 21", "0 21 31"},
		"after a pause":         {"0 a 1, 1 b 1, 180 b 2, 190 b 3, 195 a 4", "0 180 190 195"},
		"seldom":                {"0 a 1, 30 b 1, 180 a 2, 210 b 2, 360 a 3, 390 b 3", "0 180 360"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newReplicaLog(t)
				l.write(strings.Split(c.written, ", ")...)
				var got []string
				for _, text := range l.counted(0) {
					_, text, _ = strings.Cut(text, ":")
					second, _, _ := strings.Cut(text, " ")
					got = append(got, second)
				}
				if got := strings.Join(got, " "); got != c.want {
					t.Errorf("of %s count %s, want %s", c.written, got, c.want)
				}
			})
		})
	}
}

// What is further back than a reader reads back decides nothing.
func TestReplicasAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newReplicaLog(t)
		for _, s := range []struct {
			at, came float64
			replica  string
		}{{0, 0, "a"}, {59, 59, "b"}, {55, 100, "a"}, {190, 190, "b"}, {195, 195, "b"}} {
			l.sample(s.at, s.came, s.replica, `"kind":"gauge","value":1`)
		}
		for from, want := range []string{"0:0 1 2:55 1 4:195 1", "2:55 1 4:195 1", "2:55 1 4:195 1", "4:195 1", "4:195 1"} {
			if got := strings.Join(l.counted(int64(from)), " "); got != want {
				t.Errorf("from offset %d count %s, want %s", from, got, want)
			}
		}
	})
}

// However many series there are, what is remembered of them is bounded; of those that are forgotten both replicas may count once.
func TestReplicasAreBounded(t *testing.T) {
	o := testOptions()
	o.ReplicaTag, o.MaxIDs = "replica", 100*int(replicatedSize)/IDBytes
	r := newReplicas(o)
	forgotten := counted(t, replicasForgotten)
	for i := range 2 * mostTags {
		tags := metric.NewTags(map[string]string{"host": fmt.Sprint(i)})
		if i%2 == 0 {
			tags = metric.NewTags(map[string]string{"host": fmt.Sprint(i), "replica": "a"})
		}
		rec := Record{Time: base, Newest: base, Latest: base, Events: []metric.Event{{Metric: "m", Kind: metric.Gauge, Tags: tags}}}
		if r.leaveOut(&rec); len(rec.Events) != 1 || rec.Events[0].Tags.Get("replica") != "" {
			t.Fatalf("%v becomes %v", tags, rec.Events)
		}
		if len(r.series) > 100 || r.tags > mostTags || r.size() > 100*replicatedSize+mostTags*addressSize {
			t.Fatalf("%d series, %d tags, %d bytes", len(r.series), r.tags, r.size())
		}
	}
	if n := counted(t, replicasForgotten) - forgotten; n < mostTags-200 || n > mostTags {
		t.Errorf("%v of %d series are counted as forgotten", n, mostTags)
	}
}

// What is counted, and not what stands somewhere, happened once: no replica has sent it too. What is too late or from the future
// says nothing of a replica.
func TestOnlySamplesHaveReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newReplicaLog(t)
		before := counted(t, replicaEvents)
		l.sample(0, 0, "a", `"value":1`)
		l.sample(1, 1, "b", `"value":2`)
		l.sample(2, 2, "a", `"kind":"gauge","value":3`)
		l.sample(3, 3, "b", `"kind":"gauge","value":4`)
		l.sample(600, 4, "a", `"kind":"gauge","value":5`) // From the future.
		l.sample(5, 5, "a", `"kind":"gauge","value":6`)
		l.sample(6, 6, "b", `"stale":true`)
		l.sample(7, 7, "a", `"stale":true`)
		var got []string
		for _, rec := range l.all() {
			for _, e := range rec.Events {
				got = append(got, fmt.Sprintf("%g of %s", e.Value, cmp.Or(e.Tags.Get("replica"), "both")))
			}
		}
		if got, want := strings.Join(got, ", "), "1 of a, 2 of b, 3 of both, 5 of a, 6 of both, 0 of both"; got != want {
			t.Errorf("counted %s, want %s", got, want)
		}
		if n := counted(t, replicaEvents) - before; n != 2 {
			t.Errorf("%v were left out, want 2", n)
		}
	})
}

func (l *replicaLog) all() (records []Record) {
	l.t.Helper()
	o := testOptions()
	o.ReplicaTag = "replica"
	f, stop := startFetcher(l.t, l.fakeLog, o, Offset{From: -1}, 100)
	defer stop()
	for next := int64(0); next < l.end(); {
		a := <-f.queue
		next = a.next
		records = append(records, a.records...)
	}
	return records
}

// A reader that begins in the middle decides as one that has read everything: agents that are lost, late and come back, of
// several intervals.
func TestReplicasAreKnownAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(40) {
			l := newReplicaLog(t)
			writeAgents(l, rand.New(rand.NewPCG(seed, 1)))
			whole := l.counted(0)
			if n := int64(len(whole)); n < l.end()/4 || n > l.end()*3/4 {
				t.Fatalf("%d of %d count: the case is too easy", n, l.end())
			}
			if !risesWithTime(t, whole) {
				t.Fatalf("seed %d: clocks that differ make a reset: %v", seed, whole)
			}
			for from := int64(0); from < l.end(); from += 7 {
				want := slices.DeleteFunc(slices.Clone(whole), func(text string) bool {
					var offset int64
					_, err := fmt.Sscanf(text, "%d:", &offset)
					return err != nil || offset < from
				})
				if got := l.counted(from); !slices.Equal(got, want) {
					t.Fatalf("seed %d: from offset %d count\n%v, want\n%v", seed, from, got, want)
				}
			}
		}
	})
}

// risesWithTime reports whether the counter never falls.
func risesWithTime(t *testing.T, counted []string) bool {
	t.Helper()
	var samples [][2]float64
	for _, text := range counted {
		var offset int
		var s [2]float64
		if _, err := fmt.Sscanf(text, "%d:%g %g", &offset, &s[0], &s[1]); err != nil {
			t.Fatal(err)
		}
		samples = append(samples, s)
	}
	slices.SortFunc(samples, func(a, b [2]float64) int { return cmp.Compare(a[0], b[0]) })
	return slices.IsSortedFunc(samples, func(a, b [2]float64) int { return cmp.Compare(a[1], b[1]) })
}

// writeAgents writes what two or three agents send in six minutes.
func writeAgents(l *replicaLog, chance *rand.Rand) {
	type sample struct {
		at, came, clock float64
		replica         string
	}
	var samples []sample
	interval := []float64{5, 10, 15, 30}[chance.IntN(4)]
	for a := range 2 + chance.IntN(2) {
		lag, clock, lostFrom := 2*chance.Float64(), chance.Float64()-0.5, 360*chance.Float64()
		lostUntil := lostFrom + 120*chance.Float64()
		for at := interval * chance.Float64(); at < 360; at += interval {
			if at < lostFrom || at > lostUntil {
				samples = append(samples, sample{at, at + lag + chance.Float64(), at + clock, string(rune('a' + a))})
			}
		}
	}
	slices.SortFunc(samples, func(a, b sample) int { return cmp.Compare(a.came, b.came) })
	for _, s := range samples {
		l.sample(s.clock, s.came, s.replica, fmt.Sprintf(`"kind":"cumulative","value":%d`, int(100*s.at)))
	}
}
