package ingest

import (
	"fmt"
	"strings"
	"testing"

	"pulseboard/internal/cputime"
	"pulseboard/metric"
	"pulseboard/wire"
)

// What an event of a request costs from the body to the records, when there are so many different tags, in turn: requests of
// 1,000 events, JSON and lines. ns/event is CPU time, ratio that to 1,000 tags.
func BenchmarkTagSets(b *testing.B) {
	for _, lines := range []bool{false, true} {
		base := 0.0
		for _, n := range []int{1000, 20_000, 100_000} {
			b.Run(fmt.Sprint(map[bool]string{false: "json", true: "lines"}[lines], "/", n), func(b *testing.B) {
				ns := tagSets(b, n, lines)
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

func tagSets(b *testing.B, n int, lines bool) float64 {
	b.Helper()
	const events, each, now = 200_000, 1000, 1_763_892_000_000
	var bodies []string
	for i := 0; i < events; i += each {
		var body strings.Builder
		for k := range each {
			if at := (i + k) % n; lines {
				fmt.Fprintf(&body, "api,host=web-%06d,path=/api/v1/items,region=eu latency=%g %d000000\n", at, float64(k)*1.25, now)
			} else {
				fmt.Fprintf(&body, `%c{"metric_name":"api.latency","value":%g,"tags":{"host":"web-%06d","path":"/api/v1/items","region":"eu"},"event_time":%d}`, "[,"[min(k, 1)], float64(k)*1.25, at, now)
			}
		}
		if !lines {
			body.WriteByte(']')
		}
		bodies = append(bodies, body.String())
	}
	s := &Service{config: Config{MaxEvents: each}, texts: wire.NewRoom(64 << 20)}
	var in incoming = &jsonRequest{s: s, decoders: newSpare(wire.NewDecoder)}
	if lines {
		in = &influxRequest{s: s, decoders: newSpare(newInfluxDecoder), perMs: 1_000_000, ms: 1}
	}
	p := newPacker().(*packer)
	request := func(text []byte) {
		batch, no := in.decode(text, 1<<20)
		if no != nil || len(batch.Events) != each {
			b.Fatal(no, batch)
		}
		if records := p.pack(batch, metric.DefaultLimits(), now, nil); len(records) != 1 {
			b.Fatal(records)
		}
		in.release(false)
		p.trim()
	}
	all := func() {
		for _, body := range bodies {
			request([]byte(body))
		}
	}
	all() // Now the tags are known.
	begin := cputime.Now(b)
	for b.Loop() {
		all()
	}
	return float64(cputime.Now(b)-begin) / float64(b.N*events)
}
