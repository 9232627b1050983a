package dashcode

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"pulseboard/configsvc"
)

// tree is a JSON object whose members keep their order, which in a dashboard
// is that of the protocol. Values are tree, []any, string,
// jsontext.Value for a number, bool or nil.
type tree []member

type member struct {
	name  string
	value any
}

func (t tree) get(name string) any {
	for _, m := range t {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

func (t tree) has(name string) bool {
	return slices.ContainsFunc(t, func(m member) bool { return m.name == name })
}

// without returns t without some members.
func (t tree) without(names ...string) tree {
	return slices.DeleteFunc(slices.Clone(t), func(m member) bool { return slices.Contains(names, m.name) })
}

// toTree goes by way of JSON, so that a field that a widget gets tomorrow is
// compared and written without a change here.
func toTree(v any) (tree, error) {
	b, err := stdjson.Marshal(v)
	if err != nil {
		return nil, err
	}
	parsed, err := readValue(jsontext.NewDecoder(bytes.NewReader(b)))
	if err != nil {
		return nil, err
	}
	t, ok := parsed.(tree)
	if !ok {
		return nil, fmt.Errorf("%T is no JSON object", v)
	}
	return t, nil
}

func readValue(dec *jsontext.Decoder) (any, error) {
	token, err := dec.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case '"':
		return token.String(), nil
	case '0':
		return jsontext.Value(token.String()), nil
	case 't', 'f':
		return token.Bool(), nil
	case '[':
		list := []any{}
		for dec.PeekKind() != ']' {
			v, err := readValue(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.ReadToken()
		return list, err
	case '{':
		t := tree{}
		for dec.PeekKind() != '}' {
			name, err := dec.ReadToken()
			if err != nil {
				return nil, err
			}
			m := member{name: name.String()}
			if m.value, err = readValue(dec); err != nil {
				return nil, err
			}
			t = append(t, m)
		}
		_, err = dec.ReadToken()
		return t, err
	}
	return nil, nil // JSON's null.
}

// MarshalJSONTo implements json.MarshalerTo.
func (t tree) MarshalJSONTo(enc *jsontext.Encoder) error {
	err := enc.WriteToken(jsontext.BeginObject)
	for _, m := range t {
		err = errors.Join(err, enc.WriteToken(jsontext.String(m.name)), json.MarshalEncode(enc, m.value))
	}
	return errors.Join(err, enc.WriteToken(jsontext.EndObject))
}

// encode returns the compact JSON of a value of a tree.
func encode(v any) string {
	b, _ := json.Marshal(v, jsontext.AllowInvalidUTF8(true)) // A tree was JSON before.
	return string(b)
}

// kept are the members that files name even when they have the default: ids,
// so that a new title does not make a new widget, and what people look for first.
func kept(name string) bool {
	switch name {
	case "dashboard_id", "title", "widget_id", "metric_name", "aggregation", "window_seconds", "position":
		return true
	}
	return false
}

// small returns the tree of a dashboard without what it need not say.
func small(d configsvc.Dashboard) (tree, error) {
	full, err := toTree(d)
	if err != nil {
		return nil, err
	}
	base, err := defaults()
	if err != nil {
		return nil, err
	}
	out := withoutDefaults(full, base).without("version", "widgets")
	if len(d.Widgets) == 0 {
		return out, nil
	}
	widgets, _ := full.get("widgets").([]any)
	baseWidget, _ := base.get("widgets").([]any)[0].(tree)
	list := make([]any, 0, len(widgets))
	for _, w := range widgets {
		w, _ := w.(tree)
		list = append(list, withoutDefaults(w, baseWidget).without("dashboard_id"))
	}
	return append(out, member{"widgets", list}), nil
}

// defaults returns what the rules make of a document that says nothing.
func defaults() (tree, error) {
	d, _, _ := configsvc.Rules{SliceMs: 1}.Check(map[string]any{"widgets": []any{map[string]any{
		"metric_name": "m", "aggregation": "avg", "window_seconds": stdjson.Number("1"),
	}}})
	return toTree(d)
}

func withoutDefaults(t, base tree) tree {
	out := tree{}
	for _, m := range t {
		otherwise := base.get(m.name)
		switch inner, isTree := m.value.(tree); {
		case kept(m.name):
			if m.name == "title" && m.value == "" {
				continue
			}
			out = append(out, m)
		case isTree:
			innerBase, _ := otherwise.(tree)
			if inner = withoutDefaults(inner, innerBase); len(inner) > 0 {
				out = append(out, member{m.name, inner})
			}
		case reflect.DeepEqual(m.value, otherwise):
		default:
			out = append(out, m)
		}
	}
	return out
}
