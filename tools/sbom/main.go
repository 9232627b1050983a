// Command sbom writes the bill of materials of each program beside it, as
// CycloneDX: its Go modules as the program itself names them, and the npm packages
// that the page in it is made of. The same program gives the same bytes.
//
//	go run ./tools/sbom bin/pulseboard bin/gateway …
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const gomod = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"

// hasPage reports whether a program has the page in it.
func hasPage(path string) bool {
	return slices.Contains([]string{"gateway", "pulseboard"}, filepath.Base(path))
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1) //nolint:forbidigo // This is main, where the process ends.
	}
}

func run(ctx context.Context, programs []string) error {
	page, err := os.ReadFile("web/package-lock.json")
	if err != nil {
		return err
	}
	served, err := npmComponents(page)
	if err != nil {
		return err
	}
	for _, p := range programs {
		c := exec.CommandContext(ctx, "go", "run", gomod, "bin", "-json", "-std", "-noserial", "-notimestamp", p)
		text, err := c.Output()
		if err != nil {
			return fmt.Errorf("cannot list the modules of %s: %w", p, err)
		}
		var more []component
		if hasPage(p) {
			more = served
		}
		if text, err = join(text, more); err != nil {
			return fmt.Errorf("the list of modules of %s: %w", p, err)
		}
		if err := os.WriteFile(p+".cdx.json", text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

type component struct {
	Type    string `json:"type"`
	Ref     string `json:"bom-ref"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl"`
	Hashes  []hash `json:"hashes,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

// npmComponents lists the packages of a lock file that are no tools of development.
func npmComponents(lock []byte) ([]component, error) {
	var doc struct {
		Packages map[string]struct {
			Version, Integrity string
			Dev                bool
		}
	}
	if err := json.Unmarshal(lock, &doc); err != nil {
		return nil, fmt.Errorf("web/package-lock.json: %w", err)
	}
	var out []component
	for _, path := range slices.Sorted(maps.Keys(doc.Packages)) {
		p := doc.Packages[path]
		_, name, ok := strings.Cut(path, "node_modules/")
		if !ok || p.Dev {
			continue // Our own, or one that is only there to test and build.
		}
		purl := "pkg:npm/" + strings.Replace(name, "@", "%40", 1) + "@" + p.Version
		c := component{Type: "library", Ref: purl, Name: name, Version: p.Version, PURL: purl}
		if sum, ok := strings.CutPrefix(p.Integrity, "sha512-"); ok {
			b, err := base64.StdEncoding.DecodeString(sum)
			if err != nil {
				return nil, fmt.Errorf("the integrity of %s: %w", name, err)
			}
			c.Hashes = []hash{{"SHA-512", hex.EncodeToString(b)}}
		}
		out = append(out, c)
	}
	return out, nil
}

// join adds components to a bill of materials, and takes out what is of the machine that made it.
func join(bom []byte, more []component) ([]byte, error) {
	var doc map[string]any
	if err := json.Unmarshal(bom, &doc); err != nil {
		return nil, err
	}
	if meta, ok := doc["metadata"].(map[string]any); ok {
		delete(meta, "tools") // With the hashes of a program that was built here.
	}
	list, _ := doc["components"].([]any)
	for _, c := range more {
		list = append(list, c)
	}
	doc["components"] = list
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(doc)
	return b.Bytes(), err
}
