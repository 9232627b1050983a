package auth

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	requests *prometheus.CounterVec
	tokens   prometheus.Gauge
	reloads  prometheus.Counter
	failures prometheus.Counter
	unusable prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	const ns, sub = "pulseboard", "auth"
	auto := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return auto.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return auto.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	return &metrics{
		requests: auto.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "requests_total",
			Help: "Requests and streams that need a token, by the scope that they need and the outcome: allowed, no_token, unknown_token, expired or missing_scope. Normal: nearly all allowed.",
		}, []string{"scope", "outcome"}),
		tokens:   gauge("tokens", "Tokens of the tokens file that are in force, expired ones included. Normal: the same in every process."),
		reloads:  counter("reloads_total", "Times that a changed tokens file was put in force. Normal: one for each change."),
		failures: counter("reload_failures_total", "Times that a changed tokens file could not be used, so that the tokens from before stayed in force. Normal: 0."),
		unusable: gauge("file_unusable", "1 while the tokens file cannot be used, and tokens from before are in force. Normal: 0."),
	}
}
