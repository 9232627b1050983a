package ingest

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"pulseboard/metric"
	"pulseboard/wire"
)

// byLibrary are the values of lines as the library of InfluxDB reads them; ok when it finds nothing wrong in any line. Of a field
// that a line has twice the last one counts.
func byLibrary(text []byte) (values []metric.Event, ok bool) {
	d := lineprotocol.NewDecoderWithBytes(text)
	for d.Next() {
		measurement, err := d.Measurement()
		if err != nil {
			return nil, false
		}
		name, tags, first := string(measurement), map[string]string{}, len(values)
		for {
			key, value, err := d.NextTag()
			if err != nil {
				return nil, false
			}
			if key == nil {
				break
			}
			if _, twice := tags[string(key)]; twice {
				return nil, false
			}
			tags[string(key)] = string(value)
		}
		for {
			key, value, err := d.NextField()
			if err != nil {
				return nil, false
			}
			if key == nil {
				break
			}
			if value.Kind() == lineprotocol.String {
				continue
			}
			e := metric.Event{Metric: name, Value: number(value), Tags: metric.NewTags(tags)}
			if string(key) != "value" {
				e.Metric += "." + string(key)
			}
			if at := slices.IndexFunc(values[first:], func(o metric.Event) bool { return o.Metric == e.Metric }); at >= 0 {
				values[first+at].Value = e.Value
				continue
			}
			values = append(values, e)
		}
		stamp, err := d.TimeBytes()
		if err != nil {
			return nil, false
		}
		if stamp != nil {
			ns, err := strconv.ParseInt(string(stamp), 10, 64)
			if err != nil || metric.TimeFault(ns/1_000_000) != nil {
				return nil, false
			}
			for i := range values[first:] {
				values[first+i].Time, values[first+i].Nanos, values[first+i].Point = ns/1_000_000, int32(ns%1_000_000), true
			}
		}
	}
	for _, e := range values {
		if metric.ValidateName(e.Metric) != nil || metric.CheckTags(e.Tags) != nil {
			return nil, false
		}
	}
	return values, true
}

// Whatever comes: each value gets one verdict, what is accepted is valid, and what InfluxDB's library finds nothing wrong in is
// read as it reads it.
func FuzzInflux(f *testing.F) {
	f.Add([]byte("cpu,host=a usage=1.5,n=2i 1763892000000000000\n# x\nm value=t\n"))
	f.Add([]byte("a\\ b,c\\,d=e\\=f g=\"x\\\"y\",h=1e999,i=18446744073709551616u -1\r\nbroken\nm,a=1,a=2 v=1u 946684800000000000"))
	f.Add([]byte("m,a=\\ ,b=c\\\\ d=1,d=2,s=\"\n\\\\\",e=F  1763892000000000001 \r\n\n  m\\\\,x v=-1i"))
	f.Add([]byte("m good=1,bad=NaN,=3,x,y=,z=\"a\"b,q=+Inf,last=.5 1763892000000000000\nm u=\"\nm v=1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d := new(influxDecoder)
		for range 2 { // The second time from memory.
			b, err := d.read(text, 1000, 1_000_000, 1)
			if errors.Is(err, wire.ErrTooMany) {
				return
			}
			if len(b.Events)+len(b.Faults) != b.N || len(b.Index) != len(b.Events) || len(d.names) != b.N {
				t.Fatalf("%q: %+v, names %q", text, b, d.names)
			}
			seen := make([]bool, b.N)
			for _, i := range b.Index {
				seen[i] = true
			}
			for i, f := range b.Faults {
				if seen[f.Index] || i > 0 && b.Faults[i-1].Index >= f.Index || f.Code == "" || f.Detail == "" {
					t.Fatalf("%q: %+v", text, b)
				}
			}
			for i, e := range b.Events {
				// Its record has the text of the line where that can stand there.
				record := wire.EndRecord(b.AppendEvent(wire.BeginRecord(nil, e.Metric), i))
				if r, err := new(wire.Decoder).Record(record); err != nil || len(r.Events) != 1 || !reflect.DeepEqual(r.Events[0], e) || math.Signbit(r.Events[0].Value) != math.Signbit(e.Value) {
					t.Fatalf("%q: the record of %+v is %s: %+v, %v", text, e, record, r, err)
				}
				if metric.ValidateName(e.Metric) != nil || metric.CheckTags(e.Tags) != nil || math.IsNaN(e.Value) || math.IsInf(e.Value, 0) || e.Time != 0 && metric.TimeFault(e.Time) != nil || e.Check() != nil {
					t.Fatalf("%q: accepted %+v", text, e)
				}
			}
			if want, ok := byLibrary(text); ok && (len(b.Faults) > 0 || len(b.Events) != len(want) || len(want) > 0 && !reflect.DeepEqual(b.Events, want)) {
				t.Fatalf("%q: %+v, %+v, InfluxDB's library reads %+v", text, b.Events, b.Faults, want)
			}
		}
	})
}

