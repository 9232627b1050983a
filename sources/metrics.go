package sources

import (
	"github.com/prometheus/client_golang/prometheus"
)

var (
	readErrors = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulseboard_source_errors_total", Help: "Requests to Kafka that failed and were tried again, by kind. Normal: 0, some while a broker is replaced.",
	}, []string{"kind"})
	lostRecords = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_source_lost_records_total", Help: "Records that were gone before they were read: deleted by retention, compacted away, or damaged in Kafka's files. Normal: 0; they are lost.",
	})
	remade = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_source_logs_replaced_total",
		Help: "Partitions that went on in another log: the topic was deleted and made anew, or a leader was elected that lacked records. Normal: 0; what the old log held and was not read is lost.",
	})
	abortedRecords = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_source_aborted_records_total", Help: "Records of transactions that were aborted: they count nothing. Normal: few.",
	})
	wrongClock = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_source_wrong_clock_records_total",
		Help: "Records that a broker took while its clock was wrong, by more than 5 s: they count at the time of those before them. Normal: 0.",
	})
	forgottenIDs = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_source_ids_forgotten_total",
		Help: "Ids of records that were forgotten before --dedupe was over, because their partition had more of them than memory is for. Normal: 0; a repeated request may count twice.",
	})
	replicaEvents = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_source_replica_events_total",
		Help: "Samples that were left out because another replica's count, with --ha-tag. Normal: of two agents as many as count.",
	})
	replicasForgotten = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_source_replicas_forgotten_total",
		Help: "Series with --ha-tag of which it was forgotten which replica's samples count, because a partition had more than memory is for. Normal: 0; a sample of each may count twice.",
	})
	duplicates = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_source_duplicates_total", Help: "Records that were left out because their id was there before: repeated requests. Normal: few.",
	})
)

// Collectors returns the metrics of the source.
func Collectors() []prometheus.Collector {
	return []prometheus.Collector{readErrors, lostRecords, remade, abortedRecords, wrongClock, forgottenIDs, duplicates, replicaEvents, replicasForgotten, lagCollector{}}
}
