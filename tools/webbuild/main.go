// Command webbuild bundles the web page into web/dist, where package web embeds
// it, and runs the page's unit tests. It needs web/node_modules (npm ci) but
// no build tool from npm: the bundler is esbuild's Go API.
//
//	go run ./tools/webbuild         bundle web/src/main.tsx into web/dist
//	go run ./tools/webbuild -test   bundle web/src/**/*.test.ts and run node --test
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

func main() {
	dir := flag.String("dir", "web", "folder of the page, with src, node_modules and dist")
	test := flag.Bool("test", false, "run the unit tests instead of building")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *dir, *test, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "webbuild:", err)
		os.Exit(1) //nolint:forbidigo // This is main, where the process ends.
	}
}

func run(ctx context.Context, dir string, test bool, out io.Writer) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("cannot resolve the folder %s: %w", dir, err)
	}
	if err := checkPackages(abs); err != nil {
		return err
	}
	if test {
		return runTests(ctx, abs, out)
	}
	return build(abs, out)
}

// checkPackages turns the wall of resolve errors of a missing npm install
// into one line that says what to do.
func checkPackages(dir string) error {
	for _, name := range []string{"preact", "@preact/signals", "uplot"} {
		_, err := os.Stat(filepath.Join(dir, "node_modules", filepath.FromSlash(name), "package.json"))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot find the npm package %s in %s: run 'npm ci --omit=dev' in %s first (needs Node 20 or newer), or 'make web'",
				name, filepath.Join(dir, "node_modules"), dir)
		}
		if err != nil {
			return fmt.Errorf("cannot read the npm package %s: %w", name, err)
		}
	}
	return nil
}

// messagesError joins the errors of esbuild, each with its place in the source.
func messagesError(what string, messages []api.Message) error {
	if len(messages) == 0 {
		return nil
	}
	lines := api.FormatMessages(messages, api.FormatMessagesOptions{Kind: api.ErrorMessage})
	return fmt.Errorf("cannot bundle %s:\n%s", what, strings.Join(lines, ""))
}
