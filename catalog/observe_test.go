package catalog

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pulseboard/aggregate"
	"pulseboard/metric"
)

const testSample = 5

// observedStore is a store and its observer; a slice is a second.
type observedStore struct {
	*aggregate.Store
	*Observer
}

func observe(retain int64, limit int) observedStore {
	o := NewObserver(testSample, 1000)
	return observedStore{aggregate.NewStore(aggregate.Options{Retain: retain, SeriesPerMetric: limit, Observer: o}), o}
}

// series returns the tags of all series that the store holds, by metric.
func (s observedStore) series() map[string][]string {
	out := map[string][]string{}
	for _, name := range []string{"m0", "m1", "m2", "m3"} {
		if tags := s.Tags(name); len(tags) > 0 {
			out[name] = tags
		}
	}
	return out
}

// survey takes all that changed, some at a time.
func survey(s observedStore, before int64) []Entry {
	var out []Entry
	for left := s.Changed(); left > 0; left -= 3 {
		out = s.Survey(out, before, min(left, 3))
	}
	return out
}

// tagsKey encodes tags that are written "key=value,key=value".
func tagsKey(text string) []byte {
	tags := map[string]string{}
	for tag := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(tag, "=")
		tags[key] = value
	}
	return metric.NewTags(tags).AppendKey(nil)
}

func key(name, tags string) *aggregate.Name { return aggregate.NewName(name, string(tagsKey(tags))) }

// event is one of a series, written as tagsKey reads it.
type event struct {
	slice int64
	tags  string
	value float64
}

// checkTags compares what was told of tags with the series that are there.
func checkTags(got Entry, series []string) error {
	want := map[string]map[string]bool{}
	plain := 0
	for _, tags := range series {
		if tags == aggregate.Other {
			continue
		}
		plain++
		eachTag(tags, func(key, value string) {
			if want[key] == nil {
				want[key] = map[string]bool{}
			}
			want[key][value] = true
		})
	}
	if got.Series != plain || got.Overflow != (plain != len(series)) {
		return fmt.Errorf("%d series, overflow %v; the store holds %d of %d", got.Series, got.Overflow, plain, len(series))
	}
	if len(got.Tags) != min(testSample, len(want)) || len(got.Tags)+got.MoreTags != len(want) {
		return fmt.Errorf("%d keys and %d more; there are %d", len(got.Tags), got.MoreTags, len(want))
	}
	if !slices.IsSortedFunc(got.Tags, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) }) {
		return fmt.Errorf("the keys are not in order: %v", got.Tags)
	}
	for _, tag := range got.Tags {
		values := want[tag.Key]
		if len(tag.Values) != min(testSample, len(values)) || len(tag.Values)+tag.More != len(values) || !slices.IsSorted(tag.Values) {
			return fmt.Errorf("%s has %q and %d more; there are %d", tag.Key, tag.Values, tag.More, len(values))
		}
		for _, v := range tag.Values {
			if !values[v] {
				return fmt.Errorf("no series has %s=%s", tag.Key, v)
			}
		}
	}
	return nil
}

// checkTraffic compares what was told of a metric's events with the events themselves.
func checkTraffic(got Entry, events []event, before int64) error {
	newest := slices.MaxFunc(events, func(a, b event) int { return int(a.slice - b.slice) }).slice
	step := floor(before, 5)
	var count, minute int64
	var sum float64
	for _, e := range events {
		if e.slice == newest {
			count++
			sum += e.value
		}
		if s := floor(e.slice, 5); s < step && s >= step-12 {
			minute++
		}
	}
	if got.LastEvent != newest*1000 || got.LastMean == nil || *got.LastMean != sum/float64(count) || got.LastMinute != minute {
		return fmt.Errorf("newest event %d, mean %v, %d in the last minute; want %d, %v, %d",
			got.LastEvent, got.LastMean, got.LastMinute, newest*1000, sum/float64(count), minute)
	}
	return nil
}

func floor(a, b int64) int64 {
	if a < 0 {
		a -= b - 1
	}
	return a / b
}