// A bad field costs none beside it, wherever it stands, and of a field that a line has twice the last one counts.
func TestBrokenFields(t *testing.T) {
	good := []string{"a=1", "b=2i", "c=t", "d=4e0"}
	for _, bad := range []string{
		"x=NaN", "x=+Inf", "x=-inf", "x=Infinity", "x=", "x", "=1", "", "x=1e999", "x=12x", "x=yes", "x=\"a\"b", "x=99999999999999999999i", "x=1=2", "x=0x", "x=-", "x='s'", "x=None", "x=null", "\x01=1",
	} {
		for at := range len(good) + 1 {
			fields := strings.Join(slices.Insert(slices.Clone(good), at, bad), ",")
			for _, stamp := range []string{"", " 1763892000000000000", " \r"} {
				b, err := new(influxDecoder).read([]byte("m,t=v "+fields+stamp+"\nn value=5"), 100, 1_000_000, 1)
				var got []string
				for _, e := range b.Events {
					got = append(got, fmt.Sprintf("%s=%v%v", e.Metric, e.Value, e.Tags))
				}
				if want := `[m.a=1{"t":"v"} m.b=2{"t":"v"} m.c=1{"t":"v"} m.d=4{"t":"v"} n=5{}]`; err != nil || fmt.Sprint(got) != want || len(b.Faults) != 1 || b.Faults[0].Index != at {
					t.Errorf("%q: %v, faults %+v, %v", fields+stamp, got, b.Faults, err)
				}
			}
		}
	}
	d := new(influxDecoder)
	for range 2 {
		for _, n := range []int{1, 3, 200} { // Of many it looks in another way.
			var fields strings.Builder
			for i := range 2 * n {
				fmt.Fprintf(&fields, "f%d=%d,", i%n, i)
			}
			b, err := d.read([]byte("m "+fields.String()+"s=\"x\""), 1000, 1_000_000, 1)
			if err != nil || len(b.Events) != n || b.N != n || d.twice != n || d.strings != 1 {
				t.Fatalf("%d: %+v, %d twice, %d strings, %v", n, b, d.twice, d.strings, err)
			}
			for i, e := range b.Events {
				if e.Metric != fmt.Sprint("m.f", i) || e.Value != float64(n+i) {
					t.Errorf("%d of %d is %+v", i, n, e)
				}
			}
		}
	}
}

// Lines as Telegraf sends them, of 10 fields.
func BenchmarkInflux(b *testing.B) {
	var text []byte
	for i := range 100 {
		text = fmt.Appendf(text, "cpu,cpu=cpu%d,host=web-%02d,region=eu ", i%4, i)
		for f, name := range []string{"usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait", "usage_irq", "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice"} {
			text = fmt.Appendf(text, "%s=%g,", name, float64(i*f)*1.25+0.1)
		}
		text = fmt.Appendf(text[:len(text)-1], " %d\n", 1763892000000000000)
	}
	d := newInfluxDecoder(nil)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		batch, err := d.read(text, 50_000, 1_000_000, 1)
		if err != nil || len(batch.Events) != 1000 {
			b.Fatal(err)
		}
		n += batch.N
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
}

// What never comes again does not stay: names and tags of many requests take a
// bounded amount of memory.
func TestInfluxDecoderForgets(t *testing.T) {
	const room = 4 << 20
	d := newInfluxDecoder(wire.NewRoom(room))
	value := strings.Repeat("v", 200)
	most := int64(0)
	for request := range 40 {
		var lines strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&lines, "m%d_%d,tag=%s%d_%d value=1\n", request, i, value, request, i)
		}
		if b, err := d.read([]byte(lines.String()), 1000, 1, 1); err != nil || len(b.Events) != 1000 || b.Events[999].Tags.Get("tag") != fmt.Sprint(value, request, "_999") {
			t.Fatal(b, err)
		}
		most = max(most, d.known.Bytes()+d.heads.Bytes())
	}
	if most > room || most < room/2 {
		t.Errorf("up to %d bytes were kept, of %d", most, room)
	}
	if d.Forget(); d.known.Bytes()+d.heads.Bytes() != 0 {
		t.Error("some are kept after all was forgotten")
	}
}
