package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/configsvc"
	"pulseboard/internal/host"
	"pulseboard/internal/redisconn"
	"pulseboard/internal/service"
	"pulseboard/registry"
)

// startConfigService runs the real one, as "configsvc" does, and returns its URL.
func startConfigService(t *testing.T, maxWindow int) string {
	t.Helper()
	store, err := configsvc.OpenStore(t.Context(), configsvc.SQLite(filepath.Join(t.TempDir(), "p.db")))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	reg, err := registry.Open(t.Context(), redisconn.At(miniredis.RunT(t).Addr()), registry.WithLog(log))
	if err != nil {
		t.Fatal(err)
	}
	reconciler, err := reg.NewReconciler(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	svc, err := configsvc.New(configsvc.Config{Store: store, Registry: reconciler, Rules: configsvc.Rules{MaxWindowSeconds: maxWindow}, Shared: host.Shared{Log: log}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = svc.Run(ctx) })
	srv := httptest.NewServer(svc.Handler())
	t.Cleanup(func() {
		srv.Close()
		cancel()
		running.Wait()
		_ = reg.Close()
		_ = store.Close()
	})
	return srv.URL
}

// said is how a command ended.
type said struct {
	code           int
	stdout, stderr string
}

// say runs "pulseboard dashboards" with arguments, and an environment of names and values by turns.
func say(t *testing.T, args []string, environment ...string) said {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := service.Run(t.Context(), "pulseboard", service.Env{
		Args: append([]string{"dashboards"}, args...), Stdout: &stdout, Stderr: &stderr,
		Getenv: func(name string) string {
			if i := slices.Index(environment, name); i >= 0 {
				return environment[i+1]
			}
			return ""
		},
	}, command)
	return said{code, stdout.String(), stderr.String()}
}

// want checks the exit code and parts of both outputs.
func (s said) want(t *testing.T, code int, parts ...string) {
	t.Helper()
	if s.code != code {
		t.Errorf("exit code %d, want %d", s.code, code)
	}
	for _, p := range parts {
		if !strings.Contains(s.stdout+s.stderr, p) {
			t.Errorf("%q is not said", p)
		}
	}
	if t.Failed() {
		t.Fatalf("stdout:\n%s\nstderr:\n%s", s.stdout, s.stderr)
	}
}

// ask sends a request to the service; header holds names and values by turns.
func ask(t *testing.T, method, url, body string, header ...string) (int, configsvc.Dashboard) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // It was read.
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var d configsvc.Dashboard
	_ = json.Unmarshal(b, &d)
	return res.StatusCode, d
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const webID = "6f1d8b1e-3c55-4b0e-9a35-0d6f3f2a7c11"

const webFile = `dashboard_id: ` + webID + `
title: Web
tags: [team-a]
widgets:
  - metric_name: http.latency
    aggregation: p95
    window_seconds: 60
    filter: {region: eu}
    group_by: [host]
    display_config:
      title: p95 latency
      unit: ms
      thresholds: [{at: 200, level: warn}]
`

func TestDashboardsFromFilesAndBack(t *testing.T) {
	server := startConfigService(t, 3600)
	dir := t.TempDir()
	web := filepath.Join(dir, "web.yaml")
	writeFile(t, web, webFile)
	writeFile(t, filepath.Join(dir, "sub", "api.json"), `{"title":"API","widgets":[{"metric_name":"m","aggregation":"avg","window_seconds":60}]}`)

	say(t, []string{"validate", dir}).want(t, 0, "0 faults in 2 files. 2 good dashboards with 2 widgets: 2 metric keys of 2 selectors, 120 slices")
	say(t, []string{"diff", "--server", server, dir}).want(t, 1, "+ create Web ("+webID+") of "+web+", 1 widget", "2 to create, 0 to change, 0 unchanged")
	say(t, []string{"apply", dir, "--dry-run", "--server", server}).want(t, 0, "+ create API", "Nothing was done. Would be: 2 created")
	if status, _ := ask(t, "GET", server+"/dashboards/"+webID, ""); status != 404 {
		t.Fatalf("a dry run made a dashboard: %d", status)
	}
	say(t, []string{"apply", dir}, "PULSEBOARD_SERVER", server).want(t, 0, "created Web ("+webID+") of "+web+", version 1", "2 created, 0 changed, 0 deleted, 0 unchanged, 0 failed")

	// Again: nothing to do, and no new version.
	say(t, []string{"apply", "--server", server, dir}).want(t, 0, "0 created, 0 changed, 0 deleted, 2 unchanged, 0 failed")
	say(t, []string{"diff", "--server", server, dir}).want(t, 0, "2 unchanged")
	if _, d := ask(t, "GET", server+"/dashboards/"+webID, ""); d.Version != 1 {
		t.Errorf("version %d after applying twice", d.Version)
	}

	// A change keeps the widget, whose id is made of its title.
	_, before := ask(t, "GET", server+"/dashboards/"+webID, "")
	writeFile(t, web, strings.ReplaceAll(webFile, "at: 200", "at: 250"))
	changed := say(t, []string{"diff", "--server", server, dir})
	changed.want(t, 1, "~ change Web", "    /widgets/p95 latency/display_config/thresholds\n      - [{\"at\":200,\"level\":\"warn\"}]\n      + [{\"at\":250,\"level\":\"warn\"}]\n")
	say(t, []string{"apply", "--server", server, dir}).want(t, 0, "changed Web ("+webID+") of "+web+", version 2", "0 created, 1 changed, 0 deleted, 1 unchanged")
	if _, d := ask(t, "GET", server+"/dashboards/"+webID, ""); d.Version != 2 || d.Widgets[0].ID != before.Widgets[0].ID || d.Widgets[0].Display.Thresholds[0].At != 250 {
		t.Errorf("%+v", d)
	}

	// What is exported is equal, and exported again the same bytes.
	for _, format := range []string{"yaml", "json"} {
		out := filepath.Join(t.TempDir(), "made", "here")
		say(t, []string{"export", "--server", server, "--dir", out, "--format", format}).want(t, 0, "wrote "+filepath.Join(out, "web."+format), "wrote "+filepath.Join(out, "api."+format))
		first := readFile(t, filepath.Join(out, "web."+format))
		say(t, []string{"diff", "--server", server, out}).want(t, 0, "2 unchanged")
		say(t, []string{"apply", "--server", server, out}).want(t, 0, "2 unchanged")
		say(t, []string{"export", "--server", server, "--dir", out, "--format", format}).want(t, 0, "unchanged "+filepath.Join(out, "web."+format))
		if again := readFile(t, filepath.Join(out, "web."+format)); again != first {
			t.Errorf("exported\n%s\nand again\n%s", first, again)
		}
	}
	// What the page keeps while somebody edits is nobody's dashboard.
	ask(t, "POST", server+"/dashboards", `{"title":"Draft of Web","tags":["draft","pulseboard:draft"]}`)
	one := say(t, []string{"export", "--server", server, "--id", webID})
	one.want(t, 0, "title: Web\n", "group_by: [host]")
	all := say(t, []string{"export", "--server", server})
	if all.want(t, 0); !strings.HasSuffix(all.stdout, "---\n"+one.stdout) || strings.Count(all.stdout, "---") != 1 {
		t.Errorf("all:\n%s", all.stdout)
	}
	say(t, []string{"export", "--server", server, "--tag", "team-a", "--format", "json"}).want(t, 0, `"title": "Web"`)

	// One that was deleted is made again, and its version goes on.
	if status, _ := ask(t, "DELETE", server+"/dashboards/"+webID, "", "If-Match", `"2"`); status != 204 {
		t.Fatalf("DELETE: %d", status)
	}
	say(t, []string{"apply", "--server", server, dir}).want(t, 0, "created Web", "version 4", "1 created, 0 changed, 0 deleted, 1 unchanged")
}

func TestExportTellsOfFilesThatHoldTheSame(t *testing.T) {
	server := startConfigService(t, 3600)
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "old-name.yaml"), webFile)
	say(t, []string{"apply", "--server", server, dir}).want(t, 0)
	say(t, []string{"export", "--server", server, "--dir", dir}).want(t, 0, `dashboard_id "`+webID+`" is also that of `, "(warning)")

	// Two of one title get names with a part of their ids.
	ask(t, "POST", server+"/dashboards", `{"dashboard_id":"0b0f6c6e-6f7e-4d55-8a7a-0d0f1a2b3c4d","title":"Web"}`)
	out := t.TempDir()
	say(t, []string{"export", "--server", server, "--dir", out}).want(t, 0, "web-6f1d8b1e.yaml", "web-0b0f6c6e.yaml")
}

