package testenv

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Routes are the methods that paths take, separated by spaces.
type Routes map[string]string

// methods are those that are tried at every path.
func methods() []string {
	return []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"}
}

// nowhere are paths that no service of ours has: what other products have, what is
// near to ours, and what is not tidy.
func nowhere() []string {
	return []string{
		"/foo", "/foo/bar.html", "/api/v1/writes", "/api/v1/query", "/api/v2/write/", "/api/v2", "/api", "/api/v2/nonsense", "/ingest/", "/ingest/x", "/INGEST", "/write/", "/ingest%2F",
		"/dashboards/", "/dashboards/x/y", "/dashboards/x/widgets/y", "/dashboards/x/widgets/y/z", "/dashboards/x/widgets/y/snapshot/", "/dashboards/x/versions/1/2", "/dashboardsx",
		"//", "//foo", "//dashboards", "//ingest", "///metrics", "/./metrics", "/x/../ingest", "/dashboards//x", "/%2e%2e/etc/passwd", "/..%2fetc", "/%00",
		"/healthz/", "/healthz/x", "/readyz/", "/metrics/", "/metrics/x", "/Metrics", "/debug/pprof/", "/openapi.yaml/", "/openapi.json", "/swagger/", "/docs/", "/limits/",
		"/stream", "/stream/", "/stream/x/y", "/stream/x/events/", "/d", "/d/", "/d/x/y", "/d/x/w", "/d/x/w/", "/d/x/w/y/z", "/d/x/edit/y", "/status/", "/index.html", "/favicon.ico",
		"/assets", "/assets/", "/assets/none.js", "/assets/../index.html", "/robots.txt", "/.git/config", "/wp-login.php",
	}
}

// WalkRoutes asks a server for every method of every path, and of paths that are not there.
func WalkRoutes(t *testing.T, client *http.Client, server string, routes Routes) {
	t.Helper()
	// Its redirects are what is looked at.
	c := *client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, path := range nowhere() {
		for _, method := range methods() {
			a := askRoute(t, &c, method, server, path)
			a.problem(t, http.StatusNotFound, "there is nothing at ")
		}
	}
	for _, path := range slices.Sorted(maps.Keys(routes)) {
		takes := strings.Fields(routes[path])
		for _, method := range methods() {
			a := askRoute(t, &c, method, server, path)
			if slices.Contains(takes, method) {
				if a.status == http.StatusMethodNotAllowed || strings.Contains(a.detail, "there is nothing at") {
					t.Errorf("%s %s: %d %s", method, path, a.status, a.detail)
				}
				continue
			}
			a.problem(t, http.StatusMethodNotAllowed, "does not take "+method)
			allowed := strings.FieldsFunc(a.allow, func(r rune) bool { return r == ',' || r == ' ' })
			slices.Sort(allowed)
			slices.Sort(takes)
			if !slices.Equal(allowed, takes) {
				t.Errorf("%s %s: Allow is %q, want %q", method, path, allowed, takes)
			}
		}
	}
}

type routeAnswer struct {
	method, path        string
	status              int
	kind, allow, detail string
	body                []byte
}

func askRoute(t *testing.T, c *http.Client, method, server, path string) routeAnswer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, server+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	b, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	a := routeAnswer{method: method, path: path, status: res.StatusCode, kind: res.Header.Get("Content-Type"), allow: res.Header.Get("Allow"), body: b}
	var p struct {
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}
	if json.Unmarshal(b, &p) == nil && p.Status == a.status {
		a.detail = p.Detail
	}
	return a
}

// problem checks that an answer is a problem document whose detail has a text.
func (a routeAnswer) problem(t *testing.T, status int, detail string) {
	t.Helper()
	if a.status != status || a.kind != "application/problem+json" {
		t.Errorf("%s %s: %d of type %q, want %d as application/problem+json", a.method, a.path, a.status, a.kind, status)
		return
	}
	if a.method != http.MethodHead && !strings.Contains(a.detail, detail) {
		t.Errorf("%s %s: %.300s, want a detail with %q", a.method, a.path, a.body, detail)
	}
}
