package sources

import (
	"reflect"
	"testing"
)

func TestPositionCodec(t *testing.T) {
	for _, p := range []Position{
		{},
		{Shard: Shard{0, 1}, Started: true},
		{Shard: Shard{299, 300}},
		{Shard: Shard{3, 4}, Started: true, CoveredSince: 1_763_892_000_000, Next: []Offset{{}, {15, 1 << 40, 1<<40 - 5, 1 << 39, 1_763_892_000_000, 1_763_892_000_200}, {300, 7, 0, -1, -1, 1}}},
		{CoveredSince: -1},
	} {
		b := encodePosition(p)
		got, err := decodePosition(b)
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%+v reads back as %+v, %v", p, got, err)
		}
		if n := len(p.Next); n > 0 {
			if got, err := decodePosition(b[:len(b)-1]); err == nil && len(got.Next) == n {
				t.Errorf("a truncated position reads as %+v", got)
			}
		}
	}
	// Kept byte by byte: checkpoints hold positions.
	golden := "\x04\x01\x01\x02\x02\x03\xc8\x01\x08\xfc\x02\x0a\x0c"
	if got := string(encodePosition(Position{Shard: Shard{1, 2}, Started: true, CoveredSince: 1, Next: []Offset{{3, 200, 4, 190, 5, 6}}})); got != golden {
		t.Errorf("encoded as %q, was %q", got, golden)
	}
	if _, err := decodePosition([]byte{1, 0, 0}); err == nil {
		t.Error("an unknown version reads without an error")
	}
}
