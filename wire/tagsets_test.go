package wire

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pulseboard/internal/cputime"
	"pulseboard/metric"
)

// What an event costs when there are so many different tags, in turn and at random: in records of 100 events, as the pipeline reads
// them, and in requests of 1,000, as ingest does. ns/event is CPU time, ratio that to 1,000 tags.
func BenchmarkTagSets(b *testing.B) {
	for _, order := range []string{"turn", "random"} {
		for _, form := range []string{"record", "request"} {
			base := 0.0
			for _, n := range []int{1000, 20_000, 100_000, 200_000} {
				b.Run(fmt.Sprint(order, "/", form, "/", n), func(b *testing.B) {
					ns := tagSets(b, n, order == "random", form == "record")
					if n == 1000 {
						base = ns
					}
					b.ReportMetric(ns, "ns/event")
					b.ReportMetric(ns/base, "ratio")
					b.ReportMetric(0, "ns/op")
				})
			}
		}
	}
}

func tagSets(b *testing.B, n int, random, records bool) float64 {
	b.Helper()
	const events = 200_000 // Of different records, so that what is read is as cold as in a log.
	order := make([]int, events)
	for i := range order {
		if order[i] = i % n; random {
			order[i] = rand.IntN(n)
		}
	}
	each := 1000
	if records {
		each = 100
	}
	var bodies [][]byte
	for i := 0; i < events; i += each {
		var body []byte
		for k, at := range order[i : i+each] {
			e := metric.Event{Metric: "api.request.latency", Value: float64(k) * 1.25, Time: 1763892000000 + int64(i), Tags: metric.Tags{
				{Key: "host", Value: fmt.Sprintf("web-%06d", at)}, {Key: "path", Value: "/api/v1/items"}, {Key: "region", Value: "eu"},
			}}
			if records {
				body = AppendRecordEvent(append(body, "[,"[min(k, 1)]), &e)
			} else {
				body = fmt.Appendf(append(body, "[,"[min(k, 1)]), `{"metric_name":%q,"value":%g,"tags":%s,"event_time":%d}`, e.Metric, e.Value, e.Tags, e.Time)
			}
		}
		if body = append(body, ']'); records {
			body = append(append([]byte(`{"metric_name":"api.request.latency","events":`), body...), '}')
		}
		bodies = append(bodies, body)
	}
	d := NewDecoder(NewRoom(64 << 20))
	decode := func() {
		for _, body := range bodies {
			var batch *Batch
			var err error
			if records {
				batch, err = d.Record(body)
			} else {
				batch, err = d.Request(body, each)
			}
			if err != nil || len(batch.Events) != each {
				b.Fatal(batch, err)
			}
		}
	}
	decode() // Now the tags are known.
	begin := cputime.Now(b)
	for b.Loop() {
		decode()
	}
	return float64(cputime.Now(b)-begin) / float64(b.N*events)
}
