package audit

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	entries *prometheus.CounterVec
	dropped *prometheus.CounterVec
	failing prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	const ns, sub = "pulseboard", "audit"
	m := &metrics{
		entries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "entries_total",
			Help: "Lines that were written to the audit log, by event (docs/audit.md). Normal: as people edit; refused is looked at.",
		}, []string{"event"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "dropped_total",
			Help: "Lines that are missing from the audit log, by cause: queue, the disk was too slow; write, it took none. Normal: 0.",
		}, []string{"cause"}),
		failing: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: ns, Subsystem: sub, Name: "failing", Help: "1 while the audit log cannot be written. Normal: 0.",
		}),
	}
	for _, cause := range []string{"queue", "write"} {
		m.dropped.WithLabelValues(cause) // From 0 on: else the first would be no increase.
	}
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(reg.Register(m.entries), reg.Register(m.dropped), reg.Register(m.failing))
}
