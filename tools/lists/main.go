// Command lists writes the names of all aggregations and charts where other languages list them:
//
//	lists FOLDER    of the repository
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"pulseboard/aggregate"
	"pulseboard/charts"
)

func main() {
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "lists:", err)
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
	for _, p := range places() {
		path := filepath.Join(root, filepath.FromSlash(p.file))
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if n := len(p.is.FindAll(text, -1)); n != 1 {
			return fmt.Errorf("%s has %s %d times, and not once", p.file, p.is, n)
		}
		if err := os.WriteFile(path, p.is.ReplaceAllLiteral(text, []byte(p.want)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func places() []place {
	var names, distributions, growing []string
	for _, a := range aggregate.Aggregations() {
		if names = append(names, a.Name); a.Bins != nil {
			distributions = append(distributions, a.Name)
		}
		if a.Needs&aggregate.NeedGrowth != 0 {
			growing = append(growing, a.Name)
		}
	}
	list := strings.Join(names, ", ")
	return []place{
		{"configsvc/openapi.yaml", regexp.MustCompile(`"\^\([a-z_|]+\|p\(100\|`), `"^(` + strings.Join(names, "|") + `|p(100|`},
		{"configsvc/openapi.yaml", regexp.MustCompile(`"[a-z_, ]+, or a percentile p0`), `"` + list + `, or a percentile p0`},
		{"docs/protocol.md", regexp.MustCompile(`Aggregations: [a-z_ ]+ and p0`), "Aggregations: " + strings.Join(names, " ") + " and p0"},
		{"web/src/model/aggregation-texts.ts", regexp.MustCompile(` AGGREGATIONS = \[.*\]`), " AGGREGATIONS = " + listOf(names)},
		{"web/src/model/aggregation-texts.ts", regexp.MustCompile(` GROWING = \[.*\]`), " GROWING = " + listOf(growing)},
		{"web/src/model/aggregations.ts", regexp.MustCompile(` DISTRIBUTIONS = \[.*\]`), " DISTRIBUTIONS = " + listOf(distributions)},
		{
			"configsvc/openapi.yaml", regexp.MustCompile(`chart: \{ type: string, enum: \[.*\], default: [a-z]+ \}`),
			"chart: { type: string, enum: [" + strings.Join(charts.Names(), ", ") + "], default: " + charts.Names()[0] + " }",
		},
		{"web/src/widgets/types.ts", regexp.MustCompile(`(?s)^.*$`), widgetTypes(charts.Names())},
	}
}

// listOf is a list of texts in TypeScript.
func listOf(texts []string) string { return `["` + strings.Join(texts, `", "`) + `"]` }

// widgetTypes is the page's list of the descriptors that the folders of web/src/widgets export.
func widgetTypes(names []string) string {
	var b strings.Builder
	b.WriteString("// Written by `go generate ./charts`: the type of widget that each folder here exports, in the order in which people are shown them.\n")
	for _, name := range slices.Sorted(slices.Values(names)) {
		fmt.Fprintf(&b, "import { widgetType as %[1]s } from \"./%[1]s/%[1]s\";\n", name)
	}
	b.WriteString("import type { WidgetType } from \"./widget\";\n\n")
	fmt.Fprintf(&b, "export const WIDGET_TYPES: ReadonlyMap<string, WidgetType> = new Map(Object.entries({ %s }));\n", strings.Join(names, ", "))
	b.WriteString("\n/** Those that draw distributions; the first one is what one is drawn as where a document names none. */\n")
	fmt.Fprintf(&b, "export const OF_DISTRIBUTIONS: readonly string[] = %s;\n", listOf(charts.OfDistributions()))
	return b.String()
}
