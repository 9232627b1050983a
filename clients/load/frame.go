package load

import (
	"errors"
	"fmt"

	"pulseboard/internal/wsframe"
	"pulseboard/wire"
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
		h, ok, err := wsframe.Parse(b)
		switch {
		case err != nil:
			return err
		case ok && h.Length > maxMessage:
			return fmt.Errorf("a frame is longer than %d bytes", maxMessage)
		}
		end := h.Size + int(h.Length)
		if !ok || len(b) < end {
			break
		}
		payload := b[h.Size:end]
		b = b[end:]
		if err := f.frame(h, payload, to); err != nil {
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

func (f *frames) frame(h wsframe.Header, payload []byte, to receiver) error {
	switch {
	case h.Op >= wsframe.Close:
		return to.receive(h.Op, payload)
	case (h.Op == wsframe.Continuation) != (f.message != nil):
		return errors.New("frames of messages are mixed up")
	case h.Op == wsframe.Continuation:
		if len(f.message)+len(payload) > maxMessage {
			return fmt.Errorf("a message is longer than %d bytes", maxMessage)
		}
		f.message = append(f.message, payload...)
	case h.Final:
		return to.receive(h.Op, payload)
	default:
		f.op, f.message = h.Op, append(make([]byte, 0, len(payload)+1), payload...)
	}
	if !h.Final {
		return nil
	}
	message := f.message
	f.message = nil
	return to.receive(f.op, message)
}
