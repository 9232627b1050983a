package deploy_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/catalog"
	"pulseboard/clients/canary"
	"pulseboard/configsvc"
	"pulseboard/e2e/testenv"
	"pulseboard/gateway"
	"pulseboard/ingest"
	"pulseboard/ingest/bridge"
	"pulseboard/ingest/statsd"
	"pulseboard/internal/audit"
	"pulseboard/internal/auth"
	"pulseboard/internal/embedded"
	"pulseboard/internal/health"
	"pulseboard/internal/host"
	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/memory"
	"pulseboard/internal/redisconn"
	"pulseboard/internal/scrape"
	frame "pulseboard/internal/service"
	"pulseboard/pipeline"
	"pulseboard/pipeline/supervisor"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/sinks"
	"pulseboard/sources"
	"pulseboard/transforms"
)

// ourMetrics is one that a process of ours serves.
type ourMetric struct {
	name, kind string
	labels     []string
	what       string // Its help, up to "Normal:".
	normal     string // What follows.
	processes  []string
}

// unit is told by the name, as Prometheus wants it.
func (m *ourMetric) unit() string {
	name := strings.TrimSuffix(m.name, "_total")
	switch {
	case strings.HasSuffix(name, "_timestamp_seconds"):
		return "Unix time, s"
	case strings.HasSuffix(name, "_seconds"):
		return "s"
	case strings.HasSuffix(name, "_bytes"):
		return "bytes"
	}
	return ""
}

// collector keeps what a service registers.
type collectors []prometheus.Collector

func (c *collectors) Register(one prometheus.Collector) error {
	*c = append(*c, one)
	return nil
}

func (c *collectors) MustRegister(all ...prometheus.Collector) { *c = append(*c, all...) }

func (*collectors) Unregister(prometheus.Collector) bool { return false }

// description is the text of a *prometheus.Desc, which tells nobody what it holds.
var description = regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"), .*variableLabels: \{([^}]*)\}\}$`)

// inventory asks the services themselves, made as their processes make them, for
// all that they measure.
func inventory(t *testing.T) []*ourMetric {
	t.Helper()
	all := map[string]*ourMetric{}
	add := func(process, name, kind, help string, labels []string) {
		t.Helper()
		m := all[name]
		if m == nil {
			what, normal, _ := strings.Cut(help, " Normal: ")
			m = &ourMetric{name: name, kind: kind, labels: labels, what: what, normal: normal}
			all[name] = m
		}
		if !slices.Contains(m.processes, process) {
			m.processes = append(m.processes, process)
		}
	}
	for process, list := range services(t) {
		for _, c := range list {
			kinds := kindsOf(c)
			descs := make(chan *prometheus.Desc, 100)
			c.Describe(descs)
			close(descs)
			for d := range descs {
				parts := description.FindStringSubmatch(d.String())
				if parts == nil {
					t.Fatalf("cannot read %s", d)
				}
				name, nameErr := strconv.Unquote(parts[1])
				help, helpErr := strconv.Unquote(parts[2])
				if nameErr != nil || helpErr != nil {
					t.Fatalf("cannot read %s", d)
				}
				kind := kinds[name]
				if kind == "" { // Nothing is measured yet: those of ours that make no metric beforehand are gauges.
					kind = "gauge"
				}
				var labels []string
				if parts[3] != "" {
					labels = strings.Split(parts[3], ",")
				}
				add(process, name, kind, help, labels)
			}
		}
	}
	up, err := scrape.New(filepath.Join(t.TempDir(), "nobody")).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range up {
		add("run", f.GetName(), strings.ToLower(f.GetType().String()), f.GetHelp(), nil)
	}
	out := make([]*ourMetric, 0, len(all))
	for _, m := range all {
		slices.SortFunc(m.processes, func(a, b string) int { return cmp.Compare(slices.Index(processes, a), slices.Index(processes, b)) })
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b *ourMetric) int { return strings.Compare(a.name, b.name) })
	return out
}

