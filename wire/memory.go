package wire

import (
	"hash/maphash"
	"math/rand/v2"
	"sync/atomic"
	"unsafe"
)

// Memory keeps what was read of texts that come again and again, as those of tags do. It takes a bounded number of
// bytes. Where a text finds no room, chance decides whether it is kept, and which others are forgotten for it. So of more
// texts than there is room for a part is known, in whatever order they come; to forget the oldest would be to know none
// of texts that come in turn.
//
// The zero value is ready, and is bounded by DefaultRoom. It is not safe for concurrent use.
type Memory[V Sized] struct {
	// Room bounds what this memory and others take together; nil = DefaultRoom bytes for this one alone.
	Room *Room

	seed    maphash.Seed
	slots   []slot // Where entries are, by the hash of their texts; a power of two, open addressing.
	entries []Known[V]
	bytes   int64

	// Texts often come in the order in which they came first, and entries lie in it.
	next   int      // The entry behind the last one that was found.
	inTurn bool     // That one was behind the one before.
	other  Known[V] // Of Add, when it is not kept.
}

// Known is a text, and what it means.
type Known[V Sized] struct {
	Text  string
	Value V
}

// Sized tells how many bytes of memory a value takes besides its own size.
type Sized interface{ Bytes() int }

// slot leads to an entry. The table is small beside the entries, since it alone is read at random.
type slot struct {
	hash  uint32
	entry uint32 // Its place and 1; 0 = the slot is free.
}

// Room is how many bytes memories may take together. Each may take as much as is left, one alone so half of it, two a
// third each: something is always left for the next. It is safe for concurrent use.
type Room struct {
	limit int64
	taken atomic.Int64
}

// DefaultRoom is what a memory without a Room may take: enough for 100,000 usual tags.
const DefaultRoom = 32 << 20

// leastRoom is what each memory may take, however little is left.
const leastRoom = 128 << 10

// NewRoom returns room for so many bytes.
func NewRoom(bytes int64) *Room { return &Room{limit: bytes} }

// Taken returns how many bytes are taken.
func (r *Room) Taken() int64 { return r.taken.Load() }

// Bytes returns about how many bytes of memory m takes.
func (m *Memory[V]) Bytes() int64 { return m.bytes }

// Len returns how many texts are known.
func (m *Memory[V]) Len() int { return len(m.entries) }

// Next returns the entry of the text that is likely to come next, if this one begins with it, else nil: where texts come in
// the order in which they came first, nothing needs to be looked up.
func (m *Memory[V]) Next(text []byte) *Known[V] {
	if !m.inTurn || m.next >= len(m.entries) {
		return nil
	}
	e := &m.entries[m.next]
	if n := len(e.Text); n > len(text) || e.Text != string(text[:n]) {
		return nil
	}
	m.next++
	return e
}

// Find returns the entry of a text, nil when it is not known. It is valid until the next call of Add or Forget.
func (m *Memory[V]) Find(text []byte) *Known[V] {
	if len(m.entries) == 0 {
		return nil
	}
	if m.inTurn && m.next < len(m.entries) && m.entries[m.next].Text == string(text) {
		m.next++
		return &m.entries[m.next-1]
	}
	hash := uint32(maphash.Bytes(m.seed, text))
	mask := uint32(len(m.slots) - 1)
	for i := hash & mask; m.slots[i].entry != 0; i = (i + 1) & mask {
		if s := m.slots[i]; s.hash == hash {
			if e := &m.entries[s.entry-1]; e.Text == string(text) {
				m.inTurn = m.next == int(s.entry-1)
				m.next = int(s.entry)
				return e
			}
		}
	}
	return nil
}

// Add makes a text known, which Find has not found, or not, where there is no room. It is valid as that of Find.
func (m *Memory[V]) Add(text string, value V) *Known[V] {
	e := Known[V]{text, value}
	size := e.size()
	// Few take the place of others: were it all of them, of texts that come in turn most would be forgotten before they come again.
	if !m.fits(size) && rand.Uint32()%8 != 0 {
		m.other = e
		return &m.other
	}
	for len(m.entries) > 0 && !m.fits(size) {
		m.drop(rand.IntN(len(m.entries)))
	}
	if (len(m.entries)+1)*8 > len(m.slots)*7 {
		m.grow()
	}
	m.entries = append(m.entries, e)
	m.put(slot{m.hash(text), uint32(len(m.entries))})
	m.take(size)
	return &m.entries[len(m.entries)-1]
}

// fits reports whether there is room for an entry of so many bytes.
func (m *Memory[V]) fits(bytes int64) bool {
	most := int64(DefaultRoom)
	if m.Room != nil {
		most = m.Room.limit - m.Room.taken.Load() - bytes
	}
	return m.bytes+bytes <= max(most, leastRoom)
}

// Forget gives everything back.
func (m *Memory[V]) Forget() {
	m.take(-m.bytes)
	m.slots, m.entries, m.other = nil, nil, Known[V]{}
}

// size is about what an entry takes: an allocation is rounded up, and slices and slots have room to grow.
func (e *Known[V]) size() int64 {
	const rounding = 16
	own := int64(unsafe.Sizeof(*e)) + int64(unsafe.Sizeof(slot{}))
	return own + own/4 + rounding + int64(len(e.Text)+e.Value.Bytes())
}

func (m *Memory[V]) take(bytes int64) {
	m.bytes += bytes
	if m.Room != nil {
		m.Room.taken.Add(bytes)
	}
}

func (m *Memory[V]) hash(text string) uint32 { return uint32(maphash.String(m.seed, text)) }

// put takes the first slot that is free from the place on that a hash leads to.
func (m *Memory[V]) put(s slot) {
	mask := uint32(len(m.slots) - 1)
	i := s.hash & mask
	for m.slots[i].entry != 0 {
		i = (i + 1) & mask
	}
	m.slots[i] = s
}

func (m *Memory[V]) grow() {
	old := m.slots
	if old == nil {
		m.seed = maphash.MakeSeed()
	}
	m.slots = make([]slot, max(8, 2*len(old)))
	for _, s := range old {
		if s.entry != 0 {
			m.put(s)
		}
	}
}

// slotOf returns the slot of entry i.
func (m *Memory[V]) slotOf(i int) uint32 {
	mask := uint32(len(m.slots) - 1)
	at := m.hash(m.entries[i].Text) & mask
	for m.slots[at].entry != uint32(i+1) {
		at = (at + 1) & mask
	}
	return at
}

// drop forgets entry i, whose place the last one takes.
func (m *Memory[V]) drop(i int) {
	m.take(-m.entries[i].size())
	m.free(m.slotOf(i))
	last := len(m.entries) - 1
	if i != last {
		m.slots[m.slotOf(last)].entry = uint32(i + 1)
		m.entries[i] = m.entries[last]
	}
	m.entries[last] = Known[V]{}
	m.entries = m.entries[:last]
}

// free frees a slot. Later ones move up, so that between an entry's slot and the one that its hash leads to none is free.
func (m *Memory[V]) free(at uint32) {
	mask := uint32(len(m.slots) - 1)
	for i := (at + 1) & mask; m.slots[i].entry != 0; i = (i + 1) & mask {
		if away := i - m.slots[i].hash; away&mask >= (i-at)&mask { // From where its hash leads to, at least as far as from the free slot.
			m.slots[at] = m.slots[i]
			at = i
		}
	}
	m.slots[at] = slot{}
}
