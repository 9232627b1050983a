package configsvc

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/host"
	"pulseboard/internal/service"
)

func TestEveryPathAnswersPrograms(t *testing.T) {
	s, err := New(Config{Store: openTestSQLite(t, newDB(t)), Registry: nowhere{}, Shared: host.Shared{Log: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	srv := httptest.NewServer(service.Mux(s.Handler(), reg, service.Alive()))
	t.Cleanup(srv.Close)
	testenv.WalkRoutes(t, srv.Client(), srv.URL, testenv.Routes{
		"/dashboards": "GET HEAD POST", "/dashboards/validate": "POST", "/dashboards/x": "GET HEAD PUT PATCH DELETE", "/dashboards/x/widgets": "PATCH",
		"/dashboards/x/versions": "GET HEAD", "/dashboards/x/versions/1": "GET HEAD", "/dashboards/x/versions/1/restore": "POST", "/limits": "GET HEAD",
		"/metrics/catalog": "GET HEAD", "/openapi.yaml": "GET HEAD", "/docs": "GET HEAD", "/metrics": "GET HEAD", "/healthz": "GET HEAD", "/readyz": "GET HEAD",
	})
	for path, want := range map[string]string{
		"/dashboards?limit=many":      `limit is "many": it must be a whole number`,
		"/dashboards/x/versions/last": `version is "last": it must be a whole number`,
		"/dashboards?limit=0":         `limit is 0: it must be a whole number from 1 to`,
		"/dashboards/%22x%22":         `there is no dashboard "\"x\""`,
	} {
		if r := do(t, srv, http.MethodGet, path, ""); r.status/100 != 4 || r.problem(t).Detail == "" || r.problem(t).Detail[:min(len(want), len(r.problem(t).Detail))] != want {
			t.Errorf("GET %s: %d %s, want %s", path, r.status, r.body, want)
		}
	}
}
