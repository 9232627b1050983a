package service

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewMetrics returns a registry that knows the process and Go already.
func NewMetrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Mux is what a service that runs alone serves: h, /metrics, and /healthz,
// which is 200 while healthy returns nil.
func Mux(h http.Handler, metrics prometheus.Gatherer, healthy func(context.Context) error) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.Handle("/metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := healthy(r.Context()); err != nil {
			NewProblem(http.StatusServiceUnavailable, err.Error()).Write(w)
			return
		}
		_, _ = w.Write([]byte("ok\n")) // A client that is gone cannot be told.
	})
	return mux
}
