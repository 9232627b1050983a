package aggregate

import "errors"

// accVersion is the first byte of an encoded accumulator. Another form gets another number.
const accVersion = 8

// AppendAcc appends the wire form of an accumulator: a version, then the columns of one.
func AppendAcc(dst []byte, a *Acc) []byte {
	var c columns
	c.add(a)
	return c.append(append(dst, accVersion))
}

var errAcc = errors.New("not an encoded accumulator")

// DecodeAcc reads what AppendAcc wrote.
func DecodeAcc(b []byte) (a Acc, err error) {
	if len(b) == 0 || b[0] != accVersion {
		return Acc{}, errAcc
	}
	r := Reader{Rest: b[1:]}
	var c columns
	c.read(&r, 1)
	if c.next(&r, &a, nil); r.Bad || len(r.Rest) > 0 {
		return Acc{}, errAcc
	}
	return a, nil
}
