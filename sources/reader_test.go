package sources

import (
	"testing"

	"pulseboard/internal/kafkaconn"
	"pulseboard/job"
)

// A reader that a call left in its middle is not used again: what it took is nowhere.
func TestReaderOfAFailedCallIsReplaced(t *testing.T) {
	o := Options{Run: t.Name(), Topic: "t", SliceMs: 1000}
	readers := NewReaders(kafkaconn.At("127.0.0.1:1"), job.NewProgress(), nil)
	t.Cleanup(func() { _ = readers.Close() })
	first := readers.get(o, Position{Shard: Shard{0, 1}})
	first.busy = false
	if r := readers.get(o, Position{Shard: Shard{0, 1}}); r != first {
		t.Error("a reader that stands there is replaced")
	}
	if r := readers.get(o, Position{Shard: Shard{0, 1}}); r == first {
		t.Error("a reader that is in the middle of a call is used")
	}
}
