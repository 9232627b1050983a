package configsvc

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	requests        *prometheus.CounterVec
	duration        *prometheus.HistogramVec
	dashboards      prometheus.Gauge
	widgets         prometheus.Gauge
	queries         prometheus.Gauge
	shortestWindow  prometheus.Gauge
	publishFailures prometheus.Counter
	limited         prometheus.Counter
	// lastPublished is when Redis was last found or made equal to the
	// database, as a monotonic time since start.
	lastPublished atomic.Int64
	start         time.Time
}

func newMetrics(reg prometheus.Registerer) *metrics {
	const ns, sub = "pulseboard", "configsvc"
	auto := promauto.With(reg)
	gauge := func(name, help string) prometheus.Gauge {
		return auto.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return auto.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	m := &metrics{
		start: time.Now(),
		requests: auto.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "requests_total",
			Help: "HTTP requests by route, method and status. Requests outside the API have the route \"none\". Normal: statuses below 500; 412 is editors who met.",
		}, []string{"route", "method", "status"}),
		duration: auto.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: "request_seconds",
			Help:    "Time from the head of an HTTP request to the end of its answer, by route. Normal: p95 below 0.1 s; changes wait for Redis, up to 0.5 s.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"route"}),
		dashboards:      gauge("dashboards", "Dashboards in the database when it was last read, with drafts and the canary's. Normal: as people made."),
		widgets:         gauge("widgets", "Widgets of all dashboards. Normal: as people made."),
		queries:         gauge("queries", "Different queries (metric keys) of all widgets: what the pipeline computes. Normal: below widgets."),
		shortestWindow:  gauge("shortest_window_seconds", "Shortest window of the widgets that people have, 0 without any: beyond as much lag (and 5 s) the alert KafkaLag fires. Normal: 1 to 60."),
		publishFailures: counter("registry_publish_failures_total", "Attempts that could not make Redis equal to the database. Normal: 0 while both are there."),
		limited:         counter("edits_limited_total", "Edits that were answered 429 because one token, or one address, made more than --edit-rate allows. Normal: 0."),
	}
	auto.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: ns, Subsystem: sub, Name: "registry_age_seconds",
		Help: "Seconds since Redis was last found, or made, equal to the database; counted from the start before the first time. Normal: below 3 s.",
	}, func() float64 { return (time.Since(m.start) - time.Duration(m.lastPublished.Load())).Seconds() })
	return m
}

func (m *metrics) publishedNow() { m.lastPublished.Store(int64(time.Since(m.start))) }

// count is the middleware that counts requests. The method is a label only
// where a route answers to it: any other is the client's invention.
func (m *metrics) count(c *gin.Context) {
	begin := time.Now()
	c.Next()
	route, method := c.FullPath(), c.Request.Method
	if route == "" {
		route, method = "none", "none"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(c.Writer.Status())).Inc()
	m.duration.WithLabelValues(route).Observe(time.Since(begin).Seconds())
}
