package charts_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pulseboard/charts"
)

func TestNeedsHistory(t *testing.T) {
	for name, want := range map[string]bool{"line": true, "gauge": false, "of a newer version": true, "": true} {
		if got := charts.NeedsHistory(name); got != want {
			t.Errorf("%q needs a history: got %v, want %v", name, got, want)
		}
	}
}

// The generated web/src/widgets/types.ts imports each, so that the page's build fails too; this says it without npm.
func TestEachChartHasAFolderOfThePage(t *testing.T) {
	folders, err := filepath.Glob(filepath.FromSlash("../web/src/widgets/*"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, folder := range folders {
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			names = append(names, filepath.Base(folder))
		}
	}
	want := slices.Sorted(slices.Values(charts.Names()))
	if slices.Sort(names); !slices.Equal(names, want) {
		t.Errorf("web/src/widgets has the folders %q, and charts.All has %q", names, want)
	}
}
