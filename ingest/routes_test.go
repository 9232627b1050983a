package ingest_test

import (
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/e2e/testenv"
	"pulseboard/ingest"
	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/service"
)

func TestEveryPathAnswersPrograms(t *testing.T) {
	// No request gets as far as to Kafka.
	s, err := ingest.New(ingest.Config{Kafka: kafkaconn.At("127.0.0.1:1")})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(service.Mux(s.Handler(), prometheus.NewRegistry(), service.Alive()))
	t.Cleanup(srv.Close)
	testenv.WalkRoutes(t, srv.Client(), srv.URL, testenv.Routes{
		"/ingest": "POST", "/write": "POST", "/api/v2/write": "POST", "/api/v1/write": "POST", "/v1/metrics": "POST",
		"/ingest/telegraf": "POST", "/ingest/collectd": "POST", "/ingest/vector": "POST", "/ingest/fluent-bit": "POST",
		"/ping": "GET HEAD", "/health": "GET HEAD", "/ready": "GET HEAD", "/query": "GET POST", "/api/v2/query": "POST", "/api/v2/buckets": "GET POST", "/api/v2/orgs": "GET",
		ingest.RecentPath: "GET HEAD", "/openapi.yaml": "GET HEAD",
		"/metrics": "GET HEAD", "/healthz": "GET HEAD", "/readyz": "GET HEAD",
	})
}
