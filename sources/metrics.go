package sources

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	readErrors = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulseboard_source_errors_total", Help: "Requests to Kafka that failed and were tried again, by kind.",
	}, []string{"kind"})
	lostRecords = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_source_lost_records_total", Help: "Records that retention deleted before they were read.",
	})
	recordsBehind = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "pulseboard_source_lag_records", Help: "Records between the next offset to read and the end of the partition.",
	}, []string{"partition"})
)

// Collectors returns the metrics of the source.
func Collectors() []prometheus.Collector {
	return []prometheus.Collector{readErrors, lostRecords, recordsBehind}
}

func partitionLabel(id int32) string { return strconv.Itoa(int(id)) }
