package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// runTests bundles each *.test.ts beside the code it tests and runs them all
// with node --test, with dir as the working folder (tests read testdata there).
func runTests(ctx context.Context, dir string, out io.Writer) (err error) {
	entries, err := testFiles(dir)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "pulseboard-web-test-")
	if err != nil {
		return fmt.Errorf("cannot make a folder for the bundled tests: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()

	result := api.Build(api.BuildOptions{
		AbsWorkingDir: dir,
		EntryPoints:   entries,
		Outdir:        folder,
		OutExtension:  map[string]string{".js": ".mjs"},
		Bundle:        true,
		Write:         true,
		Format:        api.FormatESModule,
		Platform:      api.PlatformNode,
		Target:        api.ES2022,
		Loader:        map[string]api.Loader{".css": api.LoaderEmpty},
		Sourcemap:     api.SourceMapInline,
	})
	if err := messagesError("the tests", result.Errors); err != nil {
		return err
	}
	args := []string{"--enable-source-maps", "--test"}
	for _, file := range result.OutputFiles {
		args = append(args, file.Path)
	}
	node := exec.CommandContext(ctx, "node", args...)
	node.Dir = dir
	node.Stdout = out
	node.Stderr = os.Stderr
	if err := node.Run(); err != nil {
		return fmt.Errorf("the tests of the page failed, or node cannot be run: %w", err)
	}
	return nil
}

// testFiles lists the tests, relative to dir.
func testFiles(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(filepath.Join(dir, "src"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".test.ts") {
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files = append(files, filepath.ToSlash(rel))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list the tests of the page: %w", err)
	}
	if len(files) == 0 {
		return nil, errors.New("cannot find any *.test.ts in src")
	}
	return files, nil
}
