package ingest

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	accepted        *prometheus.CounterVec
	rejected        *prometheus.CounterVec
	notAcknowledged *prometheus.CounterVec
	cut             *prometheus.CounterVec
	leftOut         *prometheus.CounterVec
	busyAll         prometheus.Counter
	busyAddress     prometheus.Counter // One address holds all that it may.
	busyToken       prometheus.Counter
	retries         prometheus.Counter
	pending         prometheus.Gauge
	pendingLimit    prometheus.Gauge
	inFlight        prometheus.Gauge
	waiting         prometheus.Gauge
	requests        *prometheus.CounterVec
	ok, noContent   prometheus.Counter // Of requests, those of nearly all.
	duration        prometheus.Histogram
	produce         prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	const ns, sub = "pulseboard", "ingest"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, labels)
	}
	times := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: name, Help: help,
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		})
	}
	busy := vec("busy_total", "Requests refused with 429, by the bound that was reached: all, too much was waiting for Kafka; address or token, one held its share of --max-pending. Normal: 0.", "bound")
	m := &metrics{
		accepted:        vec("events_accepted_total", "Events that Kafka has acknowledged, by the format they came in: the rate of this is the ingestion rate. Normal: as producers send.", "format"),
		rejected:        vec("events_rejected_total", "Events refused, by their format and the code of their fault (docs/protocol.md). Normal: 0; a producer is wrong else.", "format", "code"),
		notAcknowledged: vec("events_not_acknowledged_total", "Events that Kafka did not acknowledge in time: they may be stored or not, and the producer is told. Normal: 0.", "format"),
		cut:             vec("events_cut_total", "Events whose tags were beyond the limits and were cut to fit (--tags-over-limits cut), by the format they came in; most were acknowledged then. Normal: 0.", "format"),
		leftOut:         vec("left_out_total", "What senders sent and a chart has no place for, by their format: unknown_member, a member that no event has (the answer names it); not_a_number, a sample of NaN or infinity; exemplar; string, a field of InfluxDB (--influx-strings); twice, a field that its line has again, where the last one counts; null, string and neither_number_nor_text, values of agents. Normal: as producers send.", "format", "reason"),
		busyAll:         busy.WithLabelValues("all"), busyAddress: busy.WithLabelValues("address"), busyToken: busy.WithLabelValues("token"),
		retries:      counter("produce_retries_total", "Produce requests to Kafka that failed and were tried again. Normal: 0, some while a broker is replaced."),
		pending:      prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: "pending_bytes", Help: "Bytes of the bodies of requests under way. Normal: far below pending_limit_bytes."}),
		pendingLimit: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: "pending_limit_bytes", Help: "Most bytes that requests under way may hold; beyond them ingest answers 429. Normal: steady."}),
		inFlight:     prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: "requests_in_flight", Help: "Requests under way: most of them wait for Kafka. Normal: the rate of requests times request_seconds."}),
		waiting:      prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: "waiting_records", Help: "Records that wait for the next produce request to their leader. Normal: few; they grow while Kafka is slower than producers."}),
		requests:     vec("requests_total", "HTTP requests by status. Normal: 200; 429 and 503 are told by alerts, 4xx is producers.", "status"),
		duration:     times("request_seconds", "Time from the head of a request to its answer, Kafka's acknowledgement included. Normal: p95 below 0.05 s."),
		produce:      times("produce_seconds", "Time of the produce requests that Kafka acknowledged. Normal: p95 below 0.025 s."),
	}
	m.ok, m.noContent = m.requests.WithLabelValues("200"), m.requests.WithLabelValues("204")
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.accepted, m.rejected, m.notAcknowledged, m.cut, m.leftOut, busy, m.retries, m.pending, m.pendingLimit, m.inFlight, m.waiting, m.requests, m.duration, m.produce,
	} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

// leaveOut counts what a request of samples had that has no place on a chart.
func (m *metrics) leaveOut(format string, notNumbers, exemplars int) {
	m.leftOut.WithLabelValues(format, "not_a_number").Add(float64(notNumbers))
	m.leftOut.WithLabelValues(format, "exemplar").Add(float64(exemplars))
}

// formatMetrics are those of one format.
type formatMetrics struct {
	format string // Its name.

	accepted, notAcknowledged, cut prometheus.Counter
	rejected                       *prometheus.CounterVec // By code.
}

func (m *metrics) of(format string) *formatMetrics {
	return &formatMetrics{
		format:   format,
		accepted: m.accepted.WithLabelValues(format), notAcknowledged: m.notAcknowledged.WithLabelValues(format), cut: m.cut.WithLabelValues(format),
		rejected: m.rejected.MustCurryWith(prometheus.Labels{"format": format}),
	}
}

// count is the middleware that counts requests.
func (m *metrics) count(c *gin.Context) {
	begin := time.Now()
	m.inFlight.Inc()
	defer m.inFlight.Dec() // Also when a handler panics.
	c.Next()
	switch status := c.Writer.Status(); status {
	case http.StatusOK:
		m.ok.Inc()
	case http.StatusNoContent:
		m.noContent.Inc()
	default:
		m.requests.WithLabelValues(strconv.Itoa(status)).Inc()
	}
	m.duration.Observe(time.Since(begin).Seconds())
}
