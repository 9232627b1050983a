package audit

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	entries *prometheus.CounterVec
	dropped *prometheus.CounterVec
	failing prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	auto := promauto.With(reg)
	m := &metrics{
		entries: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "pulseboard_audit_entries_total",
			Help: "Lines that were written to the audit log, by event (docs/audit.md). Normal: as people edit; refused is looked at.",
		}, []string{"event"}),
		dropped: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "pulseboard_audit_dropped_total",
			Help: "Lines that are missing from the audit log, by cause: queue, the disk was too slow; write, it took none. Normal: 0.",
		}, []string{"cause"}),
		failing: auto.NewGauge(prometheus.GaugeOpts{Name: "pulseboard_audit_failing", Help: "1 while the audit log cannot be written. Normal: 0."}),
	}
	for _, cause := range []string{"queue", "write"} {
		m.dropped.WithLabelValues(cause) // From 0 on: else the first would be no increase.
	}
	return m
}
