package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
	"github.com/klauspost/compress/gzip" // One part in a hundred smaller than the standard library's.
)

const (
	pageEntry = "src/main.tsx"
	iconEntry = "src/favicon.svg"
)

// build empties dist and writes the bundle, its .gz copies and index.html.
func build(dir string, out io.Writer) error {
	result := api.Build(api.BuildOptions{
		AbsWorkingDir:     dir,
		EntryPoints:       []string{pageEntry, iconEntry},
		Outdir:            "dist",
		EntryNames:        "assets/[name]-[hash]",
		ChunkNames:        "assets/[name]-[hash]",
		AssetNames:        "assets/[name]-[hash]",
		Loader:            map[string]api.Loader{".svg": api.LoaderCopy},
		Bundle:            true,
		Splitting:         true,
		Format:            api.FormatESModule,
		Target:            api.ES2022,
		MinifySyntax:      true,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		Charset:           api.CharsetUTF8,
		LegalComments:     api.LegalCommentsEndOfFile,
		Define:            map[string]string{"process.env.NODE_ENV": `"production"`},
		Metafile:          true,
	})
	if err := messagesError(pageEntry, result.Errors); err != nil {
		return err
	}
	page, err := indexPage(result.Metafile)
	if err != nil {
		return err
	}
	// Only now, so that a bundle with an error leaves the last good one in place.
	dist := filepath.Join(dir, "dist")
	if err := emptyDist(dist); err != nil {
		return err
	}
	for _, file := range result.OutputFiles {
		// A part that is loaded on demand gets a copy of the styles of all that it shares with the page, which has them already.
		if strings.HasSuffix(file.Path, ".css") && !bytes.Contains(page, []byte(filepath.Base(file.Path))) {
			continue
		}
		if err := writeAsset(file.Path, file.Contents, out); err != nil {
			return err
		}
	}
	index := filepath.Join(dist, "index.html")
	if err := os.WriteFile(index, page, 0o644); err != nil {
		return fmt.Errorf("cannot write the page %s: %w", index, err)
	}
	return nil
}

// emptyDist removes the last build and keeps the committed .gitignore, which
// makes the folder exist for go:embed in a fresh clone.
func emptyDist(dist string) error {
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return fmt.Errorf("cannot make the folder %s: %w", dist, err)
	}
	entries, err := os.ReadDir(dist)
	if err != nil {
		return fmt.Errorf("cannot list the folder %s: %w", dist, err)
	}
	for _, entry := range entries {
		if entry.Name() == ".gitignore" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dist, entry.Name())); err != nil {
			return fmt.Errorf("cannot remove the old build: %w", err)
		}
	}
	return nil
}

// writeAsset writes a file and its .gz copy and prints both sizes.
func writeAsset(path string, contents []byte, out io.Writer) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("cannot make the folder of %s: %w", path, err)
	}
	if err := os.WriteFile(path, contents, 0o644); err != nil {
		return fmt.Errorf("cannot write the asset %s: %w", path, err)
	}
	var packed bytes.Buffer
	zip, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("cannot compress the asset %s: %w", path, err)
	}
	if _, err := zip.Write(contents); err != nil {
		return fmt.Errorf("cannot compress the asset %s: %w", path, err)
	}
	if err := zip.Close(); err != nil {
		return fmt.Errorf("cannot compress the asset %s: %w", path, err)
	}
	if err := os.WriteFile(path+".gz", packed.Bytes(), 0o644); err != nil {
		return fmt.Errorf("cannot write the asset %s.gz: %w", path, err)
	}
	_, err = fmt.Fprintf(out, "%-32s %8.1f kB  %7.1f kB gzip\n", filepath.Base(path), kB(len(contents)), kB(packed.Len()))
	return err
}

func kB(n int) float64 { return float64(n) / 1000 }

// metafile is the part of esbuild's description of its output that we read.
type metafile struct {
	Outputs map[string]struct {
		EntryPoint string `json:"entryPoint"`
		CSSBundle  string `json:"cssBundle"`
		Imports    []struct {
			Path string `json:"path"`
			Kind string `json:"kind"`
		} `json:"imports"`
	} `json:"outputs"`
}

// indexLinks are the addresses of the assets, from the root of the site.
type indexLinks struct {
	Script, Style, Icon string
	Preload             []string
	// Build names all of them: it tells a page that is open whether the server has another one.
	Build string
}

// indexPage writes the HTML around the bundle. There is no inline script or
// style in it: the Content-Security-Policy forbids both.
func indexPage(meta string) ([]byte, error) {
	var m metafile
	if err := json.Unmarshal([]byte(meta), &m); err != nil {
		return nil, fmt.Errorf("cannot read the bundler's metafile: %w", err)
	}
	var links indexLinks
	for path, output := range m.Outputs {
		switch output.EntryPoint {
		case pageEntry:
			links.Script = siteAddress(path)
			links.Style = siteAddress(output.CSSBundle)
			for _, imported := range output.Imports {
				if imported.Kind == "import-statement" {
					links.Preload = append(links.Preload, siteAddress(imported.Path))
				}
			}
		case iconEntry:
			links.Icon = siteAddress(path)
		}
	}
	if links.Script == "" || links.Style == "" || links.Icon == "" {
		return nil, fmt.Errorf("cannot find the script, the style or the icon in the bundler's metafile: %+v", links)
	}
	sort.Strings(links.Preload)
	links.Build = buildOf(m)
	var page bytes.Buffer
	if err := indexTemplate().Execute(&page, links); err != nil {
		return nil, fmt.Errorf("cannot write the page: %w", err)
	}
	return page.Bytes(), nil
}

// buildOf is a hash of the names of all outputs, which have hashes of their contents.
func buildOf(m metafile) string {
	names := slices.Sorted(maps.Keys(m.Outputs))
	sum := sha256.Sum256([]byte(strings.Join(names, "\n")))
	return hex.EncodeToString(sum[:6])
}

func siteAddress(output string) string { return strings.TrimPrefix(output, "dist") }

func indexTemplate() *template.Template {
	return template.Must(template.New("index").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="pulseboard-build" content="{{.Build}}">
<meta name="description" content="Pulseboard: live metric dashboards">
<title>Pulseboard</title>
<link rel="icon" href="{{.Icon}}" type="image/svg+xml">
{{range .Preload}}<link rel="modulepreload" href="{{.}}">
{{end}}<link rel="stylesheet" href="{{.Style}}">
<script type="module" src="{{.Script}}"></script>
</head>
<body>
<div id="app"></div>
<noscript>Pulseboard draws its charts in the browser and needs JavaScript.</noscript>
</body>
</html>
`))
}
