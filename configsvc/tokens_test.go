package configsvc

import (
	"log/slog"
	"net/http/httptest"
	"testing"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/host"
)

// Who may do what: reading needs view, changing needs edit.
func TestTokens(t *testing.T) {
	s, err := New(Config{
		Store: openTestSQLite(t, newDB(t)), Registry: nowhere{},
		Shared: host.Shared{Log: slog.New(slog.DiscardHandler), Guard: testenv.Guard(t, "ingest", "view", "edit", "admin")},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	bearer := func(token string) []string {
		if token == "" {
			return nil
		}
		return []string{"Authorization", "Bearer " + token}
	}
	reads, changes := []string{"view", "edit", "admin"}, []string{"edit", "admin"}
	made := do(t, srv, "POST", "/dashboards", oneWidget, bearer("admin")...).dashboard(t)
	one := "/dashboards/" + made.ID
	for _, c := range []struct {
		method, path, body string
		may                []string
		status             int
	}{
		{"GET", "/dashboards", "", reads, 200},
		{"HEAD", "/dashboards", "", reads, 200},
		{"GET", one, "", reads, 200},
		{"HEAD", one, "", reads, 200},
		{"POST", "/dashboards", `{"title":"x"}`, changes, 201},
		{"GET", one + "/versions", "", reads, 200},
		{"GET", one + "/versions/1", "", reads, 200},
		{"POST", "/dashboards/validate", `{"title":"x"}`, reads, 200},
		{"GET", "/metrics/catalog", "", reads, 503},
		// Without If-Match nothing is changed, but who may not change is told so first.
		{"PUT", one, oneWidget, changes, 428},
		{"PATCH", one, `{"title":"y"}`, changes, 428},
		{"PATCH", one + "/widgets", `{}`, changes, 428},
		{"DELETE", one, "", changes, 428},
		{"POST", one + "/versions/1/restore", "", changes, 428},
	} {
		for _, token := range []string{"", "nobody", "ingest", "view", "edit", "admin"} {
			want := 401
			for _, may := range c.may {
				if token == may {
					want = c.status
				}
			}
			if want == 401 && token != "" && token != "nobody" {
				want = 403
			}
			r := do(t, srv, c.method, c.path, c.body, bearer(token)...)
			if r.status != want || (want == 401 || want == 403) && r.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s as %q: %d, want %d: %s", c.method, c.path, token, r.status, want, r.body)
			}
		}
	}
	for _, open := range []string{"/openapi.yaml", "/docs"} {
		if r := do(t, srv, "GET", open, ""); r.status != 200 {
			t.Errorf("%s: %d", open, r.status)
		}
	}
	// The history says who it was.
	if r := do(t, srv, "GET", one+"/versions", "", bearer("view")...).versions(t); r.Versions[0].By != "admin" {
		t.Errorf("version 1 was made by %q, want admin", r.Versions[0].By)
	}
}
