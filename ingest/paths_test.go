package ingest_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"pulseboard/ingest"
)

// Where paths of formats stand besides the formats, they are the same: the API's
// description, the load balancer, and the page of the documentation.
func TestPathsOfFormatsAreKnown(t *testing.T) {
	paths, routes := slices.Sorted(slices.Values(ingest.Paths())), slices.Sorted(slices.Values(ingest.Routes()))
	read := func(file string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	compare := func(where string, found, paths []string) {
		slices.Sort(found)
		if found = slices.Compact(found); !slices.Equal(found, paths) {
			t.Errorf("%s has the paths %q, and the service %q", where, found, paths)
		}
	}

	var api struct {
		Paths map[string]any
	}
	if err := yaml.Unmarshal([]byte(read("openapi.yaml")), &api); err != nil {
		t.Fatal(err)
	}
	var found []string
	for path := range api.Paths {
		if path != "/openapi.yaml" {
			found = append(found, path)
		}
	}
	compare("openapi.yaml", found, routes)

	location := regexp.MustCompile(`location ~ \^/\(([^)]*)\)\$ \{\s*proxy_pass http://ingest;`).FindStringSubmatch(read("../deploy/nginx/nginx.conf"))
	if location == nil {
		t.Fatal("nginx.conf has no location of ingest")
	}
	found = nil
	for path := range strings.SplitSeq(location[1], "|") {
		found = append(found, "/"+strings.ReplaceAll(path, `\.`, "."))
	}
	compare("nginx.conf", found, routes)

	found = nil
	for _, m := range regexp.MustCompile("(?m)^\\| `POST ([^`]*)` \\|").FindAllStringSubmatch(read("../docs/ingest.md"), -1) {
		found = append(found, m[1])
	}
	compare("docs/ingest.md", found, paths)

	found = slices.Clone(paths)
	for _, m := range regexp.MustCompile("(?m)^\\| `(/[^`]*)` \\([A-Z, ]*\\) \\|").FindAllStringSubmatch(read("../docs/ingest.md"), -1) {
		found = append(found, m[1])
	}
	compare("docs/ingest.md, with what clients ask,", found, routes)
}
