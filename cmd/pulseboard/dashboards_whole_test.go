package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// teamFile has two dashboards and, between them, one that is switched off.
const teamFile = `dashboard_id: 11111111-aaaa-4aaa-8aaa-000000000001
title: Team A
tags: [team]
widgets: [{metric_name: shop.sales, aggregation: sum, window_seconds: 60}]
---
# %s
---
dashboard_id: 11111111-aaaa-4aaa-8aaa-000000000002
title: Team B
tags: [team]
widgets: [{metric_name: shop.sales, aggregation: sum, window_seconds: 60}]
`

func TestPruneReadsWhatIsBehindAnEmptyDocument(t *testing.T) {
	server := startConfigService(t, 3600)
	file := filepath.Join(t.TempDir(), "team.yaml")
	writeFile(t, file, strings.ReplaceAll(teamFile, "---\n# %s\n", ""))
	say(t, []string{"apply", "--server", server, file}).want(t, 0, "2 created")
	writeFile(t, file, fmt.Sprintf(teamFile, "switched off"))
	say(t, []string{"validate", file}).want(t, 0, "2 good dashboards")
	say(t, []string{"apply", "--server", server, "--prune-tag", "team", file}).want(t, 0, "0 deleted, 2 unchanged")
	// A file that cannot be read whole deletes nothing.
	for _, broken := range []string{"title: [Team B\n", "title: Team B\n\ttags: [team]\n", "title: *gone\n", "title: Team B\ntitel: x\n", "title: B\n}\n", "\"title: B\n"} {
		writeFile(t, file, strings.Split(teamFile, "---\n")[0]+"---\n"+broken)
		say(t, []string{"apply", "--server", server, "--prune-tag", "team", file}).want(t, 2, "in the files: nothing was asked or changed")
	}
	say(t, []string{"export", "--server", server}).want(t, 0, "title: Team A", "title: Team B")
}

// hostileTexts are what readers of YAML, file systems and people stumble over.
func hostileTexts() []string {
	out := []string{
		"yes", "No", "on", "off", "y", "n", "~", "null", "Null", "true", "FALSE", "1", "-1", "+1", "1e3", "1_000", "0x1F", "0o7", "010", ".5", "5.", ".inf", "-.INF", ".nan", "NaN",
		"2026-01-02", "2026-01-02T03:04:05Z", "12:30:45", "1:2", "=", "<<", "---", "...", "--- a", "... a", "-", "- a", "?", "? a", ":", ": a", "a: b", "a:", "a #b", "#", "# a", "#a",
		"'", "''", "'a'", `"`, `"a"`, `"a`, `\`, `a\b`, `\n`, `\u0041`, "a,b", "[", "[a]", "]", "{", "{a}", "}", "*a", "&a", "!a", "!!str a", "%a", "%YAML 1.2", "@a", "`a", "|", "|-", ">", ">-",
		" ", "  ", "a ", " a", "a  b", "é", "日本", "😀", "👩‍👩‍👧", "\u202eabc", "\u2028", "\u2029", "\u00a0", "\u200b", "\ufeff", "\ufeffa", "\ufffd", "\ufffe", "\uffff", "\U0010ffff", "e\u0301", "\u00e9",
		"<b>&amp;", "${HOME}", "{{ x }}", "%s", "../../etc/passwd", "/", ".", "..", "con", "a/b", "a.yaml", strings.Repeat("x", 100), strings.Repeat("é", 100), strings.Repeat("-", 90), "a\u0000b", "a\nb", "a\tb", "a\r", "a\u0085b", "\x7f",
	}
	for r := ' '; r <= '~'; r++ {
		out = append(out, []string{string(r), string(r) + "a", "a" + string(r), "a " + string(r) + " b", string(r) + " " + string(r)}[rand.IntN(5)])
	}
	return out
}