// through puts a proxy before the service that first calls before.
func through(t *testing.T, server string, before func(w http.ResponseWriter, r *http.Request) (goOn bool)) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(u)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// Someone edits on the page between our comparing and our writing.
func TestApplyNeverWritesOverWhatItHasNotSeen(t *testing.T) {
	for name, c := range map[string]struct {
		edits int // Before how many of our writes someone is faster.
		code  int
		want  []string
	}{
		"once":   {1, 0, []string{"version 3", "changed by someone else meanwhile (1 time): read and compared again", "/title\n      - \"Edited 1\"\n      + \"Web\""}},
		"always": {1000, 1, []string{"FAILED Web", "gave up after 5 attempts, each overtaken by someone else"}},
	} {
		t.Run(name, func(t *testing.T) {
			server := startConfigService(t, 3600)
			file := filepath.Join(t.TempDir(), "web.yaml")
			writeFile(t, file, webFile)
			say(t, []string{"apply", "--server", server, file}).want(t, 0)
			writeFile(t, file, strings.ReplaceAll(webFile, "at: 200", "at: 250"))
			edits := 0
			var written []string
			between := through(t, server, func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut {
					if edits < c.edits {
						edits++
						if status, _ := ask(t, "PATCH", server+"/dashboards/"+webID, fmt.Sprintf(`{"title":"Edited %d"}`, edits), "If-Match", "*"); status != 200 {
							t.Errorf("PATCH: %d", status)
						}
					}
					written = append(written, r.Header.Get("If-Match"))
				}
				return true
			})
			say(t, []string{"apply", "--server", between, file}).want(t, c.code, c.want...)
			_, d := ask(t, "GET", server+"/dashboards/"+webID, "")
			if name == "once" && (d.Title != "Web" || !slices.Equal(written, []string{`"1"`, `"2"`})) {
				t.Errorf("title %q, writes over %q", d.Title, written)
			}
			if name == "always" && (d.Title != fmt.Sprintf("Edited %d", edits) || len(written) != 5) {
				t.Errorf("title %q after %d edits, writes over %q", d.Title, edits, written)
			}
		})
	}
}

