package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// totals adds up counters by name.
func totals(g prometheus.Gatherer, names map[string]string) (map[string]float64, error) {
	families, err := g.Gather()
	if err != nil {
		return nil, err
	}
	out := make(map[string]float64, len(names))
	for _, f := range families {
		for label, name := range names {
			if f.GetName() != name {
				continue
			}
			for _, m := range f.GetMetric() {
				out[label] += m.GetCounter().GetValue()
			}
		}
	}
	return out, nil
}

// check says whether a part answers.
type check struct {
	name string
	ok   func(context.Context) error
}

// healthz answers 200 once every part does, else 503 with what does not.
func healthz(checks []check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		status, parts := http.StatusOK, make(map[string]string, len(checks))
		for _, c := range checks {
			parts[c.name] = "ok"
			if err := c.ok(ctx); err != nil {
				status, parts[c.name] = http.StatusServiceUnavailable, err.Error()
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(parts) // A client that is gone cannot be told.
	})
}
