package gateway

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	connections     prometheus.Gauge
	limit           prometheus.Gauge
	refused         *prometheus.CounterVec
	feeds           prometheus.Gauge
	redisAway       prometheus.Gauge
	closes          *prometheus.CounterVec
	frames          prometheus.Counter
	shared          prometheus.Counter
	bytes           prometheus.Counter
	updates         prometheus.Counter
	skipped         prometheus.Counter
	snapshots       *prometheus.CounterVec
	streamSnapshots prometheus.Counter
	resyncs         *prometheus.CounterVec
	resyncsLate     prometheus.Counter
	messages        prometheus.Counter
	resubscriptions prometheus.Counter
	historyReads    prometheus.Counter
	hidden          prometheus.Counter
	eventToSent     prometheus.Histogram
	windowToSent    prometheus.Histogram
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

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	const ns, sub = "pulseboard", "gateway"
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help})
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help}, []string{label})
	}
	seconds := func(name, help string, buckets ...float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: ns, Subsystem: sub, Name: name, Help: help, Buckets: buckets})
	}
	m := &metrics{
		connections:     gauge("connections", "Streams that are open, of all that the hub has let in. Normal: below connections_limit."),
		limit:           gauge("connections_limit", "Most streams that may be open, --max-connections. Normal: well above connections."),
		refused:         vec("refused_total", "Streams that were not opened, by reason: full (--max-connections); address (--max-connections-per-address); closing, the gateway ends; origin, the page of another site; token; request, no proper handshake. Normal: no full and no address; the others now and then.", "reason"),
		feeds:           gauge("feeds", "Metric keys and refresh intervals that open streams show: what is subscribed to in Redis. Normal: as many as the widgets of the open dashboards have."),
		redisAway:       gauge("redis_away", "1 while Redis does not answer the gateway's probe of each second. Normal: 0."),
		closes:          vec("closes_total", "Streams that the gateway closed, by close code (protocol.md). Normal: 1012 when it ends; 1013 is clients that read nothing for a minute, 4401 tokens.", "code"),
		frames:          counter("frames_total", "Frames written to streams. Normal: one a stream and second at a refresh interval of 1 s."),
		shared:          counter("shared_frames_total", "Of frames_total, those that were made once for all streams that are in step with their dashboard. Normal: most."),
		bytes:           counter("frame_bytes_total", "Bytes of JSON in frames written to streams. Normal: some 50 a value."),
		updates:         counter("updates_total", "Results sent in update frames; divided by messages_total it is the fan-out. Normal: as clients look at results together."),
		skipped:         counter("skipped_total", "Results left out of updates because a client was too slow for them; charts get their points later. Normal: 0, or few of updates_total."),
		snapshots:       vec("snapshots_total", "Snapshots given, by way: stream or http. Normal: one for each widget of a stream that is opened.", "way"),
		resyncs:         vec("resyncs_total", "Snapshots of all widgets asked for by clients, by cause: client (resync) or play. Normal: few.", "cause"),
		resyncsLate:     counter("resyncs_delayed_total", "Snapshots of all widgets that a client asked for again too soon, and got when it might. Normal: 0."),
		messages:        counter("messages_total", "Results received from Redis that open streams need. Normal: the sum of 1/refresh over feeds."),
		resubscriptions: counter("resubscriptions_total", "Times that messages may have been missed, so that all histories were read again. Normal: 0, and one for each time that Redis was away."),
		historyReads:    counter("history_reads_total", "Histories read from Redis: one for each new feed, and when a message was missed. Normal: below 1 a second."),
		hidden:          counter("future_total", "Results left out, or taken back from streams, since their windows end in the future: a clock is ahead, or was. Normal: 0."),
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
	m.streamSnapshots = m.snapshots.WithLabelValues("stream")
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.connections, m.limit, m.refused, m.feeds, m.redisAway, m.closes, m.frames, m.shared, m.bytes, m.updates, m.skipped, m.snapshots,
		m.resyncs, m.resyncsLate, m.messages, m.resubscriptions, m.historyReads, m.hidden, m.eventToSent, m.windowToSent,
	} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) closed(code int) { m.closes.WithLabelValues(strconv.Itoa(code)).Inc() }

// frame counts a frame that was written at now.
func (m *metrics) frame(f *message, now time.Time) {
	m.frames.Inc()
	if f.prepared != nil {
		m.shared.Inc()
	}
	m.bytes.Add(float64(len(f.text)))
	m.updates.Add(float64(f.updates))
	m.skipped.Add(float64(f.skipped))
	if f.snapshots > 0 {
		m.streamSnapshots.Add(float64(f.snapshots))
	}
	if f.oldestEvent > 0 {
		m.eventToSent.Observe(now.Sub(time.UnixMilli(f.oldestEvent)).Seconds())
	}
	if f.oldestEnd > 0 {
		m.windowToSent.Observe(now.Sub(time.UnixMilli(f.oldestEnd)).Seconds())
	}
}