// Random series come, send now and then, and are forgotten: what the surveys
// told, one on the other, equals what a look at all series and events says.
func TestSurveyAgainstBruteForce(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 3))
		const retain = 120
		s := observe(retain, 12)
		told := map[string]Entry{}
		events := map[string][]event{}
		now := r.Int64N(2000) - 1000
		gone, overflows := 0, 0
		for step := range 3000 {
			now += r.Int64N(3)
			if r.IntN(300) == 0 {
				now += r.Int64N(2 * retain)
			}
			table := aggregate.Table{}
			for range r.IntN(4) {
				name := fmt.Sprint("m", r.IntN(4))
				if name == "m3" && step/500%2 == 1 {
					continue // It is silent for a long time.
				}
				tags := fmt.Sprintf("host=%d,zone=%d", r.IntN(4)+step/200, r.IntN(2))
				if r.IntN(3) == 0 {
					tags += fmt.Sprintf(",k%d=x", r.IntN(7))
				}
				e := event{now - r.Int64N(40), tags, float64(r.IntN(2000)) / 8}
				table.Add(e.slice, key(name, tags), e.value, e.slice*1000)
				events[name] = append(events[name], e)
			}
			s.Merge(table)
			s.Pass(now)
			if r.IntN(4) > 0 {
				continue
			}
			for _, sum := range survey(s, now+1) {
				if sum.Gone() {
					gone++
					delete(told, sum.Metric)
					delete(events, sum.Metric)
					continue
				}
				if sum.Overflow {
					overflows++
				}
				told[sum.Metric] = sum
			}
			held := s.series()
			if len(told) != len(held) || s.Metrics() != len(held) {
				t.Fatalf("seed %d step %d: told of %d metrics, counted %d; the store holds %d", seed, step, len(told), s.Metrics(), len(held))
			}
			for name, series := range held {
				if err := checkTags(told[name], series); err != nil {
					t.Fatalf("seed %d step %d %s: %v", seed, step, name, err)
				}
				if err := checkTraffic(told[name], events[name], now+1); err != nil {
					t.Fatalf("seed %d step %d %s: %v", seed, step, name, err)
				}
			}
		}
		if gone == 0 || overflows == 0 {
			t.Errorf("seed %d: %d metrics were gone, %d surveys with overflow: the test sees too little", seed, gone, overflows)
		}
	}
}

// What is shown of tags is the same each time a log is read: maps give their elements in another order each time.
func TestSurveyIsAFunctionOfTheLog(t *testing.T) {
	play := func(seed uint64) (seen []string) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := observe(40, 7)
		for at := range int64(400) {
			table := aggregate.Table{}
			for range r.IntN(8) {
				tags := fmt.Sprintf("a=%d,b=%d", int(at)/50*5+r.IntN(9), r.IntN(3))
				table.Add(at, key(fmt.Sprint("m", r.IntN(2)), tags), float64(r.IntN(1000))*0.1, at*1000)
			}
			s.Merge(table)
			s.Pass(at)
			summaries := survey(s, at)
			slices.SortFunc(summaries, func(a, b Entry) int { return strings.Compare(a.Metric, b.Metric) })
			text, _ := json.Marshal(summaries) // They can be encoded.
			seen = append(seen, string(text))
		}
		return seen
	}
	for seed := range uint64(8) {
		want := play(seed)
		for range 4 {
			if got := play(seed); !slices.Equal(got, want) {
				t.Fatalf("seed %d: two surveys of one log differ", seed)
			}
		}
	}
}

