package gateway_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/e2e/testenv"
	"pulseboard/gateway"
	"pulseboard/internal/host"
	"pulseboard/internal/service"
	"pulseboard/web"
)

func TestEveryPathAnswersPrograms(t *testing.T) {
	routes := testenv.Routes{
		"/stream/x": "GET", "/stream/x/events": "GET", "/dashboards/x/widgets/y/snapshot": "GET HEAD", "/openapi.yaml": "GET HEAD",
		"/metrics": "GET HEAD", "/healthz": "GET HEAD", "/readyz": "GET HEAD",
	}
	t.Run("without the page", func(t *testing.T) { walk(t, nil, routes) })
	for _, path := range []string{"/", "/status", "/d/x", "/d/x/", "/d/x/edit", "/d/x/w/y", "/d/a%2Fb"} {
		routes[path] = "GET HEAD"
	}
	t.Run("with the page", func(t *testing.T) { walk(t, web.Handler(), routes) })
}

// walk serves as the program gateway does.
func walk(t *testing.T, page http.Handler, routes testenv.Routes) {
	t.Helper()
	w := open(t, nil)
	g, err := gateway.New(gateway.Config{Results: w.results, Dashboards: w.dashboard, Page: page, Shared: host.Shared{Log: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = g.Run(ctx) })
	srv := httptest.NewServer(service.Mux(g.Handler(), prometheus.NewRegistry(), service.Alive()))
	t.Cleanup(func() {
		srv.Close()
		cancel()
		running.Wait()
	})
	testenv.WalkRoutes(t, srv.Client(), srv.URL, routes)
}
