package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// unusedOfUPlot are the lines that hang on uPlot what the page never draws
// with: other shapes of lines, bars, the joining of tables. Without them the
// bundler leaves the functions out too, a fifteenth of the library.
func unusedOfUPlot() []string {
	return []string{
		"uPlot.assign = assign;\n",
		"uPlot.rangeAsinh = rangeAsinh;\n",
		"uPlot.orient   = orient;\n",
		"\tuPlot.join = join;\n",
		"\tuPlot.fmtDate = fmtDate;\n",
		"\tuPlot.tzDate  = tzDate;\n",
		"\tuPlot.addGap = addGap;\n",
		"\tuPlot.clipGaps = clipGaps;\n",
		"\t(paths.linear  = linear);\n",
		"\t(paths.stepped = stepped);\n",
		"\t(paths.bars    = bars);\n",
		"\t(paths.spline  = monotoneCubic);\n",
	}
}

// trimUPlot leaves them out while bundling.
func trimUPlot() api.Plugin {
	return api.Plugin{Name: "trim-uplot", Setup: func(build api.PluginBuild) {
		build.OnLoad(api.OnLoadOptions{Filter: `uPlot\.esm\.js$`}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
			source, err := os.ReadFile(args.Path)
			if err != nil {
				return api.OnLoadResult{}, fmt.Errorf("cannot read uPlot: %w", err)
			}
			text, err := without(string(source), unusedOfUPlot())
			return api.OnLoadResult{Contents: &text, Loader: api.LoaderJS}, err
		})
	}}
}

var errNotOnce = errors.New("uPlot has changed")

// without takes each of the lines out of text, where it must stand once.
func without(text string, lines []string) (string, error) {
	for _, line := range lines {
		if n := strings.Count(text, line); n != 1 {
			return "", fmt.Errorf("%w: the line %q stands in it %d times, not once; bring tools/webbuild/trim.go up to date", errNotOnce, strings.TrimSpace(line), n)
		}
		text = strings.Replace(text, line, "", 1)
	}
	return text, nil
}
