package dashcode

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func isDashboardFile(name string) bool { return extension(name) != "" }

// extension is that of a dashboard file in lower case, "" of others.
func extension(name string) string {
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".yaml", ".yml", ".json":
		return ext
	}
	return ""
}

// finder lists files, sorted within each folder, each once.
type finder struct {
	files   []string
	met     int             // How many were met, those that are in files already included.
	folders map[string]bool // Those that were read, by their real path: links may lead round in a circle.
}

// find fails when there may be files that it does not see.
func find(paths []string) ([]string, error) {
	f := finder{folders: make(map[string]bool)}
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("cannot read %s: there is no such file or folder", path)
		case err != nil:
			return nil, fmt.Errorf("cannot read %s: %w", path, err)
		case !info.IsDir() && !isDashboardFile(path):
			return nil, fmt.Errorf("cannot read %s: a dashboard file ends in .yaml, .yml or .json", path)
		case !info.IsDir():
			if err := f.add(path, info); err != nil {
				return nil, err
			}
			continue
		}
		f.met = 0
		if err := f.folder(path); err != nil {
			return nil, err
		}
		if f.met == 0 {
			return nil, fmt.Errorf("there is no .yaml, .yml or .json file in %s", path)
		}
	}
	return f.files, nil
}

func (f *finder) add(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("cannot read %s: it is no regular file; remove it or name the files one by one", path)
	}
	f.met++
	if path = filepath.Clean(path); !slices.Contains(f.files, path) {
		f.files = append(f.files, path)
	}
	return nil
}

// folder follows links, to folders too: what they lead to counts as in the folder.
func (f *finder) folder(path string) error {
	place, err := filepath.EvalSymlinks(path)
	if err == nil {
		place, err = filepath.Abs(place)
	}
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", path, err)
	}
	if f.folders[place] {
		f.met++ // Whatever is in it.
		return nil
	}
	f.folders[place] = true
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", path, err)
	}
	for _, e := range entries {
		inner := filepath.Join(path, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		info, err := os.Stat(inner)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = fmt.Errorf("cannot read %s: it is a link that leads nowhere; mend or remove it", inner)
		case err != nil:
			err = fmt.Errorf("cannot read %s: %w", inner, err)
		case info.IsDir():
			err = f.folder(inner)
		case isDashboardFile(inner):
			err = f.add(inner, info)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
