package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// folders returns the folders of web/src from the lowest up. A file imports from
// its own folder and from those before it; "" is the page that ties all together.
func folders() []string {
	return []string{"api", "model", "live", "ui", "widgets", "pages", ""}
}

// TestImportsOfThePageRunOneWay also follows imports of types and those that load a part when it is shown.
func TestImportsOfThePageRunOneWay(t *testing.T) {
	imports := readImports(t, filepath.FromSlash("../../web/src"))
	if len(imports["app.tsx"]) < 5 {
		t.Fatalf("app.tsx imports %v: this test cannot read imports any more", imports["app.tsx"])
	}
	for _, fault := range append(upward(imports), cycles(imports)...) {
		t.Error(fault)
	}
}

func TestUpwardImportsAndCyclesAreFound(t *testing.T) {
	imports := map[string][]string{
		"app.tsx":        {"pages/a.tsx"},
		"pages/a.tsx":    {"ui/b.ts", "pages/c.ts"},
		"pages/c.ts":     {"pages/d.ts"},
		"pages/d.ts":     {"pages/a.tsx"},
		"ui/b.ts":        {"widgets/w/e.ts"},
		"widgets/w/e.ts": nil,
	}
	if got, want := upward(imports), []string{"ui/b.ts imports widgets/w/e.ts, which is above it"}; !slices.Equal(got, want) {
		t.Errorf("upward imports: got %q, want %q", got, want)
	}
	if got, want := cycles(imports), []string{"a cycle: pages/a.tsx, pages/c.ts, pages/d.ts, pages/a.tsx"}; !slices.Equal(got, want) {
		t.Errorf("cycles: got %q, want %q", got, want)
	}
}

// readImports returns for each file below dir, tests left out, the files there that it imports.
func readImports(t *testing.T, dir string) map[string][]string {
	t.Helper()
	statement := regexp.MustCompile(`(?:\bfrom|^import|\bimport\()\s*"(\.[^"]*)"`)
	imports := map[string][]string{}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		file := filepath.Base(name)
		if err != nil || entry.IsDir() || !strings.HasPrefix(filepath.Ext(file), ".ts") || strings.HasSuffix(file, ".test.ts") {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		from, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		from = filepath.ToSlash(from)
		imports[from] = nil
		for _, line := range strings.Split(string(text), "\n") {
			for _, match := range statement.FindAllStringSubmatch(line, -1) {
				to, err := resolve(dir, path.Join(path.Dir(from), match[1]))
				if err != nil {
					return fmt.Errorf("%s imports %s: %w", from, match[1], err)
				}
				imports[from] = append(imports[from], to)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports
}

// resolve returns the file that an import without an extension means.
func resolve(dir, name string) (string, error) {
	for _, extension := range []string{"", ".ts", ".tsx"} {
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name+extension)))
		if err == nil && !info.IsDir() {
			return name + extension, nil
		}
	}
	return "", fs.ErrNotExist
}

func upward(imports map[string][]string) (faults []string) {
	height := func(file string) int {
		folder, _, nested := strings.Cut(file, "/")
		if !nested {
			folder = ""
		}
		return slices.Index(folders(), folder)
	}
	for from, files := range imports {
		if height(from) < 0 {
			faults = append(faults, from+" is in a folder that has no place in the order of folders()")
		}
		for _, to := range files {
			if height(to) > height(from) {
				faults = append(faults, from+" imports "+to+", which is above it")
			}
		}
	}
	slices.Sort(faults)
	return faults
}

// cycles returns one cycle for each file that closes one.
func cycles(imports map[string][]string) (faults []string) {
	done := map[string]bool{}
	var way []string
	var walk func(file string)
	walk = func(file string) {
		if at := slices.Index(way, file); at >= 0 {
			faults = append(faults, "a cycle: "+strings.Join(append(slices.Clone(way[at:]), file), ", "))
			return
		}
		if done[file] {
			return
		}
		way = append(way, file)
		for _, next := range imports[file] {
			walk(next)
		}
		way = way[:len(way)-1]
		done[file] = true
	}
	var files []string
	for file := range imports {
		files = append(files, file)
	}
	slices.Sort(files)
	for _, file := range files {
		walk(file)
	}
	return faults
}
