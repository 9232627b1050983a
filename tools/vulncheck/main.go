// Command vulncheck says which known vulnerabilities programs reach, and fails
// when there are any: govulncheck on each, with Go's vulnerability database as a
// module, which comes through the same proxy as every other.
//
//	go run ./tools/vulncheck bin/*
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	database    = "golang.org/x/vulndb"
	govulncheck = "golang.org/x/vuln/cmd/govulncheck@v1.9.0"
	oldAfter    = 45 * 24 * time.Hour
)

func main() {
	version := flag.String("db", "latest", "version of "+database)
	flag.Parse()
	if err := run(context.Background(), *version, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "vulncheck:", err)
		os.Exit(1) //nolint:forbidigo // This is main, where the process ends.
	}
}

func run(ctx context.Context, version string, programs []string) error {
	if len(programs) == 0 {
		return errors.New("name the programs: vulncheck bin/*")
	}
	dir, err := os.MkdirTemp("", "vulncheck")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := makeDatabase(ctx, version, dir); err != nil {
		return err
	}
	var affected []string
	for _, p := range programs {
		if strings.HasSuffix(p, ".json") {
			continue // Its bill of materials lies beside it.
		}
		path, err := filepath.Abs(p)
		if err != nil {
			return err
		}
		// What is linked is what can be reached: the linker leaves out the rest. A look at the
		// source says the same of these programs, and takes 8 GB for it.
		c := exec.CommandContext(ctx, "go", "run", govulncheck, "-mode=binary", "-db", "file://"+dir, path)
		text, err := c.CombinedOutput()
		fmt.Printf("== %s\n%s", p, text)
		if err != nil {
			affected = append(affected, p)
		}
	}
	if len(affected) > 0 {
		return fmt.Errorf("%s: not checked, or reaching what is listed above; take the versions that it is fixed in (go get, the toolchain line of go.mod)",
			strings.Join(affected, ", "))
	}
	return nil
}

// makeDatabase writes the database in the form that govulncheck reads.
func makeDatabase(ctx context.Context, version, dir string) error {
	c := exec.CommandContext(ctx, "go", "mod", "download", "-json", database+"@"+version)
	text, err := c.Output()
	var m struct{ Version, Dir, Error string }
	if err := errors.Join(err, json.Unmarshal(text, &m)); err != nil {
		return fmt.Errorf("cannot fetch %s: %w %s", database, err, m.Error)
	}
	of, err := dateOf(m.Version)
	if err != nil {
		return err
	}
	fmt.Printf("vulnerability database of %s (%s %s)\n", of.Format(time.DateOnly), database, m.Version)
	if age := time.Since(of); age > oldAfter {
		fmt.Printf("it is %d days old: what was found since is not in it\n", int(age.Hours()/24))
	}
	c = exec.CommandContext(ctx, "go", "run", database+"/cmd/indexdb@"+m.Version, "-vulns", filepath.Join(m.Dir, "data", "osv"), "-out", dir)
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot index the vulnerability database: %w: %s", err, text)
	}
	return nil
}

// dateOf returns the date in a version without a tag: v0.0.0-20261105234957-e22db6528018.
func dateOf(version string) (time.Time, error) {
	parts := strings.Split(version, "-")
	if len(parts) != 3 {
		return time.Time{}, fmt.Errorf("version %s of %s has no date", version, database)
	}
	return time.Parse("20060102150405", parts[1])
}
