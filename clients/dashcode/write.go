package dashcode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"pulseboard/configsvc"
)

// Format is a form of dashboard files.
type Format string

// The formats of files.
const (
	YAML Format = "yaml"
	JSON Format = "json"
)

// Write returns the file of a dashboard: always the same bytes for the same
// dashboard, members in the order of the protocol, defaults left out. Load
// gives the same dashboard again.
func Write(d configsvc.Dashboard, format Format) ([]byte, error) {
	t, err := small(d)
	if err != nil {
		return nil, fmt.Errorf("cannot write dashboard %s: %w", d.ID, err)
	}
	if format == JSON {
		var b bytes.Buffer
		err := json.Indent(&b, []byte(encode(t)), "", "  ")
		return append(b.Bytes(), '\n'), err
	}
	return appendYAML(nil, t), nil
}

// appendYAML writes the large parts as blocks, a line for each member, and the
// small ones, such as a position, in one line.
func appendYAML(b []byte, t tree) []byte {
	for _, m := range t {
		b = appendText(b, m.name)
		list, isList := m.value.([]any)
		if !isList || m.name != "widgets" && m.name != "variables" || len(list) == 0 {
			b = append(appendFlow(append(b, ": "...), m.value), '\n')
			continue
		}
		b = append(b, ":\n"...)
		for _, e := range list {
			b = append(b, "  - "...)
			if w, ok := e.(tree); ok && m.name == "widgets" {
				b = appendWidget(b, w)
			} else {
				b = append(appendFlow(b, e), '\n')
			}
		}
	}
	return b
}

func appendWidget(b []byte, w tree) []byte {
	for i, m := range w {
		if i > 0 {
			b = append(b, "    "...)
		}
		b = appendText(b, m.name)
		display, ok := m.value.(tree)
		if !ok || m.name != "display_config" {
			b = append(appendFlow(append(b, ": "...), m.value), '\n')
			continue
		}
		b = append(b, ":\n"...)
		for _, m := range display {
			b = appendText(append(b, "      "...), m.name)
			b = append(appendFlow(append(b, ": "...), m.value), '\n')
		}
	}
	return b
}

func appendFlow(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendText(b, v)
	case jsontext.Value:
		return append(b, yamlNumber(string(v))...)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendFlow(b, e)
		}
		return append(b, ']')
	case tree:
		b = append(b, '{')
		for i, m := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(appendText(b, m.name), ": "...)
			b = appendFlow(b, m.value)
		}
		return append(b, '}')
	}
	return append(b, encode(v)...)
}

// yamlNumber gives a number with an exponent the point without which some
// readers of YAML take it for a text.
func yamlNumber(s string) string {
	if i := strings.IndexAny(s, "eE"); i >= 0 && !strings.Contains(s, ".") {
		return s[:i] + ".0" + s[i:]
	}
	return s
}

var (
	// Words that no YAML reader takes for anything but a string, wherever they stand.
	plainText = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./()%+-]*( [A-Za-z0-9_./()%+-]+)*$`)
	plainUUID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// appendText writes a string, in quotes unless it is one to every reader of
// YAML, those included that take yes and off for truth values. Quoted strings
// are JSON's, which are YAML's too.
func appendText(b []byte, s string) []byte {
	if plainUUID.MatchString(s) || plainText.MatchString(s) && !special(s) {
		return append(b, s...)
	}
	// YAML takes these for the end of a line or of the file.
	for _, r := range encode(s) {
		switch {
		case r == 0x7f, r >= 0x80 && r < 0xa0, r == '\u2028', r == '\u2029', r == '\ufeff', r == '\ufffe', r == '\uffff':
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = append(b, string(r)...)
		}
	}
	return b
}

func special(s string) bool {
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "null", "inf", "nan":
		return true
	}
	return false
}

// FileName is the name of the file of a dashboard without extension. taken
// says which names belong to another dashboard.
func FileName(d configsvc.Dashboard, taken func(name string) bool) string {
	name := slug(d.Title)
	if name == "" || taken(name) {
		name = strings.TrimPrefix(name+"-"+d.ID[:8], "-")
	}
	if taken(name) {
		name = strings.TrimPrefix(slug(d.Title)+"-"+d.ID, "-")
	}
	if whole := name; taken(name) {
		for n := 2; taken(name); n++ {
			name = fmt.Sprintf("%s-%d", whole, n)
		}
	}
	return name
}

const maxSlug = 60

// slug keeps letters and digits of ASCII, in lower case.
func slug(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if b.Len() > 0 && !strings.HasSuffix(b.String(), "-") {
			b.WriteByte('-')
		}
		if b.Len() >= maxSlug {
			break
		}
	}
	return strings.TrimSuffix(b.String(), "-")
}
