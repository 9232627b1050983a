package aggregate

import (
	"encoding/binary"
	"math"
	"slices"
)

// block is some slices of one series, packed: an hour of many series must fit
// into memory. It is never changed, so that a reader may hold it without a lock.
//
// Per slice: how far its index is above the one before, the count and the mask of what
// it holds by need, how far its newest event is above that of the one before,
// the sum, minimum and maximum (of one event its value only), and what the mask says.
type block struct {
	first, last int64 // Slices.
	cells       int
	packed      []byte
}

func pack(scratch []byte, cells []cell) (block, []byte) {
	p := packer{b: scratch[:0]}
	for i := range cells {
		p.add(cells[i].slice, &cells[i].acc)
	}
	return block{first: p.first, last: p.slice, cells: p.cells, packed: slices.Clone(p.b)}, p.b
}

// packer packs slices one by one, in their order.
type packer struct {
	b            []byte
	cells        int
	first, slice int64
	newest       int64
}

func (p *packer) add(slice int64, a *Acc) {
	if p.cells == 0 {
		p.first, p.slice = slice, slice
	}
	p.b = binary.AppendUvarint(p.b, uint64(slice-p.slice))
	p.b = appendPackedAcc(p.b, a, &p.newest)
	p.slice = slice
	p.cells++
}

// appendPackedAcc packs an accumulator; newest is the newest event time of the one before.
func appendPackedAcc(dst []byte, a *Acc, newest *int64) []byte {
	holds := a.More.holds()
	dst = binary.AppendUvarint(dst, uint64(a.Count)<<needBits|uint64(holds))
	dst = binary.AppendVarint(dst, a.Newest-*newest)
	*newest = a.Newest
	dst = appendFloat(dst, a.Sum)
	if a.Count != 1 {
		dst = appendFloat(dst, a.Min)
		dst = appendFloat(dst, a.Max)
	}
	if holds != 0 {
		dst = appendMore(dst, holds, a)
	}
	return dst
}

// packedAcc reads what appendPackedAcc wrote into a; what it holds by need is in m, or new where that is nil.
func (r *Reader) packedAcc(a *Acc, newest *int64, m *More) {
	head := r.Uvarint()
	*newest += r.Varint()
	*a = Acc{Count: int64(head >> needBits), Newest: *newest}
	a.Sum = r.packedFloat()
	a.Min, a.Max = a.Sum, a.Sum
	if a.Count != 1 {
		a.Min, a.Max = r.packedFloat(), r.packedFloat()
	}
	if holds := Needs(head & (1<<needBits - 1)); holds != 0 {
		if m == nil {
			m = new(More)
		}
		r.more(holds, a, m)
	}
}

// unpack gives the slices of a block one by one.
type unpack struct {
	Reader

	slice  int64
	left   int
	newest int64
	cell   cell // The current one.
	memory More
}

// open begins with a block.
func (u *unpack) open(b block) {
	u.Reader = Reader{Rest: b.packed}
	u.slice, u.left, u.newest = b.first, b.cells, 0
}

// next moves on to the next slice, and returns false at the end.
func (u *unpack) next() bool {
	if u.left == 0 {
		return false
	}
	u.left--
	u.slice += int64(u.Uvarint())
	u.packedAcc(&u.cell.acc, &u.newest, &u.memory)
	u.cell.slice = u.slice
	return true
}

// The lowest bits of a packed float say what the others are.
const (
	packedRaw       = 0 // Nothing; eight bytes follow.
	packedInteger   = 1 // A whole number.
	packedThousands = 2 // A number of thousandths.
	packedNear      = 3 // A number of thousandths, and a byte: how many floats away it is.
	packedTypeBits  = 2
	packedLimit     = 1 << 44 // Numbers below take less than eight bytes.
)

// appendFloat packs a float without loss: metrics are mostly counts and short decimals.
func appendFloat(dst []byte, v float64) []byte {
	if v == 0 && math.Signbit(v) || math.Abs(v) >= packedLimit {
		return binary.LittleEndian.AppendUint64(append(dst, packedRaw), math.Float64bits(v))
	}
	if n := int64(v); float64(n) == v {
		return appendPacked(dst, n, packedInteger)
	}
	if n := math.Round(v * 1000); n != 0 && math.Abs(n) < packedLimit {
		// Decimals that were added up are a few floats away from the decimal that they should be.
		switch away := int64(math.Float64bits(v)) - int64(math.Float64bits(n/1000)); {
		case away == 0:
			return appendPacked(dst, int64(n), packedThousands)
		case away >= math.MinInt8 && away <= math.MaxInt8:
			return append(appendPacked(dst, int64(n), packedNear), byte(int8(away)))
		}
	}
	return binary.LittleEndian.AppendUint64(append(dst, packedRaw), math.Float64bits(v))
}

func appendPacked(dst []byte, n int64, kind uint64) []byte {
	return binary.AppendUvarint(dst, uint64(n<<1^n>>63)<<packedTypeBits|kind)
}

func (r *Reader) packedFloat() float64 {
	// The raw form first: it is the costly one.
	if len(r.Rest) > 8 && r.Rest[0] == packedRaw {
		v := math.Float64frombits(binary.LittleEndian.Uint64(r.Rest[1:]))
		r.Rest = r.Rest[9:]
		return v
	}
	u := r.Uvarint()
	n := u >> packedTypeBits
	v := float64(int64(n>>1) ^ -int64(n&1))
	switch u & (1<<packedTypeBits - 1) {
	case packedRaw:
		r.Bad = true // Its eight bytes are missing.
	case packedThousands:
		v /= 1000
	case packedNear:
		if len(r.Rest) == 0 {
			r.Bad = true
			return 0
		}
		v = math.Float64frombits(uint64(int64(math.Float64bits(v/1000)) + int64(int8(r.Rest[0]))))
		r.Rest = r.Rest[1:]
	}
	return v
}
