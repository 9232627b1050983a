package embedded

import (
	"encoding/binary"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pulseboard/internal/clock"
)

// writeBatches makes a segment of batches of one record, each taken at a time, and returns it.
func writeBatches(t *testing.T, base int64, at ...time.Time) segment {
	t.Helper()
	var content []byte
	for i, when := range at {
		b := make([]byte, batchHead+9)
		binary.BigEndian.PutUint64(b, uint64(base)+uint64(i))
		binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
		b[16] = 2
		binary.BigEndian.PutUint64(b[35:], uint64(when.UnixMilli()))
		content = append(content, b...)
	}
	path := filepath.Join(t.TempDir(), "segment.dat")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return segment{path, base, int64(len(content))}
}

// The oldest go first, up to one that is young enough; and nobody before the clock has run
// evenly for as long as records are kept, whatever it says.
func TestNoClockEmptiesTheTopic(t *testing.T) {
	began := time.Now()
	at := func(minutes ...int) (times []time.Time) {
		for _, m := range minutes {
			times = append(times, began.Add(time.Duration(m)*time.Minute))
		}
		return times
	}
	held := map[int32][]segment{
		0: {writeBatches(t, 0, at(-100, -90)...), writeBatches(t, 2, at(-80, 10, -50, 20)...)}, // The third came while the clock was an hour behind.
		1: {writeBatches(t, 7, at(-100, 60, 1)...)},                                            // And an hour ahead.
		2: {writeBatches(t, 0, at(60)...)},
	}
	e := newExpiry(time.Hour, slog.New(slog.DiscardHandler))
	e.since, e.steps = began, clock.NewSteps(began)
	look := func(now time.Time, want map[int32]int64) {
		t.Helper()
		first, err := e.look(held, now)
		if err != nil || len(first) != len(want) {
			t.Errorf("after %v: %v, %v; want %v", now.Sub(began), first, err, want)
		}
		for p, offset := range want {
			if first[p] != offset {
				t.Errorf("after %v: %v, want %v", now.Sub(began), first, want)
			}
		}
	}
	look(began.Add(30*time.Minute), nil)
	look(began.Add(65*time.Minute), map[int32]int64{0: 3, 1: 8})
	look(began.Add(66*time.Minute), nil) // They are gone already.
}
