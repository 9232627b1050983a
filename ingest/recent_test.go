package ingest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"pulseboard/e2e/testenv"
	"pulseboard/ingest"
)

// A node shows what it took and refused last, to those who may see values.
func TestRecent(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	clock := func() time.Time { now = now.Add(time.Second); return now } // Each request is looked at.
	addr := serveBroken(t, newKafka(t).ListenAddrs(), clock, nil)
	post := func(path, body string) {
		t.Helper()
		res, err := http.Post("http://"+addr+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	post("/ingest", `[{"metric_name":"m","value":1.5,"tags":{"host":"a"},"kind":"gauge"},{"metric_name":"m","value":2},{"metric_name":"m"}]`)
	post("/write", "cpu,host=b usage=7\n")
	post("/write", "cpu\n")
	post("/ingest", `{"a":`)
	post("/ingest", `{"a":`)
	res, err := http.Get("http://" + addr + ingest.RecentPath)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != http.StatusOK || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s %v", res.Status, err)
	}
	var got struct {
		Formats           []string
		Accepted, Refused []struct {
			Format, Kind, Code, Detail string
			Metric                     string `json:"metric_name"`
			Value                      float64
			Tags                       map[string]string
			Events, Times              int
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprint(got.Accepted); s != "[{influx event   cpu.usage 7 map[host:b] 1 0} {json gauge   m 1.5 map[host:a] 2 0}]" {
		t.Errorf("accepted: %s", s)
	}
	if s := fmt.Sprint(got.Refused); len(got.Refused) != 3 || got.Refused[0].Code != "HTTP 400" || got.Refused[0].Times != 2 || got.Refused[1].Format != "influx" || got.Refused[2].Code != "value_missing" {
		t.Errorf("refused: %s", s)
	}
	if len(got.Formats) < 2 {
		t.Errorf("%q", got.Formats)
	}
}

// Producers do not see the events of others.
func TestRecentNeedsTheScopeView(t *testing.T) {
	guard := testenv.Guard(t, "ingest", "view")
	addr := serveBroken(t, newKafka(t).ListenAddrs(), time.Now, func(c *ingest.Config) { c.Guard = guard })
	for token, want := range map[string]int{"": http.StatusUnauthorized, "ingest": http.StatusForbidden, "view": http.StatusOK} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+ingest.RecentPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _ = res.Body.Close(); res.StatusCode != want {
			t.Errorf("token %q: %s", token, res.Status)
		}
	}
}
