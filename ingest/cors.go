package ingest

import (
	"net/http"
	"slices"

	"pulseboard/internal/service"
)

// shared lets pages of the origins that are let in by name send to paths and read the answers: it answers what browsers
// ask before (the preflight of CORS), and says so in all answers to them. Other pages are told nothing, and their browsers
// keep requests and answers from them.
func shared(origins *service.Origins, paths []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		if origin == "" || !slices.Contains(paths, r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
		h := w.Header()
		h.Add("Vary", "Origin")
		switch {
		case origins.Named(origin):
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "Retry-After, WWW-Authenticate")
			if preflight {
				h.Set("Access-Control-Allow-Methods", http.MethodPost)
				h.Set("Access-Control-Allow-Headers", "Authorization, Content-Encoding, Content-Type, Idempotency-Key, traceparent")
				h.Set("Access-Control-Max-Age", "600")
				w.WriteHeader(http.StatusNoContent)
				return
			}
		case preflight && origins.Foreign(r):
			service.RefuseForeign(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
