package service

import (
	"io"
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

// OnlyMetrics is what a process serves beside Mux's own paths that has nothing else.
func OnlyMetrics() http.Handler { return Nothing("there are /metrics, /healthz and /readyz") }

// Mux is what a service that runs alone serves: h, /metrics, /healthz, and
// /readyz, which is a health.Set.
func Mux(h http.Handler, metrics prometheus.Gatherer, ready http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.Handle("/metrics", Metrics(metrics))
	mux.Handle("/healthz", Alive())
	mux.Handle("/readyz", ready)
	return Strict(mux)
}

// Metrics answers /metrics.
func Metrics(metrics prometheus.Gatherer) http.Handler {
	return ReadOnly(promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
}

// Alive answers /healthz: whoever gets this answer knows that the process serves.
func Alive() http.Handler {
	return ReadOnly(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, "ok\n")
	}))
}
