package feeds

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"pulseboard/wire"
)

type metrics struct {
	feeds, redisAway                                prometheus.Gauge
	messages, resubscriptions, historyReads, hidden prometheus.Counter
}

func newMetrics(s *Set) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return promauto.With(s.Metrics).NewGauge(prometheus.GaugeOpts{Namespace: "pulseboard_gateway", Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return promauto.With(s.Metrics).NewCounter(prometheus.CounterOpts{Namespace: "pulseboard_gateway", Name: name, Help: help})
	}
	if s.Metrics != nil {
		s.Metrics.MustRegister(states{s})
	}
	return &metrics{
		feeds:           gauge("feeds", "Metric keys and refresh intervals that open streams show: what is subscribed to in Redis. Normal: as many as the widgets of the open dashboards have."),
		redisAway:       gauge("redis_away", "1 while Redis does not answer the gateway's probe of each second. Normal: 0."),
		messages:        counter("messages_total", "Results received from Redis that open streams need. Normal: the sum of 1/refresh over feeds."),
		resubscriptions: counter("resubscriptions_total", "Times that messages may have been missed, so that all histories were read again. Normal: 0, and one for each time that Redis was away."),
		historyReads:    counter("history_reads_total", "Histories read from Redis: one for each new feed, and when a message was missed. Normal: below 1 a second."),
		hidden:          counter("future_total", "Results left out, or taken back from streams, since their windows end in the future: a clock is ahead, or was. Normal: 0."),
	}
}

// states counts the feeds by state when metrics are read, since a state is true of a moment.
type states struct{ set *Set }

// Describe is called by the registry, like Collect.
func (states) Describe(out chan<- *prometheus.Desc) { out <- statesDesc() }

func statesDesc() *prometheus.Desc {
	return prometheus.NewDesc("pulseboard_gateway_feed_states",
		"Feeds by state (docs/protocol.md): live; waiting, no event has matched yet; late, results come more than 5 s behind; stale, none has come for two refresh intervals and a second; degraded, Redis is away; limited, beyond a budget and not computed. "+
			"Normal: all live or waiting.", []string{"state"}, nil)
}

// Collect looks at each feed.
func (c states) Collect(out chan<- prometheus.Metric) {
	n := map[wire.State]int{wire.StateWaiting: 0, wire.StateLive: 0, wire.StateLate: 0, wire.StateStale: 0, wire.StateDegraded: 0, wire.StateLimited: 0}
	for _, f := range c.set.all() {
		n[f.View().State]++
	}
	for s, number := range n {
		out <- prometheus.MustNewConstMetric(statesDesc(), prometheus.GaugeValue, float64(number), string(s))
	}
}
