package statsd

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of the listener. What came is the sum of all outcomes of lines, and of what the kernel has dropped.
type metrics struct {
	taken, refused, busy, address prometheus.Counter // Lines, by what became of them.
	cut                           prometheus.Counter
	lines                         *prometheus.CounterVec
	kernel                        prometheus.CounterFunc
	buffer                        prometheus.Gauge
	waiting                       prometheus.Gauge
	connections                   prometheus.Gauge
	turnedAway                    prometheus.Counter
}

func newMetrics(kernelDrops func() float64) *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "pulseboard", Subsystem: "ingest", Name: "statsd_" + name, Help: help}
	}
	lines := prometheus.NewCounterVec(prometheus.CounterOpts(opts("lines_total",
		"Lines of StatsD by what became of them: taken; refused, with a fault that events_rejected_total names; busy, dropped since too many events waited for Kafka; address, dropped since --statsd-allow has not their sender; cut, the end of a stream that broke off. Normal: taken, no other.")), []string{"outcome"})
	return &metrics{
		lines: lines,
		taken: lines.WithLabelValues("taken"), refused: lines.WithLabelValues("refused"), busy: lines.WithLabelValues("busy"),
		address: lines.WithLabelValues("address"), cut: lines.WithLabelValues("cut"),
		kernel: prometheus.NewCounterFunc(prometheus.CounterOpts(opts("kernel_drops_total",
			"Datagrams of StatsD that the kernel dropped before they were read, as its buffer was full; known on Linux alone. Normal: 0; the buffer is too small else, or the machine too busy.")), kernelDrops),
		buffer:      prometheus.NewGauge(prometheus.GaugeOpts(opts("receive_buffer_bytes", "Size of the kernel's buffer for datagrams of StatsD, as Linux counts it, twice what was asked for. Normal: 16 MiB; less where net.core.rmem_max allows no more."))),
		waiting:     prometheus.NewGauge(prometheus.GaugeOpts(opts("waiting_events", "Events of StatsD that wait for Kafka. Normal: far below a quarter of what pending_limit_bytes holds at 256 bytes each, beyond which datagrams are dropped."))),
		connections: prometheus.NewGauge(prometheus.GaugeOpts(opts("connections", "Open TCP connections of StatsD. Normal: one for each client that sends over TCP."))),
		turnedAway:  prometheus.NewCounter(prometheus.CounterOpts(opts("connections_refused_total", "TCP connections of StatsD that were closed at once: --statsd-allow has not their address, there are too many, or they speak HTTP. Normal: 0."))),
	}
}

// register registers them; nil = nowhere.
func (m *metrics) register(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.lines, m.kernel, m.buffer, m.waiting, m.connections, m.turnedAway} {
		errs = append(errs, reg.Register(c))
	}
	return errors.Join(errs...)
}
