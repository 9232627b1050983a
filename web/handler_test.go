package web

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

func built(t *testing.T) fs.FS {
	t.Helper()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if _, err := zip.Write([]byte("let a = 1")); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{
		"index.html":            {Data: []byte("<!doctype html><title>built</title>")},
		"assets/main-ABC.js":    {Data: []byte("let a = 1")},
		"assets/main-ABC.js.gz": {Data: packed.Bytes()},
		"assets/icon-ABC.svg":   {Data: []byte("<svg/>")},
	}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func get(t *testing.T, h http.Handler, method, target string, header http.Header) answer {
	t.Helper()
	r := httptest.NewRequest(method, target, http.NoBody)
	for key, values := range header {
		r.Header[key] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{status: w.Code, header: w.Header(), body: w.Body.String()}
}

func TestHandlerRoutes(t *testing.T) {
	h := HandlerFor(built(t))
	tests := []struct {
		name, method, target string
		status               int
		body, cache, kind    string
	}{
		{"root", "GET", "/", 200, "built", "no-cache", "text/html"},
		{"dashboard", "GET", "/d/6f9", 200, "built", "no-cache", "text/html"},
		{"status", "GET", "/status", 200, "built", "no-cache", "text/html"},
		{"anything else", "GET", "/some/where.html", 404, "there is nothing at", "no-store", "application/problem+json"},
		{"script", "GET", "/assets/main-ABC.js", 200, "let a", "immutable", "text/javascript"},
		{"icon", "GET", "/assets/icon-ABC.svg", 200, "<svg", "immutable", "image/svg+xml"},
		{"missing asset", "GET", "/assets/main-OLD.js", 404, "no such asset", "no-store", "application/problem+json"},
		{"folder", "GET", "/assets/", 404, "no such asset", "no-store", "application/problem+json"},
		{"above the folder", "GET", "/assets/../index.html", 404, "no such asset", "no-store", "application/problem+json"},
		{"packed file by name", "GET", "/assets/main-ABC.js.gz", 404, "no such asset", "no-store", "application/problem+json"},
		{"post", "POST", "/", 405, "does not take POST", "", "application/problem+json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			response := get(t, h, test.method, test.target, nil)
			if response.status != test.status || !strings.Contains(response.body, test.body) {
				t.Errorf("status %d, body %q, want %d with %q", response.status, response.body, test.status, test.body)
			}
			if cache := response.header.Get("Cache-Control"); !strings.Contains(cache, test.cache) {
				t.Errorf("Cache-Control %q, want %q in it", cache, test.cache)
			}
			if kind := response.header.Get("Content-Type"); !strings.HasPrefix(kind, test.kind) {
				t.Errorf("Content-Type %q, want %q", kind, test.kind)
			}
		})
	}
}

// The paths of the page are those that its own router knows: see src/router.test.ts.
func TestHandlerServesThePageForItsPathsOnly(t *testing.T) {
	text, err := os.ReadFile("testdata/routes.json")
	if err != nil {
		t.Fatal(err)
	}
	var routes struct{ Page, Nothing []string }
	if err := json.Unmarshal(text, &routes); err != nil || len(routes.Page) == 0 || len(routes.Nothing) == 0 {
		t.Fatal(err, routes)
	}
	h := HandlerFor(built(t))
	for _, path := range routes.Page {
		if a := get(t, h, "GET", "http://h"+path, nil); a.status != 200 || !strings.Contains(a.body, "built") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for _, path := range routes.Nothing {
		for _, method := range []string{"GET", "HEAD", "POST", "DELETE"} {
			if a := get(t, h, method, "http://h"+path, nil); a.status != 404 || a.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s: %d of %s", method, path, a.status, a.header.Get("Content-Type"))
			}
		}
	}
}

func TestHandlerETag(t *testing.T) {
	h := HandlerFor(built(t))
	etag := get(t, h, "GET", "/", nil).header.Get("ETag")
	if etag == "" {
		t.Fatal("the page has no ETag")
	}
	again := get(t, h, "GET", "/d/1", http.Header{"If-None-Match": {etag}})
	if again.status != http.StatusNotModified || again.body != "" {
		t.Errorf("status %d for a page that the client has, want 304", again.status)
	}
	other := get(t, HandlerFor(fstest.MapFS{"index.html": {Data: []byte("new")}}), "GET", "/", nil).header.Get("ETag")
	if other == etag {
		t.Error("two builds have the same ETag")
	}
}

func TestHandlerCompression(t *testing.T) {
	h := HandlerFor(built(t))
	tests := []struct {
		accept string
		packed bool
	}{
		{"", false},
		{"gzip", true},
		{"br, GZIP;q=0.5", true},
		{"gzip;q=0", false},
		{"gzip; q=0.0, *", false},
		{"*", true},
		{"*;q=0", false},
		{"br", false},
	}
	for _, test := range tests {
		response := get(t, h, "GET", "/assets/main-ABC.js", http.Header{"Accept-Encoding": {test.accept}})
		text := response.body
		packed := response.header.Get("Content-Encoding") == "gzip"
		if packed != test.packed {
			t.Errorf("Accept-Encoding %q: packed %v, want %v", test.accept, packed, test.packed)
		}
		if packed {
			zip, err := gzip.NewReader(strings.NewReader(text))
			if err != nil {
				t.Fatalf("Accept-Encoding %q: %v", test.accept, err)
			}
			plain, err := io.ReadAll(zip)
			if err != nil {
				t.Fatalf("Accept-Encoding %q: %v", test.accept, err)
			}
			text = string(plain)
		}
		if text != "let a = 1" {
			t.Errorf("Accept-Encoding %q: body %q", test.accept, text)
		}
		if response.header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: no Vary header, caches would mix the two forms", test.accept)
		}
	}
	icon := get(t, h, "GET", "/assets/icon-ABC.svg", http.Header{"Accept-Encoding": {"gzip"}})
	if icon.body != "<svg/>" || icon.header.Get("Content-Encoding") != "" {
		t.Error("an asset without a .gz beside it must go out plain")
	}
}

