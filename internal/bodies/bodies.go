// Package bodies bounds the memory that the bodies of requests take, in all and by
// sender. A body takes from the budget as its bytes arrive, so that a Content-Length
// alone holds nothing.
//
// A sender may hold as much as is free: alone half of the budget, a third when
// another holds as much, and so on (a dynamic threshold, as switches share their
// memory: Choudhury and Hahne, 1998). So something is always left for the next sender,
// and nothing is reserved for senders that may never come.
package bodies

import (
	"errors"
	"io"
	"math/bits"
	"net/netip"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Errors of Budget.Read, beside those of the reader.
var (
	ErrFull     = errors.New("all bodies together take as much memory as they may")
	ErrAddress  = errors.New("the bodies of this address take as much memory as they may")
	ErrToken    = errors.New("the bodies of this token take as much memory as they may")
	ErrTooLarge = errors.New("the body is too large")
)

// Sender is the sender of a body.
type Sender struct {
	Address netip.Addr
	Token   string // Its name, "" = none was needed.
	// Near is set when many clients may share the address: see service.Proxies.
	Near bool
}

// manyBehind is how much more than a sender an address may hold that has several
// behind it: three quarters of the budget when it is alone.
const manyBehind = 3

// Budget bounds the bytes of all bodies in memory.
type Budget struct {
	limit   int64
	pending prometheus.Gauge
	spare   [classes]sync.Pool // Of *[]byte, memory of bodies that are done with, by class.

	mu        sync.Mutex
	taken     int64
	addresses map[netip.Addr]*share
	tokens    map[string]*share
}

// share is what one address or token holds.
type share struct{ bodies, taken int64 }

// New returns a budget of so many bytes; pending, which may be nil, shows what of
// them is taken.
func New(bytes int64, pending prometheus.Gauge) *Budget {
	return &Budget{limit: bytes + 1, pending: pending, addresses: map[netip.Addr]*share{}, tokens: map[string]*share{}}
}

// Body is what was read of a request. Release must be called in the end.
type Body struct {
	Text []byte

	budget         *Budget
	from           Sender
	address, token *share // Nil before anything was taken.
	taken          int64
}

// take takes n bytes more for a body.
func (b *Body) take(n int64) error {
	s := b.budget
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.address == nil {
		b.address = enter(s.addresses, b.from.Address)
		if b.from.Token != "" {
			b.token = enter(s.tokens, b.from.Token)
		}
	}
	left, many := s.limit-s.taken-n, int64(1)
	if b.token != nil || b.from.Near {
		many = manyBehind
	}
	switch {
	case left < 0:
		return ErrFull
	case s.taken == b.taken: // There is no other body.
	case b.token != nil && b.token.taken+n > left:
		return ErrToken
	case b.address.taken+n > many*left:
		return ErrAddress
	}
	s.add(b, n)
	return nil
}

func (s *Budget) add(b *Body, n int64) {
	b.taken += n
	s.taken += n
	b.address.taken += n
	if b.token != nil {
		b.token.taken += n
	}
	if s.pending != nil {
		s.pending.Add(float64(n))
	}
}

func enter[K comparable](all map[K]*share, key K) *share {
	h := all[key]
	if h == nil {
		h = new(share)
		all[key] = h
	}
	h.bodies++
	return h
}

func leave[K comparable](all map[K]*share, key K, h *share) {
	if h.bodies--; h.bodies == 0 {
		delete(all, key)
	}
}

// Release gives everything back.
func (b *Body) Release() {
	b.Free()
	if b.address == nil {
		return
	}
	s := b.budget
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(b, -b.taken)
	leave(s.addresses, b.from.Address, b.address)
	if b.token != nil {
		leave(s.tokens, b.from.Token, b.token)
	}
	b.address, b.token = nil, nil
}

// Free gives the memory of the text back, but nothing to the budget: for what was
// made of it, which is about as large.
func (b *Body) Free() {
	b.budget.keep(b.Text)
	b.Text = nil
}

// Unpack replaces the text by what unpack makes of it, which has size bytes at most; dst has so many.
func (b *Body) Unpack(size int64, unpack func(dst, text []byte) ([]byte, error)) error {
	piece := pieceOf(max(size, 1), size)
	if err := b.take(piece); err != nil {
		return err
	}
	packed := b.Text
	text, err := unpack(b.budget.memory(piece)[:size], packed)
	if err != nil {
		return err
	}
	b.Text = text
	b.budget.mu.Lock()
	b.budget.add(b, -int64(cap(packed)))
	b.budget.mu.Unlock()
	b.budget.keep(packed)
	return nil
}

// Memory is used again in sizes of powers of two, 512 bytes to 1 MiB: so a small
// body never holds a large piece. Larger bodies are few, and theirs is better free.
const (
	smallest = 9 // Bits of 512.
	classes  = 12
)

func class(size int64) int { return max(0, bits.Len64(uint64(size-1))-smallest) }

func classBytes(class int) int64 { return 1 << (class + smallest) }

func (s *Budget) keep(text []byte) {
	if n := int64(cap(text)); n > 0 {
		if c := class(n); c < classes && classBytes(c) == n {
			s.spare[c].Put(&text)
		}
	}
}

// memory returns an empty slice of this capacity.
func (s *Budget) memory(size int64) []byte {
	if c := class(size); c < classes && classBytes(c) == size {
		if old, ok := s.spare[c].Get().(*[]byte); ok {
			return (*old)[:0]
		}
	}
	return make([]byte, 0, size)
}

// A body begins with firstPiece bytes at most. Up to quickGrowth it grows to four
// times what has come, beyond to twice.
const (
	firstPiece  = 4 << 10
	quickGrowth = 64 << 10
)

// Read takes all of r, whose length is length if that is not negative, and at
// most limit bytes. The body must be released in any case.
func (s *Budget) Read(r io.Reader, length, limit int64, from Sender) (*Body, error) {
	out := &Body{budget: s, from: from}
	if length > limit {
		return out, ErrTooLarge
	}
	most := limit + 1 // One more than may come shows the end without growing.
	if length >= 0 {
		most = length + 1
	}
	size := pieceOf(min(most, firstPiece), limit)
	if err := out.take(size); err != nil {
		return out, err
	}
	out.Text = s.memory(size)
	for {
		n, err := r.Read(out.Text[len(out.Text):cap(out.Text)])
		out.Text = out.Text[:len(out.Text)+n]
		switch {
		case int64(len(out.Text)) > limit:
			return out, ErrTooLarge
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return out, err
		}
		if len(out.Text) == cap(out.Text) {
			if err := out.grow(most, limit); err != nil {
				return out, err
			}
		}
	}
}

func (b *Body) grow(most, limit int64) error {
	has := int64(cap(b.Text))
	size := 2 * has
	if has < quickGrowth {
		size = 4 * has
	}
	size = pieceOf(max(has+1, min(size, most)), limit)
	if err := b.take(size - has); err != nil {
		return err
	}
	larger := append(b.budget.memory(size), b.Text...)
	b.budget.keep(b.Text)
	b.Text = larger
	return nil
}

// pieceOf is the size of a piece that holds so much: that of a class if there is one.
func pieceOf(size, limit int64) int64 {
	if c := class(size); c < classes && classBytes(c) <= limit {
		return classBytes(c)
	}
	return size
}
