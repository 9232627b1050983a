package canary

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	sent          *prometheus.CounterVec
	verdicts      *prometheus.CounterVec
	eventToClient prometheus.Histogram
	stage         *prometheus.HistogramVec
	foreign       prometheus.Counter
	open          prometheus.Gauge
	streams       prometheus.Counter
}

// Stages of the way of an event.
const (
	stageAcknowledged = "acknowledged"
	stageWindow       = "window"
	stageComputed     = "computed"
	stageDelivered    = "delivered"
)

// Outcomes of a request.
const (
	sentAcknowledged = "acknowledged"
	sentRefused      = "refused"
	sentUnanswered   = "unanswered"
	sentSkipped      = "skipped"
)

// newMetrics registers the metrics, unless reg is nil. age returns the seconds since
// the newest event that was seen.
func newMetrics(reg prometheus.Registerer, age func() float64) *metrics {
	const ns, sub = "pulseboard", "canary"
	register := promauto.With(reg)
	vec := func(name, help, label string, values ...string) *prometheus.CounterVec {
		v := register.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, []string{label})
		for _, value := range values {
			v.WithLabelValues(value) // From 0 on: else the first loss would be no increase.
		}
		return v
	}
	register.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: ns, Subsystem: sub, Name: "age_seconds",
		Help: "Age of the newest event that a client has seen: how long ago all stages worked. Counted from the start before the first. Normal: below 3 s.",
	}, age)
	m := &metrics{
		sent: vec("sent_total", "Events by what ingest said: acknowledged; refused, with a status that is not 200; unanswered; skipped, this process came too late to send. "+
			"Normal: one acknowledged a second, no other.", "outcome", sentAcknowledged, sentRefused, sentUnanswered, sentSkipped),
		verdicts: vec("verdicts_total", "Acknowledged events by what became of them, some 30 s after each: counted in the first window that could hold it; late, in a later one; "+
			"twice; lost, in none; incomplete, in none, and the pipeline said that it had not read all; unseen, the windows that could hold it were not shown. "+
			"Normal: one counted a second, late now and then, never twice, lost or unseen.",
			"verdict", verdictCounted, verdictLate, verdictTwice, verdictLost, verdictIncomplete, verdictUnseen),
		eventToClient: register.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: "event_to_client_seconds",
			Help:    "Time from an event to its first window at a client, both by the clock of this process. Normal: p95 below 2 s, which is what is promised.",
			Buckets: []float64{.1, .25, .5, .75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 5, 10, 30, 60, 300},
		}),
		stage: register.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: "stage_seconds",
			Help: "The same, by stage: acknowledged, until Kafka has it and ingest says so; window, from the event to the end of its second; computed, from there until the gateway " +
				"writes; delivered, until it is here. The clock between the last two is the gateway's. Normal: p95 below 0.05 s, 1 s, 0.75 s and 0.05 s.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .3, .4, .5, .75, 1, 1.5, 2, 5, 10},
		}, []string{"stage"}),
		foreign: register.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "foreign_total", Help: "Sums that hold events of others: two canaries have one name. Normal: 0."}),
		open:    register.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: "stream_open", Help: "1 while a gateway streams to the canary. Normal: 1."}),
		streams: register.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "streams_total", Help: "Streams that were opened. Normal: 1, and one for each end of a gateway."}),
	}
	for _, s := range []string{stageAcknowledged, stageWindow, stageComputed, stageDelivered} {
		m.stage.WithLabelValues(s)
	}
	return m
}
