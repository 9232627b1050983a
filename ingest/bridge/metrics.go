package bridge

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	records        *prometheus.CounterVec
	letters        *prometheus.CounterVec
	lost           *prometheus.CounterVec
	commitFailures prometheus.Counter
}

const ns, sub = "pulseboard", "ingest_topic"

func newMetrics(reg prometheus.Registerer, b *Bridge) (*metrics, error) {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, labels)
	}
	m := &metrics{
		records: vec("records_total", "Records of other topics (--topic-format) that are decided, by what became of them: stored, all events in it; partly, some events are refused; refused, all; nothing, it holds nothing to count. One that is read again counts again. Normal: stored, as their writers write.", "topic", "result"),
		letters: vec("dead_letters_total", "Records of other topics of which something was refused and which are dead letters now, by the code of the first fault. Normal: 0; what is too late is no dead letter.", "topic", "code"),
		lost:    vec("lost_records_total", "Records of other topics that Kafka deleted, by age or size, before they were read. Normal: 0.", "topic"),
		commitFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "commit_failures_total", Help: "Commits of offsets of other topics that Kafka did not take: the records may be read again, and count once all the same. Normal: 0, some while processes come and go.",
		}),
	}
	for _, name := range b.Topics {
		for _, result := range []string{"stored", "partly", "refused", "nothing"} {
			m.records.WithLabelValues(name, result)
		}
		m.lost.WithLabelValues(name)
	}
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(reg.Register(m.records), reg.Register(m.letters), reg.Register(m.lost), reg.Register(m.commitFailures), reg.Register(newGauges(b)))
}

// count counts a record that is decided.
func (m *metrics) count(topic string, o *Outcome) {
	result := "stored"
	switch {
	case o.Stored == 0 && o.Refused == 0:
		result = "nothing"
	case o.Stored == 0:
		result = "refused"
	case o.Refused > 0:
		result = "partly"
	}
	m.records.WithLabelValues(topic, result).Inc()
}

// gauges tell how far a bridge is, at the moment when they are asked.
type gauges struct {
	bridge                   *Bridge
	partitions, records, age *prometheus.Desc
}

func newGauges(b *Bridge) *gauges {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(ns, sub, name), help, []string{"topic"}, nil)
	}
	return &gauges{
		bridge:     b,
		partitions: desc("partitions", "Partitions of another topic that this process reads; the others of its group have the rest. Normal: steady."),
		records:    desc("lag_records", "Records of another topic that are there and not decided yet, of this process' partitions, as of the last read. Normal: near 0."),
		age:        desc("lag_seconds", "Age of the oldest record of another topic that was read and is not decided; while topics cannot be read, for how long. Beyond --lateness events are too late. Normal: below 5."),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.partitions, g.records, g.age} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	now := time.Now()
	failing := g.bridge.failing.lasts(now)
	for _, t := range g.bridge.topics {
		partitions, records, age := t.state(now)
		out <- prometheus.MustNewConstMetric(g.partitions, prometheus.GaugeValue, float64(partitions), t.name)
		out <- prometheus.MustNewConstMetric(g.records, prometheus.GaugeValue, float64(records), t.name)
		out <- prometheus.MustNewConstMetric(g.age, prometheus.GaugeValue, max(age, failing).Seconds(), t.name)
	}
}
