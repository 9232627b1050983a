package transforms

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"pulseboard/aggregate"
	"pulseboard/metric"
	"pulseboard/sources"
	"pulseboard/wire"
)

// Of an event that is ahead of what a start has read, nobody knows whether it was so when it came: it is
// left out when no complete window has it, and a dead letter else.
func TestAheadOfWhatAStartHasRead(t *testing.T) {
	f := PreAggregateFn{Run: t.Name(), SliceMs: 1000, KeyGroups: 1, Limits: metric.DefaultLimits()}
	openGroups(t, t.Name())
	if err := f.StartBundle(nil, nil); err != nil {
		t.Fatal(err)
	}
	const start = int64(1_795_954_000_000)
	rec := sources.Record{Time: start - 5000, Newest: start, Latest: start - 5000, PipelineTime: start}
	for _, at := range []int64{start - 4000, start - 3000, start - 2999, start + 1999, start + 2000, start + 3000} {
		rec.Events = append(rec.Events, metric.Event{Metric: "m", Value: 1, Time: at})
	}
	var held any
	f.ProcessElement(&sources.Batch{CoveredSince: start + 2000, Records: []sources.Record{rec}, Held: &held}, nil, nil)
	var dead, slicesOf []int64
	f.ProcessElement(&sources.Batch{Kind: sources.Passed, PipelineTime: start + 1000, Held: &held}, func(_ beam.EventTime, _ int64, p Partial) {
		for slice := range p.Table {
			slicesOf = append(slicesOf, slice)
		}
	}, func(l DeadLetter) {
		b, err := new(wire.Decoder).Record(l.Value)
		if err != nil || l.Code != metric.CodeFromTheFuture {
			t.Errorf("%+v: %v", l, err)
			return
		}
		dead = append(dead, b.Events[0].Time-start)
	})
	slices.Sort(slicesOf)
	if !slices.Equal(dead, []int64{2000, 3000}) || !slices.Equal(slicesOf, []int64{start/1000 - 4, start/1000 - 3}) {
		t.Errorf("dead letters of %v, counted in the slices %v", dead, slicesOf)
	}
}

// Partials and dead letters leave with their slice when it is whole, slice by slice; what is
// of a slice that is not stays with who reads it.
func TestWholeSlicesLeave(t *testing.T) {
	f := PreAggregateFn{Run: t.Name(), SliceMs: 1000, KeyGroups: 2, Limits: metric.DefaultLimits()}
	openGroups(t, t.Name())
	const start = int64(1_795_954_000_000)
	var held, other any
	var left []string
	give := func(b *sources.Batch, of *any) {
		b.Held = of
		if err := f.StartBundle(nil, nil); err != nil {
			t.Fatal(err)
		}
		f.ProcessElement(b, func(at beam.EventTime, group int64, p Partial) {
			events := int64(0)
			for _, row := range p.Table {
				for _, a := range row.All {
					events += a.Count
				}
			}
			left = append(left, fmt.Sprintf("%d: %d events of group %d", int64(at)-start, events, group))
		}, func(l DeadLetter) { left = append(left, fmt.Sprint("letter ", l.Offset)) })
	}
	record := func(offset, at int64) sources.Record {
		return sources.Record{Offset: offset, Time: start, Newest: start, Latest: start, PipelineTime: start + at, Events: []metric.Event{{Metric: "m", Value: 1}}}
	}
	bad := record(3, 1500)
	bad.Unreadable = metric.Fault{Code: metric.CodeNotJSON}
	give(&sources.Batch{Kind: sources.Started, PipelineTime: start + 200}, &held)
	give(&sources.Batch{Records: []sources.Record{record(0, 2300), record(1, 300), record(2, 1400), bad, record(4, 1999)}}, &held)
	give(&sources.Batch{Records: []sources.Record{record(5, 300)}}, &other)
	if len(left) > 0 {
		t.Errorf("%q left before its slice was whole", left)
	}
	mine := KeyGroup("m", 2)
	for _, c := range []struct {
		until int64
		want  []string
	}{
		{999, nil},
		{1000, []string{fmt.Sprintf("999: %d events of group 0", 1-mine), fmt.Sprintf("999: %d events of group 1", mine)}},
		{1000, nil},
		{2000, []string{fmt.Sprintf("1999: 2 events of group %d", mine), "letter 3"}},
		{math.MaxInt64 - start, []string{fmt.Sprintf("2999: 1 events of group %d", mine)}},
	} {
		left = nil
		give(&sources.Batch{Kind: sources.Passed, PipelineTime: start + c.until}, &held)
		if !slices.Equal(left, c.want) {
			t.Errorf("up to %d: %q, want %q", c.until, left, c.want)
		}
	}
}

// The values of a histogram count; what a series has had since its start is kept for the store, which knows what it had before.
func TestHistogramsCount(t *testing.T) {
	f := PreAggregateFn{Run: t.Name(), SliceMs: 1000, KeyGroups: 1, Limits: metric.DefaultLimits()}
	openGroups(t, t.Name())
	if err := f.StartBundle(nil, nil); err != nil {
		t.Fatal(err)
	}
	const start = int64(1_795_954_000_000)
	h := &aggregate.Histogram{Count: 3, Sum: 4.5, Positive: aggregate.Bins{Counts: []uint64{1, 2}}}
	rec := sources.Record{Time: start, Newest: start, Latest: start, PipelineTime: start, Events: []metric.Event{
		{Metric: "m", Histogram: h}, {Metric: "m", Value: 2}, {Metric: "m", Histogram: h, Kind: metric.Cumulative}, {Metric: "m", Stale: true},
	}}
	var held any
	f.ProcessElement(&sources.Batch{Records: []sources.Record{rec}, Held: &held}, nil, nil)
	var total aggregate.Acc
	var dead []string
	f.ProcessElement(&sources.Batch{Kind: sources.Passed, PipelineTime: start + 1000, Held: &held}, func(_ beam.EventTime, _ int64, p Partial) {
		for _, row := range p.Table {
			for _, a := range row.All {
				total.Merge(a)
			}
		}
	}, func(l DeadLetter) { dead = append(dead, l.Code) })
	if total.Count != 4 || total.Sum != 6.5 || len(total.More.Marked.Samples) != 1 || len(dead) != 0 {
		t.Errorf("%d values of %v together count, %v is kept, dead letters %q", total.Count, total.Sum, total.More.Marked.Samples, dead)
	}
}
