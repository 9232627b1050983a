package service

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type serverMetrics struct {
	open, limit                             prometheus.Gauge
	refusedAddress, refusedFull, evicted    prometheus.Counter
	refusedHost, refusedOrigin, refusedSlow prometheus.Counter
	expires, unusable                       prometheus.Gauge
	reloads, failures                       prometheus.Counter
}

func newServerMetrics(reg prometheus.Registerer) *serverMetrics {
	const ns = "pulseboard"
	auto := promauto.With(reg)
	gauge := func(sub, name, help string) prometheus.Gauge {
		return auto.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	counter := func(sub, name, help string) prometheus.Counter {
		return auto.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	vec := func(name, help string) *prometheus.CounterVec {
		return auto.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: "http", Name: name, Help: help}, []string{"reason"})
	}
	closed := vec("connections_closed_total", "Connections that the server closed because of a bound, by reason: address, one address has as many as it may, and all are busy; full, all together have; idle, the one that waited longest without a request made room for another. Normal: 0.")
	refused := vec("requests_refused_total", "Requests refused before a service saw them, by reason: host, a name that a server without tokens does not answer to; origin, the page of another site; slow_body, a body below 16 KiB/s. Normal: 0; origin and host tell of pages that try.")
	return &serverMetrics{
		open:           gauge("http", "connections", "Open connections, streams included. Normal: far below connections_limit."),
		limit:          gauge("http", "connections_limit", "Most connections that may be open, by the limit of open files and --max-connections. Normal: steady."),
		refusedAddress: closed.WithLabelValues("address"), refusedFull: closed.WithLabelValues("full"), evicted: closed.WithLabelValues("idle"),
		refusedHost: refused.WithLabelValues("host"), refusedOrigin: refused.WithLabelValues("origin"), refusedSlow: refused.WithLabelValues("slow_body"),
		expires:  gauge("tls", "expires_timestamp_seconds", "When the certificate of --tls-cert ends; 0 = plain HTTP. Normal: 0, or weeks ahead."),
		unusable: gauge("tls", "files_unusable", "1 while --tls-cert and --tls-key cannot be used, and the certificate from before is in force. Normal: 0."),
		reloads:  counter("tls", "reloads_total", "Times that a changed certificate was put in force. Normal: one for each change."),
		failures: counter("tls", "reload_failures_total", "Times that a changed certificate or key could not be used, so that the one from before stayed in force. Normal: 0."),
	}
}
