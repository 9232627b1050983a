package ingest

import (
	"errors"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	accepted        prometheus.Counter
	rejected        *prometheus.CounterVec
	notAcknowledged prometheus.Counter
	busy            prometheus.Counter
	retries         prometheus.Counter
	pending         prometheus.Gauge
	pendingLimit    prometheus.Gauge
	inFlight        prometheus.Gauge
	requests        *prometheus.CounterVec
	duration        prometheus.Histogram
	produce         prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	const ns, sub = "pulseboard", "ingest"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, []string{label})
	}
	times := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: name, Help: help,
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		})
	}
	m := &metrics{
		accepted:        counter("events_accepted_total", "Events that Kafka has acknowledged: the rate of this is the ingestion rate. Normal: as producers send."),
		rejected:        vec("events_rejected_total", "Events refused, by the code of their fault (protocol.md). Normal: 0; a producer is wrong else.", "code"),
		notAcknowledged: counter("events_not_acknowledged_total", "Events that Kafka did not acknowledge in time: they may be stored or not, and the producer is told. Normal: 0."),
		busy:            counter("busy_total", "Requests refused with 429 because too much was waiting for Kafka. Normal: 0."),
		retries:         counter("produce_retries_total", "Produce requests to Kafka that failed and were tried again. Normal: 0, some while a broker is replaced."),
		pending:         prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: "pending_bytes", Help: "Bytes of the bodies of requests under way. Normal: far below pending_limit_bytes."}),
		pendingLimit:    prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: "pending_limit_bytes", Help: "Most bytes that requests under way may hold; beyond them ingest answers 429. Normal: steady."}),
		inFlight:        prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: "requests_in_flight", Help: "Requests under way: most of them wait for Kafka. Normal: the rate of requests times request_seconds."}),
		requests:        vec("requests_total", "HTTP requests by status. Normal: 200; 429 and 503 are told by alerts, 4xx is producers.", "status"),
		duration:        times("request_seconds", "Time from the head of a request to its answer, Kafka's acknowledgement included. Normal: p95 below 0.05 s."),
		produce:         times("produce_seconds", "Time of the produce requests that Kafka acknowledged. Normal: p95 below 0.025 s."),
	}
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.accepted, m.rejected, m.notAcknowledged, m.busy, m.retries, m.pending, m.pendingLimit, m.inFlight, m.requests, m.duration, m.produce,
	} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

// count is the middleware that counts requests.
func (m *metrics) count(c *gin.Context) {
	begin := time.Now()
	m.inFlight.Inc()
	defer m.inFlight.Dec() // Also when a handler panics.
	c.Next()
	m.requests.WithLabelValues(strconv.Itoa(c.Writer.Status())).Inc()
	m.duration.Observe(time.Since(begin).Seconds())
}
