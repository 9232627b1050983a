package auth

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// What a client is answered, over HTTP.
func TestAnswers(t *testing.T) {
	old := tok("old", Edit)
	old.Expires = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	r := newRig(t, inFolder(t), tokens(tok("ci", Ingest), tok("anna", Edit), old))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.g.Admit(w, req, Edit) }))
	defer server.Close()
	for _, c := range []struct {
		name, header string
		status       int
		challenge    string
		detail       string
	}{
		{"a good token", "Bearer pb_anna", 200, "", ""},
		{"the scheme in other letters", "bearer  pb_anna", 200, "", ""},
		{"none", "", 401, `Bearer realm="pulseboard"`, "send it in the header Authorization: Bearer TOKEN"},
		{"another scheme", "Basic YW5uYTpi", 401, `Bearer realm="pulseboard"`, "needs a token with the scope edit"},
		{"a scheme without a token", "Bearer", 401, `Bearer realm="pulseboard"`, "needs a token"},
		{"one that nobody knows", "Bearer pb_bob", 401, `Bearer realm="pulseboard", error="invalid_token"`, "does not know the token"},
		{"an old one", "Bearer pb_old", 401, `Bearer realm="pulseboard", error="invalid_token"`, `"old" expired at 2026-11-01T00:00:00Z`},
		{"too small a one", "Bearer pb_ci", 403, `Bearer realm="pulseboard", error="insufficient_scope", scope="edit"`, `"ci" has the scopes ingest, and this needs edit`},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.header != "" {
				req.Header.Set("Authorization", c.header)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close() //nolint:errcheck // It was only read.
			if res.StatusCode != c.status || res.Header.Get("WWW-Authenticate") != c.challenge {
				t.Errorf("%s, %q", res.Status, res.Header.Get("WWW-Authenticate"))
			}
			if c.status == http.StatusOK {
				return
			}
			var p struct {
				Title, Detail string
				Status        int
			}
			if err := json.NewDecoder(res.Body).Decode(&p); err != nil || res.Header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("%v, %q", err, res.Header.Get("Content-Type"))
			}
			if p.Status != c.status || p.Title == "" || !strings.Contains(p.Detail, c.detail) {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestCheckAddr(t *testing.T) {
	const refused = "without tokens"
	for addr, want := range map[string]string{
		"127.0.0.1:80":           "",
		"127.8.8.8:0":            "",
		"[::1]:80":               "",
		"[::ffff:127.0.0.1]:80":  "",
		"localhost:80":           "",
		"unix:/run/pulse.sock":   "",
		"0.0.0.0:80":             refused,
		":80":                    refused,
		"[::]:80":                refused,
		"192.168.1.2:80":         refused,
		"[fe80::1%eth0]:80":      refused,
		"example.org:80":         refused,
		"localhost.evil.test:80": refused,
		"127.0.0.1.evil.test:80": refused,
		"80":                     "must be host:port",
		"":                       "must be host:port",
		"::1":                    "must be host:port",
	} {
		err := CheckAddr("--addr", addr, "", View)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", addr, err, want)
		}
		err = CheckAddr("--addr", addr, "tokens.yaml", View)
		if (err != nil) != (want == "must be host:port") {
			t.Errorf("%q with tokens: %v", addr, err)
		}
	}
	err := CheckAddr("--addr", ":8080", "", Ingest, Edit)
	const text = `--addr is ":8080", which other machines can reach, and without tokens they all may do everything: ` +
		`make a token with "pulseboard token create --name me --scopes ingest,edit --file tokens.yaml" and add --tokens tokens.yaml, or listen on 127.0.0.1:8080`
	if err == nil || err.Error() != text {
		t.Errorf("%v", err)
	}
}