// kindsOf returns the types of the metrics of a collector, by name. One with
// labels has no metric before it is used, and is known by its own type.
func kindsOf(c prometheus.Collector) map[string]string {
	switch vec := c.(type) {
	case *prometheus.CounterVec:
		c = first(vec.MetricVec)
	case *prometheus.GaugeVec:
		c = first(vec.MetricVec)
	case *prometheus.HistogramVec:
		c = first(vec.MetricVec)
	}
	r := prometheus.NewRegistry()
	kinds := map[string]string{}
	if r.Register(c) != nil {
		return kinds
	}
	families, err := r.Gather()
	if err != nil {
		return kinds
	}
	for _, f := range families {
		kinds[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	return kinds
}

// one is the first metric of a vector, made for this.
type one struct{ prometheus.Metric }

func (o one) Describe(out chan<- *prometheus.Desc) { out <- o.Desc() }
func (o one) Collect(out chan<- prometheus.Metric) { out <- o.Metric }

func first(vec *prometheus.MetricVec) prometheus.Collector {
	descs := make(chan *prometheus.Desc, 1)
	vec.Describe(descs)
	labels := description.FindStringSubmatch((<-descs).String())[3]
	m, err := vec.GetMetricWithLabelValues(strings.Split(labels, ",")...)
	if err != nil {
		panic(fmt.Sprint(labels, ": ", err))
	}
	return one{m}
}

// processes in the order of the way of an event.
var processes = []string{"ingest", "pipeline", "gateway", "configsvc", "canary", "run"}

// services makes each service, and returns what it registers. "pulseboard run"
// serves all of these, and those of its own.
func services(t *testing.T) map[string]collectors {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	redis := miniredis.RunT(t).Addr()
	out := map[string]collectors{}
	make1 := func(process string, run func(reg *collectors) error) {
		t.Helper()
		var c collectors
		if err := run(&c); err != nil {
			t.Fatalf("%s: %v", process, err)
		}
		out[process] = c
	}
	checked := func(c *collectors) error {
		health.New(c, log)
		return nil
	}
	served := func(c *collectors) error {
		_, err := frame.NewServer(frame.ServerConfig{Metrics: c, Log: log})
		return err
	}
	guarded := func(c *collectors) error {
		if err := served(c); err != nil {
			return err
		}
		if err := checked(c); err != nil {
			return err
		}
		if _, err := audit.Open(audit.Config{Path: "-", Metrics: c, Log: log}); err != nil {
			return err
		}
		_, err := auth.Open(testenv.Tokens(t, auth.Admin), auth.Config{Metrics: c, Log: log})
		return err
	}
	make1("ingest", func(c *collectors) error {
		if err := guarded(c); err != nil {
			return err
		}
		s, err := ingest.New(ingest.Config{Kafka: kafkaconn.At("127.0.0.1:1"), Shared: host.Shared{Metrics: c, Log: log}})
		if err != nil {
			return err
		}
		b, err := bridge.New(bridge.Config{Kafka: kafkaconn.At("127.0.0.1:1"), Group: "g", Topics: []string{"t"}, Metrics: c, Log: log})
		if err != nil {
			return err
		}
		b.Close()
		l, err := s.ListenStatsD(t.Context(), statsd.Options{Addr: "127.0.0.1:0"})
		if err != nil {
			return err
		}
		ended, end := context.WithCancel(t.Context())
		end()
		return l.Run(ended)
	})
	make1("pipeline", func(c *collectors) error {
		if err := errors.Join(checked(c), served(c)); err != nil {
			return err
		}
		c.MustRegister(slices.Concat(sources.Collectors(), transforms.Collectors(), sinks.Collectors(), catalog.Collectors(), pipeline.Collectors())...)
		return nil
	})
	make1("gateway", func(c *collectors) error {
		if err := guarded(c); err != nil {
			return err
		}
		store, err := results.Open(t.Context(), redisconn.At(redis))
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = store.Close() })
		reg, err := registry.Open(t.Context(), redisconn.At(redis), registry.WithLog(log))
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = reg.Close() })
		s, err := gateway.New(gateway.Config{Results: store, Dashboards: reg, Shared: host.Shared{Metrics: c, Log: log}})
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return s.Run(ctx)
	})
	make1("configsvc", func(c *collectors) error {
		if err := guarded(c); err != nil {
			return err
		}
		store, err := configsvc.OpenStore(t.Context(), configsvc.SQLite(filepath.Join(t.TempDir(), "dashboards.db")))
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = store.Close() })
		reg, err := registry.Open(t.Context(), redisconn.At(redis), registry.WithLog(log))
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = reg.Close() })
		c.MustRegister(catalog.NewCopy(nil, log).Collectors()...)
		reconciler, err := reg.NewReconciler(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		_, err = configsvc.New(configsvc.Config{Store: store, Registry: reconciler, Shared: host.Shared{Metrics: c, Log: log}})
		return err
	})
	make1("run", func(c *collectors) error {
		c.MustRegister(embedded.Collectors()...)
		c.MustRegister(supervisor.New(log, nil).Collectors()...)
		c.MustRegister(memory.Shares{}.Collector())
		return nil
	})
	make1("canary", func(c *collectors) error {
		if err := errors.Join(checked(c), served(c)); err != nil {
			return err
		}
		const url = "http://127.0.0.1:1"
		_, err := canary.New(canary.Config{Ingest: url, Config: url, Gateway: url, Instance: "x", Metrics: c, Log: log})
		return err
	})
	return out
}
