package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"pulseboard/internal/audit"
	"pulseboard/internal/service"
)

// auditOf runs do with a guard whose clock is now, and returns what was kept of it.
func auditOf(t *testing.T, file string, now *time.Time, do func(*Guard)) (all []audit.Entry, text string) {
	t.Helper()
	var out bytes.Buffer
	record, err := audit.Open(audit.Config{Path: "-", Service: "test", Stdout: &out, Address: service.Proxies(nil).Address, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	g, err := Open(file, Config{Audit: record, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	do(g)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := record.Run(ctx); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(out.String()), "\n") {
		var e audit.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, e)
	}
	return all, out.String()
}

func TestRefusalsAndTokensAreKept(t *testing.T) {
	path := inFolder(t)
	now := time.Now()
	old := tok("old", View)
	old.Expires = now.Add(time.Hour)
	if err := os.WriteFile(path, []byte(tokens(old, tok("ci", Ingest))), 0o600); err != nil {
		t.Fatal(err)
	}
	const secret = "pb_this-must-be-in-no-log"
	all, text := auditOf(t, path, &now, func(g *Guard) {
		ask := func(token string) {
			r := httptest.NewRequest(http.MethodGet, "/dashboards?token="+secret, nil)
			r.RemoteAddr = "10.1.2.3:40000"
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			g.Admit(httptest.NewRecorder(), r, View)
		}
		ask("")
		ask(secret)
		ask("pb_ci")
		now = now.Add(2 * time.Hour)
		ask("pb_old")
		g.look()
		ci := tok("ci", Ingest, View)
		if err := os.WriteFile(path, []byte(tokens(ci, tok("new", Edit))), 0o600); err != nil {
			t.Fatal(err)
		}
		g.look()
		g.look()
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		g.look()
		g.look()
	})
	var got []string
	for _, e := range all {
		got = append(got, strings.TrimSpace(e.Event+" "+e.Reason+" "+e.Token))
		if e.Event == audit.Refused && (e.Address != "10.1.2.3" || e.Path != "/dashboards" || e.Need != "view") {
			t.Errorf("%+v", e)
		}
	}
	want := []string{
		"refused no_token", "refused unknown_token", "refused missing_scope ci", "refused expired old", "token_expired  old",
		"token_changed  ci", "token_added  new", "token_removed  old", "tokens_unusable",
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if strings.Contains(text, secret) || strings.Contains(text, "sha256") {
		t.Errorf("a secret is in %s", text)
	}
}

func TestFileThatOthersCanWriteIsRefused(t *testing.T) {
	path := inFolder(t)
	r := newRig(t, path, tokens(tok("ci", Ingest)))
	r.write(tokens(tok("ci", Ingest), tok("intruder", Admin)))
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	r.looks()
	if got := r.says("intruder", Admin); got != string(UnknownToken) {
		t.Errorf("a token that anybody may have written: %s", got)
	}
	if r.metric("pulseboard_auth_file_unusable") != 1 {
		t.Error("nothing says so")
	}
	if _, err := Open(path, Config{}); err == nil || !strings.Contains(err.Error(), "chmod o-w") {
		t.Errorf("at the start: %v", err)
	}
}
