package stream

import (
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/gorilla/websocket"

	"pulseboard/gateway/rooms"
)

// link is the connection of a client. One goroutine reads, another may write;
// close may be called by any.
type link interface {
	// read returns what the client says next. It fails with errNotText on what
	// is no text, and with a time-out when the client shows no sign of life.
	read() ([]byte, error)
	// limit bounds what read returns.
	limit(bytes int64)
	// write writes a message, whose text is only valid until it returns.
	write(m *rooms.Frame) error
	// ping asks for a sign of life.
	ping()
	// closeFrame ends the connection in order, after the close message.
	closeFrame(code int, reason string)
	// awaitPeerClose bounds the wait for the client's close frame.
	awaitPeerClose() error
	close()
}

var errNotText = errors.New("a message is no text")

// socket is a link over WebSocket.
type socket struct{ ws *websocket.Conn }

func newSocket(ws *websocket.Conn) *socket {
	s := &socket{ws}
	ws.SetPongHandler(func(string) error { return s.alive() })
	return s
}

func (s *socket) alive() error { return s.ws.SetReadDeadline(time.Now().Add(progressLimit)) }

func (s *socket) read() ([]byte, error) {
	kind, text, err := s.ws.ReadMessage()
	if err == nil && kind != websocket.TextMessage {
		err = errNotText
	}
	return text, err
}

func (s *socket) limit(bytes int64) { s.ws.SetReadLimit(bytes) }

func (s *socket) write(m *rooms.Frame) error {
	if err := s.ws.SetWriteDeadline(time.Now().Add(progressLimit)); err != nil {
		return err
	}
	if m.Prepared != nil {
		return s.ws.WritePreparedMessage(m.Prepared)
	}
	return s.ws.WriteMessage(websocket.TextMessage, m.Text)
}

// A client that is gone is found by its reading goroutine.
func (s *socket) ping() {
	_ = s.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(controlWait))
}

func (s *socket) closeFrame(code int, reason string) {
	// The client may be gone already.
	_ = s.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(controlWait))
	_ = s.awaitPeerClose()
}

func (s *socket) awaitPeerClose() error { return s.ws.SetReadDeadline(time.Now().Add(closeWait)) }

func (s *socket) close() { _ = s.ws.Close() } // It is gone, one way or the other.

// limitBuffer keeps the kernel from taking megabytes for a client that does not
// read: it would get them all, late, instead of the newest.
func limitBuffer(c net.Conn) error {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if tcp, ok := c.(interface{ SetWriteBuffer(bytes int) error }); ok {
		return tcp.SetWriteBuffer(socketBuffer)
	}
	return nil
}
