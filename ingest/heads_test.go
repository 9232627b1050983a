package ingest_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"pulseboard/ingest"
	"pulseboard/internal/service"
)

// serveGuarded runs ingest behind the server of all services, which the origins are named to, and returns its address.
func serveGuarded(t *testing.T, origins ...string) (*node, string) {
	t.Helper()
	server, err := service.NewServer(service.ServerConfig{Edge: service.Edge{Origins: origins}})
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, func(c *ingest.Config) { c.Origins = server.Origins })
	ln, err := service.Listen(t.Context(), "--addr", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(t.Context(), ln, n.service.Handler()) }()
	t.Cleanup(func() { // The test's context has ended.
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return n, "http://" + ln.Addr().String()
}

// answer is the head of an answer.
type answer struct {
	Status, Proto string
	StatusCode    int
	Header        http.Header
}

func ask(t *testing.T, c *http.Client, method, url string, body []byte, header ...string) (answer, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.Status, res.Proto, res.StatusCode, res.Header}, string(text)
}

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What programs say of the same events in their heads: docs/ingest.md, "JSON".
func TestHeadsOfRequests(t *testing.T) {
	const one = `{"metric_name":"m","value":1}`
	n, url := serveGuarded(t)
	for _, c := range []struct {
		name   string
		body   []byte
		header []string
		events int
	}{
		{"JSON", []byte(one), []string{"Content-Type", "application/json; charset=utf-8"}, 1},
		{"no Content-Type", []byte(one), nil, 1},
		{"curl -d", []byte(one), []string{"Content-Type", "application/x-www-form-urlencoded"}, 1},
		{"text", []byte("[" + one + "," + one + "]"), []string{"Content-Type", "text/plain;charset=UTF-8"}, 2},
		{"bytes", []byte(one + "\n" + one), []string{"Content-Type", "application/octet-stream"}, 2},
		{"lines without Content-Type", []byte(one + "\n" + one + "\n"), nil, 2},
		{"ndjson", []byte(one + "\n" + one), []string{"Content-Type", "application/ndjson"}, 2},
		{"jsonl", []byte(one + "\n" + one), []string{"Content-Type", "application/jsonl"}, 2},
		{"x-jsonlines", []byte(one + "\n" + one), []string{"Content-Type", "application/x-jsonlines"}, 2},
		{"stream+json", []byte(one + "\n" + one), []string{"Content-Type", "application/stream+json"}, 2},
		{"objects one after the other", []byte(one + one + " " + one), []string{"Content-Type", "application/x-ndjson"}, 3},
		{"x-gzip", gzipped(t, one), []string{"Content-Type", "application/json", "Content-Encoding", "x-gzip"}, 1},
		{"a byte order mark", []byte("\xef\xbb\xbf" + one), []string{"Content-Type", "application/json"}, 1},
		{"a byte order mark before lines", []byte("\xef\xbb\xbf" + one + "\n" + one), nil, 2},
	} {
		res, text := ask(t, http.DefaultClient, http.MethodPost, url+"/ingest", c.body, c.header...)
		if res.StatusCode != http.StatusOK || !strings.HasPrefix(text, fmt.Sprintf(`{"accepted":%d,"rejected":0,`, c.events)) {
			t.Errorf("%s: %s %s", c.name, res.Status, text)
		}
	}
	before := len(n.stored())
	// What a page of another site can have its visitor's browser send without being asked: a form, or fetch with mode no-cors.
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
		for _, page := range [][]string{
			{"Origin", "http://shop.example"},
			{"Origin", "null"},
			{"Sec-Fetch-Site", "cross-site"},
			{"Sec-Fetch-Site", "same-site"},
			{"Origin", "http://shop.example", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"},
		} {
			for _, path := range ingest.Paths() {
				res, text := ask(t, http.DefaultClient, http.MethodPost, url+path, []byte(one), append(page, "Content-Type", kind)...)
				if res.StatusCode != http.StatusForbidden {
					t.Errorf("%s from %v of %q: %s %s", path, page, kind, res.Status, text)
				}
			}
		}
	}
	if after := len(n.stored()); after != before {
		t.Errorf("%d records of pages of other sites are stored", after-before)
	}
}

// Proxies that speak nothing but HTTP/2 to what is behind them.
func TestHTTP2WithoutTLS(t *testing.T) {
	n, url := serveGuarded(t)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	c := &http.Client{Transport: transport}
	defer c.CloseIdleConnections()
	for range 3 {
		res, text := ask(t, c, http.MethodPost, url+"/ingest", []byte(`{"metric_name":"m","value":1}`), "Content-Type", "application/json")
		if res.StatusCode != http.StatusOK || res.Proto != "HTTP/2.0" {
			t.Errorf("%s %s %s", res.Proto, res.Status, text)
		}
	}
	if got := len(n.stored()); got != 3 {
		t.Errorf("%d records are stored", got)
	}
	if res, _ := ask(t, c, http.MethodPost, url+"/ingest", []byte(`{"metric_name":"m","value":1}`), "Origin", "http://shop.example"); res.StatusCode != http.StatusForbidden {
		t.Error("another site's page:", res.Status)
	}
	large := bytes.Repeat([]byte(`{"metric_name":"m","value":1}`+"\n"), 20_000)
	if res, text := ask(t, c, http.MethodPost, url+"/ingest", large, "Content-Type", "application/x-ndjson"); res.StatusCode != http.StatusOK {
		t.Error("a body of many frames:", res.Status, text)
	}
}

// The preflight of CORS, and answers that a page of a named origin may read.
func TestPagesOfNamedOrigins(t *testing.T) {
	_, url := serveGuarded(t, "https://shop.example")
	for _, path := range ingest.Paths() {
		for origin, allowed := range map[string]bool{"https://shop.example": true, "http://shop.example": false, "https://evil.example": false, "null": false} {
			res, text := ask(t, http.DefaultClient, http.MethodOptions, url+path, nil, "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type,authorization")
			got := res.Header.Get("Access-Control-Allow-Origin")
			if allowed != (res.StatusCode == http.StatusNoContent) || allowed != (got == origin) || !allowed && (got != "" || !strings.Contains(text, "--origins")) {
				t.Errorf("%s asks for %s: %s, %q, %s", origin, path, res.Status, got, text)
			}
			if allow := res.Header.Get("Access-Control-Allow-Headers"); allowed && (!strings.Contains(allow, "Content-Type") || !strings.Contains(allow, "Authorization")) {
				t.Errorf("%s may send %s the headers %s", origin, path, allow)
			}
		}
	}
	res, text := ask(t, http.DefaultClient, http.MethodPost, url+"/ingest", []byte(`{"metric_name":"m","value":1}`), "Origin", "https://shop.example", "Sec-Fetch-Site", "cross-site")
	if res.StatusCode != http.StatusOK || res.Header.Get("Access-Control-Allow-Origin") != "https://shop.example" || res.Header.Get("Vary") != "Origin" {
		t.Error(res.Status, res.Header, text)
	}
	// Nothing else is shared, and no other page is told anything.
	for _, c := range [][]string{{"/openapi.yaml", "https://shop.example"}, {"/ingest", "https://evil.example"}} {
		res, _ := ask(t, http.DefaultClient, http.MethodGet, url+c[0], nil, "Origin", c[1])
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%v: %q", c, got)
		}
	}
	if res, _ := ask(t, http.DefaultClient, http.MethodOptions, url+"/ingest", nil); res.StatusCode != http.StatusMethodNotAllowed {
		t.Error("OPTIONS of no page:", res.Status)
	}
}
