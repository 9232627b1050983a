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
	log := h.Log("gateway")
	store, err := results.Open(ctx, redis)
	if err != nil {
		return nil, err
	}
	h.Cleanup(ctx, "gateway's results", store.Close)
	reg, err := registry.Open(ctx, redis, registry.WithLog(log))
	if err != nil {
		return nil, err
	}
	h.Cleanup(ctx, "gateway's registry", reg.Close)
	cfg.Results, cfg.Dashboards, cfg.Page, cfg.Build = store, reg, web.Handler(), web.Build()
	cfg.Origins, cfg.TrustedProxies, cfg.Guard, cfg.Audit, cfg.Metrics, cfg.Log = h.Edge.Origins, h.Edge.Proxies, h.Guard, h.Audit, h.Metrics, log
	s, err := New(cfg)
	if err != nil {
		return nil, err
	}
	h.Start(ctx, "gateway", s.Run)
	h.Ready.Add(s.Checks()...)
	return s, nil
}
