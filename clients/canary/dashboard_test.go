package canary

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/configsvc"
	"pulseboard/internal/host"
	"pulseboard/internal/redisconn"
	"pulseboard/registry"
)

// newConfig is a canary beside a config service, and how to ask that.
func newConfig(t *testing.T) (*Canary, func(method, path, body string) (int, string)) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := configsvc.OpenStore(t.Context(), configsvc.SQLite(filepath.Join(t.TempDir(), "dashboards.db")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	reg, err := registry.Open(t.Context(), redisconn.At(miniredis.RunT(t).Addr()), registry.WithLog(log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	reconciler, err := reg.NewReconciler(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	s, err := configsvc.New(configsvc.Config{Store: store, Registry: reconciler, Shared: host.Shared{Log: log}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	c, err := New(Config{Ingest: server.URL, Config: server.URL + "/", Gateway: server.URL, Instance: "me", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return c, func(method, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("If-Match", "*")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close() //nolint:errcheck // It was only read.
		return res.StatusCode, res.Header.Get("ETag")
	}
}

// The dashboard is made once, mended when somebody changed it, and made again
// when somebody deleted it.
func TestDashboardIsThere(t *testing.T) {
	c, ask := newConfig(t)
	path := "/dashboards/" + DashboardID
	for _, step := range []struct{ name, method, body, version string }{
		{"made", "", "", `"1"`},
		{"there already", "", "", `"1"`},
		{"another query", http.MethodPatch, `{"widgets":[{"widget_id":"` + widgetID + `","metric_name":"m","aggregation":"avg","window_seconds":5}]}`, `"3"`},
		{"no widget", http.MethodPatch, `{"widgets":[]}`, `"5"`},
		{"no tag that hides it", http.MethodPatch, `{"tags":[]}`, `"7"`},
		{"what does not matter stays", http.MethodPatch, `{"variables":[{"name":"instance","tag":"instance"}]}`, `"8"`},
		{"deleted", http.MethodDelete, ``, `"10"`},
	} {
		if step.method != "" {
			if status, _ := ask(step.method, path, step.body); status/100 != 2 {
				t.Fatalf("%s: %d", step.name, status)
			}
		}
		if err := c.ensure(t.Context()); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if _, etag := ask(http.MethodGet, path, ""); etag != step.version {
			t.Errorf("%s: version %s, want %s", step.name, etag, step.version)
		}
	}
}

// Canaries that begin together make one.
func TestDashboardOfManyCanaries(t *testing.T) {
	c, ask := newConfig(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			err := errOther
			for errors.Is(err, errOther) {
				err = c.ensure(context.WithoutCancel(t.Context()))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if _, etag := ask(http.MethodGet, "/dashboards/"+DashboardID, ""); etag != `"1"` {
		t.Errorf("version %s", etag)
	}
}

func TestConfigThatCannotBe(t *testing.T) {
	good := func() Config {
		return Config{Ingest: "http://a:1", Config: "https://b", Gateway: "http://c/prefix/", Instance: "me"}
	}
	if _, err := New(good()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Ingest = "" }, `the address of ingest is "": it must be a URL such as http://127.0.0.1:8080`},
		{func(c *Config) { c.Config = "localhost:8080" }, `the address of the config service is "localhost:8080"`},
		{func(c *Config) { c.Gateway = "ws://c" }, `the address of the gateway is "ws://c"`},
		{func(c *Config) { c.Instance = "" }, "the instance must have 1 to 256 bytes"},
		{func(c *Config) { c.Instance = strings.Repeat("x", 257) }, "the instance must have 1 to 256 bytes"},
		{func(c *Config) { c.Instance = "\xff" }, "the instance must have 1 to 256 bytes"},
	} {
		bad := good()
		c.change(&bad)
		if _, err := New(bad); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
}
