package aggregate

import "errors"

// accVersion is the first byte of an encoded accumulator. Another form gets another number.
const accVersion = 4

// AppendAcc appends the wire form of an accumulator: a version, then what a block has of one.
func AppendAcc(dst []byte, a *Acc) []byte {
	return appendPackedAcc(append(dst, accVersion), a, new(int64))
}

var errAcc = errors.New("not an encoded accumulator")

// DecodeAcc reads what AppendAcc wrote.
func DecodeAcc(b []byte) (a Acc, err error) {
	if len(b) == 0 || b[0] != accVersion {
		return Acc{}, errAcc
	}
	r := Reader{Rest: b[1:]}
	if r.packedAcc(&a, new(int64), nil); r.Bad || len(r.Rest) > 0 {
		return Acc{}, errAcc
	}
	return a, nil
}
