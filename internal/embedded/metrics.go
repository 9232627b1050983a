package embedded

import "github.com/prometheus/client_golang/prometheus"

var (
	refusals = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulseboard_embedded_kafka_refused_total",
		Help: "Connections to the embedded Kafka that were closed, by reason: not_kafka, their bytes are no request; too_large; slow, a request did not come whole in time, or none did; connections, there were too many. Normal: 0, some for each scan of ports.",
	}, []string{"reason"})
	gateConnections = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_embedded_kafka_connections", Help: "Connections to the embedded Kafka; it takes 512. Normal: below 100.",
	})
	gateBytes = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_embedded_kafka_request_bytes", Help: "Memory reserved for requests to the embedded Kafka that are under way, 268,435,456 at most. Normal: below 50,000,000.",
	})
	topicBytes = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_embedded_kafka_topic_bytes", Help: "Bytes on disk of the topic of events in the embedded Kafka; it keeps 1,073,741,824. Normal: steady after 75 minutes.",
	})
	removedBytes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulseboard_embedded_kafka_removed_bytes_total",
		Help: "Bytes of a partition that went before their time because the topic was at its bound: the largest partition loses first. Normal: 0 below 4,000 events/s.",
	}, []string{"partition"})
	damagedBytes = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_embedded_kafka_damaged_bytes", Help: "Bytes of the embedded Kafka's files that could not be read at the start, and were set aside. Normal: 0.",
	})
	damagedRecords = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_embedded_kafka_damaged_records", Help: "Records that were lost with them, as far as their number can be told. Normal: 0.",
	})
)

// Collectors returns the metrics of the embedded servers.
func Collectors() []prometheus.Collector {
	return []prometheus.Collector{refusals, gateConnections, gateBytes, topicBytes, removedBytes, damagedBytes, damagedRecords}
}
