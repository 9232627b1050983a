package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestWithoutWantsEachLineOnce(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		err              bool
	}{
		{"once", "a\n\tb;\nc\n", "a\nc\n", false},
		{"gone in a newer version", "a\nc\n", "", true},
		{"twice: which one is meant?", "\tb;\n\tb;\n", "", true},
	} {
		got, err := without(c.text, []string{"\tb;\n"})
		if got != c.want || (err != nil) != c.err {
			t.Errorf("%s: without gives %q, %v", c.name, got, err)
		}
		if c.err && (!errors.Is(err, errNotOnce) || !strings.Contains(err.Error(), "b;")) {
			t.Errorf("%s: %v does not name the line", c.name, err)
		}
	}
}

// What is taken out of uPlot is undefined in the browser, whatever its types say.
func TestThePageUsesNothingThatIsLeftOut(t *testing.T) {
	member := regexp.MustCompile(`^\s*\(?(?:uPlot|paths)\.(\w+)`)
	var names []string
	for _, part := range unusedOfUPlot() {
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
			t.Errorf("%s uses %s: take it out of unusedOfUPlot", path, found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
