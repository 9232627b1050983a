package auth

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	tokens   prometheus.Gauge
	reloads  prometheus.Counter
	failures prometheus.Counter
	unusable prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	const ns, sub = "pulseboard", "auth"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "requests_total",
			Help: "Requests and streams that need a token, by the scope that they need and the outcome: allowed, no_token, unknown_token, expired or missing_scope. Normal: nearly all allowed.",
		}, []string{"scope", "outcome"}),
		tokens:   gauge("tokens", "Tokens of the tokens file that are in force, expired ones included. Normal: the same in every process."),
		reloads:  counter("reloads_total", "Times that a changed tokens file was put in force. Normal: one for each change."),
		failures: counter("reload_failures_total", "Times that a changed tokens file could not be used, so that the tokens from before stayed in force. Normal: 0."),
		unusable: gauge("file_unusable", "1 while the tokens file cannot be used, and tokens from before are in force. Normal: 0."),
	}
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.requests, m.tokens, m.reloads, m.failures, m.unusable} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}
