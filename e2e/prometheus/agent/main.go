// Command agent is Prometheus' agent mode made of its own packages: it scrapes, keeps what it has scraped in its write-ahead log, and
// sends it by remote write. Prometheus' own command takes eight minutes to build, for all the ways in which it finds targets. Tests start it:
//
//	agent prometheus.yml FOLDER
package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb/agent"
)

const flushTime = time.Minute

func main() {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(log, os.Args[1:]); err != nil {
		log.Error("it ends", "error", err)
		os.Exit(1) //nolint:forbidigo // This is main.
	}
}

func run(log *slog.Logger, args []string) (err error) {
	if len(args) != 2 {
		return errors.New("usage: agent prometheus.yml FOLDER")
	}
	file, dir := args[0], args[1]
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	conf, err := config.LoadFile(file, true, log)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	var scraped *scrape.Manager
	senders := remote.NewStorage(log, registry, func() (int64, error) { return timestamp.FromTime(time.Now()), nil }, dir, flushTime, lazy{&scraped}, false)
	options := agent.DefaultOptions()
	options.EnableSTStorage, options.EnableMetadataWALRecords = true, true
	db, err := agent.Open(log, registry, senders, dir, options)
	if err != nil {
		return err
	}
	db.SetWriteNotified(senders) // Else they look each 15 s.
	both := storage.NewFanout(log, db, senders)
	scraped, err = scrape.NewManager(&scrape.Options{ParseST: true, AppendMetadata: true}, log, nil, nil, both, registry)
	if err != nil {
		return err
	}
	if err := errors.Join(scraped.ApplyConfig(conf), senders.ApplyConfig(conf)); err != nil {
		return err
	}
	targets := make(chan map[string][]*targetgroup.Group, 1)
	groups := make(map[string][]*targetgroup.Group)
	for _, c := range conf.ScrapeConfigs {
		for _, d := range c.ServiceDiscoveryConfigs {
			if static, ok := d.(discovery.StaticConfig); ok {
				groups[c.JobName] = static
			}
		}
	}
	targets <- groups
	go func() {
		<-ctx.Done()
		scraped.Stop()
	}()
	return errors.Join(scraped.Run(targets), both.Close())
}

// lazy finds the manager once there is one.
type lazy struct{ manager **scrape.Manager }

// Get implements remote.ReadyScrapeManager.
func (l lazy) Get() (*scrape.Manager, error) {
	if *l.manager == nil {
		return nil, errors.New("it begins")
	}
	return *l.manager, nil
}
