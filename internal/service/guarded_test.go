package service

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

func newServer(t *testing.T, c ServerConfig) *Server {
	t.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	s, err := NewServer(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve runs a server until the test ends, and returns its address.
func serve(t *testing.T, s *Server, h http.Handler) string {
	t.Helper()
	ln, err := Listen(t.Context(), "--addr", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func count(t *testing.T, c prometheus.Metric) int {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return int(m.GetCounter().GetValue() + m.GetGauge().GetValue())
}

func ok() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("GET /only-read", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("/none/", http.NotFoundHandler())
	return mux
}

// raw sends a request as it stands, and returns the answer.
func raw(t *testing.T, address, request string) *http.Response {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// status sends a request as it stands, and returns the status of the answer.
func status(t *testing.T, address, request string) int {
	t.Helper()
	res := raw(t, address, request)
	_ = res.Body.Close()
	return res.StatusCode
}

// Without tokens, a name that is not ours is not answered to, however it is spelt:
// a page of that name may have been made to lead here.
func TestHosts(t *testing.T) {
	s := newServer(t, ServerConfig{Edge: Edge{Origins: []string{"https://metrics.example.org", "canary:8084", "http://[2001:db8::7]:8080"}}})
	address := serve(t, s, ok())
	withTokens := serve(t, newServer(t, ServerConfig{Tokens: true}), ok())
	_, port, _ := net.SplitHostPort(address)
	hosts := map[string]int{
		"localhost": 200, "localhost:" + port: 200, "LocalHost.:1": 200, "127.0.0.1": 200, "127.0.0.1:" + port: 200, "127.1.2.3:80": 200,
		"[::1]": 200, "[::1]:8080": 200, "[0:0:0:0:0:0:0:1]:8080": 200, "[::ffff:127.0.0.1]:8080": 200, "": 200,
		"metrics.example.org": 200, "METRICS.example.org.:8443": 200, "canary:8084": 200, "[2001:db8::7]:8080": 200,
		"rebind.test:" + port: 421, "rebind.test": 421, "localhost.rebind.test": 421, "127.0.0.1.rebind.test": 421, "xlocalhost": 421, "127.0.0.1x": 421,
		"metrics.example.org.evil.test": 421, "evil-metrics.example.org": 421, "0.0.0.0:" + port: 421, "[::]:" + port: 421, "192.0.2.1": 421, "127.1": 421, "0x7f000001": 421,
		"2130706433": 421, "[2001:db8::8]:8080": 421, "localhost..": 421, "localhost:80:80": 421, "localhost:x": 421, "::1": 421,
	}
	for host, want := range hosts {
		for _, request := range []string{
			"GET /metrics HTTP/1.1\r\nHost: " + host + "\r\nX-Forwarded-Host: localhost\r\n\r\n",
			"POST /ingest HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 0\r\n\r\n",
			"GET http://" + host + "/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
		} {
			if strings.HasPrefix(request, "GET http") && (host == "" || strings.Contains(host, "localhost:80:80") || strings.Contains(host, ":x") || host == "::1") {
				continue // Not an address at all: net/http answers 400.
			}
			if got := status(t, address, request); got != want {
				t.Errorf("%.60q: %d, want %d", request, got, want)
			}
			if got := status(t, withTokens, request); got != 200 {
				t.Errorf("%.60q with tokens: %d", request, got)
			}
		}
	}
	if got := status(t, address, "GET / HTTP/1.0\r\n\r\n"); got != 200 {
		t.Errorf("HTTP/1.0 without Host: %d", got)
	}
	if got := status(t, address, "GET / HTTP/1.0\r\nHost: rebind.test\r\n\r\n"); got != 421 {
		t.Errorf("HTTP/1.0 with another Host: %d", got)
	}
	var p Problem
	res := raw(t, address, "GET / HTTP/1.1\r\nHost: rebind.test\r\n\r\n")
	defer res.Body.Close() //nolint:errcheck // It was only read.
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil || !strings.Contains(p.Detail, "--origins") || !strings.Contains(p.Detail, "rebind.test") || p.Status != 421 {
		t.Errorf("%v, %+v", err, p)
	}
	if n := count(t, s.metrics.refusedHost); n == 0 {
		t.Error("nothing is counted")
	}
}

// A socket has no name that a page could have.
func TestSocketsHaveNoHost(t *testing.T) {
	path := t.TempDir() + "/s"
	ln, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- newServer(t, ServerConfig{}).Serve(ctx, ln, ok()) }()
	conn, err := new(net.Dialer).DialContext(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: pipeline\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("%v, %v", res, err)
	}
	_ = res.Body.Close()
	_ = conn.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Pages of other origins change nothing, with tokens or without, by any method.
func TestForeignPages(t *testing.T) {
	const host = "127.0.0.1:8080"
	for _, c := range []struct {
		name    string
		origins []string
		host    string
		header  http.Header
		want    int
	}{
		{"a program", nil, host, nil, 200},
		{"an empty Origin", nil, host, http.Header{"Origin": {""}}, 200},
		{"its own page", nil, host, http.Header{"Origin": {"http://127.0.0.1:8080"}, "Sec-Fetch-Site": {"same-origin"}}, 200},
		{"its own page, other letters", nil, "LOCALHOST.:8080", http.Header{"Origin": {"http://localhost:8080"}}, 200},
		{"its own page behind TLS", nil, "m.example.org", http.Header{"Origin": {"https://m.example.org"}}, 200},
		{"its own page behind TLS, with the port", nil, "m.example.org:443", http.Header{"Origin": {"https://m.example.org"}}, 200},
		{"typed in", nil, host, http.Header{"Sec-Fetch-Site": {"none"}}, 200},
		{"another site", nil, host, http.Header{"Origin": {"http://evil.test"}}, 403},
		{"another site of the same port", nil, host, http.Header{"Origin": {"http://evil.test:8080"}}, 403},
		{"another port", nil, host, http.Header{"Origin": {"http://127.0.0.1:8081"}}, 403},
		{"another name of this machine", nil, host, http.Header{"Origin": {"http://localhost:8080"}}, 403},
		{"a name that begins alike", nil, host, http.Header{"Origin": {"http://127.0.0.1:8080.evil.test"}}, 403},
		{"null", nil, host, http.Header{"Origin": {"null"}}, 403},
		{"a file", nil, host, http.Header{"Origin": {"file://"}}, 403},
		{"an extension", nil, host, http.Header{"Origin": {"chrome-extension://127.0.0.1:8080"}}, 403},
		{"rubbish", nil, host, http.Header{"Origin": {"http://evil.test@127.0.0.1:8080"}}, 403},
		{"two", nil, host, http.Header{"Origin": {"http://127.0.0.1:8080", "http://evil.test"}}, 403},
		{"a form without Origin", nil, host, http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		{"the same site", nil, host, http.Header{"Sec-Fetch-Site": {"Same-Site"}}, 403},
		{"its own Origin, which the browser denies", nil, host, http.Header{"Origin": {"http://127.0.0.1:8080"}, "Sec-Fetch-Site": {"cross-site"}}, 403},
		{"own Host is that of no request", nil, "", http.Header{"Origin": {"http://127.0.0.1:8080"}}, 403},
		{"forwarded", nil, host, http.Header{"Origin": {"http://evil.test"}, "X-Forwarded-Host": {"evil.test"}}, 403},
		{"a named origin", []string{"https://m.example.org"}, host, http.Header{"Origin": {"https://m.example.org"}, "Sec-Fetch-Site": {"cross-site"}}, 200},
		{"a named origin, other letters", []string{"HTTPS://M.example.org:443/"}, host, http.Header{"Origin": {"https://m.example.org"}}, 200},
		{"another scheme", []string{"https://m.example.org"}, host, http.Header{"Origin": {"http://m.example.org"}}, 403},
		{"beside a named one", []string{"https://m.example.org"}, host, http.Header{"Origin": {"https://m.example.org:444"}}, 403},
		{"any", []string{"*"}, host, http.Header{"Origin": {"null"}, "Sec-Fetch-Site": {"cross-site"}}, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, tokens := range []bool{true, false} {
				s := newServer(t, ServerConfig{Tokens: tokens, Edge: Edge{Origins: c.origins}})
				for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "GET", "HEAD", "OPTIONS"} {
					r := httptest.NewRequestWithContext(t.Context(), method, "/write", strings.NewReader("a b=1"))
					r.Host, r.Header = c.host, c.header.Clone()
					w := httptest.NewRecorder()
					s.Guard(ok()).ServeHTTP(w, r)
					want := c.want
					if !changes(method) || !tokens && strings.HasPrefix(c.host, "m.") {
						want = map[bool]int{true: 421, false: 200}[!tokens && strings.HasPrefix(c.host, "m.")]
					}
					if w.Code != want {
						t.Errorf("%s, tokens %v: %d, want %d", method, tokens, w.Code, want)
					}
					if w.Code == 403 && !strings.Contains(w.Body.String(), "--origins (PULSEBOARD_ORIGINS)") {
						t.Errorf("the refusal does not say what to do: %s", w.Body)
					}
				}
			}
		})
	}
}

// Over TLS, the page of the same name without it is another's.
func TestPlainPagesAreForeignToTLS(t *testing.T) {
	s := newServer(t, ServerConfig{Tokens: true})
	for origin, want := range map[string]int{"https://m.example.org": 200, "http://m.example.org": 403} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "https://m.example.org/write", nil)
		r.Header.Set("Origin", origin)
		w := httptest.NewRecorder()
		s.Guard(ok()).ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d", origin, w.Code)
		}
	}
}

func TestOriginsThatAreNone(t *testing.T) {
	for _, o := range []string{"null", "ftp://m.example.org", "https://m.example.org/path", "https://m.example.org?x", "https://a@b", "https://", "http://a:99999", "a b", "https://m.example.org#x"} {
		if _, err := ParseOrigins([]string{o}); (o != "null") == (err == nil) || err != nil && !strings.Contains(err.Error(), "--origins") {
			t.Errorf("%q: %v", o, err)
		}
	}
}

func TestProxiesThatAreNone(t *testing.T) {
	if _, err := ParseProxies([]string{"proxy"}); err == nil || !strings.Contains(err.Error(), `["proxy"]`) {
		t.Errorf("%v", err)
	}
}

// Every answer says that it is what it says it is, and for this origin alone.
func TestHeadersOfAllAnswers(t *testing.T) {
	address := serve(t, newServer(t, ServerConfig{}), ok())
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: localhost", "GET /none/x HTTP/1.1\r\nHost: localhost", "POST /only-read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0",
		"GET / HTTP/1.1\r\nHost: rebind.test", "POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.test\r\nContent-Length: 0", "GET //x HTTP/1.1\r\nHost: localhost", "OPTIONS * HTTP/1.1\r\nHost: localhost",
	} {
		res := raw(t, address, request+"\r\n\r\n")
		_ = res.Body.Close() // Only its head is looked at.
		if res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
			t.Errorf("%.40q, %d: %v", request, res.StatusCode, res.Header)
		}
	}
}

