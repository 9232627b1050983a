package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"testing"

	"pulseboard/e2e/testenv"
)

// With tokens pulseboard may be reached from elsewhere, asks for one, and its
// own demo has one.
func TestRunWithTokens(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	p := start(t, t.TempDir(), "--addr", "0.0.0.0:0", "--tokens", testenv.Tokens(t, "ingest", "view", "edit"))
	get := func(path, token string) (status int, body string, err error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+path, nil)
		if err != nil {
			return 0, "", err
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close() //nolint:errcheck // It was only read.
		b, err := io.ReadAll(res.Body)
		return res.StatusCode, string(b), err
	}
	for _, c := range []struct {
		path, token string
		want        int
	}{
		{"/dashboards", "", 401},
		{"/dashboards", "ingest", 403},
		{"/dashboards", "view", 200},
		{"/dashboards", "edit", 200},
		{"/dashboards/a/widgets/b/snapshot", "", 401},
		{"/dashboards/a/widgets/b/snapshot", "ingest", 403},
		{"/dashboards/a/widgets/b/snapshot", "view", 404},
		{"/", "", 200},
		{"/openapi.yaml", "", 200},
		{"/healthz", "", 200},
		{"/metrics", "", 200},
	} {
		if status, body, err := get(c.path, c.token); err != nil || status != c.want {
			t.Errorf("%s as %q: %d, want %d: %v %.300s", c.path, c.token, status, c.want, err, body)
		}
	}
	p.request(http.MethodPost, "/ingest", []any{}, http.StatusUnauthorized, nil)
	p.request(http.MethodPost, "/dashboards", map[string]any{}, http.StatusUnauthorized, nil)
	accepted := regexp.MustCompile(`(?m)^pulseboard_ingest_events_accepted_total\{format="json"\} (\S+)$`)
	p.until("events of the demo", func() error {
		_, body, err := get("/metrics", "")
		if err != nil {
			return err
		}
		m := accepted.FindStringSubmatch(body)
		if m == nil {
			return fmt.Errorf("no such metric")
		}
		n, err := strconv.ParseFloat(m[1], 64)
		if err == nil && n == 0 {
			err = fmt.Errorf("none was accepted")
		}
		return err
	})
}
