package configsvc

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/goccy/go-yaml"
)

//go:embed openapi.yaml
var openAPI []byte

//go:embed docs.html
var docsTemplate string

// GetOpenAPI answers GET /openapi.yaml.
func (api) GetOpenAPI(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", openAPI) }

// GetDocs answers GET /docs.
func (a api) GetDocs(c *gin.Context) {
	c.Header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'")
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("Cache-Control", "no-cache")
	c.Data(http.StatusOK, "text/html; charset=utf-8", a.docs)
}

// node is a part of the document: a map, a list or a value.
type node struct {
	root, v any
}

// docsPage makes openapi.yaml a page that people read.
func docsPage() ([]byte, error) {
	var root map[string]any
	if err := yaml.Unmarshal(openAPI, &root); err != nil {
		return nil, fmt.Errorf("cannot read openapi.yaml: %w", err)
	}
	t, err := template.New("docs").Funcs(template.FuncMap{"text": docsText, "json": docsJSON, "upper": strings.ToUpper}).Parse(docsTemplate)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, node{root, root})
	return b.Bytes(), err
}

// Get follows names, and references on the way.
func (n node) Get(names ...string) node {
	for _, name := range names {
		m, _ := n.resolve().v.(map[string]any)
		n.v = m[name]
	}
	return n.resolve()
}

func (n node) resolve() node {
	m, _ := n.v.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return n
	}
	at := node{n.root, n.root}
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		inner, _ := at.v.(map[string]any)
		at.v = inner[name]
	}
	return at.resolve()
}

// Name is the last name of a reference, "" when n is none.
func (n node) Name() string {
	m, _ := n.v.(map[string]any)
	ref, _ := m["$ref"].(string)
	return ref[strings.LastIndexByte(ref, '/')+1:]
}

// member is one entry of a map.
type member struct {
	Name string
	Node node // As it stands, a reference too.
}

// Members returns the entries of a map by name.
func (n node) Members() (out []member) {
	m, _ := n.resolve().v.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, member{name, node{n.root, m[name]}})
	}
	return out
}

// Items returns the elements of a list.
func (n node) Items() (out []node) {
	l, _ := n.resolve().v.([]any)
	for _, v := range l {
		out = append(out, node{n.root, v})
	}
	return out
}

// Operations returns the methods of a path in the order in which people look for them.
func (n node) Operations() (out []member) {
	for _, method := range []string{"get", "post", "put", "patch", "delete"} {
		if op := n.Get(method); op.v != nil {
			out = append(out, member{method, op})
		}
	}
	return out
}

func (n node) String() string {
	if n.v == nil {
		return ""
	}
	return fmt.Sprint(n.v)
}

// Scope is what a token needs for an operation.
func (n node) Scope() string {
	security := n.Get("security")
	if security.v == nil {
		security = node{n.root, n.root}.Get("security")
	}
	for _, s := range security.Items() {
		for _, scope := range s.Get("bearer").Items() {
			return scope.String()
		}
	}
	return "none"
}

// Kind says in a few words what a schema takes.
func (n node) Kind() string {
	if name := n.Name(); name != "" && n.resolve().Get("properties").v != nil || n.resolve().Get("allOf").v != nil {
		return name
	}
	s := n.resolve()
	var words []string
	switch t := s.Get("type").v.(type) {
	case string:
		words = append(words, t)
	case []any:
		words = append(words, strings.Trim(strings.ReplaceAll(fmt.Sprint(t...), "null", " or null"), " "))
	}
	if items := s.Get("items"); items.v != nil {
		m, _ := s.v.(map[string]any)
		words = append(words, "of "+node{n.root, m["items"]}.Kind())
	}
	if f := s.Get("format").String(); f != "" && f != "double" && f != "int64" {
		words = append(words, "("+f+")")
	}
	for _, bound := range [][2]string{{"minimum", "≥"}, {"exclusiveMinimum", ">"}, {"maximum", "≤"}, {"maxLength", "characters ≤"}, {"maxItems", "elements ≤"}, {"pattern", "as"}, {"default", "default"}} {
		if v := s.Get(bound[0]); v.v != nil {
			words = append(words, bound[1]+" "+v.String())
		}
	}
	if values := s.Get("enum").Items(); len(values) > 0 {
		texts := make([]string, 0, len(values))
		for _, v := range values {
			texts = append(texts, v.String())
		}
		words = append(words, "one of "+strings.Join(texts, ", "))
	}
	return strings.Join(words, " ")
}

var (
	docsCode = regexp.MustCompile("`([^`]+)`")
	docsBold = regexp.MustCompile(`\*\*([^*]+)\*\*`)
)

// docsText shows the little Markdown that the document uses.
func docsText(n node) template.HTML {
	var b strings.Builder
	for paragraph := range strings.SplitSeq(strings.TrimSpace(n.String()), "\n\n") {
		s := template.HTMLEscapeString(paragraph)
		s = docsBold.ReplaceAllString(docsCode.ReplaceAllString(s, "<code>$1</code>"), "<strong>$1</strong>")
		b.WriteString("<p>" + s + "</p>")
	}
	return template.HTML(b.String()) //nolint:gosec // It is our own document, and escaped.
}

func docsJSON(n node) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(n.v)
	return b.String(), err
}
