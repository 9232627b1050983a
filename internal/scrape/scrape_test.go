package scrape

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pulseboard/internal/service"
)

// What the process says is shown, but for what is this process's own; and whether
// it answers at all is shown too.
func TestGather(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	s := New(socket)
	shows := func(when string, want map[string]float64) {
		t.Helper()
		families, err := prometheus.Gatherers{service.NewMetrics(), s}.Gather()
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		got := map[string]float64{}
		for _, f := range families {
			if _, ok := want[f.GetName()]; ok {
				for _, m := range f.GetMetric() {
					got[f.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
				}
			}
		}
		for name, v := range want {
			if got[name] != v {
				t.Errorf("%s: %s is %v, want %v", when, name, got[name], v)
			}
		}
	}
	shows("without the process", map[string]float64{"pulseboard_pipeline_up": 0, "pulseboard_pipeline_events_total": 0})

	registry := service.NewMetrics()
	events := prometheus.NewCounter(prometheus.CounterOpts{Name: "pulseboard_pipeline_events_total", Help: "Events."})
	events.Add(7)
	registry.MustRegister(events)
	ln, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	server := httptest.NewUnstartedServer(mux)
	server.Listener = ln
	server.Start()
	shows("with it", map[string]float64{"pulseboard_pipeline_up": 1, "pulseboard_pipeline_events_total": 7})
	server.Close()
	shows("after it", map[string]float64{"pulseboard_pipeline_up": 0, "pulseboard_pipeline_events_total": 0})
}
