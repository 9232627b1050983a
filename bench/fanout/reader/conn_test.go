package reader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/wsframe"
)

func TestMessageInSeveralFrames(t *testing.T) {
	for _, b := range [][]byte{{0x01, 1, 'a'}, {0x80, 1, 'a'}} {
		c := &conn{counts: new(Counts), buf: b, have: len(b)}
		if err := c.take(0); err == nil || !strings.Contains(err.Error(), "several frames") {
			t.Errorf("%x: %v", b, err)
		}
	}
}

// However the network cuts a stream into pieces, the same is counted.
func FuzzPieces(f *testing.F) {
	stream := testenv.Frame(wsframe.Text, golden(f, "welcome.json"))
	stream = append(stream, testenv.Frame(wsframe.Text, golden(f, "update.json"))...)
	stream = append(stream, testenv.Frame(wsframe.Text, make([]byte, mostHeld+1))...)
	stream = append(stream, testenv.Frame(wsframe.Text, golden(f, "update-unchanged.json"))...)
	f.Add(stream, uint16(1))
	f.Add(stream, uint16(700))
	f.Add([]byte{0x81, 127, 0xff}, uint16(2))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint16) {
		// A pong cannot be written here.
		for i := range stream {
			if stream[i]&0x0f == wsframe.Ping {
				t.Skip()
			}
		}
		count := func(piece int) (frames, results, others int64, fault bool) {
			var counts Counts
			rec := &Recording{To: 1 << 60}
			counts.recording.Store(rec)
			c := &conn{counts: &counts}
			for rest := stream; len(rest) > 0 && !fault; {
				if c.have == len(c.buf) {
					c.grow()
				}
				n := copy(c.buf[c.have:], rest[:min(piece, len(rest))])
				c.have += n
				rest = rest[n:]
				fault = c.take(0) != nil
			}
			return counts.Frames.Load(), rec.Results.Load(), counts.Others.Load(), fault
		}
		f1, r1, o1, e1 := count(int(piece) + 1)
		f2, r2, o2, e2 := count(1 << 20)
		if f1 != f2 || r1 != r2 || o1 != o2 || e1 != e2 {
			t.Errorf("in pieces of %d: %d frames, %d results, %d others, fault %v; at once %d, %d, %d, %v", piece+1, f1, r1, o1, e1, f2, r2, o2, e2)
		}
	})
}

// peer is a server whose connections are those of handle.
func peer(t *testing.T, u websocket.Upgrader, handle func(*websocket.Conn) error) (addr string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := u.Upgrade(w, r, nil)
		if err != nil {
			return // The client has its answer.
		}
		defer ws.Close() //nolint:errcheck // The test is over.
		if err := handle(ws); err != nil && !errors.Is(err, errDone) {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

var errDone = errors.New("the client is gone")

// untilGone reads until the client closes.
func untilGone(ws *websocket.Conn) error {
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			return errDone
		}
	}
}

func TestPoolReadsWhatAServerSends(t *testing.T) {
	type said struct{ hello, pong string }
	heard := make(chan said, 3)
	addr := peer(t, websocket.Upgrader{Subprotocols: []string{"centrifuge-json"}}, func(ws *websocket.Conn) error {
		_, hello, err := ws.ReadMessage()
		if err != nil {
			return err
		}
		// A ping of WebSocket's own, one of centrifuge's in a message with others, a long message, an update.
		ponged := make(chan string, 1)
		ws.SetPongHandler(func(text string) error { ponged <- text; return nil })
		if err := ws.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(time.Minute)); err != nil {
			return err
		}
		for _, text := range []string{
			`{"id":1,"connect":{}}` + "\n{}\n" + string(pushed(golden(t, "update.json"))),
			`{"x":"` + strings.Repeat("x", mostHeld) + `"}`,
			string(pushed(golden(t, "update-unchanged.json"))),
		} {
			if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
				return err
			}
		}
		_, pong, err := ws.ReadMessage() // The pong of WebSocket comes before it.
		if err != nil {
			return err
		}
		heard <- said{string(hello), <-ponged + string(pong)}
		return untilGone(ws)
	})
	var p Pool
	defer p.Close()
	rec := p.Record(1763892060000, 1763892061000)
	if err := p.Connect(t.Context(), addr, Centrifuge(), []string{"a", "b", "c"}, 3, 1000); err != nil {
		t.Fatal(err)
	}
	hellos := map[string]bool{}
	for range 3 {
		s := <-heard
		hellos[s.hello] = true
		if s.pong != "are you there{}" {
			t.Errorf("the pongs were %q", s.pong)
		}
	}
	for _, id := range []string{"a", "b", "c"} {
		if want := `{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"` + id + `"}}`; !hellos[want] {
			t.Errorf("nobody said %q: %v", want, hellos)
		}
	}
	await(t, func() bool { return p.Counts.Frames.Load() == 6 })
	if n, long := p.Counts.Others.Load(), p.Counts.Long.Load(); n != 6 || long != 3 {
		t.Errorf("%d other messages, %d of them long; want 6 and 3", n, long)
	}
	if n, results := rec.Frames.Load(), rec.Results.Load(); n != 3 || results != 6 {
		t.Errorf("recorded %d frames with %d results; want the 3 of the one end, with 6", n, results)
	}
	if err := p.Err(); err != nil {
		t.Error(err)
	}
}

