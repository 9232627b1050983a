package transforms

import "github.com/prometheus/client_golang/prometheus"

var (
	counted = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_events_total", Help: "Events that were read from Kafka and counted, again after a restart that reads them again. Normal: as producers send.",
	})
	tooLate = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_too_late_total", Help: "Events that were older than the lateness of 60 s allows, and were dropped, by metric. Normal: 0.",
	}, []string{"metric"})
	evaluated = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_results_total", Help: "Windows that were evaluated. Normal: the sum of 1/refresh over all queries.",
	})
	latePackets = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_late_packets_total",
		Help: "Slices that reached their key group after their timer; they count from the next window on. Normal: 0; anything else is a defect.",
	})
	seriesHeld = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "pulseboard_pipeline_series", Help: "Series held, by key group. Normal: steady; all together below what state_limit_bytes has room for.",
	}, []string{"key_group"})
	stateBytes = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "pulseboard_pipeline_state_bytes", Help: "About how much memory slices and trees take, by key group. Normal: steady after the longest window; the sum of a process below state_limit_bytes.",
	}, []string{"key_group"})
	stateLimit = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_pipeline_state_limit_bytes", Help: "Most memory that slices and trees of this process may take, --state-bytes; beyond it new series count in the series __other__. 0 = no limit. Normal: steady.",
	})
	otherEvents = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_other_events_total",
		Help: "Events of series that a limit turned away; they count in the series __other__. By metric. Normal: 0.",
	}, []string{"metric"})
	rebuilds = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_rebuilds_total", Help: "Key groups whose working form was built anew from the runner's state, as after a restart. Normal: as many as there are key groups, once.",
	})
	buildSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "pulseboard_pipeline_build_seconds", Help: "Duration of making the trees and the history of new queries, beside the rest. Normal: p95 below 0.5 s.",
		Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	})
	sliceDelay = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "pulseboard_pipeline_slice_delay_seconds", Help: "From the end of a slice by the wall clock until its windows were evaluated: the latency of the aggregation. Normal: p95 below 0.5 s on Prism, 0.75 s on Flink.",
		Buckets: []float64{.1, .2, .25, .3, .35, .4, .5, .65, .8, 1, 1.5, 2, 5, 10, 30, 60},
	})
)

// Collectors returns the metrics of the transforms.
func Collectors() []prometheus.Collector {
	return []prometheus.Collector{counted, tooLate, evaluated, latePackets, seriesHeld, stateBytes, stateLimit, otherEvents, rebuilds, buildSeconds, sliceDelay}
}
