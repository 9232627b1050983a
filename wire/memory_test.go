package wire

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

type length int

func (n length) Bytes() int { return int(n) }

// Whatever comes: what a memory knows is what was added and not forgotten, each text with its value, and what it takes is within its room.
func TestMemoryAgainstAMap(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		room := NewRoom(2*leastRoom + r.Int64N(1<<20))
		m := &Memory[length]{Room: room}
		added := make(map[string]length)
		texts := 100 + r.IntN(20_000)
		for range 40_000 {
			text := fmt.Sprint(r.IntN(texts))
			k := m.Find([]byte(text))
			if k == nil {
				added[text] = length(r.IntN(300))
				k = m.Add(text, added[text])
			}
			if k.Text != text || k.Value != added[text] {
				t.Fatalf("seed %d: %q is %+v, want %d", seed, text, k, added[text])
			}
			if m.bytes > leastRoom && m.bytes > room.limit-room.Taken() || m.bytes != room.Taken() {
				t.Fatalf("seed %d: %d bytes of %d, %d are taken", seed, m.bytes, room.limit, room.Taken())
			}
		}
		bytes := int64(0)
		for i := range m.entries {
			bytes += m.entries[i].size()
			if k := m.Find([]byte(m.entries[i].Text)); k != &m.entries[i] {
				t.Fatalf("seed %d: %q is at %v", seed, m.entries[i].Text, k)
			}
		}
		taken := 0
		for _, s := range m.slots {
			if s.entry != 0 {
				taken++
			}
		}
		if bytes != m.bytes || taken != m.Len() {
			t.Fatalf("seed %d: %d bytes are counted, of %d; %d slots are taken by %d entries", seed, m.bytes, bytes, taken, m.Len())
		}
		if m.Forget(); room.Taken() != 0 || m.Find([]byte("1")) != nil {
			t.Fatalf("seed %d: %d bytes are taken after all was forgotten", seed, room.Taken())
		}
	}
}

// Memories that share room leave some for the next one, and take together what there is and not more.
func TestRoomIsShared(t *testing.T) {
	const limit, n = 8 << 20, 6
	room := NewRoom(limit)
	memories := make([]*Memory[length], n)
	for i := range memories {
		m := &Memory[length]{Room: room}
		for k := range 50_000 {
			m.Add(fmt.Sprint(k, strings.Repeat("x", 200)), 0)
		}
		memories[i] = m
		// A half, a quarter, and so on, to an entry or two.
		if want := max(int64(limit>>(i+1)), leastRoom); m.Bytes() > want+1024 || m.Bytes() < want-1024 {
			t.Errorf("the memory %d takes %d bytes, not %d", i, m.Bytes(), want)
		}
	}
	if room.Taken() > limit+n*leastRoom {
		t.Errorf("%d bytes are taken, of %d", room.Taken(), limit)
	}
	memories[0].Forget()
	last := memories[n-1]
	for k := range 50_000 {
		last.Add(fmt.Sprint("again", k, strings.Repeat("x", 200)), 0)
	}
	if last.Bytes() < limit/8 {
		t.Errorf("once half of the room is free again, one that had %d bytes takes %d", leastRoom, last.Bytes())
	}
}