// Someone makes the dashboard, or deletes it, while we are about to.
func TestApplyWhileOthersMakeAndDelete(t *testing.T) {
	server := startConfigService(t, 3600)
	file := filepath.Join(t.TempDir(), "web.yaml")
	writeFile(t, file, webFile)
	done := false
	between := through(t, server, func(_ http.ResponseWriter, r *http.Request) bool {
		switch {
		case done:
		case r.Method == http.MethodPost && r.URL.Path == "/dashboards":
			done = true
			ask(t, "POST", server+"/dashboards", `{"dashboard_id":"`+webID+`","title":"Theirs"}`)
		case r.Method == http.MethodPut:
			done = true
			ask(t, "DELETE", server+"/dashboards/"+webID, "", "If-Match", "*")
		}
		return true
	})
	say(t, []string{"apply", "--server", between, file}).want(t, 0, "changed Web", "version 2", "(1 time)", `- "Theirs"`)
	done = false
	writeFile(t, file, strings.ReplaceAll(webFile, "at: 200", "at: 250"))
	say(t, []string{"apply", "--server", between, file}).want(t, 0, "created Web", "version 4", "(1 time)")
}

// What a file means is for the service to say, by its own slice and longest window.
func TestTheServiceJudges(t *testing.T) {
	server := startConfigService(t, 600)
	file := filepath.Join(t.TempDir(), "web.yaml")
	writeFile(t, file, "title: Long\nwidgets:\n  - {metric_name: m, aggregation: avg, window_seconds: 3600}\n")
	say(t, []string{"diff", "--server", server, file}).want(t, 2, "! refused Long", "web.yaml:3", "window_seconds")
	say(t, []string{"apply", "--server", server, file}).want(t, 1, "window_seconds", "1 failed")
	// A refresh interval below the slice is raised by the service, and settles.
	writeFile(t, file, "title: Fast\nwidgets:\n  - {metric_name: m, aggregation: avg, window_seconds: 60, refresh_interval_seconds: 0.3}\n")
	say(t, []string{"apply", "--server", server, file}).want(t, 0, "created Fast", "was raised")
	say(t, []string{"diff", "--server", server, file}).want(t, 0, "1 unchanged")
}

