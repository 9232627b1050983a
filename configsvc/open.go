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
	cfg.Shared = h.Shared("configsvc")
	store, err := OpenStore(ctx, database)
	if err != nil {
		return nil, err
	}
	h.Cleanup(ctx, "database", store.Close)
	reg, err := registry.Open(ctx, redis, registry.WithLog(cfg.Log))
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
	metrics := catalog.NewCopy(live, cfg.Log)
	h.Metrics.MustRegister(metrics.Collectors()...)
	cfg.Store, cfg.Registry, cfg.Catalog, cfg.Limits = store, reconciler, metrics, reg
	s, err := New(cfg)
	if err != nil {
		return nil, err
	}
	cfg.Log.Info("dashboards are kept", "database", database)
	h.Start(ctx, "catalog", metrics.Watch)
	h.Start(ctx, "config service", s.Run)
	h.Ready.Add(s.Checks()...)
	return s, nil
}
