package canary

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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

func newMetrics() *metrics {
	const ns, sub = "pulseboard", "canary"
	vec := func(name, help, label string, values ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, []string{label})
		for _, value := range values {
			v.WithLabelValues(value) // From 0 on: else the first loss would be no increase.
		}
		return v
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	m := &metrics{
		sent: vec("sent_total", "Events by what ingest said: acknowledged; refused, with a status that is not 200; unanswered; skipped, this process came too late to send. "+
			"Normal: one acknowledged a second, no other.", "outcome", sentAcknowledged, sentRefused, sentUnanswered, sentSkipped),
		verdicts: vec("verdicts_total", "Acknowledged events by what became of them, some 30 s after each: counted in the first window that could hold it; late, in a later one; "+
			"twice; lost, in none; incomplete, in none, and the pipeline said that it had not read all; unseen, the windows that could hold it were not shown. "+
			"Normal: one counted a second, late now and then, never twice, lost or unseen.", "verdict", verdicts()...),
		eventToClient: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: "event_to_client_seconds",
			Help:    "Time from an event to its first window at a client, both by the clock of this process. Normal: p95 below 2 s, which is what is promised.",
			Buckets: []float64{.1, .25, .5, .75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 5, 10, 30, 60, 300},
		}),
		stage: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: "stage_seconds",
			Help: "The same, by stage: acknowledged, until Kafka has it and ingest says so; window, from the event to the end of its second; computed, from there until the gateway " +
				"writes; delivered, until it is here. The clock between the last two is the gateway's. Normal: p95 below 0.05 s, 1 s, 0.75 s and 0.05 s.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .3, .4, .5, .75, 1, 1.5, 2, 5, 10},
		}, []string{"stage"}),
		foreign: counter("foreign_total", "Sums that hold events of others: two canaries have one name. Normal: 0."),
		open:    prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: "stream_open", Help: "1 while a gateway streams to the canary. Normal: 1."}),
		streams: counter("streams_total", "Streams that were opened. Normal: 1, and one for each end of a gateway."),
	}
	for _, s := range []string{stageAcknowledged, stageWindow, stageComputed, stageDelivered} {
		m.stage.WithLabelValues(s)
	}
	return m
}

// register puts them in a registry, nil = none, with the age of the newest event.
func (m *metrics) register(reg prometheus.Registerer, age func() time.Duration) error {
	if reg == nil {
		return nil
	}
	seen := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "pulseboard", Subsystem: "canary", Name: "age_seconds",
		Help: "Age of the newest event that a client has seen: how long ago all stages worked. Counted from the start before the first. Normal: below 3 s.",
	}, func() float64 { return age().Seconds() })
	var errs []error
	for _, c := range []prometheus.Collector{m.sent, m.verdicts, m.eventToClient, m.stage, m.foreign, m.open, m.streams, seen} {
		errs = append(errs, reg.Register(c))
	}
	return errors.Join(errs...)
}
