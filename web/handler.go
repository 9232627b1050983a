package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"pulseboard/internal/service"
)

const (
	indexName   = "index.html"
	assetPrefix = "/assets/"
)

// Handler serves the embedded page: /assets/*, cached for ever, or 404; index.html
// for the paths that the page shows something for; and 404 for all others, since a
// program must not take a page for people as success. Only GET and HEAD are answered.
func Handler() http.Handler {
	files, ok := Dist()
	if !ok {
		return HandlerFor(nil)
	}
	return HandlerFor(files)
}

// HandlerFor serves a built page from files, read anew for each request, so
// that a folder on disk can be rebuilt while it is served. Nil, or files
// without an index.html, gives the placeholder.
func HandlerFor(files fs.FS) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		switch {
		case strings.HasPrefix(r.URL.Path, assetPrefix):
			serveAsset(w, r, files)
		case !isPage(r.URL.EscapedPath()):
			service.NotFound(w, r, "the page is at /, events go to POST /ingest, and dashboards are at /dashboards")
		case service.Reads(w, r):
			servePage(w, r, files)
		}
	})
}

// isPage reports whether the page shows something at an escaped path; it is what
// parseRoute of src/ui/router.ts knows.
func isPage(path string) bool {
	if path == "/" || path == "/status" || path == "/send" {
		return true
	}
	rest, ok := strings.CutPrefix(path, "/d/")
	parts := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	switch {
	case !ok || parts[0] == "":
		return false
	case len(parts) == 1, len(parts) == 2 && parts[1] == "edit":
		return true
	}
	return len(parts) == 3 && parts[1] == "w" && parts[2] != ""
}

// secure sets the headers that every answer carries. The page has no inline
// script and no style attribute, so the policy can forbid both.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "+
		"font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
}

// serveAsset serves a file with a hash in its name, gzipped when the client
// takes that. It never falls back to the page: a script that turns out to be
// HTML is harder to understand than a 404.
func serveAsset(w http.ResponseWriter, r *http.Request, files fs.FS) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	kind := contentType(name)
	if files == nil || kind == "" || !fs.ValidPath(name) {
		notFound(w, r)
		return
	}
	contents, err := fs.ReadFile(files, name)
	if err != nil {
		notFound(w, r)
		return
	}
	if !service.Reads(w, r) {
		return
	}
	h := w.Header()
	h.Set("Vary", "Accept-Encoding")
	if acceptsGzip(r.Header.Values("Accept-Encoding")) {
		if packed, err := fs.ReadFile(files, name+".gz"); err == nil {
			contents = packed
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Content-Length", strconv.Itoa(len(contents)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(contents) // An error means that the client went away.
}

func notFound(w http.ResponseWriter, r *http.Request) {
	service.NotFound(w, r, "no such asset is in this build; load the page again")
}

// contentType knows the kinds of file that a build has. The system's own table
// (package mime) differs between machines.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return ""
}

// servePage serves index.html, or the placeholder, to be checked on each visit.
func servePage(w http.ResponseWriter, r *http.Request, files fs.FS) {
	var page []byte
	if files != nil {
		if contents, err := fs.ReadFile(files, indexName); err == nil {
			page = contents
		}
	}
	h := w.Header()
	if page == nil {
		page = placeholder
		// The placeholder brings its few lines of style with it, and no script.
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	}
	sum := sha256.Sum256(page)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", `"`+hex.EncodeToString(sum[:12])+`"`)
	http.ServeContent(w, r, indexName, time.Time{}, bytes.NewReader(page))
}

// acceptsGzip reads Accept-Encoding as RFC 9110 has it: gzip or *, unless its
// weight is 0; gzip's own weight goes before that of *.
func acceptsGzip(headers []string) bool {
	star := false
	for _, part := range strings.Split(strings.Join(headers, ","), ",") {
		coding, params, _ := strings.Cut(part, ";")
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return weight(params) > 0
		case "*":
			star = weight(params) > 0
		}
	}
	return star
}

func weight(params string) float64 {
	key, value, ok := strings.Cut(strings.TrimSpace(params), "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(key), "q") {
		return 1
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil {
		return 0
	}
	return q
}
