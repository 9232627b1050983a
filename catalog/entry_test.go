package catalog

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// fresh is a time at which no entry is stale.
var fresh = time.UnixMilli(0)

func goldenEntry() Entry {
	mean := 12.5
	return Entry{
		Metric: "api.request.latency", Series: 210, Overflow: true,
		Tags: []Tag{
			{Key: "host", Values: []string{"a", "b"}, More: 101},
			{Key: "region", Values: []string{"eu", "us <1>"}},
		},
		Kinds: []string{"cumulative"}, Units: []string{"ms"}, Help: []string{"How long a request takes."}, Arrival: 6, LastEvent: 1763892059871, LastMean: &mean, LastMinute: 21013, Updated: 1763892060000,
	}
}

// The form in Redis, byte by byte.
func TestEntryGolden(t *testing.T) {
	golden, err := os.ReadFile("testdata/entry.json")
	if err != nil {
		t.Fatal(err)
	}
	golden = bytes.TrimSpace(golden)
	text, err := goldenEntry().Encode()
	if err != nil || !bytes.Equal(text, golden) {
		t.Errorf("encoded as\n%s, %v; want\n%s", text, err, golden)
	}
	e, ok := decode("api.request.latency", string(golden), fresh)
	if !ok || !reflect.DeepEqual(e, goldenEntry()) {
		t.Errorf("decoded as %+v, %v", e, ok)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":               `{"metric":`,
		"no object":             `[]`,
		"another metric":        `{"metric":"n"}`,
		"a field of wrong type": `{"metric":"m","series":"1"}`,
	} {
		if e, ok := decode("m", text, fresh); ok {
			t.Errorf("%s: it is read as %+v", name, e)
		}
	}
}

// An entry fits whatever its tags are, and what it does not show it counts.
func TestEntryFits(t *testing.T) {
	tags := func(keys, values int, value string) []Tag {
		out := make([]Tag, keys)
		for i := range out {
			out[i] = Tag{Key: fmt.Sprintf("%064d", i), More: 7}
			for j := range values {
				out[i].Values = append(out[i].Values, fmt.Sprintf("%03d", j)+value)
			}
		}
		return out
	}
	for _, c := range []struct {
		name         string
		tags         []Tag
		keys, values int // That are shown.
	}{
		{"no tags", nil, 0, 0},
		{"16 tags, 100 short values", tags(16, 100, "-value"), 16, 100},
		{"16 tags, 100 values of 253 bytes", tags(16, 100, strings.Repeat("v", 250)), 16, 12},
		{"100 tags, 100 values", tags(100, 100, "-value"), 100, 25},
		{"100 tags, values that need six bytes for one", tags(100, 100, strings.Repeat("\x00", 253)), 100, 0},
		{"150 tags", tags(150, 3, ""), 100, 3},
	} {
		text, err := Entry{Metric: "m", Tags: c.tags}.Encode()
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		e, ok := decode("m", string(text), fresh)
		if !ok {
			t.Fatalf("%s: cannot be read", c.name)
		}
		if len(text) > MaxEntry || len(e.Tags) != c.keys || e.MoreTags != len(c.tags)-c.keys {
			t.Errorf("%s: %d bytes, %d tags and %d more; want at most %d bytes, %d tags", c.name, len(text), len(e.Tags), e.MoreTags, MaxEntry, c.keys)
		}
		for i, tag := range e.Tags {
			if len(tag.Values) != c.values || len(tag.Values)+tag.More != len(c.tags[i].Values)+7 {
				t.Errorf("%s: tag %d shows %d values and %d more, want %d of %d", c.name, i, len(tag.Values), tag.More, c.values, len(c.tags[i].Values)+7)
				break
			}
		}
	}
}

// The entry that is encoded is not changed: its lists belong to others.
func TestEncodeLeavesTheEntry(t *testing.T) {
	e := goldenEntry()
	e.show(0)
	if !reflect.DeepEqual(e, goldenEntry()) {
		t.Errorf("it is %+v", e)
	}
	if b := e.show(0); len(b.Tags[0].Values) != 0 || b.Tags[0].More != 103 {
		t.Errorf("the brief one is %+v", b)
	}
}

func FuzzDecode(f *testing.F) {
	text, err := goldenEntry().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add("api.request.latency", text)
	f.Add("m", []byte(`{"metric":"m","tags":[{"key":"k","values":null,"more":-1}],"last_mean":1e400}`))
	f.Add("", []byte(`null`))
	f.Fuzz(func(t *testing.T, metric string, text []byte) {
		e, ok := decode(metric, string(text), fresh)
		if !ok || !utf8.Valid(text) {
			return
		}
		again, err := e.Encode()
		if err != nil {
			t.Fatalf("cannot encode what was decoded: %v", err)
		}
		if len(e.Tags) > MaxTags || len(again) > MaxEntry/2 {
			return // It was cut, or nearly so.
		}
		back, ok := decode(metric, string(again), fresh)
		for _, tag := range e.Tags {
			if len(tag.Values) > MaxValues {
				return
			}
		}
		if !ok || !reflect.DeepEqual(back, e) {
			t.Fatalf("%q decodes as %+v, and that as %+v, %v", text, e, back, ok)
		}
	})
}
