package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func idsFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ids")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFlags(t *testing.T) {
	good := []string{"--gateway", "127.0.0.1:1", "--ids-file", idsFile(t, "a,b\n")}
	for want, args := range map[string][]string{
		"--gateway and --ids-file must be given":  {},
		`it is "best": it must be default or tun`: append([]string{"--setup", "best"}, good...),
		"--write-delay is -1s":                    append([]string{"--write-delay", "-1s"}, good...),
		`unexpected argument "more"`:              append(good, "more"),
		"cannot read the ids of the dashboards":   {"--gateway", "x:1", "--ids-file", "nowhere"},
		"holds an empty id":                       {"--gateway", "x:1", "--ids-file", idsFile(t, "a,,b")},
	} {
		if _, _, err := parse(args, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q in it", args, err, want)
		}
	}
	o, ids, err := parse(good, new(bytes.Buffer))
	if err != nil || o.setup != setupTuned || strings.Join(ids, " ") != "a b" {
		t.Errorf("%+v, %q, %v", o, ids, err)
	}
	var help bytes.Buffer
	if _, _, err := parse([]string{"--help"}, &help); !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "ids-file") {
		t.Errorf("help: %v, %s", err, help.String())
	}
}

func TestServerTime(t *testing.T) {
	for text, want := range map[string]int64{
		`{"type":"update","server_time":1763892061150,"updates":[]}`: 1763892061150,
		`{"type":"update"}`:                    0,
		`{"type":"update","server_time":null}`: 0,
	} {
		if got, ok := serverTime([]byte(text)); got != want || ok != (want > 0) {
			t.Errorf("%s: %d, %v", text, got, ok)
		}
	}
}

// peer speaks the gateway's side of docs/protocol.md: after hello a welcome, then
// what it is to send.
func peer(t *testing.T, frames map[string]chan string) (addr string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := websocket.Upgrader{Subprotocols: []string{"pulseboard.v1"}}
		ws, err := u.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close() //nolint:errcheck // The test is over.
		if _, hello, err := ws.ReadMessage(); err != nil || string(hello) != `{"type":"hello"}` {
			t.Errorf("the hello is %q, %v", hello, err)
			return
		}
		send := func(text string) error { return ws.WriteMessage(websocket.TextMessage, []byte(text)) }
		if send(`{"type":"welcome","server_time":1,"heartbeat_ms":5000}`) != nil {
			return
		}
		for text := range frames[strings.TrimPrefix(r.URL.Path, "/stream/")] {
			if send(text) != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// log takes the lines of the server and hands on the address in them.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
	addr chan string
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	if _, rest, ok := strings.Cut(string(b), "msg=listening addr="); ok {
		addr, _, _ := strings.Cut(rest, " ")
		l.addr <- addr
	}
	return len(b), nil
}

// A subscriber gets the update frames of its dashboard byte by byte, and nothing
// else of the gateway, in either setup.
func TestFramesAreHandedOnAsTheyAre(t *testing.T) {
	for _, setup := range []string{"default", "tuned"} {
		t.Run(setup, func(t *testing.T) {
			frames := map[string]chan string{"a": make(chan string), "b": make(chan string)}
			lines := &log{addr: make(chan string, 1)}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- run(ctx, []string{"--gateway", peer(t, frames), "--ids-file", idsFile(t, "a,b"), "--setup", setup}, new(bytes.Buffer), lines)
			}()
			defer func() {
				for _, f := range frames {
					close(f)
				}
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}()
			addr := <-lines.addr
			ws, res, err := websocket.DefaultDialer.Dial("ws://"+addr+"/connection/websocket", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer ws.Close() //nolint:errcheck // The test is over.
			_ = res.Body.Close()
			if err := ws.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"id":1,"connect":{}}`+"\n"+`{"id":2,"subscribe":{"channel":"a"}}`)); err != nil {
				t.Fatal(err)
			}
			next := message(t, ws)
			for _, want := range []string{`{"id":1,"connect":{`, `{"id":2,"subscribe":{`} {
				if got := next(); !strings.HasPrefix(got, want) {
					t.Fatalf("%s; want %s…", got, want)
				}
			}
			frames["b"] <- `{"type":"update","server_time":1,"updates":[[0,1,null,"x",[1]]],"skipped":0}`
			for i := range 3 {
				frames["a"] <- `{"type":"heartbeat","server_time":1}`
				// A space and an order that no encoder would leave as they are.
				update := fmt.Sprintf(`{"type":"update", "server_time":%d,"updates":[[0,1,null,"x",[1.50]]],"skipped":0}`, i)
				frames["a"] <- update
				if got, want := next(), `{"push":{"channel":"a","pub":{"data":`+update+`}}}`; got != want {
					t.Errorf("%s\nwant %s", got, want)
				}
			}
			for path, want := range map[string]string{"/healthz": "ok", "/feed": `"channels":2,"fed":2,"frames":4`, "/metrics": "go_memstats_heap_alloc_bytes"} {
				await(t, "http://"+addr+path, want)
			}
		})
	}
}

// await asks until the answer holds a text: frames are counted after they were handed on.
func await(t *testing.T, url, want string) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		_, err = body.ReadFrom(res.Body)
		_ = res.Body.Close() // It was only read.
		if err == nil && strings.Contains(body.String(), want) {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-limit:
			t.Fatalf("%s: %s, %v; want %q in it", url, body.String(), err, want)
		}
	}
}

// message returns what gives one message after the other: several may come in one frame.
func message(t *testing.T, ws *websocket.Conn) func() string {
	t.Helper()
	var waiting []string
	return func() string {
		t.Helper()
		for len(waiting) == 0 {
			_, text, err := ws.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			waiting = strings.Split(strings.TrimSpace(string(text)), "\n")
		}
		m := waiting[0]
		waiting = waiting[1:]
		return m
	}
}