func await(t *testing.T, ok func() bool) {
	t.Helper()
	limit := time.After(time.Minute)
	for !ok() {
		select {
		case <-time.After(time.Millisecond):
		case <-limit:
			t.Fatal("it never was so")
		}
	}
}

// What keeps frames from coming is an error, and not taken for silence.
func TestPoolSaysWhatIsWrong(t *testing.T) {
	say := func(text string) func(*websocket.Conn) error {
		return func(ws *websocket.Conn) error {
			if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
				return err
			}
			return untilGone(ws)
		}
	}
	// A connection that is closed with something unread ends with a reset, and not in good order.
	heard := func(ws *websocket.Conn) error {
		_, _, err := ws.ReadMessage()
		return err
	}
	plain := websocket.Upgrader{}
	for name, c := range map[string]struct {
		addr string
		want string
	}{
		"an error in an answer": {peer(t, plain, say(`{"id":2,"error":{"code":103,"message":"permission denied"}}`)), "permission denied"},
		"a close message":       {peer(t, plain, say(`{"type":"close","code":4404,"reason":"there is no such dashboard"}`)), "no such dashboard"},
		"a close frame": {peer(t, plain, func(ws *websocket.Conn) error {
			if err := heard(ws); err != nil {
				return err
			}
			return ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(3500, "bad"), time.Now().Add(time.Minute))
		}), "code 3500: bad"},
		"a connection that ends":  {peer(t, plain, heard), "closed the connection"},
		"no WebSocket":            {strings.TrimPrefix(newPage(t), "http://"), "404 Not Found"},
		"nobody at the address":   {"127.0.0.1:1", "cannot connect to 127.0.0.1:1"},
		"an answer without a key": {strings.TrimPrefix(newSwitcher(t), "http://"), "that of no WebSocket"},
	} {
		t.Run(name, func(t *testing.T) {
			var p Pool
			defer p.Close()
			if err := p.Connect(t.Context(), c.addr, Pulseboard(), []string{"a"}, 1, 1000); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q in it", err, c.want)
			}
		})
	}
}

func TestPoolGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	addr := peer(t, websocket.Upgrader{}, func(ws *websocket.Conn) error { cancel(); return untilGone(ws) })
	var p Pool
	defer p.Close()
	if err := p.Connect(ctx, addr, Pulseboard(), []string{"a"}, 1, 1000); !errors.Is(err, context.Canceled) {
		t.Errorf("%v; want that it was canceled", err)
	}
}

func newPage(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s.URL
}

func newSwitcher(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Sec-WebSocket-Accept", "no")
		w.WriteHeader(http.StatusSwitchingProtocols)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// What a client sends is what a server reads.
func TestFramesOfTheClient(t *testing.T) {
	for _, n := range []int{0, 125, 126, 65535, 65536} {
		t.Run(fmt.Sprint(n, " bytes"), func(t *testing.T) {
			want := bytes.Repeat([]byte("x"), n)
			got := make(chan []byte, 1)
			addr := peer(t, websocket.Upgrader{}, func(ws *websocket.Conn) error {
				for range 2 { // The hello, then what is sent here.
					_, text, err := ws.ReadMessage()
					if err != nil {
						return err
					}
					if len(got) == 0 && string(text) != `{"type":"hello"}` {
						got <- text
					}
				}
				return nil
			})
			c, err := dial(t.Context(), addr, "a", Pulseboard(), new(Counts))
			if err != nil {
				t.Fatal(err)
			}
			defer c.net.Close() //nolint:errcheck // The test is over.
			if err := c.send(wsframe.Text, want); err != nil {
				t.Fatal(err)
			}
			if text := <-got; !bytes.Equal(text, want) {
				t.Errorf("%d bytes came, %d were sent", len(text), n)
			}
		})
	}
}
