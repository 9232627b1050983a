package web

import (
	"fmt"
	"io/fs"
	"sort"
	"strings"
	"testing"
)

// What a visitor downloads at most, gzipped: the whole page with everything
// that is loaded on demand.
const (
	maxScriptGzip = 70_000
	maxStyleGzip  = 8_000
)

// TestSizeBudget weighs the page that is embedded in this very binary.
func TestSizeBudget(t *testing.T) {
	files, ok := Dist()
	if !ok {
		t.Skip("only the placeholder is embedded: run 'make web' (needs Node) to weigh the built page")
	}
	for _, budget := range []struct {
		suffix string
		most   int64
	}{
		{".js.gz", maxScriptGzip},
		{".css.gz", maxStyleGzip},
	} {
		total, parts := weigh(t, files, budget.suffix)
		t.Logf("%s: %d of %d B\n  %s", budget.suffix, total, budget.most, strings.Join(parts, "\n  "))
		switch {
		case total == 0:
			t.Errorf("the build has no %s", budget.suffix)
		case total > budget.most:
			t.Errorf("all %s together are %d B, %d more than the budget of %d: make them smaller, the largest first:\n  %s",
				budget.suffix, total, total-budget.most, budget.most, strings.Join(parts, "\n  "))
		}
	}
}

// weigh adds up the files with a suffix and lists them, the largest first.
func weigh(t *testing.T, files fs.FS, suffix string) (total int64, parts []string) {
	t.Helper()
	sizes := map[string]int64{}
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, suffix) {
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
