package e2e_test

import (
	"net/http"
	"testing"

	"pulseboard/e2e/testenv"
)

// All parts behind one address answer as each alone, and the page only for its own paths.
func TestEveryPathAnswersPrograms(t *testing.T) {
	p := start(t, t.TempDir(), "--no-demo")
	testenv.WalkRoutes(t, http.DefaultClient, p.url, testenv.Routes{
		"/": "GET HEAD", "/status": "GET HEAD", "/send": "GET HEAD", "/ingest/recent": "GET HEAD", "/d/x": "GET HEAD", "/d/x/": "GET HEAD", "/d/x/edit": "GET HEAD", "/d/x/w/y": "GET HEAD",
		"/ingest": "POST", "/write": "POST", "/api/v2/write": "POST",
		"/ingest/telegraf": "POST", "/ingest/collectd": "POST", "/ingest/vector": "POST", "/ingest/fluent-bit": "POST",
		"/ping": "GET HEAD", "/health": "GET HEAD", "/ready": "GET HEAD", "/query": "GET POST", "/api/v2/query": "POST", "/api/v2/buckets": "GET POST", "/api/v2/orgs": "GET",
		"/stream/x": "GET", "/stream/x/events": "GET",
		"/dashboards": "GET HEAD POST", "/dashboards/validate": "POST", "/dashboards/x": "GET HEAD PUT PATCH DELETE", "/dashboards/x/widgets": "PATCH",
		"/dashboards/x/widgets/y/snapshot": "GET HEAD", "/dashboards/x/versions": "GET HEAD", "/dashboards/x/versions/1": "GET HEAD",
		"/dashboards/x/versions/1/restore": "POST", "/limits": "GET HEAD", "/metrics/catalog": "GET HEAD", "/openapi.yaml": "GET HEAD", "/docs": "GET HEAD",
		"/metrics": "GET HEAD", "/healthz": "GET HEAD", "/readyz": "GET HEAD",
	})
}
