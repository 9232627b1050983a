package auth

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// rig is a guard whose clock and looks are the test's.
type rig struct {
	t    *testing.T
	path string
	g    *Guard
	now  time.Time
	log  bytes.Buffer
	reg  *prometheus.Registry
}

func newRig(t *testing.T, path, text string) *rig {
	t.Helper()
	r := &rig{t: t, path: path, now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), reg: prometheus.NewRegistry()}
	if text != "" {
		r.write(text)
	}
	var err error
	r.g, err = Open(path, Config{Metrics: r.reg, Log: slog.New(slog.NewTextHandler(&r.log, nil)), Now: func() time.Time { return r.now }})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) write(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// looks is as many looks as a change needs.
func (r *rig) looks() { r.g.look(); r.g.look() }

// says returns the outcome of a check.
func (r *rig) says(secret string, need Scope) string {
	_, err := r.g.Check(secret, need)
	return outcome(err)
}

func outcome(err error) string {
	var d *Denied
	if err == nil {
		return "allowed"
	}
	if !errors.As(err, &d) {
		return "another error"
	}
	return string(d.Outcome)
}

func (r *rig) metric(name string) (total float64) {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			total += value(m)
		}
	}
	return total
}

func value(m *dto.Metric) float64 { return m.GetCounter().GetValue() + m.GetGauge().GetValue() }

func tokens(entries ...Entry) string {
	text := "tokens:\n"
	for _, e := range entries {
		text += e.YAML()
	}
	return text
}

func tok(name string, allowed ...Scope) Entry {
	return Entry{Name: name, Scopes: allowed, Hash: DigestOf("pb_" + name)}
}

func inFolder(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "tokens.yaml")
}

// What each scope allows.
func TestScopes(t *testing.T) {
	r := newRig(t, inFolder(t), tokens(tok("ingest", Ingest), tok("view", View), tok("edit", Edit), tok("admin", Admin), tok("both", Ingest, View)))
	for name, may := range map[string]map[Scope]bool{
		"ingest": {Ingest: true},
		"view":   {View: true},
		"edit":   {View: true, Edit: true},
		"admin":  {Ingest: true, View: true, Edit: true, Admin: true},
		"both":   {Ingest: true, View: true},
	} {
		for _, need := range scopes() {
			want := "missing_scope"
			if may[need] {
				want = "allowed"
			}
			if got := r.says("pb_"+name, need); got != want {
				t.Errorf("%s for %s: %s", name, need, got)
			}
		}
	}
}

func TestOutcomes(t *testing.T) {
	short := tok("short", View)
	short.Expires = time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)
	r := newRig(t, inFolder(t), tokens(short, tok("ci", Ingest)))
	grant, err := r.g.Check("pb_short", View)
	if err != nil || grant.Err() != nil {
		t.Fatal(err, grant.Err())
	}
	if got := r.says("", View); got != "no_token" {
		t.Error(got)
	}
	// The name and the hash are no tokens.
	for _, secret := range []string{"short", DigestOf("pb_short").String(), "pb_short ", "pb_"} {
		if got := r.says(secret, View); got != "unknown_token" {
			t.Errorf("%q: %s", secret, got)
		}
	}
	r.now = short.Expires.Add(-time.Nanosecond)
	if err := grant.Err(); err != nil {
		t.Error(err)
	}
	r.now = short.Expires
	if got := r.says("pb_short", View); got != "expired" || outcome(grant.Err()) != "expired" {
		t.Error(got, grant.Err())
	}
	if got := r.metric("pulseboard_auth_requests_total"); got != 7 {
		t.Errorf("%v checks were counted", got)
	}
	if got := r.metric("pulseboard_auth_tokens"); got != 2 {
		t.Errorf("%v tokens", got)
	}
	// What a close frame can hold.
	long := &Denied{Outcome: MissingScope, Need: Ingest, Token: Entry{Name: strings.Repeat("n", 64)}}
	if n := len(long.Error()); n > 123 {
		t.Errorf("%d bytes", n)
	}
}

