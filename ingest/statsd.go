package ingest

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/ingest/statsd"
	"pulseboard/wire"
)

const (
	// statsdShare is the part of MaxPending that events of StatsD may take while they wait for Kafka, besides the bodies.
	statsdShare = 4
	// sayEvery is how often the log tells of lines that are refused, and of events that are lost.
	sayEvery = 10 * time.Second
)

// ListenStatsD opens the sockets of StatsD. What their listener takes goes the way of all events, until its Run ends, which
// must be before that of the service.
func (s *Service) ListenStatsD(ctx context.Context, o statsd.Options) (*statsd.Listener, error) {
	counts := s.metrics.of("statsd")
	log := s.config.Log
	var refused, lost saying
	codes := make(map[string]prometheus.Counter)
	var mu sync.Mutex
	l, err := statsd.Listen(ctx, statsd.Config{
		Options: o, Limits: s.config.Limits, CutTags: s.config.CutTags, Room: s.texts, Pending: s.config.MaxPending / statsdShare, Metrics: s.config.Metrics, Log: log,
		Refused: func(line []byte, f statsd.Fault) {
			mu.Lock()
			defer mu.Unlock()
			if codes[f.Code] == nil {
				codes[f.Code] = counts.rejected.WithLabelValues(f.Code)
			}
			codes[f.Code].Inc()
			if now := s.now().UnixMilli(); s.recent.refused.wants(now) {
				s.recent.refused.add(seen{Time: now, Format: "statsd", Code: f.Code, Detail: shown(f.Detail()), Times: 1})
			}
			refused.say(1, func(n int) {
				log.Warn("lines of StatsD are refused; this is the last one", "lines", n, "line", string(line[:min(len(line), 200)]), "code", f.Code, "fault", f.Detail())
			})
		},
		Sink: func(ctx context.Context, b *wire.Batch) {
			o, r := s.write(ctx, "", counts, func(bool) {}, b, requestID("", nil))
			switch {
			case r != nil:
				lost.say(b.N, func(n int) {
					log.Warn("events of StatsD are lost: Kafka does not take them", "events", n, "error", r.detail)
				})
			case o.unknown > 0:
				lost.say(o.unknown, func(n int) {
					log.Warn("events of StatsD may be lost: Kafka did not acknowledge them", "events", n)
				})
			}
		},
	})
	if err != nil {
		return nil, err
	}
	log.Info("StatsD is taken over UDP and TCP", "addr", l.Addr().String())
	return l, nil
}

// saying tells of what happens often, at most once in a while, and how often it has happened since.
type saying struct {
	mu   sync.Mutex
	next time.Time
	n    int
}

func (s *saying) say(n int, tell func(n int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n += n
	now := time.Now()
	if now.Before(s.next) {
		return
	}
	tell(s.n)
	s.n, s.next = 0, now.Add(sayEvery)
}
