package service

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// dialFrom connects from one of this machine's many addresses.
func dialFrom(t *testing.T, from, to string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Skipf("this system has no address %s: %v", from, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask sends a request over a connection; false = it was closed.
func ask(t *testing.T, c net.Conn) bool {
	t.Helper()
	if _, err := io.WriteString(c, "GET /quick HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return false
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

func bounded(t *testing.T, limit int) (s *Server, address string, held chan struct{}) {
	t.Helper()
	s = newServer(t, ServerConfig{})
	s.connections = connectionsOf(limit, s.connections.proxies, s.metrics, s.config.Log)
	held, release := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/quick", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/held", func(http.ResponseWriter, *http.Request) { held <- struct{}{}; <-release })
	address = serve(t, s, mux)
	t.Cleanup(func() { close(release) })
	return s, address, held
}

// Connections that are held without a request keep nobody out: the oldest of
// them makes room, those of half a head and those between two requests too.
func TestSilentConnectionsLockNobodyOut(t *testing.T) {
	s, address, _ := bounded(t, 16)
	for i := range 100 {
		c := dialFrom(t, "127.0.0.1", address)
		switch i % 3 {
		case 1:
			_, _ = io.WriteString(c, "GET /quick HTTP/1.1\r\nHo")
		case 2:
			if !ask(t, c) {
				t.Fatal("a connection is closed before its first answer")
			}
		}
		if !ask(t, dialFrom(t, "127.0.0.1", address)) {
			t.Fatalf("an honest client is not served beside %d silent connections", i+1)
		}
	}
	if open := count(t, s.metrics.open); open > 16 {
		t.Errorf("%d connections are open, of at most 16", open)
	}
	if count(t, s.metrics.evicted) < 100 || count(t, s.metrics.refusedAddress) != 0 {
		t.Errorf("%d made room, %d were refused", count(t, s.metrics.evicted), count(t, s.metrics.refusedAddress))
	}
}

// Nothing that is under way is cut for a new connection; and what one address has
// is not all.
func TestBusyConnectionsAreKept(t *testing.T) {
	s, address, held := bounded(t, 16)
	for range 14 { // All but an eighth.
		if _, err := io.WriteString(dialFrom(t, "127.0.0.1", address), "GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-held
	}
	if ask(t, dialFrom(t, "127.0.0.1", address)) {
		t.Error("an address has more connections than it may")
	}
	if n := count(t, s.metrics.refusedAddress); n != 1 {
		t.Errorf("%d refusals are counted", n)
	}
	if !ask(t, dialFrom(t, "127.0.0.2", address)) {
		t.Error("another address is not served")
	}
}

// An address elsewhere has a quarter.
func TestAddressesElsewhereHaveAQuarter(t *testing.T) {
	s := newServer(t, ServerConfig{})
	c := connectionsOf(16, s.connections.proxies, s.metrics, s.config.Log)
	if c.most != 4 || c.near != 14 {
		t.Errorf("%d and %d", c.most, c.near)
	}
}

// pipes is a listener of connections in memory, so that time may be made up.
type pipes struct{ conns chan net.Conn }

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// A body that comes slower than 16 KiB a second after its first ten seconds is
// answered 408; one that is as quick may take minutes.
func TestSlowBodies(t *testing.T) {
	for name, c := range map[string]struct {
		piece int // Bytes every half second.
		want  int
		after time.Duration // At most; 0 = it is not looked at.
	}{
		"nothing":        {0, 408, bodyGrace},
		"a byte":         {1, 408, bodyGrace + time.Second},
		"half the rate":  {bodyRate / 4, 408, 25 * time.Second},
		"the rate":       {bodyRate / 2, 200, 0},
		"twice the rate": {bodyRate, 200, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const length = 4 << 20
				s := newServer(t, ServerConfig{})
				p := pipes{make(chan net.Conn)}
				ctx, cancel := context.WithCancel(context.Background())
				ended := make(chan error, 1)
				read := make(chan error, 1)
				go func() {
					ended <- s.Serve(ctx, p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						_, err := io.Copy(io.Discard, r.Body)
						read <- err
						if errors.Is(err, ErrSlowBody) {
							NewProblem(http.StatusRequestTimeout, err.Error()).Write(w)
						}
						time.AfterFunc(30*time.Second, cancel) // Nothing is under way then.
					}))
				}()
				server, client := net.Pipe()
				p.conns <- server
				begun := time.Now()
				go func() {
					_, _ = io.WriteString(client, "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 4194304\r\n\r\n")
					for sent := 0; c.piece > 0 && sent < length; sent += c.piece {
						if _, err := client.Write(make([]byte, c.piece)); err != nil {
							return
						}
						<-time.After(500 * time.Millisecond)
					}
				}()
				res, err := http.ReadResponse(bufio.NewReader(client), nil)
				took := time.Since(begun)
				if err != nil || res.StatusCode != c.want {
					t.Fatalf("%v, %v after %v", res, err, took)
				}
				if c.after > 0 && took > c.after {
					t.Errorf("it is told after %v", took)
				}
				if err := <-read; (c.want == 408) != errors.Is(err, ErrSlowBody) {
					t.Error(err)
				}
				if n := count(t, s.metrics.refusedSlow); (c.want == 408) != (n == 1) {
					t.Errorf("%d are counted", n)
				}
				_ = res.Body.Close()
				_ = client.Close()
				<-ctx.Done()
				close(p.conns)
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A handler may take longer than a body may: its context does not end with the body's time.
func TestSlowHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, ServerConfig{})
		p := pipes{make(chan net.Conn)}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() {
			ended <- s.Serve(ctx, p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				select {
				case <-r.Context().Done():
					w.WriteHeader(http.StatusInternalServerError)
				case <-time.After(45 * time.Second):
				}
				_, _ = w.Write(b)
			}))
		}()
		server, client := net.Pipe()
		p.conns <- server
		go func() {
			_, _ = io.WriteString(client, "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
		}()
		res, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		text := new(strings.Builder)
		if _, err := io.Copy(text, res.Body); err != nil || res.StatusCode != http.StatusOK || text.String() != "hello" {
			t.Errorf("%d %s %v", res.StatusCode, text, err)
		}
		_ = res.Body.Close()
		_ = client.Close()
		cancel()
		close(p.conns)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