func TestPrune(t *testing.T) {
	server := startConfigService(t, 3600)
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "web.yaml"), webFile)
	const stray = "0b0f6c6e-6f7e-4d55-8a7a-0d0f1a2b3c4d"
	makeOthers := func() {
		for _, doc := range []string{`{"dashboard_id":"` + stray + `","title":"Stray","tags":["team-a"]}`, `{"title":"Of others","tags":["team-b"]}`, `{"title":"Team-a by title only"}`} {
			if status, _ := ask(t, "POST", server+"/dashboards", doc); status != 201 {
				t.Fatal(status)
			}
		}
	}
	makeOthers()
	planned := say(t, []string{"apply", "--server", server, "--prune-tag", "team-a", "--dry-run", dir})
	planned.want(t, 0, "1 created, 0 changed, 1 deleted")
	if !strings.HasPrefix(planned.stdout, "- delete Stray ("+stray+"), version 1, 0 widgets\n+ create Web") {
		t.Errorf("a dry run says\n%s", planned.stdout)
	}
	say(t, []string{"apply", "--server", server, dir}).want(t, 0, "0 deleted")

	// When a file cannot be applied, nothing is deleted.
	writeFile(t, filepath.Join(dir, "web.yaml"), strings.ReplaceAll(webFile, "at: 200", "at: 250"))
	refuses := through(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			service.NewProblem(500, "the database failed").Write(w)
		}
		return r.Method != http.MethodPut
	})
	say(t, []string{"apply", "--server", refuses, "--prune-tag", "team-a", dir}).want(t, 1, "the database failed", "nothing was deleted, since not all files could be applied")

	// Someone takes the tag away while we are about to delete.
	untag := through(t, server, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete {
			ask(t, "PATCH", server+"/dashboards/"+stray, `{"tags":[]}`, "If-Match", "*")
		}
		return true
	})
	say(t, []string{"apply", "--server", untag, "--prune-tag", "team-a", dir}).want(t, 0, "1 changed, 0 deleted, 1 unchanged")
	ask(t, "PATCH", server+"/dashboards/"+stray, `{"tags":["team-a"]}`, "If-Match", "*")

	say(t, []string{"apply", "--server", server, "--prune-tag", "team-a", dir}).want(t, 0, "deleted Stray", "1 deleted, 1 unchanged")
	say(t, []string{"export", "--server", server}).want(t, 0, "title: Of others", "title: Team-a by title only", "title: Web")
}

// What the service finds wrong is told with the place in the file.
func TestFaultsOfTheServiceHaveTheirPlace(t *testing.T) {
	server := startConfigService(t, 30)
	file := filepath.Join(t.TempDir(), "web.yaml")
	writeFile(t, file, webFile)
	other := filepath.Join(filepath.Dir(file), "other.yaml")
	writeFile(t, other, "title: Other\n")
	s := say(t, []string{"apply", "--server", server, file, other})
	s.want(t, 1, "FAILED Web", file+":7:21: /widgets/0/window_seconds: window_seconds is 60: it must be 1 to 30", "created Other", "1 created, 0 changed, 0 deleted, 0 unchanged, 1 failed")
	say(t, []string{"validate", "--max-window", "30", file}).want(t, 1, file+":7:21: ")
}

