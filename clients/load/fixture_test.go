package load

import (
	"bufio"
	"net"
	"net/http"

	"github.com/gorilla/websocket"
)

// hijacked is the side of a server of a connection, for gorilla's Upgrader.
type hijacked struct {
	http.ResponseWriter

	conn net.Conn
}

func (h hijacked) Header() http.Header { return http.Header{} }

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// silentUpgrade swallows the answer to the upgrade, which is no frame.
type silentUpgrade struct {
	net.Conn

	answered bool
}

func (c *silentUpgrade) Write(b []byte) (int, error) {
	if !c.answered {
		c.answered = true
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// upgradeOver makes a server's connection of one that nobody has spoken on.
func upgradeOver(conn net.Conn) (*websocket.Conn, error) {
	r, err := http.NewRequest(http.MethodGet, "http://test/", nil)
	if err != nil {
		return nil, err
	}
	r.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	up := websocket.Upgrader{}
	return up.Upgrade(hijacked{conn: &silentUpgrade{Conn: conn}}, r, nil)
}
