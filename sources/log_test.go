package sources

import (
	"slices"
	"testing"
)

// Walks over a log see what is in their range, and end where it cannot be read.
func TestWalks(t *testing.T) {
	log := newFakeLog()
	for range 3 {
		log.append(plain, -1, fakeRecord{name: "a", at: base}, fakeRecord{name: "b", at: base})
	}
	for _, perFetch := range []int{0, 1} {
		log.perFetch = perFetch
		var offsets, firsts []int64
		if err := each(t.Context(), log, 1, 5, func(l logged) { offsets = append(offsets, l.Offset) }); err != nil || !slices.Equal(offsets, []int64{1, 2, 3, 4}) {
			t.Errorf("by %d: records %v, %v", perFetch, offsets, err)
		}
		if err := eachHead(t.Context(), log, 3, 6, func(b batch) { firsts = append(firsts, b.first) }); err != nil || !slices.Equal(firsts, []int64{2, 4}) {
			t.Errorf("by %d: batches %v, %v", perFetch, firsts, err)
		}
	}
	// A damaged batch has no head; the log before it is known.
	log.perFetch = 1
	log.change(func() { log.batches[1].text = log.batches[1].text[:20] })
	var firsts []int64
	if err := eachHead(t.Context(), log, 0, 6, func(b batch) { firsts = append(firsts, b.first) }); err != nil || !slices.Equal(firsts, []int64{0}) {
		t.Errorf("batches %v, %v; want those before the damage", firsts, err)
	}
}
