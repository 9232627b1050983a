// Package scrape shows the metrics of the pipeline's process among those of the
// process that started it, and finds metrics among what was gathered.
package scrape

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

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
	up := &dto.Gauge{Value: new(0.0)}
	out := []*dto.MetricFamily{{
		Name: new("pulseboard_pipeline_up"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: up}},
		Help: new("1 while the pipeline's process answers, of pulseboard run alone; elsewhere Prometheus asks it and says up. Normal: 1."),
	}}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://pipeline/metrics", nil)
	if err != nil {
		return nil, err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return out, nil // It does not answer.
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	up.Value = new(1.0)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(res.Body)
	if err != nil {
		return nil, fmt.Errorf("cannot read the pipeline's metrics: %w", err)
	}
	for name, f := range all {
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") { // Those of this process have the same names.
			out = append(out, f)
		}
	}
	return out, nil
}

// Metrics returns those of a name among gathered ones.
func Metrics(families []*dto.MetricFamily, name string) []*dto.Metric {
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()
		}
	}
	return nil
}