func TestTokens(t *testing.T) {
	server := startConfigService(t, 3600)
	guarded := through(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		ok := r.Header.Get("Authorization") == "Bearer s3cret"
		if !ok {
			service.NewProblem(401, "a token is needed").Write(w)
		}
		return ok
	})
	file := filepath.Join(t.TempDir(), "web.yaml")
	writeFile(t, file, webFile)
	say(t, []string{"diff", "--server", guarded, file}).want(t, 2, "401 Unauthorized: a token is needed; pass a token in PULSEBOARD_TOKEN")
	say(t, []string{"apply", "--server", guarded, file}, "PULSEBOARD_TOKEN", "wrong").want(t, 1, "401 Unauthorized")
	say(t, []string{"apply", "--server", guarded, "--token", "wrong", file}).want(t, 2, "--token-file", "PULSEBOARD_TOKEN")
	say(t, []string{"apply", "--server", guarded, file}, "PULSEBOARD_TOKEN", "s3cret").want(t, 0, "1 created")
}

func TestOutputForScripts(t *testing.T) {
	server := startConfigService(t, 3600)
	dir := t.TempDir()
	bad, good := filepath.Join(dir, "bad.yaml"), filepath.Join(dir, "web.yaml")
	writeFile(t, bad, "titel: x\n")
	writeFile(t, good, webFile)
	var v struct {
		OK     bool
		Files  int
		Cost   struct{ Widgets int }
		Faults []struct {
			File, Pointer, Code, Detail string
			Line, Column                int
		}
		Warnings []any
	}
	s := say(t, []string{"validate", "--output", "json", dir})
	if s.want(t, 1); json.Unmarshal([]byte(s.stdout), &v) != nil || s.stderr != "" || v.OK || v.Files != 2 || v.Cost.Widgets != 1 ||
		len(v.Faults) != 1 || v.Faults[0].File != bad || v.Faults[0].Line != 1 || v.Faults[0].Code != "unknown_field" || v.Faults[0].Pointer != "/titel" || v.Warnings == nil {
		t.Errorf("%s %s", s.stdout, s.stderr)
	}
	var d struct {
		Dashboards []struct {
			Action  string
			Version int
			Changes []struct {
				Path     string
				Old, New any
			}
		}
		Count map[string]int
	}
	s = say(t, []string{"apply", "--output", "json", "--server", server, good})
	if s.want(t, 0); json.Unmarshal([]byte(s.stdout), &d) != nil || d.Count["create"] != 1 || d.Dashboards[0].Version != 1 {
		t.Errorf("%s", s.stdout)
	}
	writeFile(t, good, strings.ReplaceAll(webFile, "unit: ms", "unit: s"))
	s = say(t, []string{"diff", "--output", "json", "--server", server, good})
	if s.want(t, 1); json.Unmarshal([]byte(s.stdout), &d) != nil || d.Dashboards[0].Action != "change" || d.Dashboards[0].Changes[0].Path != "/widgets/p95 latency/display_config/unit" ||
		d.Dashboards[0].Changes[0].Old != "ms" || d.Dashboards[0].Changes[0].New != "s" {
		t.Errorf("%s", s.stdout)
	}
}

