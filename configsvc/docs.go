package configsvc

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
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

// docs is openapi.yaml, decoded.
type docs map[string]any

// docsPage makes openapi.yaml a page that people read.
func docsPage() ([]byte, error) {
	var d docs
	if err := yaml.Unmarshal(openAPI, &d); err != nil {
		return nil, fmt.Errorf("cannot read openapi.yaml: %w", err)
	}
	t, err := template.New("docs").Funcs(template.FuncMap{
		"text": docsText, "json": docsJSON, "upper": strings.ToUpper, "object": d.object, "scope": d.scope, "kind": d.kind,
		"methods": func() []string { return []string{"get", "post", "put", "patch", "delete"} }, // As people look for them.
	}).Parse(docsTemplate)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, d)
	return b.Bytes(), err
}

// object returns v, or what it refers to; nil when that is no object.
func (d docs) object(v any) map[string]any {
	m, _ := v.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return m
	}
	m = d
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		m = d.object(m[name])
	}
	return m
}

// scope is what a token needs for an operation.
func (d docs) scope(operation map[string]any) any {
	security, own := operation["security"].([]any)
	if !own {
		security, _ = d["security"].([]any)
	}
	for _, s := range security {
		if scopes, _ := d.object(s)["bearer"].([]any); len(scopes) > 0 {
			return scopes[0]
		}
	}
	return "none"
}

// kind describes the values of a schema in a few words.
func (d docs) kind(schema any) string {
	s := d.object(schema)
	m, _ := schema.(map[string]any)
	ref, _ := m["$ref"].(string)
	if name := ref[strings.LastIndexByte(ref, '/')+1:]; name != "" && s["properties"] != nil || s["allOf"] != nil {
		return name
	}
	var words []string
	switch t := s["type"].(type) {
	case string:
		words = append(words, t)
	case []any:
		words = append(words, strings.Trim(strings.ReplaceAll(fmt.Sprint(t...), "null", " or null"), " "))
	}
	if items := s["items"]; items != nil {
		words = append(words, "of "+d.kind(items))
	}
	if f := s["format"]; f != nil && f != "double" && f != "int64" {
		words = append(words, fmt.Sprintf("(%v)", f))
	}
	for _, bound := range [][2]string{{"minimum", "≥"}, {"exclusiveMinimum", ">"}, {"maximum", "≤"}, {"maxLength", "characters ≤"}, {"maxItems", "elements ≤"}, {"pattern", "as"}, {"default", "default"}} {
		if v := s[bound[0]]; v != nil {
			words = append(words, fmt.Sprint(bound[1], " ", v))
		}
	}
	if values, _ := s["enum"].([]any); len(values) > 0 {
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = fmt.Sprint(v)
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
func docsText(text string) template.HTML {
	var b strings.Builder
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		s := template.HTMLEscapeString(paragraph)
		s = docsBold.ReplaceAllString(docsCode.ReplaceAllString(s, "<code>$1</code>"), "<strong>$1</strong>")
		b.WriteString("<p>" + s + "</p>")
	}
	return template.HTML(b.String()) // It is our own document, and escaped.
}

func docsJSON(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.String(), err
}