// What was exported and is applied again changes nothing, whatever it is called.
func TestApplyAfterExportChangesNothing(t *testing.T) {
	server := startConfigService(t, 3600)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 2))
	texts := hostileTexts()
	text := func(most int) string {
		s := texts[r.IntN(len(texts))]
		if len([]rune(s)) > most || strings.ContainsFunc(s, unicode.IsControl) {
			return "t"
		}
		return s
	}
	made, refused := 0, 0
	for _, title := range texts {
		doc := map[string]any{"title": title, "tags": []any{text(30), "tag " + text(20)}, "variables": []any{map[string]any{"name": text(30), "tag": "host"}}, "widgets": []any{
			map[string]any{
				"metric_name": "m", "aggregation": "avg", "window_seconds": 60, "group_by": []any{"host"},
				"filter":         map[string]any{"on": text(60), "a": []any{text(60), "z" + text(60)}, "b": map[string]any{"not": text(60)}, "c": map[string]any{"prefix": "x" + text(60)}, "1": map[string]any{"exists": true}},
				"display_config": map[string]any{"title": text(100), "unit": text(20), "x_axis": map[string]any{"label": text(40)}, "y_axis": map[string]any{"label": text(40), "min": 1e-9, "max": 1e21}},
			},
			map[string]any{"metric_name": "null", "aggregation": "p99.9", "window_seconds": 1, "display_config": map[string]any{"title": title}},
		}}
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		switch status, _ := ask(t, "POST", server+"/dashboards", string(b)); status {
		case http.StatusCreated:
			made++
		case http.StatusUnprocessableEntity: // Such as control characters: what cannot be there need not be exported.
			refused++
		default:
			t.Fatalf("%q: %d", title, status)
		}
	}
	if made < 180 || refused > made/10 {
		t.Fatalf("%d dashboards were made and %d refused", made, refused)
	}
	unchanged := fmt.Sprintf("0 to create, 0 to change, %d unchanged", made)
	for _, format := range []string{"yaml", "json"} {
		dir := t.TempDir()
		say(t, []string{"export", "--server", server, "--dir", dir, "--format", format}).want(t, 0)
		if d := say(t, []string{"diff", "--server", server, dir}); d.code != 0 || !strings.Contains(d.stderr, unchanged) {
			t.Fatalf("seed %d, %s: diff ends with %d\n%.2000s\n%.1000s", seed, format, d.code, d.stdout, d.stderr)
		}
		if again := say(t, []string{"export", "--server", server, "--dir", dir, "--format", format}); again.code != 0 || strings.Contains(again.stderr, "wrote") || strings.Contains(again.stderr, "warning") {
			t.Errorf("seed %d, %s: exported again: %d %.1000s", seed, format, again.code, again.stderr)
		}
	}
	file := filepath.Join(t.TempDir(), "all.yaml")
	writeFile(t, file, say(t, []string{"export", "--server", server}).stdout)
	say(t, []string{"apply", "--server", server, file}).want(t, 0, fmt.Sprintf("0 created, 0 changed, 0 deleted, %d unchanged, 0 failed", made))
}

// A proxy that compresses weakens the tags that it passes on, and may take them away.
func TestDashboardsThroughAProxyThatCompresses(t *testing.T) {
	server := startConfigService(t, 3600)
	for name, change := range map[string]func(h http.Header){
		"weak": func(h http.Header) { h.Set("ETag", "W/"+h.Get("ETag")) },
		"with a suffix": func(h http.Header) {
			h.Set("ETag", strings.TrimSuffix(h.Get("ETag"), `"`)+`-gzip"`)
		},
		"none": func(h http.Header) { h.Del("ETag") },
	} {
		t.Run(name, func(t *testing.T) {
			u, err := url.Parse(server)
			if err != nil {
				t.Fatal(err)
			}
			proxy := httputil.NewSingleHostReverseProxy(u)
			proxy.ModifyResponse = func(res *http.Response) error {
				if res.Header.Get("ETag") != "" {
					change(res.Header)
				}
				return nil
			}
			front := httptest.NewServer(proxy)
			t.Cleanup(front.Close)
			file := filepath.Join(t.TempDir(), "web.yaml")
			writeFile(t, file, webFile)
			say(t, []string{"apply", "--server", front.URL, file}).want(t, 0, "0 failed")
			writeFile(t, file, strings.ReplaceAll(webFile, "at: 200", "at: 250"))
			say(t, []string{"apply", "--server", front.URL, file}).want(t, 0, "1 changed")
			writeFile(t, file, "title: Other\n")
			say(t, []string{"apply", "--server", front.URL, "--prune-tag", "team-a", file}).want(t, 0, "deleted Web")
		})
	}
}

// An export writes over what it wrote before, and over nothing that it has not read.
func TestExportKeepsOtherDashboards(t *testing.T) {
	server := startConfigService(t, 3600)
	dir := t.TempDir()
	web := filepath.Join(dir, "web.yaml")
	ask(t, "POST", server+"/dashboards", `{"dashboard_id":"`+webID+`","title":"Web"}`)
	for before, want := range map[string]string{
		webFile + "---\ntitle: By hand\n":     `it holds dashboard "By hand"`,
		"title: By hand\n":                    `it holds dashboard "By hand"`,
		webFile + "---\ntitle: [By hand\n":    "cannot be read whole",
		webFile + "---\ntitel: By hand\n":     "cannot be read whole",
		"# Nothing but notes of a person.\n":  "cannot be read whole",
		"\xff\xfeu\x00t\x00f\x001\x006\x00\n": "cannot be read whole",
	} {
		writeFile(t, web, before)
		say(t, []string{"export", "--server", server, "--dir", dir}).want(t, 2, "cannot write "+web, want)
		if got := readFile(t, web); got != before {
			t.Errorf("%q was changed", before)
		}
	}
	writeFile(t, web, webFile)
	say(t, []string{"export", "--server", server, "--dir", dir}).want(t, 0, "wrote "+web)
	// One that is exported too may move: the title now belongs to another.
	ask(t, "PATCH", server+"/dashboards/"+webID, `{"title":"Old"}`, "If-Match", "*")
	ask(t, "POST", server+"/dashboards", `{"title":"Web"}`)
	say(t, []string{"export", "--server", server, "--dir", dir}).want(t, 0, "wrote "+web, "old.yaml")
	say(t, []string{"diff", "--server", server, dir}).want(t, 0, "2 unchanged")
}