func TestExitCodes(t *testing.T) {
	server := startConfigService(t, 3600)
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	defer page.Close()
	dir := t.TempDir()
	good, bad, grafana := filepath.Join(dir, "good", "web.yaml"), filepath.Join(dir, "bad", "web.yaml"), filepath.Join(dir, "grafana.json")
	writeFile(t, good, webFile)
	writeFile(t, bad, "titel: x\n")
	writeFile(t, grafana, `{"title":"G","schemaVersion":39,"panels":[{"type":"stat","title":"S","targets":[{"refId":"A","expr":"sum(sum_over_time(x[1m]))"}]},{"type":"text","title":"T"}]}`)
	whole := filepath.Join(dir, "whole.json")
	writeFile(t, whole, `{"title":"W","schemaVersion":39,"panels":[{"type":"stat","title":"S","targets":[{"refId":"A","expr":"sum(sum_over_time(x[1m]))"}]}]}`)
	second := filepath.Join(dir, "api.json")
	writeFile(t, second, "{}")
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"", 2, `unknown command "dashboards": use validate, diff, apply, export or import-grafana`},
		{"lint", 2, `unknown command "dashboards lint"`},
		{"help", 0, "import-grafana  make files of Grafana's dashboards"},
		{"validate --help", 0, "PULSEBOARD_MAX_WINDOW"},
		{"validate", 2, "no files given: name files or folders (see pulseboard dashboards validate --help)"},
		{"validate " + good, 0, "0 faults in 1 file."},
		{"validate " + bad, 1, bad + `:1:1: /titel: unknown field "titel"`},
		{"validate " + good + " " + bad, 2 - 1, "1 fault in 2 files."},
		{"validate none.yaml", 2, "cannot read none.yaml: there is no such file or folder"},
		{"validate --output xml " + good, 2, `--output is "xml": it must be text or json`},
		{"validate --slice 1ns " + good, 2, "--slice is 1ns"},
		{"validate --max-window 0 " + good, 2, "--max-window is 0"},
		{"validate --wrong " + good, 2, "flag provided but not defined: -wrong"},
		{"diff " + good, 2, "no config service given: pass its URL with --server, or in PULSEBOARD_SERVER"},
		{"diff --server localhost:8080 " + good, 2, `--server is "localhost:8080": it must be a URL such as http://127.0.0.1:8080`},
		{"diff --server " + away.URL + " " + good, 2, "cannot reach the config service at " + away.URL},
		{"diff --server " + page.URL + " " + good, 2, "is no dashboard: is --server the config service?"},
		{"diff --server " + server + " " + good, 1, "1 to create"},
		{"diff --server " + server + " " + bad, 2, "1 fault in the files: nothing was asked or changed; correct them first"},
		{"apply --server " + server + " " + good + " " + bad, 2, "nothing was asked or changed"},
		{"apply --server " + away.URL + " " + good, 1, "FAILED Web"},
		{"apply --server " + away.URL + " " + good + " " + second, 1, "not tried, since the config service did not answer before"},
		{"apply --server " + server + " --dry-run " + good, 0, "1 created"},
		{"apply --server " + server, 2, "no files given"},
		{"export --server " + server + " --id " + webID, 2, "404 Not Found"},
		{"export --server " + page.URL, 2, "is no list of dashboards"},
		{"export --server " + server + " --format xml", 2, `--format is "xml": it must be yaml or json`},
		{"export --server " + server + " " + good, 2, "unexpected argument"},
		{"export --server " + server + " --id a --tag b", 2, "--id and --tag were both given"},
		{"export --server " + server, 0, ""},
		{"import-grafana " + whole, 0, "of 1 panels 1 right as they are; of 1 queries"},
		{"import-grafana " + grafana, 1, "lost: text"},
		{"import-grafana --allow-unmapped " + grafana, 0, "lost: text"},
		{"import-grafana --report json " + grafana, 1, `"outcome": "lost"`},
		{"import-grafana " + good, 2, "it is no JSON object"},
		{"import-grafana none.json", 2, "cannot read none.json: no such file or directory"},
		{"import-grafana " + whole + " " + whole, 2, "are the same dashboard of Grafana"},
		{"import-grafana --delay -1 " + whole, 2, "--delay is -1: it must be 0 to 300"},
		{"import-grafana --window 0 " + whole, 2, "--window is 0: it must be 1 to 3600"},
		{"import-grafana --report xml " + whole, 2, "--report is"},
	} {
		s := say(t, strings.Fields(c.args))
		if s.code != c.code || !strings.Contains(s.stdout+s.stderr, c.want) {
			t.Errorf("%s: exit code %d, want %d; want %q in\n%s%s", c.args, s.code, c.code, c.want, s.stdout, s.stderr)
		}
	}
}

