package reader

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1" // RFC 6455 asks for it.
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"time"

	"pulseboard/internal/wsframe"
)

const (
	handshakeTime = 30 * time.Second
	longestAnswer = 4 << 10
)

// dial opens a connection and says hello. What the server sent after its answer
// is in the connection's buffer.
func dial(ctx context.Context, addr, id string, p Protocol, counts *Counts) (*conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", addr, err)
	}
	c := &conn{net: nc, protocol: p, counts: counts, buf: make([]byte, smallBuffer)}
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()
	if err := c.handshake(addr, id); err != nil {
		_ = nc.Close()
		if ctx.Err() != nil {
			err = ctx.Err() // Why it was closed under way.
		}
		return nil, fmt.Errorf("cannot open a stream of %s: %w", addr, err)
	}
	return c, nil
}

func (c *conn) handshake(addr, id string) error {
	if err := c.net.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return err
	}
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // It does not fail.
	key := base64.StdEncoding.EncodeToString(nonce)
	request := "GET " + c.protocol.Path(id) + " HTTP/1.1\r\nHost: " + addr + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\nSec-WebSocket-Protocol: " + c.protocol.Subprotocol + "\r\n\r\n"
	if _, err := c.net.Write([]byte(request)); err != nil {
		return err
	}
	for {
		n, err := c.net.Read(c.buf[c.have:])
		if err != nil {
			return err
		}
		c.have += n
		if end := bytes.Index(c.buf[:c.have], []byte("\r\n\r\n")); end >= 0 {
			if err := check(string(c.buf[:end]), key); err != nil {
				return err
			}
			c.have = copy(c.buf, c.buf[end+4:c.have])
			break
		}
		if c.have == min(len(c.buf), longestAnswer) {
			return fmt.Errorf("its answer is longer than %d bytes", longestAnswer)
		}
	}
	if err := c.send(wsframe.Text, []byte(c.protocol.Hello(id))); err != nil {
		return err
	}
	return c.net.SetDeadline(time.Time{})
}

// check reports whether the answer opens a WebSocket.
func check(answer, key string) error {
	status, headers, _ := strings.Cut(answer, "\r\n")
	if !strings.HasPrefix(status, "HTTP/1.1 101 ") {
		return fmt.Errorf("it answered %q", status)
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	want := base64.StdEncoding.EncodeToString(sum[:])
	for line := range strings.SplitSeq(headers, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "Sec-WebSocket-Accept") && strings.TrimSpace(value) == want {
			return nil
		}
	}
	return fmt.Errorf("its answer is that of no WebSocket: %q", answer)
}
