package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"

	"pulseboard/wire"
)

// Opcodes of RFC 6455.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// No message of a server is longer.
const maxMessage = wire.MaxFrame

// frames puts the messages of a server together from what was read, whatever the
// pieces. It holds memory only between the pieces of a frame: the buffers of a
// library, one a connection, would be most of what a connection costs.
type frames struct {
	rest    []byte // The beginning of a frame.
	message []byte // The beginning of a message in several frames.
	op      byte
}

// receiver gets whole messages, and control frames. The payload is valid until it returns.
type receiver interface {
	receive(op byte, payload []byte) error
}

// feed takes what was read next.
func (f *frames) feed(b []byte, to receiver) error {
	if len(f.rest) > 0 {
		f.rest = append(f.rest, b...)
		b = f.rest
	}
	for len(b) > 0 {
		final, op, payload, n, err := splitFrame(b)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		b = b[n:]
		if err := f.frame(final, op, payload, to); err != nil {
			return err
		}
	}
	if len(b) == 0 {
		f.rest = nil
		return nil
	}
	if len(f.rest) == 0 || &b[0] != &f.rest[0] {
		f.rest = append([]byte(nil), b...)
	}
	return nil
}

func (f *frames) frame(final bool, op byte, payload []byte, to receiver) error {
	switch {
	case op >= opClose:
		return to.receive(op, payload)
	case (op == opContinuation) != (f.message != nil):
		return errors.New("frames of messages are mixed up")
	case op == opContinuation:
		if len(f.message)+len(payload) > maxMessage {
			return fmt.Errorf("a message is longer than %d bytes", maxMessage)
		}
		f.message = append(f.message, payload...)
	case final:
		return to.receive(op, payload)
	default:
		f.op, f.message = op, append(make([]byte, 0, len(payload)+1), payload...)
	}
	if !final {
		return nil
	}
	message := f.message
	f.message = nil
	return to.receive(f.op, message)
}

// splitFrame returns the first frame of b and its length, 0 when it is not whole.
func splitFrame(b []byte) (final bool, op byte, payload []byte, length int, err error) {
	if len(b) < 2 {
		return false, 0, nil, 0, nil
	}
	final, op = b[0]&0x80 != 0, b[0]&0x0F
	size, head := uint64(b[1]&0x7F), 2
	switch {
	case b[0]&0x70 != 0:
		return false, 0, nil, 0, errors.New("a frame has an extension that was not agreed on")
	case b[1]&0x80 != 0:
		return false, 0, nil, 0, errors.New("a frame of the server is masked")
	case op > opBinary && op < opClose || op > opPong:
		return false, 0, nil, 0, fmt.Errorf("a frame has the unknown opcode %d", op)
	case op >= opClose && (!final || size > 125):
		return false, 0, nil, 0, errors.New("a control frame is in pieces or too long")
	case size == 126:
		head = 4
	case size == 127:
		head = 10
	}
	if len(b) < head {
		return false, 0, nil, 0, nil
	}
	switch head {
	case 4:
		size = uint64(binary.BigEndian.Uint16(b[2:]))
	case 10:
		size = binary.BigEndian.Uint64(b[2:])
	}
	if size > maxMessage {
		return false, 0, nil, 0, fmt.Errorf("a frame is longer than %d bytes", maxMessage)
	}
	length = head + int(size)
	if len(b) < length {
		return false, 0, nil, 0, nil
	}
	return final, op, b[head:length], length, nil
}

// frameOfClient is a frame as a client sends it, masked as RFC 6455 wants it.
func frameOfClient(op byte, payload []byte) []byte {
	b := append(make([]byte, 0, len(payload)+14), 0x80|op)
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xFFFF:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	var mask [4]byte
	binary.BigEndian.PutUint32(mask[:], rand.Uint32()) //nolint:gosec // It protects proxies, not secrets.
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i&3])
	}
	return b
}
