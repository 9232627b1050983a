package reader

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Opcodes of RFC 6455.
const (
	opText  = 1
	opClose = 8
	opPing  = 9
)

// header is the beginning of a frame from a server.
type header struct {
	opcode byte
	size   int   // Of the header itself.
	length int64 // Of what follows it.
}

// errFrame is what the servers that are measured never send.
var errFrame = errors.New("cannot read a WebSocket frame")

// parseHeader reads the header at the beginning of b; ok is false when there is
// more of it to come.
func parseHeader(b []byte) (h header, ok bool, err error) {
	if len(b) < 2 {
		return h, false, nil
	}
	const final, reserved, masked = 0x80, 0x70, 0x80
	switch {
	case b[0]&final == 0 || b[0]&0x0f == 0:
		return h, false, fmt.Errorf("%w: a message came in parts", errFrame)
	case b[0]&reserved != 0:
		return h, false, fmt.Errorf("%w: it uses an extension, such as compression", errFrame)
	case b[1]&masked != 0:
		return h, false, fmt.Errorf("%w: a server masked it", errFrame)
	}
	h = header{opcode: b[0] & 0x0f, size: 2, length: int64(b[1])}
	switch b[1] {
	case 126:
		h.size = 4
		if len(b) < h.size {
			return h, false, nil
		}
		h.length = int64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		h.size = 10
		if len(b) < h.size {
			return h, false, nil
		}
		n := binary.BigEndian.Uint64(b[2:])
		if n > 1<<40 {
			return h, false, fmt.Errorf("%w: it says that it has %d bytes", errFrame, n)
		}
		h.length = int64(n)
	}
	return h, true, nil
}

// appendFrame appends a frame from a client, which must be masked: with zeros,
// which changes nothing.
func appendFrame(b []byte, opcode byte, payload []byte) []byte {
	const final, masked = 0x80, 0x80
	b = append(b, final|opcode)
	switch n := len(payload); {
	case n < 126:
		b = append(b, masked|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, masked|127), uint64(n))
	}
	b = append(b, 0, 0, 0, 0)
	return append(b, payload...)
}
