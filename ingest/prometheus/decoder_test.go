package prometheus_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"pulseboard/ingest/prometheus"
	"pulseboard/metric"
	"pulseboard/wire"
)

// The official encoders stand in a module of their own, e2e/prometheus, whose tests compare with them. Here messages are made by hand.

func message(number protowire.Number, fields ...[]byte) []byte {
	var inner []byte
	for _, f := range fields {
		inner = append(inner, f...)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), inner)
}

func text(number protowire.Number, s string) []byte { return message(number, []byte(s)) }

func varint(number protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), uint64(v))
}

func double(number protowire.Number, v float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, number, protowire.Fixed64Type), math.Float64bits(v))
}

const now = 1795428000000

// series1 is a time series of 1.0 with samples a second apart.
func series1(labels string, values ...float64) []byte {
	var fields [][]byte
	for pair := range strings.SplitSeq(labels, ",") {
		name, value, _ := strings.Cut(pair, "=")
		fields = append(fields, message(1, text(1, name), text(2, value)))
	}
	for i, v := range values {
		fields = append(fields, message(2, double(1, v), varint(2, now+int64(i)*1000)))
	}
	return message(1, fields...)
}

func TestSamplesArePoints(t *testing.T) {
	body := append(series1("__name__=up,instance=b:9100,job=node", 1, 2), series1("job=node,__name__=node load/°C,empty=", 0.5)...)
	d := prometheus.NewDecoder(wire.NewRoom(1 << 20))
	for range 2 { // Also when the series are known.
		r, err := d.Write1(body, 10)
		if err != nil || r.N != 3 || len(r.Events) != 3 || len(r.Faults) != 0 || r.Samples != 3 {
			t.Fatal(err, r)
		}
		var got []string
		for i := range r.Events {
			e := &r.Events[i]
			if !e.Point || e.Kind != metric.Cumulative {
				t.Errorf("%+v is no point of a counter", e)
			}
			got = append(got, fmt.Sprintf("%s%v %v %d", e.Metric, e.Tags, e.Value, e.Time-now))
			// The record says the same.
			record := wire.EndRecord(r.AppendEvent(wire.BeginRecord(nil, e.Metric), i))
			back, err := new(wire.Decoder).Record(record)
			if err != nil || len(back.Events) != 1 || fmt.Sprintf("%+v", back.Events[0]) != fmt.Sprintf("%+v", *e) {
				t.Errorf("%s: %v, %+v and not %+v", record, err, back, e)
			}
		}
		want := `up{"instance":"b:9100","job":"node"} 1 0; up{"instance":"b:9100","job":"node"} 2 1000; node load/°C{"job":"node"} 0.5 0`
		if strings.Join(got, "; ") != want {
			t.Errorf("%s, want %s", strings.Join(got, "; "), want)
		}
	}
}

// A sample with a fault is refused alone, and one that has no number is left out; a marker ends its series.
func TestVerdicts(t *testing.T) {
	stale := math.Float64frombits(0x7ff0000000000002)
	body := append(series1("__name__=a", 1, math.NaN(), math.Inf(1), stale), series1("job=x", 1)...)
	body = append(body, series1("__name__=a,x=1,x=2", 1)...)
	body = append(body, series1("__name__=a\x01", 1)...)
	body = append(body, message(1, message(1, text(1, "__name__"), text(2, "b")), message(2, double(1, 1), varint(2, 5)))...)
	r, err := prometheus.NewDecoder(nil).Write1(body, 10)
	if err != nil || len(r.Events) != 2 || !r.Events[1].Stale || r.NotNumbers != 2 || r.Samples != 8 {
		t.Fatal(err, r)
	}
	want := []string{"2 metric_name_missing", "3 tags_invalid", "4 metric_name_invalid", "5 event_time_invalid"}
	for i, f := range r.Faults {
		if i >= len(want) || fmt.Sprint(f.Index, " ", f.Code) != want[i] {
			t.Errorf("fault %d: %+v", i, f)
		}
	}
	if len(r.Faults) != len(want) {
		t.Errorf("%d faults", len(r.Faults))
	}
}

