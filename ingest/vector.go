package ingest

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"pulseboard/metric"
)

// vectorFormat is what Vector's sink http writes of metrics with encoding.codec = "json".
func vectorFormat() *format {
	return agentFormat("vector", `JSON of Vector's metrics, such as {"name":"requests","kind":"incremental","counter":{"value":6},"timestamp":"2026-11-23T10:00:00Z"}`,
		func(*gin.Context) func(*agentBatch, []byte) { return readVector })
}

type vectorMetric struct {
	Name      string          `json:"name"`
	Namespace string          `json:"namespace"`
	Tags      map[string]any  `json:"tags"`
	Timestamp string          `json:"timestamp"`
	Kind      string          `json:"kind"`
	Counter   *vectorValue    `json:"counter"`
	Gauge     *vectorValue    `json:"gauge"`
	Set       json.RawMessage `json:"set"`
	Sketch    json.RawMessage `json:"sketch"`
	Samples   *struct {
		Samples []struct {
			Value float64 `json:"value"`
			Rate  int64   `json:"rate"`
		} `json:"samples"`
	} `json:"distribution"`
	Histogram *struct {
		Buckets []struct {
			UpTo  any     `json:"upper_limit"` // A number, or null or a text where it is infinite.
			Count float64 `json:"count"`       // Of this bucket alone.
		} `json:"buckets"`
		Count float64 `json:"count"`
		Sum   float64 `json:"sum"`
	} `json:"aggregated_histogram"`
	Summary *struct {
		Quantiles []struct {
			Quantile float64 `json:"quantile"`
			Value    float64 `json:"value"`
		} `json:"quantiles"`
		Count float64 `json:"count"`
		Sum   float64 `json:"sum"`
	} `json:"aggregated_summary"`
}

type vectorValue struct {
	Value float64 `json:"value"`
}

// mostSamples is how often a sample of a distribution may count.
const mostSamples = 1000

func readVector(b *agentBatch, object []byte) {
	var m vectorMetric
	if !b.decoded(object, &m) {
		return
	}
	e := metric.Event{Metric: joined(m.Namespace, m.Name), Tags: vectorTags(m.Tags), Kind: metric.Delta}
	switch m.Kind {
	case "incremental":
	case "absolute":
		e.Kind = metric.Cumulative
	default:
		b.fault(metric.CodeKindInvalid, fmt.Sprintf("the kind %.40q is none of a metric of Vector, incremental or absolute: logs and traces have no numbers to count", m.Kind))
		return
	}
	if m.Timestamp != "" {
		t, err := time.Parse(time.RFC3339, m.Timestamp)
		if err != nil {
			b.fault(metric.CodeEventTimeInvalid, fmt.Sprintf("the timestamp %.40q is not RFC 3339", m.Timestamp))
			return
		}
		e.Time = t.UnixMilli()
	}
	m.add(b, e)
}

// add adds the events of a metric; e has what is common to them.
func (m *vectorMetric) add(b *agentBatch, e metric.Event) {
	with := func(suffix, tag, value string, kind metric.Kind, v float64) {
		n := e
		n.Metric, n.Kind, n.Value = e.Metric+suffix, kind, v
		if tag != "" {
			n.Tags = withTag(e.Tags, tag, value)
		}
		b.add(n)
	}
	switch {
	case m.Counter != nil:
		with("", "", "", e.Kind, m.Counter.Value)
	case m.Gauge != nil && e.Kind == metric.Cumulative:
		with("", "", "", metric.Gauge, m.Gauge.Value)
	case m.Gauge != nil:
		b.fault(metric.CodeKindInvalid, fmt.Sprintf("%.80q is by how much a gauge has changed: what it stands at is not known here", e.Metric))
	case m.Samples != nil:
		for _, s := range m.Samples.Samples {
			if s.Rate < 0 || s.Rate > mostSamples {
				b.fault(metric.CodeValueMissing, fmt.Sprintf("a sample of %.80q counts %d times: at most %d are allowed", e.Metric, s.Rate, mostSamples))
				continue
			}
			for range s.Rate {
				if b.N > b.limit {
					return
				}
				with("", "", "", metric.Plain, s.Value)
			}
		}
	case m.Histogram != nil:
		total := 0.0
		for _, bucket := range m.Histogram.Buckets {
			total += bucket.Count
			with("_bucket", "le", border(bucket.UpTo), e.Kind, total)
		}
		if n := len(m.Histogram.Buckets); n == 0 || border(m.Histogram.Buckets[n-1].UpTo) != "+Inf" {
			with("_bucket", "le", "+Inf", e.Kind, m.Histogram.Count)
		}
		with("_sum", "", "", e.Kind, m.Histogram.Sum)
		with("_count", "", "", e.Kind, m.Histogram.Count)
	case m.Summary != nil:
		for _, q := range m.Summary.Quantiles {
			with("", "quantile", strconv.FormatFloat(q.Quantile, 'g', -1, 64), metric.Gauge, q.Value)
		}
		with("_sum", "", "", e.Kind, m.Summary.Sum)
		with("_count", "", "", e.Kind, m.Summary.Count)
	default:
		b.fault(metric.CodeValueMissing, fmt.Sprintf("%.80q is none of counter, gauge, distribution, aggregated_histogram and aggregated_summary", e.Metric))
	}
}

// border is the text of a bucket's upper limit, as Prometheus has it.
func border(limit any) string {
	switch v := limit.(type) {
	case float64:
		if v < math.MaxFloat64 {
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
	case string:
		if !strings.Contains(strings.ToLower(v), "inf") {
			return v
		}
	}
	return "+Inf"
}

// vectorTags are texts; of several values of a tag (metric_tag_values = "full") the last one counts.
func vectorTags(all map[string]any) metric.Tags {
	tags := make(map[string]string, len(all))
	for key, v := range all {
		if list, ok := v.([]any); ok {
			if v = nil; len(list) > 0 {
				v = list[len(list)-1]
			}
		}
		if text, ok := v.(string); ok {
			tags[key] = text
		}
	}
	return metric.NewTags(tags)
}

// withTag are tags with another one, which replaces one of its key.
func withTag(tags metric.Tags, key, value string) metric.Tags {
	all := map[string]string{}
	for _, t := range tags {
		all[t.Key] = t.Value
	}
	all[key] = value
	return metric.NewTags(all)
}