func TestNilGuardAllowsAll(t *testing.T) {
	g, err := Open("", Config{})
	if err != nil || g != nil {
		t.Fatal(g, err)
	}
	grant, err := g.Check("", Admin)
	if err != nil || grant.Err() != nil || grant.Given() {
		t.Error(err, grant)
	}
	if secret := g.AddInMemory("demo", Ingest); secret != "" {
		t.Errorf("a token: %q", secret)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestReload(t *testing.T) {
	r := newRig(t, inFolder(t), tokens(tok("old", View)))
	inMemory := r.g.AddInMemory("demo", Ingest)
	grant, err := r.g.Check("pb_old", View)
	if err != nil {
		t.Fatal(err)
	}
	// The first look may have seen half of it.
	r.write(tokens(tok("new", View)))
	r.g.look()
	if r.says("pb_new", View) != "unknown_token" || grant.Err() != nil {
		t.Error("a change counts at the first look")
	}
	r.g.look()
	if r.says("pb_new", View) != "allowed" || r.says("pb_old", View) != "unknown_token" || outcome(grant.Err()) != "unknown_token" {
		t.Error("a change does not count at the second look")
	}
	if r.says(inMemory, Ingest) != "allowed" {
		t.Error("a token in memory is lost")
	}
	// A scope that is taken away ends what was granted.
	if grant, err = r.g.Check("pb_new", View); err != nil {
		t.Fatal(err)
	}
	r.write(tokens(tok("new", Ingest)))
	r.looks()
	if outcome(grant.Err()) != "missing_scope" {
		t.Error(grant.Err())
	}
	r.looks()
	if n := r.metric("pulseboard_auth_reloads_total"); n != 2 {
		t.Errorf("%v reloads", n)
	}
}

// Whatever happens to the file, the tokens from before stay until it is whole again.
func TestTokensStayInForce(t *testing.T) {
	whole := tokens(tok("a", View))
	for name, spoil := range map[string]func(r *rig) error{
		"broken":                       func(r *rig) error { return os.WriteFile(r.path, []byte("tokens:\n  - name: a\n    scop"), 0o600) },
		"a bad entry":                  func(r *rig) error { return os.WriteFile(r.path, []byte(whole+"  - name: b\n"), 0o600) },
		"emptied":                      func(r *rig) error { return os.Truncate(r.path, 0) },
		"without any":                  func(r *rig) error { return os.WriteFile(r.path, []byte("tokens: []\n"), 0o600) },
		"deleted":                      func(r *rig) error { return os.Remove(r.path) },
		"now a folder":                 func(r *rig) error { return errors.Join(os.Remove(r.path), os.Mkdir(r.path, 0o700)) },
		"everybody's":                  func(r *rig) error { return os.Chmod(r.path, 0o602) },
		"a file in everybody's folder": func(r *rig) error { return os.Chmod(filepath.Dir(r.path), 0o777) },
		"much too big":                 func(r *rig) error { return os.Truncate(r.path, maxFile+1) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, inFolder(t), whole)
			if err := spoil(r); err != nil {
				t.Fatal(err)
			}
			r.looks()
			r.looks()
			if got := r.says("pb_a", View); got != "allowed" {
				t.Error(got)
			}
			if !strings.Contains(r.log.String(), "level=ERROR") || !strings.Contains(r.log.String(), r.path) {
				t.Errorf("nothing was said: %s", r.log.String())
			}
			if f, u := r.metric("pulseboard_auth_reload_failures_total"), r.metric("pulseboard_auth_file_unusable"); f != 1 || u != 1 {
				t.Errorf("%v failures, unusable %v", f, u)
			}
			// And whole again, with the same text or another.
			if err := errors.Join(os.Chmod(filepath.Dir(r.path), 0o700), os.RemoveAll(r.path)); err != nil {
				t.Fatal(err)
			}
			r.write(whole)
			r.looks()
			if u := r.metric("pulseboard_auth_file_unusable"); u != 0 {
				t.Errorf("unusable %v", u)
			}
			r.write(tokens(tok("b", View)))
			r.looks()
			if r.says("pb_a", View) != "unknown_token" || r.says("pb_b", View) != "allowed" {
				t.Error("the next change does not count")
			}
		})
	}
}