// A survey tells of what changed only, and of a metric with events until its last minute has none.
func TestSurveyTellsOfChangesOnly(t *testing.T) {
	s := observe(600, 0)
	event := func(slice int64, metric, tags string) {
		table := aggregate.Table{}
		table.Add(slice, key(metric, tags), 2, slice*1000)
		s.Merge(table)
	}
	names := func(before int64) string {
		var out []string
		for _, sum := range survey(s, before) {
			out = append(out, fmt.Sprintf("%s:%d", sum.Metric, sum.LastMinute))
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	for _, step := range []struct {
		do     func()
		before int64
		want   string
	}{
		{func() { event(100, "a", "host=1"); event(100, "b", "host=1") }, 101, "a:0 b:0"}, // The step from 100 to 105 is not over.
		{func() {}, 105, "a:1 b:1"},
		{func() { event(103, "a", "host=1") }, 105, "a:2 b:1"},
		{func() {}, 160, "a:2 b:1"},
		{func() {}, 165, "a:0 b:0"}, // Until it is none.
		{func() {}, 170, ""},
		{func() { event(170, "b", "host=2") }, 175, "b:1"},
		{func() { s.Pass(230) }, 235, "b:0"},
		{func() { s.Pass(720) }, 720, "a:0 b:0"}, // a is gone, and of b one series.
		{func() { event(721, "a", "host=1") }, 785, "a:0"},
		{func() { s.Pass(1400) }, 1400, "a:0 b:0"},                      // Both are.
		{func() { event(1401, "c", "host=1"); s.Pass(2100) }, 2100, ""}, // Nobody was told of it.
	} {
		step.do()
		if got := names(step.before); got != step.want {
			t.Errorf("before %d: told of %q, want %q", step.before, got, step.want)
		}
	}
	if s.Metrics() != 0 || s.Series() != 0 || s.Changed() != 0 {
		t.Errorf("%d metrics, %d series, %d changes are left", s.Metrics(), s.Series(), s.Changed())
	}
}

// The values that are shown stay while series have them; others follow when some go.
func TestShownValuesStay(t *testing.T) {
	s := observe(100, 0)
	at := func(slice int64, hosts ...int) Tag {
		t.Helper()
		table := aggregate.Table{}
		for _, h := range hosts {
			table.Add(slice, key("m", fmt.Sprintf("host=%d", h)), 1, slice*1000)
		}
		s.Merge(table)
		sums := survey(s, slice)
		if len(sums) != 1 || len(sums[0].Tags) != 1 {
			t.Fatalf("told %+v", sums)
		}
		return sums[0].Tags[0]
	}
	for _, step := range []struct {
		slice int64
		hosts []int
		want  Tag
	}{
		{1000, []int{7, 8}, Tag{Key: "host", Values: []string{"7", "8"}}},
		{1050, []int{6, 9, 5}, Tag{Key: "host", Values: []string{"5", "6", "7", "8", "9"}}},
		{1060, []int{1, 8}, Tag{Key: "host", Values: []string{"5", "6", "7", "8", "9"}, More: 1}},
		{1120, []int{8}, Tag{Key: "host", Values: []string{"1", "5", "6", "8", "9"}}},
	} {
		if got := at(step.slice, step.hosts...); !reflect.DeepEqual(got, step.want) {
			t.Errorf("at %d: %+v, want %+v", step.slice, got, step.want)
		}
	}
}

// Tags of many values take memory, which counts.
func TestTagsCountInTheBudget(t *testing.T) {
	used := func(o aggregate.Observer) int64 {
		budget := aggregate.NewBudget(1<<40, 1, 1)
		s := aggregate.NewStore(aggregate.Options{Retain: 1000, Budget: budget, Observer: o})
		for i := range int64(100) { // With sweeps.
			table := aggregate.Table{}
			for h := range 10 {
				table.Add(i, key("m", fmt.Sprintf("host=%0200d", i*10+int64(h))), 1, i*1000)
			}
			s.Merge(table)
		}
		before := budget.Used()
		s.Close()
		if budget.Used() != 0 {
			t.Errorf("%d bytes are not given back", budget.Used())
		}
		return before
	}
	if more := used(NewObserver(testSample, 1000)) - used(nil); more < 1000*200 {
		t.Errorf("the index of 1000 values of 200 bytes takes %d bytes", more)
	}
}

// What the survey costs an accumulator that is merged, a second of a series; off
// is the store without it. Events are merged into accumulators long before.
func BenchmarkMerge(b *testing.B) {
	for _, kind := range []string{"off", "observed"} {
		b.Run(kind, func(b *testing.B) {
			const series = 10_000
			o := aggregate.Options{Retain: 600}
			if kind != "off" {
				o.Observer = NewObserver(100, 1000)
			}
			s := aggregate.NewStore(o)
			accs := new(aggregate.Row)
			for i := range series {
				*accs.Acc(key("m", fmt.Sprintf("host=%d,region=%d", i, i%5))) = aggregate.Acc{Count: 10, Sum: 15, Min: 1, Max: 2}
			}
			slice := int64(1_763_892_000)
			b.ReportAllocs()
			for b.Loop() {
				slice++
				s.Merge(aggregate.Table{slice: accs})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/series, "ns/accumulator")
		})
	}
}

// How long after their time events come is told by nearly all of them, of late; what was there before tells nothing.
func TestArrivalIsTold(t *testing.T) {
	o := NewObserver(MaxTags, 1000)
	s := aggregate.NewStore(aggregate.Options{Retain: 600, SliceMs: 1000, Observer: o})
	now := int64(1000)
	send := func(age, events int64) {
		now++
		table := aggregate.Table{}
		for range events {
			table.Add(now-age, key("m", "host=a"), 1, (now-age)*1000)
		}
		o.Arrive(now)
		s.Merge(table)
		o.Arrive(-1)
	}
	arrival := func() int { return o.Survey(nil, now, 1)[0].Arrival }
	before := aggregate.Table{}
	before.Add(now-50, key("m", "host=a"), 1, (now-50)*1000)
	s.Merge(before)
	for range 50 {
		send(0, 10)
	}
	if got := arrival(); got != 0 {
		t.Errorf("%d s of events that come at once", got)
	}
	for range 100 {
		send(4, 10)
		send(6, 10)
	}
	send(45, 2)
	if got := arrival(); got != 6 {
		t.Errorf("%d s of a sender in batches", got)
	}
	for range 900 { // It has another way by now.
		send(1, 10)
	}
	if got := arrival(); got != 1 {
		t.Errorf("%d s of one that sends each second by now", got)
	}
}