// Who a client is, only trusted proxies say.
func TestClients(t *testing.T) {
	p, err := ParseProxies([]string{"10.0.0.0/8", "2001:db8:1::1", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ remote, forwarded, want string }{
		{"192.0.2.1:5", "198.51.100.1", "192.0.2.1"},
		{"10.1.2.3:5", "", "10.1.2.3"},
		{"10.1.2.3:5", "198.51.100.1", "198.51.100.1"},
		{"10.1.2.3:5", "203.0.113.9, 198.51.100.1", "198.51.100.1"},
		{"10.1.2.3:5", "203.0.113.9, 198.51.100.1, 10.9.9.9", "198.51.100.1"},
		{"10.1.2.3:5", "198.51.100.1, rubbish", "10.1.2.3"},
		{"10.1.2.3:5", "rubbish, 10.2.2.2", "10.2.2.2"},
		{"[::ffff:10.1.2.3]:5", "198.51.100.1", "198.51.100.1"},
		{"[2001:db8:1::1]:5", "2001:db8:2:3:4:5:6:7", "2001:db8:2:3::"},
		{"[2001:db8:9:9:1:1:1:1]:5", "", "2001:db8:9:9::"},
		{"[::1]:5", "198.51.100.1", "::1"},
		{"@", "198.51.100.1", "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{}}
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := p.Client(r).String(); got != c.want {
			t.Errorf("%s, %q: %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}

func BenchmarkGuard(b *testing.B) {
	s, err := NewServer(ServerConfig{})
	if err != nil {
		b.Fatal(err)
	}
	h := s.Guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequestWithContext(b.Context(), "POST", "/ingest", nil)
	r.Host = "127.0.0.1:8080"
	w := httptest.NewRecorder()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
	if w.Code != 200 {
		b.Fatal(fmt.Sprint(w.Code))
	}
}