func TestBrokenBodies(t *testing.T) {
	whole := series1("__name__=up,job=node", 1, 2)
	for n := range whole {
		if n > 0 {
			if r, err := prometheus.NewDecoder(nil).Write1(whole[:n], 10); err == nil {
				t.Errorf("the first %d bytes are taken: %+v", n, r)
			}
		}
	}
	for name, body := range map[string][]byte{
		"a symbol that is not there": message(5, varint(1, 0), varint(1, 7), message(2, double(1, 1), varint(2, now))),
		"a label without a value":    append(text(4, ""), message(5, varint(1, 0), message(2, double(1, 1), varint(2, now)))...),
		"a group":                    {0x0b, 0x0c},
	} {
		if r, err := prometheus.NewDecoder(nil).Write2(body, 10); err == nil {
			t.Errorf("%s is taken: %+v", name, r)
		}
	}
	if _, err := prometheus.NewDecoder(nil).Write1(series1("__name__=up", 1, 2, 3), 2); !errors.Is(err, wire.ErrTooMany) {
		t.Errorf("too many: %v", err)
	}
}

// Whatever spans say, memory is bounded, and what is taken is a valid histogram.
func TestSpansOfHistograms(t *testing.T) {
	zigzag := func(v int64) int64 { return int64(protowire.EncodeZigZag(v)) }
	span := func(offset, length int64) []byte { return message(11, varint(1, zigzag(offset)), varint(2, length)) }
	counts := func(n int) (b []byte) {
		b = varint(12, zigzag(1))
		for range n - 1 {
			b = append(b, varint(12, 0)...)
		}
		return b
	}
	for name, c := range map[string]struct {
		fields []byte
		count  int64
		want   string
	}{
		"one bucket":               {append(span(1, 1), counts(1)...), 1, "scale 3 from 0: [1]"},
		"a gap":                    {append(append(span(-3, 2), span(2, 1)...), counts(3)...), 3, "scale 3 from -4: [1 1 0 0 1]"},
		"wider than an event":      {append(append(span(-4000, 1), span(7000, 1)...), counts(2)...), 2, "scale -1 from -251"},
		"beyond all numbers":       {append(append(span(-2000000000, 1), span(2100000000, 1)...), counts(2)...), 2, "histogram_invalid"},
		"backwards":                {append(append(span(5, 1), span(-3, 1)...), counts(2)...), 2, "histogram_invalid"},
		"more spans than counts":   {append(span(5, 1<<40), counts(2)...), 2, "histogram_invalid"},
		"fewer spans than counts":  {append(span(5, 1), counts(2)...), 2, "histogram_invalid"},
		"another count than bins":  {append(span(5, 1), counts(1)...), 2, "histogram_invalid"},
		"a count below zero":       {append(span(5, 1), varint(12, zigzag(-1))...), 0, "histogram_invalid"},
		"one that can lose values": {append(append(span(1, 1), counts(1)...), varint(14, 3)...), 1, "histogram_invalid"},
		"an unknown schema":        {append(append(span(1, 1), counts(1)...), varint(4, zigzag(30))...), 1, "histogram_invalid"},
	} {
		body := message(1, message(1, text(1, "__name__"), text(2, "h")), message(4, varint(1, c.count), double(3, 2), varint(4, zigzag(3)), varint(15, now), c.fields))
		r, err := prometheus.NewDecoder(nil).Write1(body, 10)
		if err != nil || r.N != 1 || r.Histograms != 1 || !r.IsHistogram(0) {
			t.Errorf("%s: %v, %+v", name, err, r)
			continue
		}
		var got string
		if len(r.Faults) == 1 {
			got = r.Faults[0].Code
		} else {
			h := r.Events[0].Histogram
			got = fmt.Sprintf("scale %d from %d: %v", h.Scale, h.Positive.Offset, h.Positive.Counts)
			if len(h.Positive.Counts) > wire.MaxSampleBins {
				t.Errorf("%s: %d bins", name, len(h.Positive.Counts))
			}
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %.80s, want %s", name, got, c.want)
		}
	}
}

