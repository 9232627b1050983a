package aggregate

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// A column of integers is packed as its least number and, of each number, how far it is above that, in as many bits
// as most of them need. In long columns, where that is less: as the steps from one to the next; divided by what all of them are
// multiples of; with the few that need more bits behind the others.
//
// A byte has the width in bits and says whether a byte of the following flags comes next.
const (
	packedPlainly = 0x80 // Of the first byte: there are no flags.

	packedSteps   = 1 // Steps, with the sign as the lowest bit.
	packedDivided = 2
	packedPatched = 4

	// What is looked for in a shorter column would take more time than it saves memory.
	longColumn = 64

	// A number that begins at any bit of a byte is read as eight bytes. Wider ones take all of them.
	widestBits = 56
)

// packing is memory for packing columns, which is used for one after the other.
type packing struct {
	plain, steps []uint64
	whole, away  []int64
}

// appendInts appends a column; how many numbers it has, the reader must know.
func (p *packing) appendInts(dst []byte, v []int64) []byte {
	if len(v) == 0 {
		return dst
	}
	least, most := v[0], v[0]
	for _, x := range v {
		least, most = min(least, x), max(most, x)
	}
	if least == most {
		return binary.AppendVarint(append(dst, packedPlainly), least)
	}
	p.plain = slices.Grow(p.plain[:0], len(v))[:len(v)]
	for i, x := range v {
		p.plain[i] = uint64(x - least)
	}
	if len(v) < longColumn {
		w := wholeWidth(bits.Len64(uint64(most - least)))
		return appendBits(binary.AppendVarint(append(dst, packedPlainly|byte(w)), least), p.plain, w)
	}
	by := divide(p.plain)
	plain := widthOf(p.plain)
	lowest := p.stepsOf(v)
	steps := widthOf(p.steps)
	u, width, flags, base := p.plain, plain, byte(0), least
	if steps.cost < plain.cost {
		u, width, flags, base = p.steps, steps, packedSteps, v[0]
	} else if by > 1 {
		flags = packedDivided
	}
	if width.patches > 0 {
		flags |= packedPatched
	}
	if flags == 0 {
		return appendBits(binary.AppendVarint(append(dst, packedPlainly|byte(width.bits)), base), u, width.bits)
	}
	dst = binary.AppendVarint(append(dst, byte(width.bits), flags), base)
	switch {
	case flags&packedSteps != 0:
		dst = binary.AppendUvarint(dst, lowest)
	case flags&packedDivided != 0:
		dst = binary.AppendUvarint(dst, by)
	}
	dst = appendBits(dst, u, width.bits)
	if width.patches > 0 {
		dst = appendPatches(dst, u, width)
	}
	return dst
}

// stepsOf makes the steps of a column, above the lowest of them, which it returns.
func (p *packing) stepsOf(v []int64) (lowest uint64) {
	p.steps = slices.Grow(p.steps[:0], len(v))[:len(v)-1]
	lowest = math.MaxUint64
	for i := range p.steps {
		d := v[i+1] - v[i]
		u := uint64(d<<1 ^ d>>63)
		p.steps[i] = u
		lowest = min(lowest, u)
	}
	for i := range p.steps {
		p.steps[i] -= lowest
	}
	return lowest
}

// divide divides numbers by the greatest that they are all multiples of, and returns it.
func divide(u []uint64) uint64 {
	by := uint64(0)
	for _, x := range u {
		for x != 0 {
			by, x = x, by%x
		}
		if by == 1 {
			return 1
		}
	}
	for i := range u {
		u[i] /= by
	}
	return by
}

// width is in how many bits numbers are packed.
type width struct {
	bits    int
	patches int // How many numbers need more.
	cost    int // About how many bits all of it takes.
}

// A patch takes about two bytes besides the bits that its number has above the width.
const patchCost = 16

// widthOf finds the width that costs least.
func widthOf(u []uint64) (best width) {
	var lengths [65]int // How many numbers have so many bits.
	for _, x := range u {
		lengths[bits.Len64(x)]++
	}
	best.cost = math.MaxInt
	above, aboveBits := 0, 0 // Numbers with more bits, and these.
	for w := len(lengths) - 1; w >= 0; w-- {
		if lengths[w] == 0 && w > 0 {
			continue
		}
		if cost := len(u)*wholeWidth(w) + above*(patchCost-w) + aboveBits; cost < best.cost {
			best = width{wholeWidth(w), above, cost}
		}
		above += lengths[w]
		aboveBits += lengths[w] * w
	}
	if best.bits == 64 {
		best.patches = 0
	}
	return best
}

