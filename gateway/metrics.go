package gateway

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	connections     prometheus.Gauge
	feeds           prometheus.Gauge
	redisAway       prometheus.Gauge
	refused         *prometheus.CounterVec
	closes          *prometheus.CounterVec
	frames          prometheus.Counter
	shared          prometheus.Counter
	bytes           prometheus.Counter
	updates         prometheus.Counter
	skipped         prometheus.Counter
	snapshots       *prometheus.CounterVec
	streamSnapshots prometheus.Counter
	resyncs         *prometheus.CounterVec
	messages        prometheus.Counter
	resubscriptions prometheus.Counter
	historyReads    prometheus.Counter
	eventToSent     prometheus.Histogram
	endToSent       prometheus.Histogram
}

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
	seconds := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: name, Help: help,
			Buckets: []float64{.1, .25, .5, .75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 5, 10, 30},
		})
	}
	m := &metrics{
		connections:     gauge("connections", "Streams that are open."),
		feeds:           gauge("feeds", "Metric keys and refresh intervals that open streams show."),
		redisAway:       gauge("redis_away", "1 while Redis does not answer."),
		refused:         vec("refused_total", "Streams refused, by reason: full (--max-connections), address (--max-connections-per-address) or closing.", "reason"),
		closes:          vec("closes_total", "Streams that the gateway closed, by close code.", "code"),
		frames:          counter("frames_total", "Frames written to streams."),
		shared:          counter("shared_frames_total", "Of them, frames that were made once for all streams that are in step with their dashboard."),
		bytes:           counter("frame_bytes_total", "Bytes of JSON in frames written to streams."),
		updates:         counter("updates_total", "Results sent in update frames; divided by messages_total it is the fan-out."),
		skipped:         counter("skipped_total", "Results left out because a client was too slow for them."),
		snapshots:       vec("snapshots_total", "Snapshots given, by way: stream or http.", "way"),
		resyncs:         vec("resyncs_total", "Snapshots of all widgets asked for by clients, by cause: client (resync) or play.", "cause"),
		messages:        counter("messages_total", "Results received from Redis that open streams need."),
		resubscriptions: counter("resubscriptions_total", "Times that messages may have been missed, so that all histories were read again."),
		historyReads:    counter("history_reads_total", "Histories read from Redis."),
		eventToSent: seconds("event_to_sent_seconds",
			"Time from the newest event of a result until its frame was written, of the oldest result in the frame whose newest event came within its last refresh interval."),
		endToSent: seconds("window_end_to_sent_seconds", "Time from the end of a window, its delay included, until its frame was written, of the oldest window in the frame."),
	}
	m.streamSnapshots = m.snapshots.WithLabelValues("stream")
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.connections, m.feeds, m.redisAway, m.refused, m.closes, m.frames, m.shared, m.bytes, m.updates, m.skipped, m.snapshots,
		m.resyncs, m.messages, m.resubscriptions, m.historyReads, m.eventToSent, m.endToSent,
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
		m.endToSent.Observe(now.Sub(time.UnixMilli(f.oldestEnd)).Seconds())
	}
}
