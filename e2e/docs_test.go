package e2e_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every test that a document names as its proof is there.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	have := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(source, -1) {
			have[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\bTest[A-Z]\w+`)
	count := 0
	for _, doc := range []string{"../docs/semantics.md", "../docs/reference.md", "../ARCHITECTURE.md", "../bench/results/hostile.md"} {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range named.FindAllString(string(text), -1) {
			count++
			if !have[name] {
				t.Errorf("%s names %s, which is not there", doc, name)
			}
		}
	}
	if count < 40 {
		t.Errorf("only %d tests are named", count)
	}
}
