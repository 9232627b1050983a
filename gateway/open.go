package gateway

import (
	"context"

	"pulseboard/internal/host"
	"pulseboard/internal/redisconn"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/web"
)

// Open makes the gateway a part of a process, which serves its Handler: with the
// page, on the dashboards and results of a Redis.
func Open(ctx context.Context, h *host.Host, redis redisconn.Endpoint, cfg Config) (*Service, error) {
	cfg.Shared = h.Shared("gateway")
	store, err := results.Open(ctx, redis)
	if err != nil {
		return nil, err
	}
	h.Cleanup(ctx, "gateway's results", store.Close)
	reg, err := registry.Open(ctx, redis, registry.WithLog(cfg.Log))
	if err != nil {
		return nil, err
	}
	h.Cleanup(ctx, "gateway's registry", reg.Close)
	cfg.Results, cfg.Dashboards, cfg.Page, cfg.Build = store, reg, web.Handler(), web.Build()
	s, err := New(cfg)
	if err != nil {
		return nil, err
	}
	h.Start(ctx, "gateway", s.Run)
	h.Ready.Add(s.Checks()...)
	return s, nil
}
