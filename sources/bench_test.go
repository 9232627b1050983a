package sources

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/job"
	"pulseboard/metric"
	"pulseboard/wire"
)

// One fetch of records with 20 events each: judged, decoded, looked at for duplicates.
func BenchmarkScan(b *testing.B) {
	const batches, records, events = 40, 10, 20
	log := newFakeLog()
	for i := range batches {
		var raw []kmsg.Record
		var at []fakeRecord
		for k := range records {
			name := fmt.Sprint("metric-", k)
			es := make([]metric.Event, events)
			for n := range es {
				es[n] = metric.Event{Metric: name, Value: float64(n) * 1.25, Time: base, Tags: metric.NewTags(map[string]string{"host": fmt.Sprint("h", n), "region": "eu"})}
			}
			raw = append(raw, kmsg.Record{Key: []byte(name), Value: wire.AppendRecord(nil, name, es), Headers: []kmsg.Header{{Key: "id", Value: fmt.Append(nil, i, k)}}})
			at = append(at, fakeRecord{at: base + int64(i)})
		}
		log.write(logAppendTime, -1, raw, at)
	}
	o := testOptions()
	s, seen := newTestScanner(log, o, Offset{}), newSeenIDs(2*minute, 0)
	b.ReportAllocs()
	for b.Loop() {
		s.offset = 0
		err := s.read(b.Context(), time.Now().Round(0), 0, func(a *response) bool {
			seen.dropDuplicates(a.records)
			return true
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/(batches*records*events), "ns/event")
}

// The read loop over four partitions in step.
func BenchmarkReadLoop(b *testing.B) {
	const partitions, records = 4, 500
	o := testOptions()
	o.MaxDriftMs, o.MaxLeadMs = 1<<50, 1<<50
	l := newReadLoop(o, Position{Shard: Shard{0, 1}}, job.NewProgress(), nil)
	var queues []chan response
	for p := range partitions {
		part, queue := newTestPartition(o, assignment{Offset: Offset{Partition: int32(p)}, end: -1})
		queues = append(queues, queue)
		l.alignment.add(part, p == partitions-1)
	}
	emitted := 0
	c := call{readLoop: l, watermark: math.MinInt64, emit: func(batch *Batch) { emitted += len(batch.Records) }}
	b.ReportAllocs()
	for n := int64(0); b.Loop(); n++ {
		for p, queue := range queues {
			a := response{records: make([]Record, records), next: (n + 1) * records}
			for i := range a.records {
				at := base + n*1000 + int64(2*i)
				a.records[i] = Record{Partition: int32(p), Offset: n*records + int64(i), Time: at, Newest: at}
			}
			queue <- a
		}
		for want := int(n+1) * partitions * records; emitted < want; {
			if _, err := c.run(b.Context(), time.Now()); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/(partitions*records), "ns/record")
}