// body2 is a body of 2.0: counters with starts.
func body2(series, samples int) []byte {
	symbols := []string{"", "__name__", "http_requests_total", "instance", "path", "job", "api"}
	var out []byte
	for i := range series {
		symbols = append(symbols, fmt.Sprintf("host-%d:9100", i), fmt.Sprintf("/v1/%d", i))
	}
	for _, s := range symbols {
		out = append(out, text(4, s)...)
	}
	for i := range series {
		var refs []byte
		for _, r := range []int{1, 2, 3, 7 + 2*i, 5, 6, 4, 8 + 2*i} {
			refs = protowire.AppendVarint(refs, uint64(r))
		}
		fields := [][]byte{message(1, refs), message(5, varint(1, 1))}
		for k := range samples {
			fields = append(fields, message(2, double(1, float64(i+k)), varint(2, now+int64(k)), varint(3, now-60_000)))
		}
		out = append(out, message(5, fields...)...)
	}
	return out
}

// In the steady state no sample of a number allocates.
func TestNothingIsAllocated(t *testing.T) {
	var one []byte
	for i := range 500 {
		one = append(one, series1(fmt.Sprintf("__name__=m%d,instance=host-%d,job=node", i%20, i), 1, 2)...)
	}
	two := body2(500, 2)
	d := prometheus.NewDecoder(wire.NewRoom(64 << 20))
	record := make([]byte, 0, 1<<10)
	for name, read := range map[string]func() (*prometheus.Request, error){
		"1.0": func() (*prometheus.Request, error) { return d.Write1(one, 2000) },
		"2.0": func() (*prometheus.Request, error) { return d.Write2(two, 2000) },
	} {
		allocs := testing.AllocsPerRun(20, func() {
			r, err := read()
			if err != nil || len(r.Events) != 1000 {
				t.Fatal(err, len(r.Events))
			}
			for i := range r.Events {
				record = r.AppendEvent(record[:0], i)
			}
		})
		if allocs > 2 {
			t.Errorf("%s: %v allocations for 1,000 samples", name, allocs)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	two := body2(1000, 1)
	d := prometheus.NewDecoder(wire.NewRoom(64 << 20))
	var record []byte
	for b.Loop() {
		r, err := d.Write2(two, 2000)
		if err != nil {
			b.Fatal(err)
		}
		for i := range r.Events {
			record = r.AppendEvent(record[:0], i)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/sample")
}

// No body makes the decoder panic, and what it gives is valid.
func FuzzWrite(f *testing.F) {
	f.Add(series1("__name__=up,job=node", 1, 2), false)
	f.Add(body2(2, 2), true)
	d := prometheus.NewDecoder(nil)
	f.Fuzz(func(t *testing.T, body []byte, second bool) {
		read := d.Write1
		if second {
			read = d.Write2
		}
		r, err := read(body, 1000)
		if err != nil {
			return
		}
		if len(r.Events)+len(r.Faults) != r.N || len(r.Events) != len(r.Index) || len(d.Names()) != r.N {
			t.Fatalf("%d events, %d faults of %d", len(r.Events), len(r.Faults), r.N)
		}
		for i := range r.Events {
			e := &r.Events[i]
			if metric.ValidateName(e.Metric) != nil || metric.CheckTags(e.Tags) != nil || metric.TimeFault(e.Time) != nil || e.Check() != nil || math.IsNaN(e.Value) || math.IsInf(e.Value, 0) {
				t.Fatalf("%+v", e)
			}
			back, err := new(wire.Decoder).Record(wire.EndRecord(r.AppendEvent(wire.BeginRecord(nil, e.Metric), i)))
			if err != nil || len(back.Faults) > 0 {
				t.Fatalf("%+v: %v, %+v", e, err, back)
			}
		}
	})
}
