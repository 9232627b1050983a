package service

import (
	"fmt"
	"net/http"
	"path"
	"strings"
)

// NotFound answers for a path that is not there; hint says what there is.
func NotFound(w http.ResponseWriter, r *http.Request, hint string) {
	w.Header().Set("Cache-Control", "no-store")
	NewProblem(http.StatusNotFound, fmt.Sprintf("there is nothing at %.200q: %s", r.URL.EscapedPath(), hint)).Write(w)
}

// NotAllowed answers for a method that a path does not take, whose header Allow
// lists those that it takes.
func NotAllowed(w http.ResponseWriter, r *http.Request) {
	NewProblem(http.StatusMethodNotAllowed, fmt.Sprintf("%.200q does not take %.20s: use %s", r.URL.EscapedPath(), r.Method, w.Header().Get("Allow"))).Write(w)
}

// Nothing has nothing at any path.
func Nothing(hint string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { NotFound(w, r, hint) })
}

// Reads reports whether r is GET or HEAD; if not, it has answered.
func Reads(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	NotAllowed(w, r)
	return false
}

// ReadOnly lets GET and HEAD through to h.
func ReadOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if Reads(w, r) {
			h.ServeHTTP(w, r)
		}
	})
}

// Strict serves mux, but for what http.ServeMux answers by itself: redirects to a
// tidier path, which clients follow without their body or not at all, and plain
// text. The patterns of mux have no methods, and one of them is "/".
func Strict(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := r.URL.EscapedPath()
		tidy := path.Clean("/" + at)
		if strings.HasSuffix(at, "/") && tidy != "/" {
			tidy += "/"
		}
		switch {
		case r.RequestURI == "*":
			NotFound(w, r, "name a path, such as /")
		case at != tidy:
			NotFound(w, r, fmt.Sprintf("did you mean %.200q?", tidy))
		default:
			mux.ServeHTTP(w, r)
		}
	})
}
