package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// unusedParts returns the statements by which uPlot hangs functions on its
// class that the page does not use. The bundler leaves out what nobody uses,
// but cannot know that of members: these drag along a tenth of the library.
func unusedParts() []string {
	return []string{
		"uPlot.assign = assign;",
		"uPlot.rangeAsinh = rangeAsinh;",
		"uPlot.orient   = orient;",
		"uPlot.join = join;",
		"uPlot.fmtDate = fmtDate;",
		"uPlot.tzDate  = tzDate;",
		"uPlot.addGap = addGap;",
		"uPlot.clipGaps = clipGaps;",
		"(paths.linear  = linear);",
		"(paths.stepped = stepped);",
		"(paths.bars    = bars);",
		"(paths.spline  = monotoneCubic);",
	}
}

// shakePlot lets the bundler see uPlot without its unusedParts.
func shakePlot() api.Plugin {
	return api.Plugin{Name: "shake-uplot", Setup: func(build api.PluginBuild) {
		build.OnLoad(api.OnLoadOptions{Filter: `uPlot\.esm\.js$`}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
			source, err := os.ReadFile(args.Path)
			if err != nil {
				return api.OnLoadResult{}, fmt.Errorf("cannot read uPlot: %w", err)
			}
			text, err := shaken(source)
			if err != nil {
				return api.OnLoadResult{}, fmt.Errorf("%s: %w", filepath.Base(args.Path), err)
			}
			return api.OnLoadResult{Contents: &text, Loader: api.LoaderJS}, nil
		})
	}}
}

func shaken(source []byte) (string, error) {
	for _, part := range unusedParts() {
		if bytes.Count(source, []byte(part)) != 1 {
			return "", fmt.Errorf("cannot find %q once in this version of uPlot: look at its end and mend unusedParts in tools/webbuild/shake.go", part)
		}
		source = bytes.Replace(source, []byte(part), nil, 1)
	}
	return string(source), nil
}
