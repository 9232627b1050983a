package transforms

import "github.com/prometheus/client_golang/prometheus"

var (
	counted = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_events_total", Help: "Events that were counted.",
	})
	tooLate = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_too_late_total", Help: "Events that were older than the lateness allows, and were dropped.",
	}, []string{"metric"})
	evaluated = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_results_total", Help: "Windows that were evaluated.",
	})
	latePackets = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_late_packets_total",
		Help: "Slices that reached their key group after their timer; they count from the next window on. Must stay 0.",
	})
	seriesHeld = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "pulseboard_pipeline_series", Help: "Series held, by key group.",
	}, []string{"key_group"})
	stateBytes = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "pulseboard_pipeline_state_bytes", Help: "About how much memory slices and trees take, by key group.",
	}, []string{"key_group"})
	otherEvents = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_other_events_total",
		Help: "Events of series that a limit turned away; they count in the series __other__.",
	}, []string{"metric"})
	rebuilds = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_rebuilds_total", Help: "Key groups whose working form was built anew from the runner's state.",
	})
	buildSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "pulseboard_pipeline_build_seconds", Help: "Duration of making the trees and the history of new queries.",
		Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	})
	sliceDelay = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "pulseboard_pipeline_slice_delay_seconds", Help: "From the end of a slice by the wall clock until its windows were evaluated.",
		Buckets: []float64{.1, .2, .25, .3, .35, .4, .5, .65, .8, 1, 1.5, 2, 5, 10, 30, 60},
	})
)

// Collectors returns the metrics of the transforms.
func Collectors() []prometheus.Collector {
	return []prometheus.Collector{counted, tooLate, evaluated, latePackets, seriesHeld, stateBytes, otherEvents, rebuilds, buildSeconds, sliceDelay}
}
