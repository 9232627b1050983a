package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/s2"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// forms are those that --format takes, with the path of each, that of vmagent for the same, and what else a head says.
func forms() map[string]struct{ path, peer, head string } {
	const protobuf = "Content-Type: application/x-protobuf"
	return map[string]struct{ path, peer, head string }{
		"json":          {"/ingest", "", "Content-Type: application/json\r\n"},
		"ndjson":        {"/ingest", "", "Content-Type: application/x-ndjson\r\n"},
		"influx":        {"/api/v2/write", "/write", "Content-Type: text/plain; charset=utf-8\r\n"},
		"remote-write":  {"/api/v1/write", "/api/v1/write", protobuf + "\r\nContent-Encoding: snappy\r\n"},
		"remote-write2": {"/api/v1/write", "", protobuf + ";proto=io.prometheus.write.v2.Request\r\nContent-Encoding: snappy\r\n"},
		"statsd-udp":    {},
		"statsd-tcp":    {},
		"otlp":          {"/v1/metrics", "/opentelemetry/v1/metrics", "Content-Type: application/x-protobuf\r\n"},
	}
}

// sample is one of the events of a body: of 20 metrics and 100 hosts.
type sample struct {
	metric, host string
	value        float64
}

const region, path = "eu", "/api/v1/items"

// body is one of the requests of a size: 20 metrics, 100 hosts, three tags, 130 bytes an event in JSON.
func body(format string, size, number int, now time.Time) (string, error) {
	samples := make([]sample, size)
	for i := range samples {
		n := i + number*size
		samples[i] = sample{fmt.Sprintf("api.request.latency.m%02d", n%20), fmt.Sprintf("web-%02d", n%100), float64(n%977)*1.25 + 0.1}
	}
	switch format {
	case "json", "ndjson":
		return jsonBody(format, samples, now), nil
	case "influx":
		var b strings.Builder
		for _, s := range samples {
			fmt.Fprintf(&b, "%s,host=%s,region=%s,path=%s value=%g %d\n", s.metric, s.host, region, path, s.value, now.UnixNano())
		}
		return b.String(), nil
	case "remote-write":
		return string(s2.EncodeSnappy(nil, remoteWrite1(samples, now))), nil
	case "remote-write2":
		return string(s2.EncodeSnappy(nil, remoteWrite2(samples, now))), nil
	case "statsd-udp", "statsd-tcp":
		var b strings.Builder
		for _, s := range samples {
			fmt.Fprintf(&b, "%s:%g|c|#host:%s,region:%s,path:%s\n", s.metric, s.value, s.host, region, path)
		}
		return b.String(), nil
	case "otlp":
		text, err := otlpBody(samples, now)
		return string(text), err
	}
	return "", fmt.Errorf("--format is %q: it must be json, ndjson, influx, remote-write, remote-write2, otlp, statsd-udp or statsd-tcp", format)
}

func jsonBody(format string, samples []sample, now time.Time) string {
	lines := make([]string, len(samples))
	for i, s := range samples {
		lines[i] = fmt.Sprintf(`{"metric_name":%q,"value":%g,"tags":{"host":%q,"region":%q,"path":%q},"event_time":%d}`, s.metric, s.value, s.host, region, path, now.UnixMilli())
	}
	switch {
	case format == "ndjson":
		return strings.Join(lines, "\n") + "\n"
	case len(lines) == 1:
		return lines[0]
	}
	return "[" + strings.Join(lines, ",") + "]"
}

func message(number protowire.Number, fields ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), slices.Concat(fields...))
}

func point(number protowire.Number, s sample, now time.Time) []byte {
	value := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), math.Float64bits(s.value))
	return message(number, value, protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), uint64(now.UnixMilli())))
}

// remoteWrite1 is a prometheus.WriteRequest, remoteWrite2 an io.prometheus.write.v2.Request.
func remoteWrite1(samples []sample, now time.Time) (out []byte) {
	label := func(name, value string) []byte {
		return message(1, message(1, []byte(name)), message(2, []byte(value)))
	}
	for _, s := range samples {
		out = append(out, message(1, label("__name__", s.metric), label("host", s.host), label("path", path), label("region", region), point(2, s, now))...)
	}
	return out
}

func remoteWrite2(samples []sample, now time.Time) (out []byte) {
	var symbols []string
	refs := make(map[string]uint64)
	ref := func(symbol string) []byte {
		if _, known := refs[symbol]; !known {
			refs[symbol] = uint64(len(symbols))
			symbols = append(symbols, symbol)
		}
		return binary.AppendUvarint(nil, refs[symbol])
	}
	ref("")
	var series []byte
	for _, s := range samples {
		var labels []byte
		for _, symbol := range []string{"__name__", s.metric, "host", s.host, "path", path, "region", region} {
			labels = append(labels, ref(symbol)...)
		}
		series = append(series, message(5, message(1, labels), point(2, s, now))...)
	}
	for _, symbol := range symbols {
		out = append(out, message(4, []byte(symbol))...)
	}
	return append(out, series...)
}

// otlpBody is an export of one resource, whose metrics have as many data points as there are hosts.
func otlpBody(samples []sample, now time.Time) ([]byte, error) {
	text := func(key, value string) *common.KeyValue {
		return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
	}
	points := make(map[string][]*otlp.NumberDataPoint)
	for _, s := range samples {
		points[s.metric] = append(points[s.metric], &otlp.NumberDataPoint{
			TimeUnixNano: uint64(now.UnixNano()), Value: &otlp.NumberDataPoint_AsDouble{AsDouble: s.value},
			Attributes: []*common.KeyValue{text("host", s.host), text("path", path), text("region", region)},
		})
	}
	scope := new(otlp.ScopeMetrics)
	for metric, of := range points {
		scope.Metrics = append(scope.Metrics, &otlp.Metric{Name: metric, Data: &otlp.Metric_Gauge{Gauge: &otlp.Gauge{DataPoints: of}}})
	}
	return proto.Marshal(&collector.ExportMetricsServiceRequest{ResourceMetrics: []*otlp.ResourceMetrics{{Resource: new(resource.Resource), ScopeMetrics: []*otlp.ScopeMetrics{scope}}}})
}

// request is a whole request, to a node or to a vmagent.
func request(format string, peer bool, text string) string {
	f := forms()[format]
	if peer {
		f.path = f.peer
	}
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s", f.path, f.head, len(text), text)
}
