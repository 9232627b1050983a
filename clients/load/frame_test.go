package load

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"pulseboard/internal/wsframe"

	"github.com/gorilla/websocket"
)

// heard collects messages; the payload of each is copied, as it is only lent.
type heard struct {
	ops      []byte
	payloads [][]byte
}

func (h *heard) receive(op byte, payload []byte) error {
	h.ops = append(h.ops, op)
	h.payloads = append(h.payloads, bytes.Clone(payload))
	return nil
}

// fromServer is what gorilla/websocket, as a server, writes to the wire.
func fromServer(tb testing.TB, write func(*websocket.Conn)) []byte {
	tb.Helper()
	ours, theirs := net.Pipe()
	read := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(ours)
		read <- b
	}()
	ws := newServerConn(tb, theirs)
	write(ws)
	_ = ws.Close()
	return <-read
}

// newServerConn is a connection after its upgrade.
func newServerConn(tb testing.TB, conn net.Conn) *websocket.Conn {
	tb.Helper()
	// The only way to a Conn of the server's side is an upgrade.
	ws, err := upgradeOver(conn)
	if err != nil {
		tb.Fatal(err)
	}
	return ws
}

// Whatever the pieces in which it is read, it is what the server said.
func TestFramesInAnyPieces(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	texts := []string{"a", strings.Repeat("b", 125), strings.Repeat("c", 126), long, "", "last"}
	wire := fromServer(t, func(ws *websocket.Conn) {
		for _, s := range texts {
			if err := ws.WriteMessage(websocket.TextMessage, []byte(s)); err != nil {
				t.Error(err)
			}
		}
		if err := ws.WriteControl(websocket.PingMessage, []byte("p"), time.Now().Add(time.Minute)); err != nil {
			t.Error(err)
		}
		// A message in several frames.
		w, err := ws.NextWriter(websocket.TextMessage)
		if err != nil {
			t.Error(err)
			return
		}
		for _, s := range []string{long, "-", long} {
			if _, err := io.WriteString(w, s); err != nil {
				t.Error(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, piece := range []int{1, 2, 3, 7, 100, 4096, len(wire)} {
		var f frames
		var h heard
		for chunk := range slices.Chunk(wire, piece) {
			if err := f.feed(bytes.Clone(chunk), &h); err != nil {
				t.Fatalf("pieces of %d: %v", piece, err)
			}
		}
		want := append(slices.Clone(texts), "p", long+"-"+long)
		if len(h.payloads) != len(want) {
			t.Fatalf("pieces of %d: %d messages, want %d", piece, len(h.payloads), len(want))
		}
		for i, s := range want {
			if string(h.payloads[i]) != s {
				t.Errorf("pieces of %d: message %d has %d bytes, want %d", piece, i, len(h.payloads[i]), len(s))
			}
		}
		if h.ops[len(texts)] != wsframe.Ping || h.ops[0] != wsframe.Text || f.rest != nil || f.message != nil {
			t.Errorf("pieces of %d: opcodes %v; %d bytes are left", piece, h.ops, len(f.rest))
		}
	}
}

// What a client writes, gorilla/websocket reads.
func TestFramesOfAClient(t *testing.T) {
	ours, theirs := net.Pipe()
	ws := newServerConn(t, theirs)
	texts := []string{"", "a", strings.Repeat("b", 125), strings.Repeat("c", 126), strings.Repeat("d", 70_000)}
	go func() {
		for _, s := range texts {
			_, _ = ours.Write(wsframe.Append(nil, wsframe.Text, []byte(s))) // The reader notices.
		}
	}()
	for _, want := range texts {
		_, got, err := ws.ReadMessage()
		if err != nil || string(got) != want {
			t.Fatalf("%d bytes, %v; want %d", len(got), err, len(want))
		}
	}
	_ = ws.Close()
}

func TestFramesThatAreWrong(t *testing.T) {
	for name, b := range map[string]string{
		"masked":                  "\x81\x80\x00\x00\x00\x00",
		"longer than allowed":     "\x81\x7f\x00\x00\x00\x00\xff\x00\x00\x00",
		"longer than int64":       "\x81\x7f\xff\x00\x00\x00\xff\x00\x00\x00",
		"continues nothing":       "\x80\x00",
		"a text in another's mid": "\x01\x01a\x81\x01b",
	} {
		var f frames
		if err := f.feed([]byte(b), new(heard)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Two ways of cutting the same bytes say the same.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x81\x01a\x89\x00\x01\x01a\x80\x01b"), uint16(3))
	f.Add([]byte("\x81\x7e\x00\x03abc"), uint16(2))
	f.Fuzz(func(t *testing.T, wire []byte, piece uint16) {
		var whole, parts heard
		var a, b frames
		errA := a.feed(bytes.Clone(wire), &whole)
		var errB error
		for chunk := range slices.Chunk(wire, int(piece)+1) {
			if errB = b.feed(bytes.Clone(chunk), &parts); errB != nil {
				break
			}
		}
		if (errA == nil) != (errB == nil) {
			t.Fatalf("in one piece %v, in pieces %v", errA, errB)
		}
		if !bytes.Equal(whole.ops, parts.ops) || !slices.EqualFunc(whole.payloads, parts.payloads, bytes.Equal) {
			t.Fatalf("in one piece %q, in pieces %q", whole.payloads, parts.payloads)
		}
	})
}
