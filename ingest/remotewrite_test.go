package ingest_test

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"google.golang.org/protobuf/encoding/protowire"
)

func protoMessage(number protowire.Number, fields ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), bytes.Join(fields, nil))
}

func protoVarint(number protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), uint64(v))
}

func protoDouble(number protowire.Number, v float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, number, protowire.Fixed64Type), math.Float64bits(v))
}

// A request of 2.0 is stored as points, and its answer tells what was written; the same request again is the same points.
func TestRemoteWrite(t *testing.T) {
	n := start(t, nil)
	now := time.Now().UnixMilli()
	var body []byte
	for _, symbol := range []string{"", "__name__", "http_requests_total", "job", "api", "temperature"} {
		body = append(body, protoMessage(4, []byte(symbol))...)
	}
	body = append(body, protoMessage(5, protoMessage(1, []byte{1, 2, 3, 4}), protoMessage(5, protoVarint(1, 1)),
		protoMessage(2, protoDouble(1, 41), protoVarint(2, now-1000), protoVarint(3, now-5000)), protoMessage(2, protoDouble(1, 42), protoVarint(2, now), protoVarint(3, now-5000)),
		protoMessage(2, protoDouble(1, 1), protoVarint(2, now-90_000)))...)
	body = append(body, protoMessage(5, protoMessage(1, []byte{1, 5}), protoMessage(5, protoVarint(1, 2)), protoMessage(2, protoDouble(1, math.NaN()), protoVarint(2, now)),
		protoMessage(2, protoDouble(1, -3.5), protoVarint(2, now)), protoMessage(4, protoDouble(2, 1)))...)
	for range 2 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.TrimSuffix(n.url, "/ingest")+"/api/v1/write", bytes.NewReader(s2.EncodeSnappy(nil, body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
		req.Header.Set("Content-Encoding", "snappy")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close() //nolint:errcheck // It is not read.
		written := func(what string) string { return res.Header.Get("X-Prometheus-Remote-Write-" + what + "-Written") }
		if res.StatusCode != http.StatusBadRequest || written("Samples") != "4" || written("Histograms") != "0" || written("Exemplars") != "0" {
			t.Errorf("%d, samples %q, histograms %q, exemplars %q", res.StatusCode, written("Samples"), written("Histograms"), written("Exemplars"))
		}
	}
	var got []string
	for _, s := range n.stored() {
		for _, e := range s.events {
			got = append(got, fmt.Sprintf("%s%v %v %v %d %v", e.Metric, e.Tags, e.Kind, e.Value, e.Time-now, e.Point))
		}
	}
	one := `http_requests_total{"job":"api"} cumulative 41 -1000 true; http_requests_total{"job":"api"} cumulative 42 0 true`
	other := `temperature{} gauge -3.5 0 true`
	for _, want := range []string{one, other} {
		if strings.Count(strings.Join(got, "; "), want) != 2 {
			t.Errorf("stored %s\nlacks %s, twice", strings.Join(got, "\n"), want)
		}
	}
}
