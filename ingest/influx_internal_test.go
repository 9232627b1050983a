package ingest

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"pulseboard/metric"
	"pulseboard/wire"
)

// Whatever comes: each value gets one verdict, what is accepted is valid, and
// written as lines again it reads the same.
func FuzzInflux(f *testing.F) {
	f.Add([]byte("cpu,host=a usage=1.5,n=2i 1763892000000000000\n# x\nm value=t\n"))
	f.Add([]byte("a\\ b,c\\,d=e\\=f g=\"x\\\"y\",h=1e999,i=18446744073709551616u -1\r\nbroken\nm,a=1,a=2 v=1u 946684800000000000"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d := new(influxDecoder)
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
		events := append([]metric.Event{}, b.Events...)
		var again lineprotocol.Encoder
		again.SetPrecision(lineprotocol.Millisecond)
		for _, e := range events {
			if metric.ValidateName(e.Metric) != nil || metric.CheckTags(e.Tags) != nil || math.IsNaN(e.Value) || math.IsInf(e.Value, 0) || e.Time != 0 && metric.TimeFault(e.Time) != nil {
				t.Fatalf("%q: accepted %+v", text, e)
			}
			again.StartLine(e.Metric)
			for _, tag := range e.Tags {
				again.AddTag(tag.Key, tag.Value)
			}
			again.AddField("value", lineprotocol.MustNewValue(e.Value))
			var at time.Time
			if e.Time != 0 {
				at = time.UnixMilli(e.Time)
			}
			again.EndLine(at)
		}
		if again.Err() != nil {
			t.Skip(again.Err()) // The encoder refuses some characters that the decoder takes.
		}
		back, err := d.read(again.Bytes(), 1000, 1, 1)
		if err != nil || len(back.Events) != len(events) || len(events) > 0 && !reflect.DeepEqual(back.Events, events) {
			t.Fatalf("%q: %+v reads back from %q as %+v, %v", text, events, again.Bytes(), back.Events, err)
		}
	})
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
		most = max(most, d.known.Bytes()+d.tags.Bytes())
	}
	if most > room || most < room/2 {
		t.Errorf("up to %d bytes were kept, of %d", most, room)
	}
	if d.Forget(); d.known.Bytes()+d.tags.Bytes() != 0 {
		t.Error("some are kept after all was forgotten")
	}
}
