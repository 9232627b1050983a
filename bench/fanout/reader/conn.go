package reader

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"pulseboard/internal/wsframe"
	"pulseboard/wire"
)

const (
	smallBuffer = 4 << 10  // Of a connection at rest; it holds most updates.
	mostHeld    = 64 << 10 // Longer messages are counted by their beginning and not held.
)

// conn is one connection.
type conn struct {
	net      net.Conn
	protocol Protocol
	counts   *Counts
	first    func() // Called once, with the first update.

	buf  []byte
	have int   // Bytes in buf.
	skip int64 // Bytes of a long message still to come.
}

// since is the time from an epoch ms to an epoch µs.
func since(ms, nowUs int64) time.Duration { return time.Duration(nowUs-ms*1000) * time.Microsecond }

// errClosed is a connection that the server closed in good order.
var errClosed = errors.New("the server closed the connection")

// read reads until the connection ends.
func (c *conn) read() error {
	for {
		if c.have == len(c.buf) {
			c.grow()
		}
		n, err := c.net.Read(c.buf[c.have:])
		if n > 0 {
			c.have += n
			if err := c.take(time.Now().UnixMicro()); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return errClosed
		}
		if err != nil {
			return err
		}
	}
}

func (c *conn) grow() {
	bigger := make([]byte, max(smallBuffer, min(2*len(c.buf), mostHeld)))
	copy(bigger, c.buf[:c.have])
	c.buf = bigger
}

// take looks at the whole frames in the buffer and keeps the rest.
func (c *conn) take(nowUs int64) error {
	rest := c.buf[:c.have]
	for len(rest) > 0 {
		if c.skip > 0 {
			n := min(c.skip, int64(len(rest)))
			c.skip -= n
			rest = rest[n:]
			continue
		}
		h, ok, err := wsframe.Parse(rest)
		switch {
		case err != nil:
			return err
		case ok && (!h.Final || h.Op == wsframe.Continuation):
			return errors.New("a message came in several frames, which the servers that are measured never send")
		}
		if !ok {
			break
		}
		whole := int64(h.Size) + h.Length
		if whole > mostHeld {
			c.counts.Others.Add(1)
			c.counts.Long.Add(1)
			c.skip = whole
			continue
		}
		if int64(len(rest)) < whole {
			break
		}
		if err := c.frame(h.Op, rest[h.Size:whole], nowUs); err != nil {
			return err
		}
		rest = rest[whole:]
	}
	c.have = copy(c.buf, rest)
	if c.have == 0 && len(c.buf) > smallBuffer {
		c.buf = make([]byte, smallBuffer) // The long one was an exception.
	}
	return nil
}

func (c *conn) frame(opcode byte, payload []byte, nowUs int64) error {
	switch opcode {
	case wsframe.Text:
		return c.message(payload, nowUs)
	case wsframe.Ping:
		return c.send(wsframe.Pong, payload)
	case wsframe.Close:
		if len(payload) < 2 {
			return errClosed
		}
		return fmt.Errorf("%w with code %d: %s", errClosed, int(payload[0])<<8|int(payload[1]), payload[2:])
	}
	return nil
}

// message looks at a text, which may be several lines of messages.
func (c *conn) message(text []byte, nowUs int64) error {
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte{'\n'})
		text = rest
		if c.protocol.Ping != "" && string(line) == c.protocol.Ping {
			if err := c.send(wsframe.Text, []byte(c.protocol.Pong)); err != nil {
				return err
			}
			continue
		}
		m, _ := c.counts.messages.Get().(*wire.Message)
		if m == nil {
			m = new(wire.Message)
		}
		u, ok := parseUpdate(m, line)
		c.counts.messages.Put(m)
		if !ok {
			c.counts.Others.Add(1)
			if fault := faultIn(line); fault != "" {
				return fmt.Errorf("the server says %s", fault)
			}
			continue
		}
		c.counts.Frames.Add(1)
		c.counts.Bytes.Add(int64(len(line)))
		if r := c.counts.recording.Load(); r != nil {
			r.add(u, nowUs)
		}
		if c.first != nil {
			c.first()
			c.first = nil
		}
	}
	return nil
}

// faultIn returns a message that says why nothing will come, "" = it is none.
func faultIn(line []byte) string {
	head := line[:min(len(line), 64)]
	if bytes.Contains(head, []byte(`"error":{`)) || bytes.Contains(head, []byte(`"type":"close"`)) || bytes.Contains(head, []byte(`"disconnect":{`)) {
		return string(line[:min(len(line), 200)])
	}
	return ""
}

func (c *conn) send(opcode byte, payload []byte) error {
	_, err := c.net.Write(wsframe.Append(nil, opcode, payload))
	return err
}
