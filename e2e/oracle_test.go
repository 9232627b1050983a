package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// logEvent is an event as the topic holds it.
type logEvent struct {
	at     int64 // Event time, ms.
	passes int64 // Pipeline time: the highest record timestamp of the partition so far, less the bound.
	value  float64
	tags   map[string]string
}

// topic is every event of a topic, by metric.
type topic map[string][]logEvent

// readTopic reads the whole topic. boundMs is the bound of the pipeline.
func readTopic(t *testing.T, broker string, boundMs int64) topic {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := &kafka.Client{Addr: kafka.TCP(broker)}
	meta, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{"metric-events"}})
	if err != nil {
		t.Fatal(err)
	}
	events := topic{}
	for _, p := range meta.Topics[0].Partitions {
		newest := int64(math.MinInt64)
		for offset := int64(0); ; {
			res, err := client.Fetch(ctx, &kafka.FetchRequest{Topic: "metric-events", Partition: p.ID, Offset: offset, MinBytes: 0, MaxBytes: 1 << 20, MaxWait: 100 * time.Millisecond})
			if err == nil {
				err = res.Error
			}
			if err != nil {
				t.Fatal(err)
			}
			for {
				rec, err := res.Records.ReadRecord()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if rec.Offset < offset {
					continue
				}
				offset = rec.Offset + 1
				value, err := kafka.ReadAll(rec.Value)
				if err != nil {
					t.Fatal(err)
				}
				newest = max(newest, rec.Time.UnixMilli())
				events.add(t, value, newest-boundMs)
			}
			if offset >= res.HighWatermark {
				break
			}
		}
	}
	return events
}

func (tp topic) add(t *testing.T, value []byte, passes int64) {
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
		tp[rec.MetricName] = append(tp[rec.MetricName], logEvent{e.EventTime, passes, e.Value, e.Tags})
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
