package ingest_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	"github.com/influxdata/influxdb-client-go/v2/domain"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/e2e/testenv"
	"pulseboard/ingest"
)

// What clients of InfluxDB ask before they write, word for word: docs/ingest.md. e2e/influx has the clients themselves.
func TestProbes(t *testing.T) {
	n := start(t, nil)
	url := strings.TrimSuffix(n.url, "/ingest")
	for _, c := range []struct {
		method, path, form string
		status             int
		want               string
	}{
		{"GET", "/ping", "", 204, ""},
		{"HEAD", "/ping", "", 204, ""},
		{"GET", "/health", "", 200, `"status":"pass"`},
		{"GET", "/ready", "", 200, `"status":"ready"`},
		{"POST", "/query?q=CREATE+DATABASE+%22x%22", "", 200, `{"results":[{"statement_id":0}]}`},
		{"POST", "/query", "q=create+database+x%3B+SHOW+DATABASES&db=x", 200, `{"results":[{"statement_id":0},{"statement_id":1,"series":[{"name":"databases","columns":["name"],"values":[["pulseboard"],["x"]]}]}]}`},
		{"GET", "/query?q=SHOW+DATABASES", "", 200, `{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[["pulseboard"]]}]}]}`},
		{"GET", "/query?q=SHOW+RETENTION+POLICIES+ON+x", "", 200, `"values":[["autogen","0s","168h0m0s",1,true]]`},
		{"POST", "/query?q=CREATE+RETENTION+POLICY+a+ON+x+DURATION+1d+REPLICATION+1", "", 200, `{"results":[{"statement_id":0}]}`},
		{"GET", "/query?q=SELECT+*+FROM+cpu", "", 400, `queries of InfluxDB are not answered here`},
		{"POST", "/query?q=DROP+DATABASE+x", "", 400, `\"DROP DATABASE x\": queries`},
		{"POST", "/query?q=CREATE+DATABASE+x%3BSELECT+1", "", 400, `queries`},
		{"GET", "/query", "", 400, `missing required parameter`},
		{"POST", "/api/v2/query", "", 501, `"code":"not implemented"`},
		{"GET", "/api/v2/buckets?name=telegraf&org=o", "", 200, `"name":"telegraf"`},
		{"POST", "/api/v2/buckets", `{"name":"telegraf"}`, 422, `bucket with name telegraf already exists`},
		{"GET", "/api/v2/orgs?org=o", "", 200, `"name":"o"`},
	} {
		res, text := ask(t, http.DefaultClient, c.method, url+c.path, []byte(c.form), "Content-Type", "application/x-www-form-urlencoded")
		if res.StatusCode != c.status || !strings.Contains(text, c.want) || c.want == "" && text != "" || res.Header.Get("X-Influxdb-Version") == "" {
			t.Errorf("%s %s: %s %s, want %d %s", c.method, c.path, res.Status, text, c.status, c.want)
		}
	}
}

// With tokens what everybody may know is open, and the rest is not. The scheme is that of InfluxDB 2.
func TestProbesAskForTokens(t *testing.T) {
	n := start(t, func(c *ingest.Config) { c.Guard = testenv.Guard(t, "ingest", "view") })
	url := strings.TrimSuffix(n.url, "/ingest")
	for path, open := range map[string]bool{"/ping": true, "/health": true, "/ready": true, "/query?q=SHOW+DATABASES": false, "/api/v2/buckets": false, "/api/v2/orgs": false} {
		for token, allowed := range map[string]bool{"": open, "Token ingest": true, "Bearer ingest": true, "Token view": open} {
			res, text := ask(t, http.DefaultClient, http.MethodGet, url+path, nil, "Authorization", token)
			if ok := res.StatusCode < 300; ok != allowed {
				t.Errorf("%s with %q: %s %s", path, token, res.Status, text)
			}
		}
	}
}

// The client of InfluxDB for Go, and health that says what becomes of writes.
func TestProbesOfTheGoClient(t *testing.T) {
	n := start(t, func(c *ingest.Config) { c.DeliveryTimeout = 200_000_000 })
	client := influxdb2.NewClient(strings.TrimSuffix(n.url, "/ingest"), "")
	defer client.Close()
	if ok, err := client.Ping(t.Context()); err != nil || !ok {
		t.Error("ping:", ok, err)
	}
	if h, err := client.Health(t.Context()); err != nil || h.Status != domain.HealthCheckStatusPass {
		t.Errorf("health: %+v, %v", h, err)
	}
	if r, err := client.Ready(t.Context()); err != nil || r.Status == nil || *r.Status != domain.ReadyStatusReady {
		t.Errorf("ready: %+v, %v", r, err)
	}
	if b, err := client.BucketsAPI().FindBucketByName(t.Context(), "b"); err != nil || b.Name != "b" {
		t.Errorf("bucket: %+v, %v", b, err)
	}
	if o, err := client.OrganizationsAPI().FindOrganizationByName(t.Context(), "o"); err != nil || o.Name != "o" {
		t.Errorf("organization: %+v, %v", o, err)
	}
	if _, err := client.QueryAPI("o").QueryRaw(t.Context(), "buckets()", nil); err == nil || !strings.Contains(err.Error(), "not answered here") {
		t.Error("query:", err)
	}
	n.kafka.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		n.kafka.KeepControl()
		return refuseProduce(req.(*kmsg.ProduceRequest)), nil, true
	})
	if err := client.WriteAPIBlocking("o", "b").WriteRecord(context.WithoutCancel(t.Context()), "m value=1"); err == nil {
		t.Error("a write that Kafka refuses is stored")
	}
	if h, err := client.Health(t.Context()); err == nil && h.Status != domain.HealthCheckStatusFail {
		t.Errorf("health after it: %+v, %v", h, err)
	}
}
