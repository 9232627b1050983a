package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestShakenUPlotLosesExactlyItsUnusedParts(t *testing.T) {
	source := "uPlot.sync = _sync;\n" + strings.Join(unusedParts(), "\n") + "\nexport { uPlot as default };\n"
	got, err := shaken([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	if want := "uPlot.sync = _sync;\nexport { uPlot as default };"; strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := shaken([]byte("uPlot.assign = assign;")); err == nil || !strings.Contains(err.Error(), "unusedParts") {
		t.Errorf("another version of uPlot gives %v, want an error that says what to mend", err)
	}
}

// What is taken out of uPlot is undefined in the browser, whatever its types say.
func TestThePageUsesNoneOfTheUnusedParts(t *testing.T) {
	member := regexp.MustCompile(`^\(?(?:uPlot|paths)\.(\w+)`)
	var names []string
	for _, part := range unusedParts() {
		names = append(names, member.FindStringSubmatch(part)[1])
	}
	use := regexp.MustCompile(`uPlot\.(?:paths|` + strings.Join(names, "|") + `)\b`)
	err := filepath.WalkDir(filepath.FromSlash("../../web/src"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if found := use.Find(text); found != nil {
			t.Errorf("%s uses %s: take it out of unusedParts", path, found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
