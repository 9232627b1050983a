// Package web holds the built web page and serves it.
//
// The page is TypeScript in src, bundled by tools/webbuild into dist, which is
// not committed. A program compiled without a build serves a placeholder that
// says how to make one.
package web

import (
	"embed"
	"io/fs"
	"regexp"
)

//go:embed all:dist
var dist embed.FS

//go:embed placeholder.html
var placeholder []byte

// Dist returns the files of the built page, and false when the program was
// compiled without one.
func Dist() (fs.FS, bool) {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, false
	}
	if _, err := fs.Stat(sub, indexName); err != nil {
		return nil, false
	}
	return sub, true
}

// Build names the page that Handler serves, "" when that is the placeholder. The
// gateway sends it to open pages: those of another build reload.
func Build() string {
	files, ok := Dist()
	if !ok {
		return ""
	}
	return buildOf(files)
}

// buildOf reads the name that tools/webbuild has given.
func buildOf(files fs.FS) string {
	page, err := fs.ReadFile(files, indexName)
	if err != nil {
		return ""
	}
	if m := regexp.MustCompile(`<meta name="pulseboard-build" content="([^"]*)">`).FindSubmatch(page); m != nil {
		return string(m[1])
	}
	return ""
}
