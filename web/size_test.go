package web

import (
	"fmt"
	"io/fs"
	"sort"
	"strings"
	"testing"
)

// What a visitor downloads at most, gzipped, in bytes.
const (
	maxFirstScript = 70_000  // To see a dashboard: what index.html names.
	maxAllScript   = 200_000 // With everything that is loaded when it is opened.
	maxStyle       = 8_000
)

// TestSizeBudget weighs the page that is embedded in this very binary.
func TestSizeBudget(t *testing.T) {
	files, ok := Dist()
	if !ok {
		t.Skip("only the placeholder is embedded: run 'make web' (needs Node) to weigh the built page")
	}
	index, err := fs.ReadFile(files, indexName)
	if err != nil {
		t.Fatal(err)
	}
	first := func(path string) bool {
		return strings.HasSuffix(path, ".js.gz") && strings.Contains(string(index), strings.TrimSuffix(path, ".gz"))
	}
	ends := func(suffix string) func(string) bool {
		return func(path string) bool { return strings.HasSuffix(path, suffix) }
	}
	for _, budget := range []struct {
		name string
		of   func(path string) bool
		most int64
	}{
		{"the script of the first view", first, maxFirstScript},
		{"all script", ends(".js.gz"), maxAllScript},
		{"all style", ends(".css.gz"), maxStyle},
	} {
		total, parts := weigh(t, files, budget.of)
		t.Logf("%s: %d of %d B\n  %s", budget.name, total, budget.most, strings.Join(parts, "\n  "))
		switch {
		case total == 0:
			t.Errorf("the build has nothing for %s", budget.name)
		case total > budget.most:
			t.Errorf("%s has %d B, %d more than the budget of %d: make it smaller, the largest first:\n  %s",
				budget.name, total, total-budget.most, budget.most, strings.Join(parts, "\n  "))
		}
	}
}

// weigh adds up the files of which that is true and lists them, the largest first.
func weigh(t *testing.T, files fs.FS, of func(path string) bool) (total int64, parts []string) {
	t.Helper()
	sizes := map[string]int64{}
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !of(path) {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		sizes[path] = info.Size()
		total += info.Size()
		parts = append(parts, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Slice(parts, func(i, j int) bool { return sizes[parts[i]] > sizes[parts[j]] })
	for i, path := range parts {
		parts[i] = fmt.Sprintf("%6d B %s", sizes[path], path)
	}
	return total, parts
}
