package sources

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A reader that holds more than it may fetches for those partitions only of which it holds nothing.
func TestReadingAheadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		all := &readAhead{limit: 1000}
		full, empty := &share{all: all}, &share{all: all}
		full.put(2000, 0)
		if !empty.awaitRoom(ctx) {
			t.Error("a partition of which nothing is held may not fetch")
		}
		var let atomic.Bool
		go func() { let.Store(full.awaitRoom(ctx)) }()
		time.Sleep(time.Minute) //nolint:forbidigo // Of virtual time.
		if let.Load() {
			t.Error("a partition fetches beyond what may be held")
		}
		full.take(2000)
		time.Sleep(time.Second) //nolint:forbidigo // Of virtual time.
		if !let.Load() {
			t.Error("a partition waits though there is room")
		}
		full.put(2000, 0)
		cancel()
		if full.awaitRoom(ctx) {
			t.Error("the end of the reader is not seen")
		}
	})
}

// Three quarters are for records, the rest for what decoders remember; without a limit nothing waits.
func TestRoomIsForRecords(t *testing.T) {
	for _, c := range []struct{ limit, others, own int64 }{{1000, 700, 50}, {0, 1 << 40, 1 << 40}} {
		all := &readAhead{limit: c.limit}
		other, own := &share{all: all}, &share{all: all}
		other.put(c.others, 0)
		own.put(c.own, 0)
		if !own.awaitRoom(t.Context()) {
			t.Errorf("with %d bytes of %d it waits", c.others+c.own, c.limit)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	all := &readAhead{limit: 1000}
	other, own := &share{all: all}, &share{all: all}
	other.put(700, 0)
	own.put(51, 0)
	if own.awaitRoom(ended) {
		t.Error("with 751 bytes of 1000 it does not wait")
	}
}

func TestWhatIsHeldIsCounted(t *testing.T) {
	all := new(readAhead)
	a, b := &share{all: all}, &share{all: all}
	a.put(100, 1)
	b.put(200, 2)
	a.put(50, 1)
	b.put(0, 0) // What is old is forgotten.
	b.take(200)
	if bytes, ids := all.bytes.Load(), all.ids.Load(); bytes != 150 || ids != 1 {
		t.Errorf("%d bytes, %d of ids; want 150, 1", bytes, ids)
	}
	if a.responses.Load() != 2 || b.responses.Load() != 1 {
		t.Errorf("%d and %d responses", a.responses.Load(), b.responses.Load())
	}
}
