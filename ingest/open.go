package ingest

import (
	"context"

	"pulseboard/internal/host"
)

// Open makes ingest a part of a process, which serves its Handler. The topics are
// there when it returns: made, unless cfg leaves them to others.
func Open(ctx context.Context, h *host.Host, cfg Config) (*Service, error) {
	cfg.Shared = h.Shared("ingest")
	s, err := New(cfg)
	if err != nil {
		return nil, err
	}
	prepare := s.EnsureTopics
	if cfg.ForeignTopics {
		prepare = s.Healthy
	}
	if err := prepare(ctx); err != nil {
		return nil, err
	}
	cfg.Log.Info("events go to Kafka", "kafka", cfg.Kafka, "topic", s.config.Topic)
	h.Start(ctx, "ingest", s.Run)
	h.Ready.Add(s.Checks()...)
	if len(cfg.OtherTopics) > 0 {
		b, err := s.OpenTopics(ctx)
		if err != nil {
			return nil, err
		}
		h.Start(ctx, "topics", b.Run) // It ends before what takes its events.
	}
	if cfg.StatsD.Addr != "" {
		l, err := s.ListenStatsD(ctx, cfg.StatsD)
		if err != nil {
			return nil, err
		}
		s.statsd = l.Addr()
		h.Start(ctx, "statsd", l.Run) // It ends before what takes its events.
	}
	return s, nil
}