// Kubernetes mounts a secret as tokens.yaml → ..data/tokens.yaml, ..data → a
// folder with a time in its name, and swaps the link ..data. The new file may
// have the old one's size and time.
func TestReloadThroughSwappedLinks(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	put := func(folder, text string) {
		t.Helper()
		file := filepath.Join(dir, folder, "tokens.yaml")
		next := filepath.Join(dir, "..data_tmp")
		if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600), os.Chtimes(file, at, at),
			os.Symlink(folder, next), os.Rename(next, filepath.Join(dir, "..data"))); err != nil {
			t.Fatal(err)
		}
	}
	put("..1", tokens(tok("a", View)))
	path := filepath.Join(dir, "tokens.yaml")
	if err := os.Symlink(filepath.Join("..data", "tokens.yaml"), path); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, path, "")
	put("..2", tokens(tok("b", View)))
	r.looks()
	if r.says("pb_a", View) != "unknown_token" || r.says("pb_b", View) != "allowed" {
		t.Errorf("the swap was not seen: %s", r.log.String())
	}
}

// Our own edits are seen too, and by Run.
func TestRunSeesEdits(t *testing.T) {
	path := inFolder(t)
	if err := Add(path, tok("a", View)); err != nil {
		t.Fatal(err)
	}
	g, err := Open(path, Config{Every: time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	limit, every := time.After(20*time.Second), time.NewTicker(time.Millisecond)
	defer every.Stop()
	until := func(secret, want string) {
		t.Helper()
		for {
			_, err := g.Check(secret, View)
			if outcome(err) == want {
				return
			}
			select {
			case <-every.C:
			case <-limit:
				t.Fatalf("%s is never %s: %v", secret, want, err)
			}
		}
	}
	if err := Add(path, tok("b", View)); err != nil {
		t.Fatal(err)
	}
	until("pb_b", "allowed")
	if err := Remove(path, "a"); err != nil {
		t.Fatal(err)
	}
	until("pb_a", "unknown_token")
}

// A start with a file that cannot be used is refused with the way out.
func TestOpenNamesTheFault(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]string{
		"missing": "no such file or directory; make it with pulseboard token create",
		"empty":   "has no token: make one with pulseboard token create --name NAME --scopes SCOPES --file " + filepath.Join(dir, "empty"),
		"broken":  "it is not YAML",
	} {
		path := filepath.Join(dir, name)
		if name != "missing" {
			if err := os.WriteFile(path, []byte(map[string]string{"broken": "["}[name]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Open(path, Config{}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFileThatOthersCanRead(t *testing.T) {
	path := inFolder(t)
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		if err := errors.Join(os.WriteFile(path, []byte(tokens(tok("a", View))), mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, path, "")
		if got := strings.Contains(r.log.String(), "chmod o-r"); got != warned {
			t.Errorf("%v: warned %v: %s", mode, got, r.log.String())
		}
	}
}

// Whoever can write the file lets himself in: of everybody that is refused, by the
// commands that change it too, of a group it is said.
func TestFileThatOthersCanWrite(t *testing.T) {
	path := inFolder(t)
	write := func(mode os.FileMode) {
		t.Helper()
		if err := errors.Join(os.WriteFile(path, []byte(tokens(tok("a", View))), 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	write(0o660)
	if r := newRig(t, path, ""); !strings.Contains(r.log.String(), "chmod g-w") {
		t.Errorf("nothing is said of the group: %s", r.log.String())
	}
	for _, mode := range []os.FileMode{0o602, 0o666, 0o622} {
		write(mode)
		_, err := Open(path, Config{})
		for _, err := range []error{err, Add(path, tok("b", View)), Remove(path, "a")} {
			if err == nil || !strings.Contains(err.Error(), "chmod o-w") || !strings.Contains(err.Error(), path) {
				t.Errorf("%v: %v", mode, err)
			}
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	path := filepath.Join(b.TempDir(), "tokens.yaml")
	if err := os.WriteFile(path, []byte(tokens(tok("a", View), tok("b", Edit))), 0o600); err != nil {
		b.Fatal(err)
	}
	g, err := Open(path, Config{})
	if err != nil {
		b.Fatal(err)
	}
	grant, err := g.Check("pb_b", View)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			_, _ = g.Check("pb_b", View)
		}
	})
	b.Run("grant", func(b *testing.B) {
		for b.Loop() {
			_ = grant.Err()
		}
	})
}
