package ingest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"pulseboard/metric"
)

// fluentBitFormat is what Fluent Bit's output http writes with format json, json_lines or json_stream: records, whose numbers
// are events. The address may say what they are called, ?name=cpu, else the header Fluent-Tag does (header_tag Fluent-Tag),
// and which texts of a record are tags, ?tags=host,pod.
func fluentBitFormat() *format {
	return agentFormat("fluent-bit", `JSON of Fluent Bit, records such as {"date":1763892000.123,"cpu_p":1.5}`, func(c *gin.Context) func(*agentBatch, []byte) {
		r := fluentBit{name: c.Query("name"), tags: strings.Split(c.Query("tags"), ",")}
		if r.name == "" {
			r.name = c.GetHeader("Fluent-Tag")
		}
		return r.read
	})
}

type fluentBit struct {
	name string
	tags []string // Members that are tags.
}

// dateMembers are those that a record has its time in, by the settings json_date_key that are usual.
func dateMembers() []string { return []string{"date", "@timestamp", "timestamp"} }

func (r fluentBit) read(b *agentBatch, object []byte) {
	var record map[string]any
	if !b.decoded(object, &record) {
		return
	}
	e := metric.Event{}
	for _, key := range dateMembers() {
		v, ok := record[key]
		if !ok {
			continue
		}
		delete(record, key)
		if e.Time, ok = dateOf(v); !ok {
			b.fault(metric.CodeEventTimeInvalid, fmt.Sprintf("%s %.40v is neither RFC 3339 nor a time since 2000 in seconds or milliseconds", key, v))
			return
		}
		break
	}
	tags := map[string]string{}
	for _, key := range r.tags {
		if v, ok := record[key]; ok && v != nil {
			tags[key] = fmt.Sprint(v)
			delete(record, key)
		}
	}
	e.Tags = metric.NewTags(tags)
	before := b.N
	r.numbers(b, e, r.name, record, 0)
	if b.N == before {
		b.fault(metric.CodeValueMissing, "the record has no number")
	}
}

// mostNested is how deep objects in a record are looked into.
const mostNested = 4

func (r fluentBit) numbers(b *agentBatch, e metric.Event, name string, record map[string]any, depth int) {
	for _, key := range slices.Sorted(maps.Keys(record)) {
		if b.N > b.limit {
			return
		}
		if inner, ok := record[key].(map[string]any); ok && depth < mostNested {
			r.numbers(b, e, joined(name, key), inner, depth+1)
			continue
		}
		if v, ok := b.number(record[key]); ok {
			e.Metric, e.Value = joined(name, key), v
			b.add(e)
		}
	}
}

// dateOf reads the time of a record in the forms of json_date_format.
func dateOf(v any) (ms int64, ok bool) {
	switch v := v.(type) {
	case float64:
		ms, _, ok = epoch(json.Number(fmt.Sprintf("%.6f", v)))
		return ms, ok
	case string:
		t, err := time.Parse(time.RFC3339, v)
		return t.UnixMilli(), err == nil
	}
	return 0, false
}
