package e2e_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// logEvent is an event as the topic holds it.
type logEvent struct {
	at     int64 // Event time, ms.
	passes int64 // Pipeline time: the newest time at which the broker took a record of the partition so far, less the bound.
	acked  int64 // When its producer had the answer, ms: by then every reader of the broker could have it.
	value  float64
	tags   map[string]string
}

// topic is every event of a topic, by metric.
type topic map[string][]logEvent

// readTopic reads the whole topic. boundMs is the bound of the pipeline, acked when each
// request of the only producer was answered, in rising order.
func readTopic(t *testing.T, broker string, boundMs int64, acked []int64) topic {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ask := kmsg.NewPtrMetadataRequest()
	ask.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr("metric-events")}}
	meta, err := ask.RequestWith(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	events := topic{}
	for _, p := range meta.Topics[0].Partitions {
		newest := int64(math.MinInt64)
		for offset, end := int64(0), int64(1); offset < end; {
			var records []*kgo.Record
			records, end = fetch(ctx, t, client, meta.Topics[0].TopicID, p.Partition, offset)
			for _, rec := range records {
				at := rec.Timestamp.UnixMilli()
				i, _ := slices.BinarySearch(acked, at)
				if i == len(acked) {
					t.Fatalf("a record of %v, after the last answer to its producer", rec.Timestamp)
				}
				newest = max(newest, at)
				events.add(t, rec.Value, newest-boundMs, acked[i])
				offset = rec.Offset + 1
			}
		}
	}
	return events
}

// fetch returns records from an offset on, each with the time at which the broker took it, and the end
// of the partition.
func fetch(ctx context.Context, t *testing.T, client *kgo.Client, topicID [16]byte, partition int32, offset int64) ([]*kgo.Record, int64) {
	t.Helper()
	ask := kmsg.NewPtrFetchRequest()
	ask.MaxBytes = 16 << 20
	ask.Topics = []kmsg.FetchRequestTopic{{Topic: "metric-events", TopicID: topicID, Partitions: []kmsg.FetchRequestTopicPartition{
		{Partition: partition, CurrentLeaderEpoch: -1, FetchOffset: offset, LastFetchedEpoch: -1, LogStartOffset: -1, PartitionMaxBytes: 4 << 20},
	}}}
	answer, err := client.SeedBrokers()[0].Request(ctx, ask)
	if err != nil {
		t.Fatal(err)
	}
	res := answer.(*kmsg.FetchResponse)
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
		t.Fatalf("partition %d from offset %d: the answer has error %d", partition, offset, res.ErrorCode)
	}
	found := &res.Topics[0].Partitions[0]
	// The time of a batch stands where the greatest timestamp does. The embedded broker says so with a bit of its
	// own in the attributes, Kafka with another one, which the library knows (internal/embedded, stamp.go).
	for b := found.RecordBatches; len(b) >= 23; b = b[min(len(b), 12+int(binary.BigEndian.Uint32(b[8:]))):] {
		const ours, kafkas = 1 << 14, 1 << 3
		if attributes := binary.BigEndian.Uint16(b[21:]); attributes&ours != 0 {
			binary.BigEndian.PutUint16(b[21:], attributes|kafkas)
		}
	}
	o := kgo.ProcessFetchPartitionOpts{DisableCRCValidation: true, Offset: offset, Topic: "metric-events", Partition: partition}
	p, _ := kgo.ProcessFetchPartition(o, found, kgo.DefaultDecompressor(), nil)
	if p.Err != nil {
		t.Fatal(p.Err)
	}
	return p.Records, p.HighWatermark
}

func (tp topic) add(t *testing.T, value []byte, passes, acked int64) {
	t.Helper()
	var rec struct {
		MetricName string `json:"metric_name"`
		Events     []struct {
			Value     float64           `json:"value"`
			Tags      map[string]string `json:"tags"`
			EventTime int64             `json:"event_time"`
		} `json:"events"`
	}
	if err := json.Unmarshal(value, &rec); err != nil {
		t.Fatalf("record %s: %v", value, err)
	}
	for _, e := range rec.Events {
		tp[rec.MetricName] = append(tp[rec.MetricName], logEvent{e.EventTime, passes, acked, e.Value, e.Tags})
	}
}

// cuts are the moments at which records of a metric passed.
func (tp topic) cuts(name string) []int64 {
	var cuts []int64
	for _, e := range tp[name] {
		if n := len(cuts); n == 0 || cuts[n-1] != e.passes {
			cuts = append(cuts, e.passes)
		}
	}
	return append(cuts, math.MaxInt64) // After the last.
}

// begun is the end of the slice in which the first event of a metric passed.
// Windows that ended before are filled in then.
func (tp topic) begun(name string) int64 {
	first := int64(math.MaxInt64)
	for _, e := range tp[name] {
		first = min(first, e.passes)
	}
	return first/1000*1000 + 1000
}

// window computes an aggregation of the events in [start, end) that had passed
// the pipeline by the time passed. host "" takes all hosts. It also says how many of them were late.
func (tp topic) window(name, aggregation, host string, start, end, passed int64) (value float64, count int64, late int) {
	var sum float64
	low, high := math.Inf(1), math.Inf(-1)
	for _, e := range tp[name] {
		if e.at < start || e.at >= end || e.passes >= passed || host != "" && e.tags["host"] != host {
			continue
		}
		if e.passes > e.at+1000 {
			late++
		}
		count++
		sum += e.value
		low, high = math.Min(low, e.value), math.Max(high, e.value)
	}
	switch aggregation {
	case "sum":
		return sum, count, late
	case "count":
		return float64(count), count, late
	case "avg":
		return sum / float64(count), count, late
	case "min":
		return low, count, late
	case "max":
		return high, count, late
	}
	panic(fmt.Sprint("unknown aggregation ", aggregation))
}

// same allows a relative error of 1e-9 for sums and averages only.
func same(aggregation string, got *float64, want float64, count int64) bool {
	if count == 0 && aggregation != "sum" && aggregation != "count" {
		return got == nil
	}
	if got == nil {
		return false
	}
	if aggregation == "sum" || aggregation == "avg" {
		return math.Abs(*got-want) <= 1e-9*math.Abs(want)+1e-9
	}
	return *got == want
}
