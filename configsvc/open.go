package configsvc

import (
	"context"

	"pulseboard/catalog"
	"pulseboard/internal/host"
	"pulseboard/internal/redisconn"
	"pulseboard/registry"
)

// Open makes the config service a part of a process, which serves its Handler:
// dashboards are kept in the database, and published to a Redis, in which the
// catalog of metrics and the limits of the pipeline are found.
func Open(ctx context.Context, h *host.Host, database Database, redis redisconn.Endpoint, cfg Config) (*Service, error) {
	log := h.Log("configsvc")
	store, err := OpenStore(ctx, database)
	if err != nil {
		return nil, err
	}
	h.Cleanup(ctx, "database", store.Close)
	reg, err := registry.Open(ctx, redis, registry.WithLog(log))
	if err != nil {
		return nil, err
	}
	h.Cleanup(ctx, "registry", reg.Close)
	installation, err := store.Installation(ctx)
	if err != nil {
		return nil, err
	}
	reconciler, err := reg.NewReconciler(ctx, installation)
	if err != nil {
		return nil, err
	}
	live, err := catalog.Open(ctx, redis)
	if err != nil {
		return nil, err
	}
	h.Cleanup(ctx, "catalog in Redis", live.Close)
	metrics := catalog.NewCopy(live, log)
	h.Metrics.MustRegister(metrics.Collectors()...)
	cfg.Store, cfg.Registry, cfg.Catalog, cfg.Limits = store, reconciler, metrics, reg
	cfg.TrustedProxies, cfg.Guard, cfg.Audit, cfg.Metrics, cfg.Log = h.Edge.Proxies, h.Guard, h.Audit, h.Metrics, log
	s, err := New(cfg)
	if err != nil {
		return nil, err
	}
	log.Info("dashboards are kept", "database", database)
	h.Start(ctx, "catalog", metrics.Watch)
	h.Start(ctx, "config service", s.Run)
	h.Ready.Add(s.Checks()...)
	return s, nil
}
