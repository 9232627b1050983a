package flinkapi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Retained returns the retained checkpoints and the savepoints anywhere below a
// folder, as URIs, newest first. Only whole ones have metadata.
func Retained(dir string) ([]string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	type found struct {
		path string
		at   time.Time
	}
	var all []found
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != metadata {
			return skipGone(err)
		}
		info, err := d.Info()
		if err == nil {
			all = append(all, found{"file://" + filepath.Dir(path), info.ModTime()})
		}
		return skipGone(err)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot look for checkpoints: %w", err)
	}
	slices.SortFunc(all, func(a, b found) int { return b.at.Compare(a.at) })
	paths := make([]string, len(all))
	for i, f := range all {
		paths[i] = f.path
	}
	return paths, nil
}

// metadata is the file that Flink writes last.
const metadata = "_metadata"

// skipGone forgives what was deleted meanwhile.
func skipGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Newest returns what to begin with: path itself when it names a checkpoint or a
// savepoint, as Flink does, or is on no disk; of a folder the newest below it,
// "" when there is none.
func Newest(path string) (string, error) {
	dir, name := strings.TrimPrefix(path, "file://"), filepath.Base(path)
	if !filepath.IsAbs(dir) || strings.HasPrefix(name, "chk-") || strings.HasPrefix(name, "savepoint-") {
		return path, nil
	}
	all, err := Retained(dir)
	if err != nil || len(all) == 0 {
		return "", err
	}
	return all[0], nil
}

// Forget deletes the checkpoints of all jobs but the newest, which is the one
// that goes on.
func Forget(dir string) error {
	all, err := Retained(dir)
	if err != nil || len(all) == 0 {
		return err
	}
	keep := filepath.Dir(strings.TrimPrefix(all[0], "file://"))
	jobs, err := filepath.Glob(filepath.Join(filepath.Dir(keep), "*"))
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if j != keep {
			err = errors.Join(err, os.RemoveAll(j))
		}
	}
	return err
}
