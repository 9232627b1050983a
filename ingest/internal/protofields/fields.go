// Package protofields reads the fields of messages of protocol buffers one after the other, without an allocation.
package protofields

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields reads the fields of a message one after the other. Once something is wrong there are no more, and Err says what.
type Fields struct {
	Text   []byte // What is to be read yet.
	Number protowire.Number
	Bytes  []byte // The value of a field with a length,
	Bits   uint64 // of any other.
	Err    error
}

// Next reads a field, if there is one.
func (f *Fields) Next() bool {
	if len(f.Text) == 0 || f.Err != nil {
		return false
	}
	number, kind, n := protowire.ConsumeTag(f.Text)
	if n < 0 {
		return f.fail(protowire.ParseError(n))
	}
	f.Number, f.Bytes, f.Bits, f.Text = number, nil, 0, f.Text[n:]
	switch kind {
	case protowire.VarintType:
		f.Bits, n = protowire.ConsumeVarint(f.Text)
	case protowire.Fixed64Type:
		f.Bits, n = protowire.ConsumeFixed64(f.Text)
	case protowire.Fixed32Type:
		var bits uint32
		bits, n = protowire.ConsumeFixed32(f.Text)
		f.Bits = uint64(bits)
	case protowire.BytesType:
		f.Bytes, n = protowire.ConsumeBytes(f.Text)
		if f.Bytes == nil && n > 0 {
			f.Bytes = []byte{}
		}
	default:
		return f.fail(fmt.Errorf("field %d is of a group, which protocol buffers have no more", number))
	}
	if n < 0 {
		return f.fail(protowire.ParseError(n))
	}
	f.Text = f.Text[n:]
	return true
}

// Leading is how many bytes of a text are fields of a number up to 15, with a length, from its beginning.
func Leading(text []byte, number protowire.Number) (n int) {
	tag := byte(number)<<3 | byte(protowire.BytesType)
	for n < len(text) && text[n] == tag {
		size, m := protowire.ConsumeVarint(text[n+1:])
		if m < 0 || size > uint64(len(text)-n-1-m) {
			return n // Who reads it says what is wrong.
		}
		n += 1 + m + int(size)
	}
	return n
}

func (f *Fields) fail(err error) bool {
	f.Err = err
	return false
}

// Double is the value of a field that holds one.
func (f *Fields) Double() float64 { return math.Float64frombits(f.Bits) }

var errPacked = errors.New("a list of numbers ends within one")

// Varints calls each with the numbers of the field, of which there is one or a list.
func (f *Fields) Varints(each func(uint64)) {
	if f.Bytes == nil {
		each(f.Bits)
		return
	}
	for b := f.Bytes; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			f.Err = errPacked
			return
		}
		each(v)
		b = b[n:]
	}
}

// Fixed64s does the same of numbers of 64 bits.
func (f *Fields) Fixed64s(each func(uint64)) {
	if f.Bytes == nil {
		each(f.Bits)
		return
	}
	if len(f.Bytes)%8 != 0 {
		f.Err = errPacked
		return
	}
	for b := f.Bytes; len(b) > 0; b = b[8:] {
		each(binary.LittleEndian.Uint64(b))
	}
}

// Doubles does the same of floats.
func (f *Fields) Doubles(each func(float64)) {
	f.Fixed64s(func(bits uint64) { each(math.Float64frombits(bits)) })
}

// Pair reads a message of two fields: a name and a value, or a key and a value.
func Pair(text []byte) (first, second []byte, err error) {
	f := Fields{Text: text}
	for f.Next() {
		switch f.Number {
		case 1:
			first = f.Bytes
		case 2:
			second = f.Bytes
		}
	}
	return first, second, f.Err
}