func TestHandlerSecurityHeaders(t *testing.T) {
	h := HandlerFor(built(t))
	for _, target := range []string{"/", "/assets/main-ABC.js", "/assets/missing.js"} {
		header := get(t, h, "GET", target, nil).header
		policy := header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "connect-src 'self'; ", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: %q is not in the policy %q", target, part, policy)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s: unsafe policy %q", target, policy)
		}
		if header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: no X-Content-Type-Options", target)
		}
	}
}

func TestHandlerPlaceholder(t *testing.T) {
	for _, files := range []fs.FS{nil, fstest.MapFS{".gitignore": {}}} {
		h := HandlerFor(files)
		response := get(t, h, "GET", "/d/1", nil)
		if response.status != http.StatusOK || !strings.Contains(response.body, "make web") {
			t.Errorf("status %d, want the placeholder that names make web", response.status)
		}
		if response := get(t, h, "GET", "/assets/main.js", nil); response.status != http.StatusNotFound {
			t.Errorf("asset without a build: status %d, want 404", response.status)
		}
	}
}

// TestBuiltPage looks at the page that is embedded in this very binary.
func TestBuiltPage(t *testing.T) {
	files, ok := Dist()
	if !ok {
		t.Skip("only the placeholder is embedded: run 'make web' (needs Node) to test the built page")
	}
	index := get(t, Handler(), "GET", "/", nil).body
	if strings.Contains(index, "<style") || strings.Contains(index, "onload=") {
		t.Error("index.html has inline style or script, which the policy forbids")
	}
	names, err := fs.Glob(files, "assets/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".map") {
			t.Errorf("%s: source maps do not belong into the build", name)
		}
		if !strings.HasSuffix(name, ".gz") {
			continue
		}
		plain := strings.TrimSuffix(name, ".gz")
		response := get(t, Handler(), "GET", "/"+plain, http.Header{"Accept-Encoding": {"gzip"}})
		if response.status != http.StatusOK || response.header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: status %d, encoding %q", plain, response.status, response.header.Get("Content-Encoding"))
		}
	}
	if build := Build(); len(build) != 12 || !strings.Contains(index, build) {
		t.Errorf("the page's build is %q", build)
	}
	if !strings.Contains(index, "/assets/") {
		t.Error("index.html links no asset")
	}
}
