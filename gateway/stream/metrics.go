package stream

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"pulseboard/gateway/rooms"
)

type metrics struct {
	connections  prometheus.Gauge
	limit        prometheus.Gauge
	refused      *prometheus.CounterVec
	closes       *prometheus.CounterVec
	frames       prometheus.Counter
	shared       prometheus.Counter
	bytes        prometheus.Counter
	updates      prometheus.Counter
	skipped      prometheus.Counter
	snapshots    prometheus.Counter
	resyncs      *prometheus.CounterVec
	resyncsLate  prometheus.Counter
	eventToSent  prometheus.Histogram
	windowToSent prometheus.Histogram
}

// Reasons why a stream is not opened.
const (
	refusedFull    = "full"
	refusedAddress = "address"
	refusedClosing = "closing"
	refusedOrigin  = "origin"
	refusedToken   = "token"
	refusedRequest = "request"
)

func newMetrics(reg prometheus.Registerer) *metrics {
	const ns = "pulseboard_gateway"
	f := promauto.With(reg)
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Namespace: ns, Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Namespace: ns, Name: name, Help: help})
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: name, Help: help}, []string{label})
	}
	seconds := func(name, help string, buckets ...float64) prometheus.Histogram {
		return f.NewHistogram(prometheus.HistogramOpts{Namespace: ns, Name: name, Help: help, Buckets: buckets})
	}
	m := &metrics{
		connections: gauge("connections", "Streams that are open. Normal: below connections_limit."),
		limit:       gauge("connections_limit", "Most streams that may be open, --max-connections. Normal: well above connections."),
		refused:     vec("refused_total", "Streams that were not opened, by reason: full (--max-connections); address (--max-connections-per-address); closing, the gateway ends; origin, the page of another site; token; request, no proper handshake. Normal: no full and no address; the others now and then.", "reason"),
		closes:      vec("closes_total", "Streams that the gateway closed, by close code (docs/protocol.md). Normal: 1012 when it ends; 1013 is clients that read nothing for a minute, 4401 tokens.", "code"),
		frames:      counter("frames_total", "Frames written to streams. Normal: one a stream and second at a refresh interval of 1 s."),
		shared:      counter("shared_frames_total", "Of frames_total, those that were made once for all streams that are in step with their dashboard. Normal: most."),
		bytes:       counter("frame_bytes_total", "Bytes of JSON in frames written to streams. Normal: some 50 a value."),
		updates:     counter("updates_total", "Results sent in update frames; divided by messages_total it is the fan-out. Normal: as clients look at results together."),
		skipped:     counter("skipped_total", "Results left out of updates because a client was too slow for them; charts get their points later. Normal: 0, or few of updates_total."),
		snapshots:   SnapshotsGiven(reg, "stream"),
		resyncs:     vec("resyncs_total", "Snapshots of all widgets asked for by clients, by cause: client (resync) or play. Normal: few.", "cause"),
		resyncsLate: counter("resyncs_delayed_total", "Snapshots of all widgets that a client asked for again too soon, and got when it might. Normal: 0."),
		eventToSent: seconds("event_to_sent_seconds",
			"Time from the newest event of a result to its frame being written, of the oldest result in each frame whose newest event came within the last refresh interval. Normal: p95 below 2 s, which is what is promised.",
			.1, .25, .5, .75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 5, 10, 30),
		windowToSent: seconds("window_to_sent_seconds",
			"Push latency: time from the end of a window, and its delay, to its frame being written, of the oldest window in each frame, by this machine's clock. Normal: p95 below 0.5 s on Prism, 0.75 s on Flink.",
			.05, .1, .2, .25, .3, .35, .4, .5, .65, .75, 1, 1.5, 2, 5, 10, 30),
	}
	for _, reason := range []string{refusedFull, refusedAddress, refusedClosing, refusedOrigin, refusedToken, refusedRequest} {
		m.refused.WithLabelValues(reason) // From 0 on: else the first would be no increase.
	}
	return m
}

// SnapshotsGiven is the counter of the snapshots that clients get in one way.
func SnapshotsGiven(reg prometheus.Registerer, way string) prometheus.Counter {
	return promauto.With(reg).NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_gateway_snapshots_total", ConstLabels: prometheus.Labels{"way": way},
		Help: "Snapshots given, by way: stream or http. Normal: one for each widget of a stream that is opened.",
	})
}

func (m *metrics) closed(code int) { m.closes.WithLabelValues(strconv.Itoa(code)).Inc() }

// frame counts a frame that was written at now.
func (m *metrics) frame(f *rooms.Frame, now time.Time) {
	m.frames.Inc()
	if f.Prepared != nil {
		m.shared.Inc()
	}
	m.bytes.Add(float64(len(f.Text)))
	m.updates.Add(float64(f.Updates))
	m.skipped.Add(float64(f.Skipped))
	if f.Snapshots > 0 {
		m.snapshots.Add(float64(f.Snapshots))
	}
	if f.OldestEvent > 0 {
		m.eventToSent.Observe(now.Sub(time.UnixMilli(f.OldestEvent)).Seconds())
	}
	if f.OldestEnd > 0 {
		m.windowToSent.Observe(now.Sub(time.UnixMilli(f.OldestEnd)).Seconds())
	}
}
