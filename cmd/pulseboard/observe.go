package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// scraper gathers the metrics of the pipeline's process over a Unix socket, so
// that /metrics shows all of them. While that process is away they are left out.
type scraper struct{ client *http.Client }

func newScraper(socket string) *scraper {
	return &scraper{&http.Client{Timeout: time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}}
}

// Gather implements prometheus.Gatherer.
func (s *scraper) Gather() ([]*dto.MetricFamily, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://pipeline/metrics", nil)
	if err != nil {
		return nil, err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return nil, nil // Its absence shows in pulseboard_pipeline_up.
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil {
		return nil, fmt.Errorf("cannot read the pipeline's metrics: %w", err)
	}
	out := make([]*dto.MetricFamily, 0, len(families))
	for name, f := range families {
		if isOfTheProcess(name) {
			continue // Those of this process have the same names.
		}
		out = append(out, f)
	}
	return out, nil
}

func isOfTheProcess(name string) bool {
	return len(name) > 3 && name[:3] == "go_" || len(name) > 8 && name[:8] == "process_"
}

// totals adds up counters by name.
func totals(g prometheus.Gatherer, names map[string]string) (map[string]float64, error) {
	families, err := g.Gather()
	if err != nil {
		return nil, err
	}
	out := make(map[string]float64, len(names))
	for _, f := range families {
		for label, name := range names {
			if f.GetName() != name {
				continue
			}
			for _, m := range f.GetMetric() {
				out[label] += m.GetCounter().GetValue()
			}
		}
	}
	return out, nil
}

// check says whether a part answers.
type check struct {
	name string
	ok   func(context.Context) error
}

// healthz answers 200 once every part does, else 503 with what does not.
func healthz(checks []check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		status, parts := http.StatusOK, make(map[string]string, len(checks))
		for _, c := range checks {
			parts[c.name] = "ok"
			if err := c.ok(ctx); err != nil {
				status, parts[c.name] = http.StatusServiceUnavailable, err.Error()
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(parts) // A client that is gone cannot be told.
	})
}
