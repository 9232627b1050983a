package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/wire"
)

// feedStates counts the feeds by state when metrics are read: a state is true of
// a moment, and nobody else needs their number.
type feedStates struct{ hub *hub }

// Describe is called by the registry, like Collect.
func (feedStates) Describe(out chan<- *prometheus.Desc) { out <- feedStatesDesc() }

func feedStatesDesc() *prometheus.Desc {
	return prometheus.NewDesc("pulseboard_gateway_feed_states",
		"Feeds by state (protocol.md): live; waiting, no event has matched yet; late, results come more than 5 s behind; stale, none has come for two refresh intervals and a second; degraded, Redis is away; limited, beyond a budget and not computed. "+
			"Normal: all live or waiting.", []string{"state"}, nil)
}

// Collect looks at each feed.
func (c feedStates) Collect(out chan<- prometheus.Metric) {
	n := map[wire.State]int{wire.StateWaiting: 0, wire.StateLive: 0, wire.StateLate: 0, wire.StateStale: 0, wire.StateDegraded: 0, wire.StateLimited: 0}
	for _, f := range c.hub.allFeeds() {
		n[f.view().state]++
	}
	for s, number := range n {
		out <- prometheus.MustNewConstMetric(feedStatesDesc(), prometheus.GaugeValue, float64(number), string(s))
	}
}
