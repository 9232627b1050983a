package ingest

import (
	"encoding/json"
	"fmt"

	"github.com/gin-gonic/gin"

	"pulseboard/metric"
)

// collectdFormat is what collectd's plugin write_http writes with Format "JSON" and, as it is by itself, StoreRates false:
// what a counter stands at, and not its rate.
func collectdFormat() *format {
	return agentFormat("collectd", `JSON of collectd's write_http, a list of values such as {"host":"a","plugin":"load","type":"load","dsnames":["shortterm"],"dstypes":["gauge"],"values":[0.5],"time":1763892000.123}`,
		func(*gin.Context) func(*agentBatch, []byte) { return readCollectd })
}

func readCollectd(b *agentBatch, object []byte) {
	var v struct {
		Host     string     `json:"host"`
		Plugin   string     `json:"plugin"`
		PluginOf string     `json:"plugin_instance"`
		Type     string     `json:"type"`
		TypeOf   string     `json:"type_instance"`
		Names    []string   `json:"dsnames"`
		Types    []string   `json:"dstypes"`
		Values   []*float64 `json:"values"`
		Time     json.Number
	}
	if !b.decoded(object, &v) {
		return
	}
	t, nanos, ok := epoch(v.Time)
	switch {
	case v.Plugin == "":
		b.fault(metric.CodeNameMissing, "the values have no plugin")
		return
	case len(v.Values) == 0 || len(v.Names) != len(v.Values) || len(v.Types) != len(v.Values):
		b.fault(metric.CodeValueMissing, fmt.Sprintf("%.80q must have as many dsnames and dstypes as values", v.Plugin))
		return
	case !ok:
		b.fault(metric.CodeEventTimeInvalid, fmt.Sprintf("the time %.30s of %.80q is in no unit a time since 2000", v.Time, v.Plugin))
		return
	}
	tags := metric.NewTags(map[string]string{"host": v.Host, "plugin_instance": v.PluginOf, "type_instance": v.TypeOf})
	for i, value := range v.Values {
		if value == nil {
			b.left["null"]++ // A gauge that nobody knows.
			continue
		}
		var kind metric.Kind
		switch v.Types[i] {
		case "counter", "derive":
			kind = metric.Cumulative
		case "absolute":
			kind = metric.Delta
		case "gauge":
			kind = metric.Gauge
		default:
			b.fault(metric.CodeKindInvalid, fmt.Sprintf("the dstype %.40q is none of counter, derive, absolute and gauge", v.Types[i]))
			continue
		}
		name := v.Names[i]
		if name == "value" {
			name = ""
		}
		b.add(metric.Event{Metric: joined(v.Plugin, v.Type, name), Value: *value, Kind: kind, Tags: tags, Time: t, Nanos: nanos, Point: true})
	}
}
