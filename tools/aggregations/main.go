// Command aggregations writes the names of all aggregations where other languages list them:
//
//	aggregations FOLDER    of the repository
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"pulseboard/aggregate"
)

func main() {
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "aggregations:", err)
		os.Exit(1) //nolint:forbidigo // It is main.
	}
}

// place is a text in a file, and what it must become.
type place struct {
	file string
	is   *regexp.Regexp
	want string
}

func write(root string) error {
	names := make([]string, 0, 8)
	for _, a := range aggregate.Aggregations() {
		names = append(names, a.Name)
	}
	list := strings.Join(names, ", ")
	for _, p := range []place{
		{"configsvc/openapi.yaml", regexp.MustCompile(`"\^\([a-z|]+\|p\(100\|`), `"^(` + strings.Join(names, "|") + `|p(100|`},
		{"configsvc/openapi.yaml", regexp.MustCompile(`"[a-z, ]+, or a percentile p0`), `"` + list + `, or a percentile p0`},
		{"docs/protocol.md", regexp.MustCompile(`Aggregations: [a-z ]+ and p0`), "Aggregations: " + strings.Join(names, " ") + " and p0"},
		{"web/src/model/aggregations.ts", regexp.MustCompile(`= \[.*\]`), `= ["` + strings.Join(names, `", "`) + `"]`},
	} {
		path := filepath.Join(root, p.file)
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if n := len(p.is.FindAll(text, -1)); n != 1 {
			return fmt.Errorf("%s has %s %d times, and not once", p.file, p.is, n)
		}
		if err := os.WriteFile(path, p.is.ReplaceAllLiteral(text, []byte(p.want)), 0o644); err != nil { //nolint:gosec // A source file.
			return err
		}
	}
	return nil
}
