package prometheus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// fields reads the fields of a message one after the other. Once something is wrong there are no more, and err says what.
type fields struct {
	text   []byte
	number protowire.Number
	bytes  []byte // The value of a field with a length,
	bits   uint64 // of any other.
	err    error
}

func (f *fields) next() bool {
	if len(f.text) == 0 || f.err != nil {
		return false
	}
	number, kind, n := protowire.ConsumeTag(f.text)
	if n < 0 {
		return f.fail(protowire.ParseError(n))
	}
	f.number, f.bytes, f.bits, f.text = number, nil, 0, f.text[n:]
	switch kind {
	case protowire.VarintType:
		f.bits, n = protowire.ConsumeVarint(f.text)
	case protowire.Fixed64Type:
		f.bits, n = protowire.ConsumeFixed64(f.text)
	case protowire.Fixed32Type:
		var bits uint32
		bits, n = protowire.ConsumeFixed32(f.text)
		f.bits = uint64(bits)
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(f.text)
		if f.bytes == nil && n > 0 {
			f.bytes = []byte{}
		}
	default:
		return f.fail(fmt.Errorf("field %d is of a group, which protocol buffers have no more", number))
	}
	if n < 0 {
		return f.fail(protowire.ParseError(n))
	}
	f.text = f.text[n:]
	return true
}

func (f *fields) fail(err error) bool {
	f.err = err
	return false
}

func (f *fields) double() float64 { return math.Float64frombits(f.bits) }

var errPacked = errors.New("a list of numbers ends within one")

// varints calls each with the numbers of the field, of which there is one or a list.
func (f *fields) varints(each func(uint64)) {
	if f.bytes == nil {
		each(f.bits)
		return
	}
	for b := f.bytes; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			f.err = errPacked
			return
		}
		each(v)
		b = b[n:]
	}
}

// doubles does the same of floats.
func (f *fields) doubles(each func(float64)) {
	if f.bytes == nil {
		each(f.double())
		return
	}
	if len(f.bytes)%8 != 0 {
		f.err = errPacked
		return
	}
	for b := f.bytes; len(b) > 0; b = b[8:] {
		each(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}
}
