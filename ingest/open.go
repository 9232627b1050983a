package ingest

import (
	"context"

	"pulseboard/internal/auth"
	"pulseboard/internal/host"
	"pulseboard/internal/service"
)

// Open makes ingest a part of a process, which serves its Handler. The topics are
// there when it returns: made, unless cfg leaves them to others.
func Open(ctx context.Context, h *host.Host, cfg Config) (*Service, error) {
	cfg.Shared = h.Shared("ingest")
	if cfg.OTLPAddr != "" {
		if err := auth.CheckAddr("--otlp-grpc", cfg.OTLPAddr, h.Tokens, auth.Ingest); err != nil {
			return nil, err
		}
	}
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
	if cfg.OTLPAddr != "" {
		ln, err := service.Listen(ctx, "--otlp-grpc", cfg.OTLPAddr)
		if err != nil {
			return nil, err
		}
		s.otlp = ln.Addr()
		cfg.Log.Info("OTLP is taken over gRPC", "addr", s.otlp.String())
		h.Start(ctx, "otlp-grpc", func(ctx context.Context) error { return h.Server.ServeRPC(ctx, ln, s.OTLPHandler()) })
	}
	return s, nil
}