// What the importer makes can be applied, and is then equal.
func TestImportedDashboardsCanBeApplied(t *testing.T) {
	server := startConfigService(t, 3600)
	dir := t.TempDir()
	fixtures := []string{"../../clients/grafana/testdata/shop.json", "../../clients/grafana/testdata/old.json"}
	say(t, append([]string{"import-grafana", "--dir", dir}, fixtures...)).want(t, 1, "wrote "+filepath.Join(dir, "shop.yaml"), "wrote "+filepath.Join(dir, "old-panels.yaml"))
	say(t, []string{"validate", dir}).want(t, 0, "2 good dashboards")
	say(t, []string{"apply", "--server", server, dir}).want(t, 0, "2 created")
	say(t, append([]string{"import-grafana", "--dir", dir}, fixtures...)).want(t, 1, "unchanged "+filepath.Join(dir, "shop.yaml"))
	say(t, []string{"diff", "--server", server, dir}).want(t, 0, "2 unchanged")
}

// With --server the importer knows the tags and units of the metrics that arrive, and how late they come.
func TestImportAsksForTags(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next := "null"
		tags := `{"key":"host","values":["a"],"more":0},{"key":"code","values":["a","b"],"more":0}`
		if r.FormValue("cursor") == "" {
			next, tags = `"2"`, `{"key":"q","values":["a"],"more":0}`
		}
		name := map[string]string{"": "first", "2": "x"}[r.FormValue("cursor")]
		if _, err := fmt.Fprintf(w, `{"metrics":[{"metric_name":%q,"tags":[%s],"more_tags":0,"units":["B"],"arrival_seconds":6}],"total":2,"next":%s}`, name, tags, next); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "g.json")
	writeFile(t, file, `{"title":"G","schemaVersion":39,"panels":[{"type":"stat","title":"S","targets":[{"refId":"A","expr":"rate(x[1m])"}]}]}`)
	say(t, []string{"import-grafana", file}).want(t, 0, "of 1 panels 1 right if", "as x:rate:60s\n")
	say(t, []string{"import-grafana", "--server", server.URL, file}).want(t, 0, "of 1 panels 1 right as they are", "as x:rate:60s delay 6s by (code, host)")
	for panel, want := range map[string]string{``: "unit: B/s", `"fieldConfig":{"defaults":{"unit":"s"}},`: "unit: s"} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "p.json"), `{"title":"P","schemaVersion":39,"panels":[{"type":"stat","title":"S",`+panel+`"targets":[{"refId":"A","expr":"rate(x[1m])"}]}]}`)
		say(t, []string{"import-grafana", "--server", server.URL, "--dir", dir, filepath.Join(dir, "p.json")}).want(t, 0, "wrote")
		if text, err := os.ReadFile(filepath.Join(dir, "p.yaml")); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%v; %s lacks %s", err, text, want)
		}
	}
	say(t, []string{"import-grafana", "--server", server.URL, "--delay", "9", file}).want(t, 0, "as x:rate:60s delay 9s by (code, host)")
	server.Close()
	say(t, []string{"import-grafana", "--server", server.URL, file}).want(t, 2, "cannot reach the config service", "check --server")
}

// The forms of two versions of Grafana may name one dashboard: each is a file of its own.
func TestResourcesOfGrafanaAreImported(t *testing.T) {
	dir, from := t.TempDir(), "../../clients/grafana/testdata/"
	got := say(t, []string{"import-grafana", "--dir", dir, from + "v1.json", from + "v2.json", from + "nodes.json"})
	got.want(t, 1, `nodes.json: "Nodes and databases": of 15 panels 1 lost`, `v2.json: "Shop": of 1 panels 1 right as they are`, "an id of its own")
	say(t, []string{"validate", dir}).want(t, 0, "3 good dashboards")
}
