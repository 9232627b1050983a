package aggregate

import "math"

// A column of floats is packed as two columns of integers: whole numbers of a power of ten, since metrics are mostly
// counts and short decimals, and how many floats each is away from what that gives: none for decimals as they came, a
// few for decimals that were added up, any number for what is no decimal. So nothing is lost of any float, be it
// infinite, a zero with a sign or not a number. Where most are no decimals, their bits are the only column.
//
// A byte has the number of decimals, and whether there is a column of what floats are away.
const (
	mostDecimals = 9
	noDecimals   = 0x1f // In place of the number of decimals: the bits are all that there is.
	packedAway   = 0x80

	// Beyond it whole numbers have no room for decimals that they would be told from.
	largestWhole = 1 << 50
	// Farther away a float is taken for no decimal.
	fewFloats = 127
)

// appendFloats appends a column of floats.
func (p *packing) appendFloats(dst []byte, v []float64) []byte {
	if len(v) == 0 {
		return dst
	}
	p.whole, p.away = resized(p.whole, len(v)), resized(p.away, len(v))
	decimals, away := p.decimals(v)
	switch {
	case decimals == noDecimals:
		for i, x := range v {
			p.away[i] = int64(math.Float64bits(x))
		}
		return p.appendInts(append(dst, noDecimals), p.away)
	case away:
		dst = p.appendInts(append(dst, byte(decimals)|packedAway), p.whole)
		return p.appendInts(dst, p.away)
	default:
		return p.appendInts(append(dst, byte(decimals)), p.whole)
	}
}

// decimals fills the two columns of whole numbers and of how far off they are, and returns with how many decimals, and
// whether any is off.
func (p *packing) decimals(v []float64) (decimals int, away bool) {
	whole := 0
	for ; whole < len(v); whole++ {
		n := int64(v[whole])
		if floatsAway(float64(n), v[whole]) != 0 || n >= largestWhole || n <= -largestWhole {
			break
		}
		p.whole[whole] = n
	}
	if whole == len(v) {
		return 0, false
	}
	misses, unit := 0, 1.
	for i := 0; i < len(v); i++ {
		n, d := split(v[i], unit)
		if d < -fewFloats || d > fewFloats {
			if more := moreDecimals(v[i], decimals); more != noDecimals {
				decimals, unit, i, misses, away = more, math.Pow10(more), -1, 0, false // From the beginning.
				continue
			}
			if misses++; misses > 1+len(v)/8 {
				return noDecimals, true
			}
		}
		p.whole[i], p.away[i] = n, d<<1^d>>63
		away = away || d != 0
	}
	return decimals, away
}

// moreDecimals is with how many decimals, more than some, a float is one.
func moreDecimals(x float64, than int) int {
	for d := than + 1; d <= mostDecimals; d++ {
		if _, away := split(x, math.Pow10(d)); -fewFloats <= away && away <= fewFloats {
			return d
		}
	}
	return noDecimals
}

// split returns how many units a float is, and how many floats it is away from that.
func split(x, unit float64) (n, away int64) {
	if scaled := math.RoundToEven(x * unit); math.Abs(scaled) < largestWhole {
		n = int64(scaled)
	}
	return n, floatsAway(x, float64(n)/unit)
}

// floatsAway is how many floats lie between y and x; of different signs, and of what is no number, it is some number
// that leads from y to x all the same.
func floatsAway(x, y float64) int64 { return int64(math.Float64bits(x) - math.Float64bits(y)) }

// floats reads a column of len(v) floats into v; whole and away have room for as many numbers.
func (r *Reader) floats(v []float64, whole, away []int64) {
	if len(v) == 0 {
		return
	}
	head := r.byte()
	decimals := int(head &^ packedAway)
	if decimals == noDecimals {
		r.ints(away)
		for i, bits := range away {
			v[i] = math.Float64frombits(uint64(bits))
		}
		return
	}
	if decimals > mostDecimals {
		r.Bad = true
		return
	}
	r.ints(whole)
	if unit := math.Pow10(decimals); decimals == 0 {
		for i, n := range whole {
			v[i] = float64(n)
		}
	} else {
		for i, n := range whole {
			v[i] = float64(n) / unit
		}
	}
	if head&packedAway == 0 {
		return
	}
	r.ints(away)
	for i, u := range away {
		v[i] = math.Float64frombits(math.Float64bits(v[i]) + (uint64(u)>>1 ^ -(uint64(u) & 1)))
	}
}
