package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"golang.org/x/sync/errgroup"

	"pulseboard/ingest"
	"pulseboard/internal/conf"
	"pulseboard/internal/host"
	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/service"
)

// node is an ingest node in this program, which writes a CPU profile.
func node(ctx context.Context, env service.Env) error {
	profile := env.Args[1]
	var kafka conf.List
	var addr string
	f := conf.New("node", "")
	f.StringVar(&addr, "addr", "127.0.0.1:0", "")
	f.Var(&kafka, "kafka", "")
	if err := f.Parse(env.Args[2:], env.Getenv, env.Stdout); err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	cfg := ingest.Config{Kafka: kafkaconn.At(kafka...), Shared: host.Shared{Metrics: service.NewMetrics(), Log: log}}
	s, err := ingest.New(cfg)
	if err != nil {
		return err
	}
	if err := s.EnsureTopics(ctx); err != nil {
		return err
	}
	server, err := service.NewServer(service.ServerConfig{Log: log})
	if err != nil {
		return err
	}
	ln, err := service.Listen(ctx, "--addr", addr)
	if err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(profile, fmt.Sprintf("cpu-%d.pprof", time.Now().UnixNano())))
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // A profile that was not written shows.
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	_, _ = fmt.Fprintln(env.Stdout, listening+ln.Addr().String())
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer stop()
		return server.Serve(ctx, ln, s.Handler())
	})
	g.Go(func() error { return s.Run(running) })
	return g.Wait()
}
