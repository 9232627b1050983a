// Package scrape shows the metrics of the pipeline's process among those of the
// process that started it.
package scrape

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Scraper gathers the metrics of the pipeline's process over a Unix socket, so
// that /metrics shows all of them. While that process is away they are left out,
// and pulseboard_pipeline_up is 0.
type Scraper struct{ client *http.Client }

// New returns the one of a socket.
func New(socket string) *Scraper {
	return &Scraper{&http.Client{Timeout: time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}}
}

// Gather implements prometheus.Gatherer.
func (s *Scraper) Gather() ([]*dto.MetricFamily, error) {
	families, up := s.scrape()
	if !up {
		return pipelineUp(0)
	}
	out, err := pipelineUp(1)
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	defer families.Body.Close() //nolint:errcheck // It was only read.
	all, err := parser.TextToMetricFamilies(families.Body)
	if err != nil {
		return nil, fmt.Errorf("cannot read the pipeline's metrics: %w", err)
	}
	for name, f := range all {
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			continue // Those of this process have the same names.
		}
		out = append(out, f)
	}
	return out, nil
}

// scrape asks the process; false = it does not answer.
func (s *Scraper) scrape() (*http.Response, bool) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://pipeline/metrics", nil)
	if err != nil {
		return nil, false
	}
	res, err := s.client.Do(req)
	return res, err == nil
}

func pipelineUp(v float64) ([]*dto.MetricFamily, error) {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pulseboard_pipeline_up",
		Help: "1 while the pipeline's process answers, of pulseboard run alone; elsewhere Prometheus asks it and says up. Normal: 1.",
	})
	g.Set(v)
	r := prometheus.NewRegistry()
	if err := r.Register(g); err != nil {
		return nil, err
	}
	return r.Gather()
}
