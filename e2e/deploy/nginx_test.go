package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	web "pulseboard/internal/service"
)

// The proxy of compose.yaml brings each path to the service that has it, and what it
// answers by itself programs understand as what the services do.
func TestNginxAnswersPrograms(t *testing.T) {
	program, ok := installed("nginx")
	if !ok {
		t.Skip("nginx is not installed: it is in Debian's package nginx-light")
	}
	conf, err := os.ReadFile("../../deploy/nginx/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "pb-nginx-") //nolint:usetesting // The path of a socket is short.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	text := strings.ReplaceAll(string(conf), "listen 8080;", "listen unix:"+socket+";")
	text = strings.ReplaceAll(text, "/tmp/nginx", dir+"/nginx")
	text = "daemon off;\n" + strings.ReplaceAll(text, "worker_rlimit_nofile 65536;", "")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "worker_connections 16384;", "worker_connections 64;"), "worker_processes auto;", "worker_processes 1;")
	for name, at := range map[string]string{"ingest": "ingest:8081", "configsvc": "configsvc:8082", "gateway": "gateway-1:8083"} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Service", name)
			_, _ = io.Copy(io.Discard, r.Body)
			web.NotFound(w, r, "it is a test")
		}))
		t.Cleanup(srv.Close)
		text = strings.ReplaceAll(text, at, srv.Listener.Addr().String())
		text = strings.ReplaceAll(text, "gateway-2:8083", "127.0.0.1:1 down")
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(program, "-c", file, "-e", "stderr", "-p", dir)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		err := <-ended
		if t.Failed() {
			t.Logf("nginx: %v: %s", err, log.String())
		}
	})
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		for {
			c, err := d.DialContext(ctx, "unix", socket)
			if err == nil || ctx.Err() != nil {
				return c, err
			}
			select {
			case e := <-ended:
				ended <- e
				return nil, fmt.Errorf("nginx ended: %w", e)
			case <-ctx.Done():
			default:
			}
		}
	}}}
	for _, c := range []struct {
		method, path, service string
		status                int
	}{
		{"POST", "/ingest", "ingest", 404},
		{"GET", "/ingest", "ingest", 404},
		{"POST", "/write", "ingest", 404},
		{"POST", "/api/v2/write", "ingest", 404},
		{"GET", "/dashboards", "configsvc", 404},
		{"PUT", "/dashboards/x", "configsvc", 404},
		{"GET", "/limits", "configsvc", 404},
		{"GET", "/docs", "configsvc", 404},
		{"GET", "/metrics/catalog", "configsvc", 404},
		{"GET", "/openapi.yaml", "configsvc", 404},
		{"GET", "/dashboards/x/widgets/y/snapshot", "gateway", 404},
		{"POST", "/dashboards/x/widgets/y/snapshot", "gateway", 404},
		{"GET", "/stream/x", "gateway", 404},
		{"GET", "/stream/x/events", "gateway", 404},
		{"GET", "/", "gateway", 404},
		{"GET", "/foo", "gateway", 404},
		{"POST", "/api/v1/write", "ingest", 404},
		{"GET", "/ingest/recent", "ingest", 404},
		{"DELETE", "/ingest/", "gateway", 404},
		{"OPTIONS", "/foo", "gateway", 404},
		{"GET", "/metrics", "", 404},
		{"POST", "/metrics", "", 404},
		{"GET", "/healthz", "", 404},
		{"DELETE", "/readyz", "", 404},
		{"GET", "//metrics", "", 404},
		{"GET", "/%6detrics", "", 404},
		{"GET", "/400", "", 404},
		{"POST", "/414", "", 404},
		{"TRACE", "/", "", 405},
		{"TRACE", "/ingest", "", 405},
		{"POST 18 MB", "/ingest", "", 413},
		{"POST 18 MB", "/foo", "", 413},
		{"PUT 3 MB", "/dashboards/x", "", 413},
		{"GET", "/" + strings.Repeat("x", 9000), "", 414},
		{"GET with a long header", "/", "", 431},
	} {
		method, size, _ := strings.Cut(c.method, " ")
		body := io.Reader(http.NoBody)
		if n := map[string]int{"18 MB": 18 << 20, "3 MB": 3 << 20}[size]; n > 0 {
			body = bytes.NewReader(make([]byte, n))
		}
		req, err := http.NewRequestWithContext(t.Context(), method, "http://nginx"+c.path, body)
		if err != nil {
			t.Fatal(err)
		}
		if size == "with a long header" {
			req.Header.Set("X-Long", strings.Repeat("x", 9000))
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s %.60s: %v\n%s", c.method, c.path, err, log.String())
		}
		var p web.Problem
		err = json.NewDecoder(res.Body).Decode(&p)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != c.status || p.Status != c.status || p.Detail == "" || res.Header.Get("Content-Type") != "application/problem+json" || res.Header.Get("X-Service") != c.service {
			t.Errorf("%s %.60s: %d of %q by %q: %+v %v", c.method, c.path, res.StatusCode, res.Header.Get("Content-Type"), res.Header.Get("X-Service"), p, err)
		}
		if c.status == http.StatusMethodNotAllowed && res.Header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", c.method, c.path)
		}
	}
}
