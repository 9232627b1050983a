package aggregate

import (
	"encoding/binary"
	"math"
	"slices"
)

// block is some slices of one series, packed: an hour of many series must fit
// into memory. It is never changed, so that a reader may hold it without a lock.
//
// The first slice, how far the last is above it, how many slices there are, how far each is above the one before, how
// long a slice is, and the columns of their accumulators, of which the newest event times count from the slice's begin.
type block []byte

// mostCells is how many slices a block has at most.
const mostCells = 512

func (b block) first() int64 { return int64(binary.LittleEndian.Uint64(b)) }

func (b block) last() int64 {
	span, _ := binary.Uvarint(b[8:])
	return b.first() + int64(span)
}

func (b block) cells() int {
	_, n := binary.Uvarint(b[8:])
	cells, _ := binary.Uvarint(b[8+n:])
	return int(cells)
}

// packer packs slices one by one, in their order.
type packer struct {
	columns

	slices []int64
	steps  []int64
}

func (p *packer) reset() {
	p.columns.reset()
	p.slices = p.slices[:0]
}

func (p *packer) add(slice int64, a *Acc) {
	p.slices = append(p.slices, slice)
	p.columns.add(a)
}

// append appends the block of what was added, and begins anew.
func (p *packer) append(dst []byte) []byte {
	first, last := p.slices[0], p.slices[len(p.slices)-1]
	dst = binary.LittleEndian.AppendUint64(dst, uint64(first))
	dst = binary.AppendUvarint(dst, uint64(last-first))
	dst = binary.AppendUvarint(dst, uint64(len(p.slices)))
	p.steps = p.steps[:0]
	for i, slice := range p.slices[1:] {
		p.steps = append(p.steps, slice-p.slices[i])
	}
	dst = p.appendInts(dst, p.steps)
	length := lengthOf(first, p.newest[0])
	dst = binary.AppendVarint(dst, length)
	for i, slice := range p.slices {
		p.newest[i] -= slice * length
	}
	dst = p.columns.append(dst)
	p.reset()
	return dst
}

// lengthOf is how long a slice is, in milliseconds, of which an event time is known: of today's times their quotient. Where
// it is another, more bits are needed and nothing else.
func lengthOf(slice, eventTime int64) int64 {
	if slice == 0 {
		return 0
	}
	return Div(eventTime, slice)
}

// codec packs and unpacks blocks, one after the other in the same memory.
type codec struct {
	packer packer
	unpack unpack
	packed []byte
	done   []block
}

// add adds a slice, above those before, to the block that is being packed, or to the next one when that has most slices.
func (c *codec) add(slice int64, a *Acc, most int) {
	if len(c.packer.slices) == most {
		c.seal()
	}
	c.packer.add(slice, a)
}

func (c *codec) seal() {
	c.packed = c.packer.append(c.packed[:0])
	c.done = append(c.done, slices.Clone(c.packed))
}

// blocks are those of what was added since the last call. The list is valid until the next one.
func (c *codec) blocks() []block {
	if len(c.packer.slices) > 0 {
		c.seal()
	}
	blocks := c.done
	c.done = c.done[:0]
	return blocks
}

// unpack gives the slices of a block one by one.
type unpack struct {
	Reader
	columns

	slices []int64
	cell   cell // The current one.
	memory More
}

// open begins with a block.
func (u *unpack) open(b block) {
	u.Reader = Reader{Rest: b}
	u.slices = u.slices[:0]
	u.at = 0
	if len(b) < 8 {
		u.Bad = true
		return
	}
	first := b.first()
	u.Rest = b[8:]
	span, n := u.Uvarint(), u.Uvarint()
	if u.Bad || n == 0 || n > mostCells {
		u.Bad = true
		return
	}
	u.slices = resized(u.slices, int(n))
	u.ints(u.slices[1:])
	length := u.Varint()
	u.read(&u.Reader, int(n))
	slice := first
	for i, step := range u.slices {
		if i > 0 {
			u.Bad = u.Bad || step <= 0 || slice > math.MaxInt64-step
			slice += step
		}
		u.slices[i] = slice
		u.newest[i] += slice * length
	}
	u.Bad = u.Bad || uint64(slice-first) != span
}

// next moves on to the next slice, and returns false at the end, and where what comes is Bad.
func (u *unpack) next() bool {
	if u.Bad || u.at >= len(u.slices) {
		return false
	}
	u.cell.slice = u.slices[u.at]
	u.columns.next(&u.Reader, &u.cell.acc, &u.memory)
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
