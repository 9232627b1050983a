package transforms

import (
	"slices"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"pulseboard/metric"
	"pulseboard/sources"
)

// Of an event that is ahead of what a start has read, nobody knows whether it was so when it came: it is
// left out when no complete window has it, and a dead letter else.
func TestAheadOfWhatAStartHasRead(t *testing.T) {
	f := PreAggregateFn{Run: t.Name(), SliceMs: 1000, KeyGroups: 1, LatenessMs: 60_000, SkewMs: 2000}
	t.Cleanup(func() { Close(t.Name()) })
	f.StartBundle(nil, nil)
	const start = int64(1_795_954_000_000)
	rec := sources.Record{Time: start - 5000, Newest: start, Latest: start - 5000, PipelineTime: start}
	for _, at := range []int64{start - 4000, start - 3000, start - 2999, start + 1999, start + 2000, start + 3000} {
		rec.Events = append(rec.Events, metric.Event{Metric: "m", Value: 1, Time: at})
	}
	var dead []int64
	f.ProcessElement(&sources.Batch{CoveredSince: start + 2000, Records: []sources.Record{rec}}, nil, func(l DeadLetter) {
		b, err := metric.DecodeRecord(l.Value)
		if err != nil || l.Code != metric.CodeFromTheFuture {
			t.Errorf("%+v: %v", l, err)
			return
		}
		dead = append(dead, b.Events[0].Time-start)
	})
	var slicesOf []int64
	f.FinishBundle(func(_ beam.EventTime, _ int64, p Packet) {
		for slice := range p.Table {
			slicesOf = append(slicesOf, slice)
		}
	}, nil)
	slices.Sort(slicesOf)
	if !slices.Equal(dead, []int64{2000, 3000}) || !slices.Equal(slicesOf, []int64{start/1000 - 4, start/1000 - 3}) {
		t.Errorf("dead letters of %v, counted in the slices %v", dead, slicesOf)
	}
}
