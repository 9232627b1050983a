package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckPackagesSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	err := checkPackages(dir)
	if err == nil {
		t.Fatal("a folder without node_modules passes")
	}
	for _, part := range []string{"preact", "npm ci", dir} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not mention %q", err, part)
		}
	}
}

func TestIndexPageLinksTheBundle(t *testing.T) {
	page, err := indexPage(`{"outputs":{
		"dist/assets/main-AAA.js":{"entryPoint":"src/main.tsx","cssBundle":"dist/assets/main-BBB.css","imports":[{"path":"dist/assets/chunk-CCC.js","kind":"import-statement"},{"path":"dist/assets/lazy-DDD.js","kind":"dynamic-import"}]},
		"dist/assets/favicon-EEE.svg":{"entryPoint":"src/favicon.svg"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`<script type="module" src="/assets/main-AAA.js"></script>`,
		`<link rel="stylesheet" href="/assets/main-BBB.css">`,
		`<link rel="modulepreload" href="/assets/chunk-CCC.js">`,
		`<link rel="icon" href="/assets/favicon-EEE.svg"`,
	} {
		if !strings.Contains(string(page), part) {
			t.Errorf("no %s in\n%s", part, page)
		}
	}
	build := func(outputs string) string {
		page, err := indexPage(`{"outputs":{"dist/assets/main-AAA.js":{"entryPoint":"src/main.tsx","cssBundle":"dist/assets/main-BBB.css"},"dist/assets/favicon-EEE.svg":{"entryPoint":"src/favicon.svg"}` + outputs + `}}`)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(page), `<meta name="pulseboard-build" content="`)
		name, _, _ := strings.Cut(rest, `"`)
		return name
	}
	one, same, other := build(`,"dist/assets/lazy-DDD.js":{}`), build(`,"dist/assets/lazy-DDD.js":{}`), build(`,"dist/assets/lazy-FFF.js":{}`)
	if len(one) != 12 || one != same || one == other {
		t.Errorf("builds are named %q, again %q, another %q", one, same, other)
	}
	if strings.Contains(string(page), "lazy-DDD") {
		t.Error("a part that is loaded on demand is preloaded")
	}
	if _, err := indexPage(`{"outputs":{}}`); err == nil {
		t.Error("a build without a script gives a page")
	}
}

func TestEmptyDistKeepsTheCommittedFile(t *testing.T) {
	dist := t.TempDir()
	for _, name := range []string{".gitignore", "index.html", "assets/main-OLD.js"} {
		path := filepath.Join(dist, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := emptyDist(dist); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dist)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != ".gitignore" {
		t.Errorf("left %v, want only .gitignore", entries)
	}
}