func wholeWidth(w int) int {
	if w > widestBits {
		return 64
	}
	return w
}

// appendBits appends the lowest bits of each number, one behind the other.
func appendBits(dst []byte, u []uint64, width int) []byte {
	if width == 64 {
		for _, x := range u {
			dst = binary.LittleEndian.AppendUint64(dst, x)
		}
		return dst
	}
	mask := uint64(1)<<width - 1
	var gathered uint64
	have := 0
	for _, x := range u {
		x &= mask
		gathered |= x << have
		if have += width; have >= 64 {
			dst = binary.LittleEndian.AppendUint64(dst, gathered)
			have -= 64
			gathered = x >> (width - have)
		}
	}
	for ; have > 0; have -= 8 {
		dst = append(dst, byte(gathered))
		gathered >>= 8
	}
	return dst
}

// appendPatches appends, of the numbers that need more bits, how many there are, and of each how many numbers lie
// between it and the one before, and its higher bits.
func appendPatches(dst []byte, u []uint64, w width) []byte {
	dst = binary.AppendUvarint(dst, uint64(w.patches))
	next := 0
	for i, x := range u {
		if high := x >> w.bits; high != 0 {
			dst = binary.AppendUvarint(dst, uint64(i-next))
			dst = binary.AppendUvarint(dst, high)
			next = i + 1
		}
	}
	return dst
}

// ints reads a column of len(v) numbers into v.
func (r *Reader) ints(v []int64) {
	if len(v) == 0 {
		return
	}
	head := r.byte()
	flags := byte(0)
	if head&packedPlainly == 0 {
		flags = r.byte()
	}
	base := r.Varint()
	width := int(head &^ packedPlainly)
	if width == 0 && flags == 0 {
		for i := range v {
			v[i] = base
		}
		return
	}
	if flags&packedSteps != 0 {
		lowest := r.Uvarint()
		v[0] = base
		r.packedBits(v[1:], width, flags)
		for i, u := range v[1:] {
			d := uint64(u) + lowest
			v[i+1] = v[i] + (int64(d>>1) ^ -int64(d&1))
		}
		return
	}
	by := int64(1)
	if flags&packedDivided != 0 {
		by = int64(r.Uvarint())
	}
	r.packedBits(v, width, flags)
	for i := range v {
		v[i] = base + v[i]*by
	}
}

// packedBits reads what appendBits and appendPatches wrote.
func (r *Reader) packedBits(v []int64, width int, flags byte) {
	size := (len(v)*width + 7) / 8
	if r.Bad || width > widestBits && width != 64 || size > len(r.Rest) {
		r.Bad = true
		return
	}
	b := r.Rest
	r.Rest = r.Rest[size:]
	if width == 64 {
		for i := range v {
			v[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
		}
	} else {
		mask := uint64(1)<<width - 1
		i, at := 0, 0
		for ; i < len(v) && at>>3 <= len(b)-8; i++ {
			v[i] = int64(binary.LittleEndian.Uint64(b[at>>3:]) >> (at & 7) & mask)
			at += width
		}
		for ; i < len(v); i++ { // Where less than eight bytes are left.
			var last [8]byte
			copy(last[:], b[min(at>>3, len(b)):])
			v[i] = int64(binary.LittleEndian.Uint64(last[:]) >> (at & 7) & mask)
			at += width
		}
	}
	if flags&packedPatched != 0 {
		r.patches(v, width)
	}
}

func (r *Reader) patches(v []int64, width int) {
	i := uint64(0)
	for n := r.Uvarint(); n > 0 && !r.Bad; n-- {
		i += r.Uvarint()
		high := r.Uvarint()
		if i >= uint64(len(v)) {
			r.Bad = true
			return
		}
		v[i] |= int64(high << width)
		i++
	}
}

func (r *Reader) byte() byte {
	if r.Bad || len(r.Rest) == 0 {
		r.Bad = true
		return 0
	}
	b := r.Rest[0]
	r.Rest = r.Rest[1:]
	return b
}
