package aggregate

import (
	"encoding/binary"
	"errors"
	"math"
)

const accVersion = 2

// AppendAcc appends the wire form of an accumulator: a version, then count,
// sum, min, max, newest event time, sketch and moments.
func AppendAcc(dst []byte, a *Acc) []byte { return appendAcc(append(dst, accVersion), a) }

func appendAcc(b []byte, a *Acc) []byte {
	b = binary.AppendUvarint(b, uint64(a.Count))
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(a.Sum))
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(a.Min))
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(a.Max))
	b = binary.AppendVarint(b, a.Newest)
	if a.Sketch == nil {
		b = append(b, 0)
	} else {
		b = a.Sketch.append(b)
	}
	b = binary.AppendUvarint(b, uint64(a.Moments.count()))
	if a.Moments.count() > 0 {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(a.Moments.Mean))
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(a.Moments.Squares))
	}
	return b
}

var errAcc = errors.New("not an encoded accumulator")

// DecodeAcc reads what AppendAcc wrote.
func DecodeAcc(b []byte) (Acc, error) {
	if len(b) == 0 || b[0] != accVersion {
		return Acc{}, errAcc
	}
	r := reader{b: b[1:]}
	a := r.acc()
	a.Sketch = r.sketch()
	if n := r.uvarint(); n > 0 {
		a.Moments = &Moments{int64(n), r.float(), r.float()}
	}
	if r.bad || len(r.b) > 0 {
		return Acc{}, errAcc
	}
	return a, nil
}

// acc reads an accumulator without its sketch.
func (r *reader) acc() Acc {
	return Acc{Count: int64(r.uvarint()), Sum: r.float(), Min: r.float(), Max: r.float(), Newest: r.varint()}
}
