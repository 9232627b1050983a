package ingest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/gin-gonic/gin"

	"pulseboard/metric"
)

// telegrafFormat is what Telegraf's outputs write with data_format = "json": a metric, several one after the other, or
// {"metrics":[…]}. Names and values are those of the line protocol.
func telegrafFormat() *format {
	return agentFormat("telegraf", `JSON of Telegraf, such as {"name":"cpu","tags":{"host":"a"},"fields":{"usage_idle":93.5},"timestamp":1763892000}`,
		func(*gin.Context) func(*agentBatch, []byte) { return readTelegraf })
}

type telegrafMetric struct {
	Name      string            `json:"name"`
	Tags      map[string]string `json:"tags"`
	Fields    map[string]any    `json:"fields"`
	Timestamp json.Number       `json:"timestamp"`
	Metrics   []json.RawMessage `json:"metrics"`
}

func readTelegraf(b *agentBatch, object []byte) {
	var m telegrafMetric
	if !b.decoded(object, &m) {
		return
	}
	if m.Metrics != nil {
		for _, one := range m.Metrics {
			if b.N > b.limit {
				return
			}
			var inner telegrafMetric
			if b.decoded(one, &inner) {
				inner.add(b)
			}
		}
		return
	}
	m.add(b)
}

func (m *telegrafMetric) add(b *agentBatch) {
	t, nanos, ok := epoch(m.Timestamp)
	switch {
	case m.Name == "":
		b.fault(metric.CodeNameMissing, "the metric has no name")
		return
	case len(m.Fields) == 0:
		b.fault(metric.CodeValueMissing, fmt.Sprintf("%.80q has no fields", m.Name))
		return
	case !ok:
		b.fault(metric.CodeEventTimeInvalid, fmt.Sprintf("the timestamp %.30s of %.80q is in no unit a time since 2000", m.Timestamp, m.Name))
		return
	}
	tags := metric.NewTags(m.Tags)
	for _, key := range slices.Sorted(maps.Keys(m.Fields)) {
		v, ok := b.number(m.Fields[key])
		if !ok {
			continue
		}
		name := m.Name
		if key != "value" {
			name += "." + key
		}
		b.add(metric.Event{Metric: name, Value: v, Tags: tags, Time: t, Nanos: nanos, Point: true})
	}
}
