package transforms

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/aggregate"
	"pulseboard/catalog"
	"pulseboard/job"
	"pulseboard/sources"
)

// byMetric counts by metric, the first maxNamed of them by name: whoever sends
// names at random must not fill the memory with counters.
type byMetric struct {
	*prometheus.CounterVec
	mu    sync.Mutex
	named map[string]bool
}

const maxNamed = 1000

func newByMetric(o prometheus.CounterOpts) *byMetric {
	return &byMetric{CounterVec: prometheus.NewCounterVec(o, []string{"metric"}), named: make(map[string]bool)}
}

func (c *byMetric) add(metric string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.named[metric] {
		if len(c.named) >= maxNamed {
			metric = aggregate.Untracked
		}
		c.named[metric] = true
	}
	c.WithLabelValues(metric).Add(float64(n))
}

var (
	counted = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_events_total", Help: "Events that were read from Kafka and counted, again after a restart that reads them again. Normal: as producers send.",
	})
	beforeStart = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_before_start_events_total",
		Help: "Events of the time before what a start reads, that are ahead of what was read before them: nobody can tell whether they were of the future when they came, and no complete window has them. Normal: 0, some at a start.",
	})
	tooLate = newByMetric(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_too_late_total", Help: "Events that were older than the lateness of 60 s allows, and were dropped, by metric; beyond 1,000 metrics as __other__. Normal: 0.",
	})
	evaluated = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_results_total", Help: "Windows that were evaluated. Normal: the sum of 1/refresh over all queries.",
	})
	latePartials = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_late_partials_total",
		Help: "Slices that reached their key group after their timer; they count from the next window on. Normal: 0; anything else is a defect.",
	})
	seriesHeld = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "pulseboard_pipeline_series", Help: "Series held, by key group. Normal: steady; all together below what state_limit_bytes has room for.",
	}, []string{"key_group"})
	stateBytes = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "pulseboard_pipeline_state_bytes",
		Help: "Memory that is held of events, by part: series (with slices, tags and trees, by key group), partials (on their way to the key groups), reading (fetched and not emitted), ids (of duplicates), catalog (of metrics). " +
			"Normal: steady after the longest window; the sum of a process below state_limit_bytes.",
	}, []string{"part", "key_group"})
	stateLimit = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "pulseboard_pipeline_state_limit_bytes",
		Help: "Most memory that this process may hold of events, by part; together --state-bytes. With the series full, new ones count in the series __other__; " +
			"with the others, reading waits, or ids are forgotten. 0 = no limit. Normal: steady.",
	}, []string{"part"})
	otherEvents = newByMetric(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_other_events_total",
		Help: "Events of series that a limit turned away; they count in the series __other__. By metric; __other__: of metrics beyond 1,000, and of those that were not kept at all. Normal: 0.",
	})
	counterFaults = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_counter_faults_total",
		Help: "Samples of counters and points that say what cannot be, by fault: went_back (below one before, although the counter did not start anew: two writers of one series), " +
			"conflict (another value of the same time; the greater stays), too_many (left out, about: beyond 128 of a series in one slice; the growth of a counter that only rises is exact without them). Normal: 0.",
	}, []string{"fault"})
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

func countFaults(f aggregate.CounterFaults) {
	for fault, n := range map[string]int64{"went_back": f.WentBack, "conflict": f.Conflicts, "too_many": f.Lost} {
		if n > 0 { // A late sample can take back that another went back.
			counterFaults.WithLabelValues(fault).Add(float64(n))
		}
	}
}

// stateCollector asks the source, at the moment when somebody wants to know, what it holds.
type stateCollector struct{ *prometheus.GaugeVec }

// Collect implements prometheus.Collector.
func (c stateCollector) Collect(out chan<- prometheus.Metric) {
	held := sources.HeldBytes()
	held["catalog"] = 0
	for p := range job.All[*catalog.Publisher]() {
		held["catalog"] += p.Bytes()
	}
	for part, bytes := range held {
		c.WithLabelValues(part, "").Set(float64(bytes))
	}
	c.GaugeVec.Collect(out)
}

// Collectors returns the metrics of the transforms.
func Collectors() []prometheus.Collector {
	return []prometheus.Collector{counted, beforeStart, tooLate.CounterVec, evaluated, latePartials, seriesHeld, stateCollector{stateBytes}, stateLimit, otherEvents.CounterVec, counterFaults, rebuilds, buildSeconds, sliceDelay}
}
