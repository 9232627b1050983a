package wire_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pulseboard/metric"
	"pulseboard/wire"
)

func recordOf(tags metric.Tags) []byte {
	return wire.AppendRecord(nil, "m", []metric.Event{{Metric: "m", Value: 1, Tags: tags}})
}

func decodeTags(t *testing.T, d *wire.Decoder, record []byte) metric.Tags {
	t.Helper()
	b, err := d.Record(record)
	if err != nil || len(b.Events) != 1 {
		t.Fatalf("%s: %+v, %v", record, b, err)
	}
	return b.Events[0].Tags
}

// Tags of which none comes again, and long ones, take a bounded amount of memory; the usual ones stay.
func TestRememberedIsBounded(t *testing.T) {
	const room = 1 << 20
	d := wire.NewDecoder(wire.NewRoom(room))
	most := int64(0)
	for i := range 2000 {
		tags := metric.Tags{{Key: "a", Value: fmt.Sprint(i, strings.Repeat("x", 200))}, {Key: "b", Value: fmt.Sprint(strings.Repeat("y", 200), i)}}
		if got := decodeTags(t, d, recordOf(tags)); got.Compare(tags) != 0 {
			t.Fatalf("record %d: %v, want %v", i, got, tags)
		}
		most = max(most, d.Remembered())
	}
	if most > room/2+4096 || most < room/2-4096 {
		t.Errorf("%d bytes were remembered at most; alone it may take half of %d", most, room)
	}
	usual := new(wire.Decoder)
	known := make([]*metric.Tag, 100_000)
	for round := range 2 {
		for i := range known {
			tags := decodeTags(t, usual, recordOf(metric.Tags{{Key: "host", Value: fmt.Sprint("host-", i)}, {Key: "path", Value: "/api/v1/items"}, {Key: "region", Value: "eu"}}))
			if round == 1 && &tags[0] != known[i] {
				t.Fatalf("of 100,000 usual tags those of host %d were forgotten", i)
			}
			known[i] = &tags[0]
		}
	}
	if n := usual.Remembered(); n > wire.DefaultRoom {
		t.Errorf("%d bytes are remembered, of %d", n, wire.DefaultRoom)
	}
	if usual.Forget(); usual.Remembered() != 0 {
		t.Errorf("%d bytes are remembered after all was forgotten", usual.Remembered())
	}
}

// Of more tags than there is room for, some are known all the same, when they come in turn too.
func TestTooManyTagsAreKnownInPart(t *testing.T) {
	const room, tags = 1 << 20, 4000 // Those of half the room are about 2,000.
	d := wire.NewDecoder(wire.NewRoom(room))
	last, known := make([]*metric.Tag, tags), 0
	for round := range 6 {
		known = 0
		for i := range tags {
			got := decodeTags(t, d, recordOf(metric.Tags{{Key: "host", Value: fmt.Sprint("host-", i)}, {Key: "path", Value: "/api/v1/items"}, {Key: "region", Value: "eu"}}))
			if last[i] == &got[0] {
				known++
			}
			last[i] = &got[0]
		}
		if round > 0 && known < tags/10 {
			t.Errorf("round %d: of %d tags %d are known", round, tags, known)
		}
	}
	if known > tags/2 {
		t.Errorf("%d of %d tags are known, more than there is room for: the test shows nothing", known, tags)
	}
}

// Equal tags are the same slice, whatever the events are like: pre-aggregation knows series by it.
func TestEqualTagsAreTheSameSlice(t *testing.T) {
	d := new(wire.Decoder)
	first := make([]*metric.Tag, 3000)
	r := rand.New(rand.NewPCG(5, 0))
	for range 30_000 {
		i := r.IntN(len(first))
		tags := metric.Tags{{Key: "host", Value: fmt.Sprint(i)}}
		if i%2 == 1 {
			tags = append(tags, metric.Tag{Key: "zone", Value: "é\n\""})
		}
		e := metric.Event{Metric: fmt.Sprint("m", r.IntN(3)), Value: r.Float64(), Time: 1763892000000 * r.Int64N(2), Tags: tags, Kind: metric.Kind(r.IntN(4))}
		b, err := d.Record(wire.AppendRecord(nil, e.Metric, []metric.Event{e}))
		if err != nil || len(b.Events) != 1 {
			t.Fatal(b, err)
		}
		got := b.Events[0].Tags
		if got.Compare(tags) != 0 {
			t.Fatalf("%v, want %v", got, tags)
		}
		if first[i] == nil {
			first[i] = &got[0]
		}
		if first[i] != &got[0] {
			t.Fatalf("%v is another slice than before", got)
		}
	}
}
